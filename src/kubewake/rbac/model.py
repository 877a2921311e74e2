"""Roles and bindings as the API knows them (https://kubernetes.io/docs/reference/access-authn-authz/rbac/)."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

ANY = "*"

GROUP_AUTHENTICATED = "system:authenticated"
GROUP_UNAUTHENTICATED = "system:unauthenticated"
GROUP_MASTERS = "system:masters"
GROUP_SERVICE_ACCOUNTS = "system:serviceaccounts"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


class Request(Struct, frozen=True, kw_only=True):
    """What someone wants to do. `namespace` "" means cluster-wide; `name` "" means any object."""

    verb: str
    resource: str = ""
    subresource: str = ""
    api_group: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    """A non-resource URL; then the resource fields are empty."""


class Rule(Struct, frozen=True, array_like=True):
    """One policy rule. Empty `resource_names` allow every name."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()

    def allows(self, request: Request) -> bool:
        """Whether the rule allows the request, by the API server's own matching (rbac.go, EvaluationHelpers)."""
        if not matches(self.verbs, request.verb):
            return False
        if request.path:
            return any(matches_path(pattern, request.path) for pattern in self.non_resource_urls)
        if not matches(self.api_groups, request.api_group):
            return False
        if not self._covers_resource(request.resource, request.subresource):
            return False
        return not self.resource_names or (bool(request.name) and request.name in self.resource_names)

    def _covers_resource(self, resource: str, subresource: str) -> bool:
        combined = f"{resource}/{subresource}" if subresource else resource
        for granted in self.resources:
            if granted in (ANY, combined):
                return True
            if subresource and granted == f"{ANY}/{subresource}":
                return True
        return False


class Subject(Struct, frozen=True, array_like=True, order=True):
    """Whom a binding names."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: str
    namespace: str = ""

    @property
    def identity(self) -> str:
        """The username or group name that requests carry."""
        if self.kind == "ServiceAccount":
            return f"{SERVICE_ACCOUNT_PREFIX}{self.namespace}:{self.name}"
        return self.name


class Role(Struct, frozen=True, array_like=True):
    """A Role (with namespace) or a ClusterRole (without). `aggregates` holds label selectors, any of which matches."""

    name: str
    namespace: str = ""
    rules: tuple[Rule, ...] = ()
    labels: dict[str, str] = {}
    aggregates: tuple[dict[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """Role or ClusterRole."""
        return "Role" if self.namespace else "ClusterRole"


class Binding(Struct, frozen=True, array_like=True):
    """A RoleBinding (with namespace) or a ClusterRoleBinding (without)."""

    name: str
    namespace: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...] = ()

    @property
    def kind(self) -> str:
        """RoleBinding or ClusterRoleBinding."""
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"


class Grant(Struct, frozen=True):
    """Why something is allowed: the binding, the role and the subject through which an identity gets a rule."""

    binding: Binding
    role: Role
    rule: Rule
    subject: Subject

    @property
    def namespace(self) -> str:
        """The namespace that the grant is limited to; "" for everywhere."""
        return self.binding.namespace

    def text(self) -> str:
        """In words, as the API server's own authorization reason says it."""
        place = f" in namespace {self.binding.namespace}" if self.binding.namespace else ""
        return f'{self.binding.kind} "{self.binding.name}"{place} of {self.role.kind} "{self.role.name}" to {self.subject.kind} "{self.subject.identity}"'


def matches(granted: tuple[str, ...], wanted: str) -> bool:
    """Whether a list of verbs or API groups covers one."""
    return ANY in granted or wanted in granted


def matches_path(pattern: str, path: str) -> bool:
    """Whether a non-resource URL pattern (exact, or a prefix ending in *) covers a path."""
    return pattern == path or (pattern.endswith(ANY) and path.startswith(pattern[:-1]))


def groups_of(identity: str, groups: tuple[str, ...] = ()) -> frozenset[str]:
    """All groups of an identity: those given, and those that every such identity has."""
    if identity in ("", ANONYMOUS):
        return frozenset({*groups, GROUP_UNAUTHENTICATED})
    known = {*groups, GROUP_AUTHENTICATED}
    if identity.startswith(SERVICE_ACCOUNT_PREFIX):
        namespace = identity.split(":")[2] if identity.count(":") >= 3 else ""
        known |= {GROUP_SERVICE_ACCOUNTS, f"{GROUP_SERVICE_ACCOUNTS}:{namespace}"}
    if identity.startswith("system:node:"):
        known.add("system:nodes")
    return frozenset(known)


def text_list(value: Any) -> tuple[str, ...]:
    """The text items of a JSON list; anything else is empty."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def text_map(value: Any) -> dict[str, str]:
    """The text entries of a JSON object; anything else is empty."""
    return {key: item for key, item in value.items() if isinstance(item, str)} if isinstance(value, Mapping) else {}


def rule_of(value: Any) -> Rule:
    """A rule from JSON; unknown or wrong-typed parts grant nothing."""
    entry = value if isinstance(value, Mapping) else {}
    return Rule(
        text_list(entry.get("verbs")),
        text_list(entry.get("apiGroups")),
        text_list(entry.get("resources")),
        text_list(entry.get("resourceNames")),
        text_list(entry.get("nonResourceURLs")),
    )


def role_of(value: Mapping[str, Any], namespace: str = "") -> Role:
    """A role from its API object. `namespace` counts where the object itself names none."""
    metadata = value.get("metadata") if isinstance(value.get("metadata"), Mapping) else {}
    assert isinstance(metadata, Mapping)
    rules = value.get("rules")
    aggregation = value.get("aggregationRule")
    selectors = aggregation.get("clusterRoleSelectors") if isinstance(aggregation, Mapping) else None
    return Role(
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or namespace),
        rules=tuple(rule_of(rule) for rule in rules) if isinstance(rules, list) else (),
        labels=text_map(metadata.get("labels")),
        aggregates=tuple(
            text_map(selector.get("matchLabels"))
            for selector in (selectors if isinstance(selectors, list) else [])
            if isinstance(selector, Mapping) and selector.get("matchLabels")
        ),
    )


def binding_of(value: Mapping[str, Any], namespace: str = "") -> Binding:
    """A binding from its API object."""
    metadata = value.get("metadata") if isinstance(value.get("metadata"), Mapping) else {}
    assert isinstance(metadata, Mapping)
    ref = value.get("roleRef") if isinstance(value.get("roleRef"), Mapping) else {}
    assert isinstance(ref, Mapping)
    subjects = value.get("subjects")
    own_namespace = str(metadata.get("namespace") or namespace)
    return Binding(
        name=str(metadata.get("name") or ""),
        namespace=own_namespace,
        role_kind=str(ref.get("kind") or ""),
        role_name=str(ref.get("name") or ""),
        subjects=tuple(
            Subject(subject["kind"], str(subject.get("name") or ""), str(subject.get("namespace") or own_namespace))
            if subject["kind"] == "ServiceAccount"
            else Subject(subject["kind"], str(subject.get("name") or ""))
            for subject in (subjects if isinstance(subjects, list) else [])
            if isinstance(subject, Mapping) and subject.get("kind") in ("User", "Group", "ServiceAccount")
        ),
    )
