"""Which rules cannot see: from an audit policy, or from the events of a log."""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from kubewake.errors import InputError
from kubewake.event import Batch
from kubewake.rules.condition import Condition, fields_of
from kubewake.rules.document import read_documents
from kubewake.rules.lint import lowest_level
from kubewake.rules.model import NEEDS, RuleInfo
from kubewake.rules.routing import required_atoms
from kubewake.rules.ruleset import RuleSet

_LEVELS = ("None", *NEEDS)
_ANY = "*"


class Blindness(Struct, frozen=True, order=True):
    """A rule that cannot fire, or not always, and why."""

    rule: str
    wholly: bool
    why: str


class Request(Struct, frozen=True):
    """A kind of request that a rule looks at; `*` stands for any."""

    verb: str
    group: str
    resource: str
    subresource: str

    def __str__(self) -> str:
        verb = "requests" if self.verb == _ANY else self.verb
        if self.resource == _ANY:
            return verb if self.verb == _ANY else f"{verb} requests"
        preposition = " for" if self.verb == _ANY else ""
        return f"{verb}{preposition} {self.resource}{'/' + self.subresource if self.subresource else ''}"


def needed_level(info: RuleInfo, tree: Condition) -> int:
    """The audit level (index in _LEVELS) that a rule needs: what it declares, or what its condition reads."""
    return 1 + max(NEEDS.index(info.needs), lowest_level(tree))


IMPLIED: dict[str, tuple[tuple[str, str], ...]] = {
    "workload": (
        ("", "pods"),
        ("apps", "deployments"),
        ("apps", "daemonsets"),
        ("apps", "statefulsets"),
        ("apps", "replicasets"),
        ("batch", "jobs"),
        ("batch", "cronjobs"),
    ),
    "rbac": tuple(
        ("rbac.authorization.k8s.io", name) for name in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    ),
    "secret": (("", "secrets"),),
    "csr": (("certificates.k8s.io", "certificatesigningrequests"),),
    "token": (("", "serviceaccounts"),),
    "exec": (("", "pods"),),
}
"""API group and resource of the requests that a family of derived fields is about."""


_WRITES = ("create", "patch", "update")


def requests_of(tree: Condition, needed: int) -> list[Request]:
    """The kinds of request that a condition can hold for, from what it requires; at most a few dozen.

    A condition that needs bodies and names no verb is about writes: other requests have none.
    """
    atoms = required_atoms(tree)

    def values(name: str) -> list[str]:
        return sorted(atoms.get(name) or {_ANY})

    groups, resources = values("objectRef.apiGroup"), values("objectRef.resource")
    kinds = list(product(groups, resources))
    if kinds == [(_ANY, _ANY)]:
        families = {name.partition(".")[0] for name in fields_of(tree)}
        kinds = sorted({kind for family in families for kind in IMPLIED.get(family, ())}) or kinds
    subresources = values("objectRef.subresource") if atoms.get("objectRef.subresource") else [""]
    verbs = list(_WRITES) if needed > 1 and not atoms.get("verb") else values("verb")
    return [Request(verb, *kind, sub) for verb, kind, sub in product(verbs, kinds, subresources)]


class PolicyRule(Struct, frozen=True):
    """One rule of an audit policy. Empty parts mean all; users, groups and namespaces make it a special case."""

    level: str
    verbs: tuple[str, ...] = ()
    resources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    urls: tuple[str, ...] = ()
    special: str = ""
    line: int = 0

    def applies(self, request: Request) -> Literal["all", "some", "none"]:
        """Whether the rule decides for all requests of this kind, some, or none."""
        whole = not self.special
        if self.verbs and request.verb not in self.verbs:
            if request.verb != _ANY:
                return "none"
            whole = False
        if self.resources:
            if not any(_resource_fits(group, names, request) for group, names in self.resources):
                return "none"
            whole = whole and request.resource != _ANY
        elif self.urls:
            if request.resource != _ANY:
                return "none"
            whole = False
        return "all" if whole else "some"


def _resource_fits(group: str, names: tuple[str, ...], request: Request) -> bool:
    if request.group not in {_ANY, group} and group != _ANY:
        return False
    if not names or request.resource == _ANY:
        return True
    full = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    wild = (f"{request.resource}/*", f"*/{request.subresource}") if request.subresource else ()
    return any(name in {full, _ANY, *wild} for name in names)


def read_policy(path: Path) -> list[PolicyRule]:
    """The rules of an audit policy (audit.k8s.io/v1 Policy); InputError names what is wrong."""
    try:
        documents = read_documents(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    for document in documents:
        if document.data.get("kind") != "Policy":
            continue
        rules = document.data.get("rules")
        if not isinstance(rules, list):
            raise InputError(f"{path}:{document.line('rules')}: the policy has no rules")
        return [_policy_rule(rule, document.line("rules", index)) for index, rule in enumerate(rules)]
    raise InputError(f"{path}: there is no audit policy in it (kind: Policy)")


def _policy_rule(rule: Any, line: int) -> PolicyRule:
    if not isinstance(rule, Mapping) or rule.get("level") not in _LEVELS:
        raise InputError(f"line {line}: a policy rule needs a level: {', '.join(_LEVELS)}")
    special = [name for name in ("users", "userGroups", "namespaces") if rule.get(name)]
    names = [f"{name} {', '.join(map(str, rule[name][:3]))}" for name in special]
    resources = tuple(
        (str(item.get("group") or ""), tuple(str(name) for name in item.get("resources") or ()))
        for item in rule.get("resources") or ()
        if isinstance(item, Mapping)
    )
    return PolicyRule(
        level=rule["level"],
        verbs=tuple(str(verb) for verb in rule.get("verbs") or ()),
        resources=resources,
        urls=tuple(str(url) for url in rule.get("nonResourceURLs") or ()),
        special="; ".join(names),
        line=line,
    )


def blind_by_policy(rules: RuleSet, policy: Iterable[PolicyRule]) -> list[Blindness]:
    """Rules that the policy leaves without events of the level that they need."""
    ordered = list(policy)
    found: list[Blindness] = []
    for key, info in _judged(rules):
        tree = rules.rules[key].tree
        needed = needed_level(rules.rules[key].info, tree)
        reasons: list[str] = []
        partial: list[str] = []
        requests = requests_of(tree, needed)
        for request in requests:
            reason, special = _policy_level(request, ordered, needed)
            if reason:
                reasons.append(reason)
            elif special:
                partial.append(special)
        if reasons and len(reasons) == len(requests):
            found.append(Blindness(info.id, wholly=True, why=reasons[0]))
        elif reasons or partial:
            found.append(Blindness(info.id, wholly=False, why=(reasons or partial)[0]))
    return sorted(set(found))


def _judged(rules: RuleSet) -> list[tuple[str, RuleInfo]]:
    """Rules on single events with the card that reports them: their own, or those of their correlations."""
    pairs = [(key, rules.infos[key]) for key in rules.rules if key in rules.infos]
    for correlation in rules.correlations:
        pairs.extend((key, correlation.info) for key in correlation.rules if key in rules.rules)
    return pairs


def _policy_level(request: Request, policy: list[PolicyRule], needed: int) -> tuple[str, str]:
    """Why requests of this kind are logged too little: always, and for whom only sometimes."""
    some = ""
    for rule in policy:
        applies = rule.applies(request)
        if applies == "none":
            continue
        enough = _LEVELS.index(rule.level) >= needed
        what = "does not log" if rule.level == "None" else f"logs only {rule.level} of"
        if applies == "some":
            if not enough and not some:
                about = f" for {rule.special}" if rule.special else " in part"
                some = f"line {rule.line} {what} {request}{about}"
            continue
        if enough:
            return "", some
        return f"line {rule.line} {what} {request}; the rule needs {_LEVELS[needed]}", some
    return f"no rule of the policy logs {request}", some


class Sighting(Struct):
    """What a log shows of one kind of request: how many events, and the highest level."""

    events: int = 0
    level: int = 0


def blind_by_log(rules: RuleSet, batches: Iterable[Batch]) -> list[Blindness]:
    """Rules that the events of a log give too little to: wrong level, or no such request at all."""
    seen: dict[tuple[str, str, str, str], Sighting] = {}
    for batch in batches:
        for event in batch.events:
            ref = event.object_ref
            key = (
                event.verb or "",
                (ref.api_group if ref is not None else None) or "",
                (ref.resource if ref is not None else None) or "",
                (ref.subresource if ref is not None else None) or "",
            )
            sighting = seen.setdefault(key, Sighting())
            sighting.events += 1
            if event.level in _LEVELS:
                sighting.level = max(sighting.level, _LEVELS.index(event.level))
    found: list[Blindness] = []
    for key_, info in _judged(rules):
        tree = rules.rules[key_].tree
        needed = needed_level(rules.rules[key_].info, tree)
        matching = [(request, sight) for request in requests_of(tree, needed) for sight in _sightings(request, seen)]
        if not matching:
            example = requests_of(tree, needed)[0]
            why = f"no {example} in the log: nobody did it, or it is not logged"
            found.append(Blindness(info.id, wholly=False, why=why))
        elif all(sight.level < needed for _, sight in matching):
            request, sight = matching[0]
            why = f"{request} is logged at {_LEVELS[sight.level]}; the rule needs {_LEVELS[needed]}"
            found.append(Blindness(info.id, wholly=True, why=why))
    return sorted(set(found))


def _sightings(request: Request, seen: Mapping[tuple[str, str, str, str], Sighting]) -> list[Sighting]:
    return [
        sight
        for (verb, group, resource, subresource), sight in seen.items()
        if request.verb in {_ANY, verb}
        and request.group in {_ANY, group}
        and request.resource in {_ANY, resource}
        and request.subresource in {"", subresource}
    ]
