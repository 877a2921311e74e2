"""Audit policies: what the API server logs of which requests.

The meaning of a policy is that of the API server: the first rule that fits a request decides, see
https://github.com/kubernetes/apiserver/blob/master/pkg/audit/policy/checker.go; what it refuses is refused here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from kubewake.errors import InputError, RuleError
from kubewake.event import STAGES
from kubewake.facts.request import CLUSTER_SCOPED, HEALTH_PATHS
from kubewake.rules.document import Document, read_documents
from kubewake.rules.model import NEEDS
from kubewake.rules.ruleset import nearest

LEVELS = ("None", *NEEDS)
ANY = "*"

Extent = Literal["all", "some", "none"]

_HOMES = {
    "": "bindings configmaps endpoints limitranges namespaces nodes persistentvolumeclaims persistentvolumes pods "
    "podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services",
    "admissionregistration.k8s.io": "mutatingadmissionpolicies mutatingadmissionpolicybindings "
    "mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings "
    "validatingwebhookconfigurations",
    "apiextensions.k8s.io": "customresourcedefinitions",
    "apiregistration.k8s.io": "apiservices",
    "apps": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "authentication.k8s.io": "selfsubjectreviews tokenreviews",
    "authorization.k8s.io": "localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews "
    "subjectaccessreviews",
    "batch": "cronjobs jobs",
    "certificates.k8s.io": "certificatesigningrequests",
    "coordination.k8s.io": "leases",
    "discovery.k8s.io": "endpointslices",
    "networking.k8s.io": "ingressclasses ingresses networkpolicies",
    "rbac.authorization.k8s.io": "clusterrolebindings clusterroles rolebindings roles",
    "storage.k8s.io": "csidrivers storageclasses volumeattachments",
}
HOME_GROUPS = {resource: group for group, resources in _HOMES.items() for resource in resources.split()}
"""The API group that is meant where only a resource is named; events have two and are not among them."""

_NAMELESS = frozenset({"create", "deletecollection"})
"""Verbs of requests without a name in their URI, which entries with `resourceNames` therefore never fit."""

NAMES_SHOWN = 3
"""Users, groups and other names of a policy rule that a reason repeats; it counts the rest."""


class Request(Struct, frozen=True):
    """A kind of request that a rule looks at; `*` stands for any."""

    verb: str
    group: str
    resource: str
    subresource: str

    def __str__(self) -> str:
        verb = "requests" if self.verb == ANY else self.verb
        if self.resource == ANY:
            return verb if self.verb == ANY else f"{verb} requests"
        preposition = " for" if self.verb == ANY else ""
        subresource = "" if self.subresource in {"", ANY} else f"/{self.subresource}"
        return f"{verb}{preposition} {self.resource}{subresource}"


class Entry(Struct, frozen=True):
    """Resources of one API group, as a policy rule lists them. No resources are all, no names any."""

    group: str
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def fits(self, request: Request) -> Extent:
        """How many requests of this kind it is about."""
        group = HOME_GROUPS.get(request.resource, ANY) if request.group == ANY else request.group
        if group not in {ANY, self.group}:
            return "none"
        if self.names and request.verb in _NAMELESS and not request.subresource:
            return "none"
        extent = self._fits_resource(request.resource, request.subresource)
        is_limited = self.names or (group == ANY and self._is_for_all_resources)
        return "some" if extent == "all" and is_limited else extent

    @property
    def _is_for_all_resources(self) -> bool:
        return not self.resources or ANY in self.resources

    def _fits_resource(self, resource: str, subresource: str) -> Extent:
        if self._is_for_all_resources or f"{resource}/*" in self.resources:
            return "all"
        if resource == ANY:
            return "some"
        if subresource == ANY:
            return "some" if any(name.partition("/")[0] in {resource, ANY} for name in self.resources) else "none"
        wanted = {f"{resource}/{subresource}", f"*/{subresource}"} if subresource else {resource}
        return "none" if wanted.isdisjoint(self.resources) else "all"


class PolicyRule(Struct, frozen=True):
    """One rule of an audit policy. Empty parts mean all."""

    level: str
    verbs: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    urls: tuple[str, ...] = ()
    limits: str = ""
    """The users, groups of users and namespaces that it is about, in words."""
    omitted: Mapping[str, int] = {}
    """Stages that are not logged, by it or the whole policy, and the line that says so."""
    is_of_namespaces: bool = False
    line: int = 0

    @property
    def is_of_health(self) -> bool:
        """Whether it is about nothing but health checks."""
        return bool(self.urls) and all(url.startswith(HEALTH_PATHS) for url in self.urls)

    def applies(self, request: Request) -> Extent:
        """Whether the rule decides for all requests of this kind, some, or none."""
        if self.is_of_namespaces and request.resource in CLUSTER_SCOPED and request.resource != "namespaces":
            return "none"
        extent: Extent = "some" if self.limits else "all"
        if self.verbs and request.verb not in self.verbs:
            if request.verb != ANY:
                return "none"
            extent = "some"
        if self.urls:
            return "some" if request.resource == ANY else "none"
        if self.entries:
            extents = {entry.fits(request) for entry in self.entries}
            if extents == {"none"}:
                return "none"
            if "all" not in extents:
                extent = "some"
        return extent

    def part(self, request: Request) -> str:
        """Of which requests of a kind it decides, where it does for some: words that follow the request's."""
        if self.urls:
            return f" to {_listed(self.urls)}"
        entries = [entry for entry in self.entries if entry.fits(request) == "some"]
        names = [name for entry in entries for name in entry.names]
        resources = [name for entry in entries for name in entry.resources or (f"all of {entry.group or 'core'}",)]
        told = []
        if request.resource == ANY and resources:
            told.append(f" for {_listed(resources)}")
        if names:
            told.append(f" for resourceNames {_listed(names)}")
        if self.limits:
            told.append(f" for {self.limits}")
        if request.verb == ANY and self.verbs and not told:
            told.append(f" with verbs {_listed(self.verbs)}")
        return ",".join(told) or " in part"


def _listed(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def read_policy(path: Path) -> list[PolicyRule]:
    """The rules of an audit policy (audit.k8s.io/v1 Policy); InputError names file, line and what is wrong."""
    try:
        documents = read_documents(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text; save the policy as UTF-8") from error
    except RuleError as error:
        raise InputError(str(error)) from error
    for document in documents:
        version = str(document.data.get("apiVersion") or "audit.k8s.io/v1")
        if document.data.get("kind") == "Policy" and version.startswith("audit.k8s.io/"):
            return _Reading(document).rules()
    raise InputError(f"{path}: there is no audit policy in it (apiVersion: audit.k8s.io/v1, kind: Policy)")


_POLICY_KEYS = ("apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields")
_LIMITS = ("users", "userGroups", "namespaces")
_EXACT = frozenset({"verbs", "resourceNames", *_LIMITS})
_RULE_KEYS = (
    "level", *_LIMITS, "verbs", "resources", "nonResourceURLs", "omitStages", "omitManagedFields",
)  # fmt: skip
_ENTRY_KEYS = ("group", "resources", "resourceNames")
_EXAMPLES = {
    "users": "[alice]",
    "userGroups": "['system:nodes']",
    "namespaces": "[kube-system]",
    "verbs": "[get, list]",
    "nonResourceURLs": "['/healthz*']",
    "resourceNames": "[my-config]",
    "omitStages": "[RequestReceived]",
}
_ENTRY_EXAMPLE = '{group: "", resources: [secrets]}'
_GROUP = re.compile(r"|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class _Reading:
    """A policy on its way from YAML to rules. Paths are those of the document, for the line of an error."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def rules(self) -> list[PolicyRule]:
        data = self._document.data
        self._check_keys(data, _POLICY_KEYS, "the policy")
        omitted = self._omitted(data)
        rules = data.get("rules")
        if not isinstance(rules, list) or not rules:
            raise self._error("the policy has no rules; write a list: rules: [{level: Metadata}]", "rules")
        return [self._rule(rule, omitted, index) for index, rule in enumerate(rules)]

    def _rule(self, rule: Any, omitted: Mapping[str, int], index: int) -> PolicyRule:
        path = ("rules", index)
        if not isinstance(rule, Mapping):
            raise self._error("a policy rule must be a mapping, such as {level: Metadata}", *path)
        self._check_keys(rule, _RULE_KEYS, "the policy rule", *path)
        level = rule.get("level")
        if level not in LEVELS:
            fault = "has no level" if level is None else f"has the level '{level}'{nearest(str(level), LEVELS)}"
            raise self._error(f"the policy rule {fault}; there are {', '.join(LEVELS)}", *path, "level")
        urls = self._texts(rule, "nonResourceURLs", *path)
        if urls and (rule.get("resources") or rule.get("namespaces")):
            fault = "a policy rule is about resources or about nonResourceURLs, not both; write two rules"
            raise self._error(fault, *path, "nonResourceURLs")
        limits = [(name, self._texts(rule, name, *path)) for name in _LIMITS]
        return PolicyRule(
            level=level,
            verbs=self._texts(rule, "verbs", *path),
            entries=self._entries(rule, *path),
            urls=urls,
            limits="; ".join(f"{name} {_listed(names)}" for name, names in limits if names),
            omitted={**self._omitted(rule, *path), **omitted},
            is_of_namespaces=bool(rule.get("namespaces")),
            line=self._document.line(*path),
        )

    def _entries(self, rule: Mapping[str, Any], *path: str | int) -> tuple[Entry, ...]:
        entries = rule.get("resources")
        if entries is None:
            return ()
        path = (*path, "resources")
        if not isinstance(entries, list):
            raise self._error(f"'resources' of a policy rule must be a list, such as [{_ENTRY_EXAMPLE}]", *path)
        return tuple(self._entry(entry, *path, index) for index, entry in enumerate(entries))

    def _entry(self, entry: Any, *path: str | int) -> Entry:
        if not isinstance(entry, Mapping):
            fault = f"'resources' of a policy rule lists groups with their resources, such as {_ENTRY_EXAMPLE}"
            raise self._error(f"{fault}, not {entry!r}", *path)
        self._check_keys(entry, _ENTRY_KEYS, "'resources'", *path)
        group = entry.get("group")
        if group == ANY:
            fault = "group '*' fits no request, as a policy compares groups exactly, and API servers refuse it"
            raise self._error(f"{fault}; name each group", *path, "group")
        if group is not None and not (isinstance(group, str) and _GROUP.fullmatch(group)):
            fault = f'{group!r} is no API group; write it without a version, as in apps, or "" for pods and secrets'
            raise self._error(fault, *path, "group")
        found = Entry(group or "", self._texts(entry, "resources", *path), self._texts(entry, "resourceNames", *path))
        if found.names and not found.resources:
            raise self._error("'resourceNames' needs 'resources' beside it", *path, "resourceNames")
        return found

    def _omitted(self, data: Mapping[str, Any], *path: str | int) -> dict[str, int]:
        stages = self._texts(data, "omitStages", *path)
        for index, stage in enumerate(stages):
            if stage not in STAGES:
                fault = f"there is no stage '{stage}'{nearest(stage, STAGES)}; there are {', '.join(STAGES)}"
                raise self._error(fault, *path, "omitStages", index)
        return {stage: self._document.line(*path, "omitStages", index) for index, stage in enumerate(stages)}

    def _texts(self, data: Mapping[str, Any], key: str, *path: str | int) -> tuple[str, ...]:
        values = data.get(key)
        if values is None:
            return ()
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            example = _EXAMPLES.get(key, "[secrets]")
            raise self._error(f"'{key}' must be a list of texts, such as {key}: {example}", *path, key)
        if ANY in values and key in _EXACT:
            fault = f"'*' in '{key}' fits no request, as a policy compares {key} exactly"
            raise self._error(f"{fault}; leave '{key}' out for all", *path, key)
        return tuple(values)

    def _check_keys(self, data: Mapping[Any, Any], known: Iterable[str], owner: str, *path: str | int) -> None:
        for key in data:
            if key not in known:
                hint = nearest(str(key), known) or f" (there are: {', '.join(known)})"
                raise self._error(f"unknown key '{key}' in {owner}{hint}", *path, key)

    def _error(self, message: str, *path: str | int) -> InputError:
        return InputError(f"{self._document.file}:{self._document.line(*path)}: {message}")
