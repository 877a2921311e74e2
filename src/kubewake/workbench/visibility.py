"""Which rules and detectors cannot see: from an audit policy, or from the events of a log."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import NamedTuple

from msgspec import Struct

from kubewake.detectors import all_detectors
from kubewake.detectors.novelty_table import ENTRIES
from kubewake.engine.behaviour import ENTERING_SUBRESOURCES, LONG_RUNNING_SUBRESOURCES
from kubewake.event import Batch
from kubewake.fields import TOLD_BY_ANNOTATIONS
from kubewake.rules.condition import Condition, fields_of
from kubewake.rules.lint import lowest_level
from kubewake.rules.model import NEEDS, RuleInfo
from kubewake.rules.routing import required_atoms
from kubewake.rules.ruleset import CompiledRule, RuleSet
from kubewake.workbench.policy import ANY, LEVELS, PolicyRule, Request


class Blindness(Struct, frozen=True, order=True):
    """A rule or detector that cannot fire, or not always, and why."""

    rule: str
    wholly: bool
    why: str


class Need(Struct, frozen=True):
    """What a rule must be shown: some of these requests, at this audit level (index in LEVELS)."""

    level: int
    requests: tuple[Request, ...]
    answer: bool = False
    """Whether it asks how a request ended."""
    health: bool = False
    """Whether it tells health checks from other requests."""


class Sight(NamedTuple):
    """What a rule is shown: nothing at all, or something, and what is missing (nothing: "")."""

    wholly_blind: bool
    why: str


_SEES = Sight(wholly_blind=False, why="")


def needed_level(info: RuleInfo, tree: Condition) -> int:
    """The audit level (index in LEVELS) that a rule needs: what it declares, or what its condition reads."""
    return 1 + max(NEEDS.index(info.needs), lowest_level(tree))


_IMPLIED = {
    "workload": "pods deployments daemonsets statefulsets replicasets jobs cronjobs",
    "rbac": "roles clusterroles rolebindings clusterrolebindings",
    "secret": "secrets",
    "configmap": "configmaps",
    "csr": "certificatesigningrequests",
    "token": "serviceaccounts/token",
    "exec": "pods/exec",
    "node": "nodes",
    "namespace": "namespaces",
    "event": "events",
    "storage": "persistentvolumes storageclasses",
    "webhook": "mutatingwebhookconfigurations validatingwebhookconfigurations",
    "apiservice": "apiservices",
    "crd": "customresourcedefinitions",
    "service": "services",
    "endpoints": "endpoints endpointslices",
    "ingress": "ingresses",
}
"""Resources of the requests that a family of derived fields is about."""


_WRITES = ("create", "patch", "update")


def requests_of(tree: Condition, needed: int) -> list[Request]:
    """The kinds of request that a condition can hold for, from what it requires; at most a few dozen.

    A condition that needs bodies and names no verb is about writes: other requests have none. One that names a resource
    and no subresource is about the resource itself.
    """
    atoms = required_atoms(tree)

    def values(name: str) -> list[str]:
        return sorted(atoms.get(name) or {ANY})

    groups, resources, subresources = map(values, ("objectRef.apiGroup", "objectRef.resource", "objectRef.subresource"))
    if groups == [ANY] and resources == [ANY]:
        families = {name.partition(".")[0] for name in fields_of(tree)}
        resources = sorted({name for family in families for name in _IMPLIED.get(family, "").split()}) or [ANY]
    kinds: dict[tuple[str, str], None] = {}
    for name, subresource in product(resources, subresources):
        resource, _, own = name.partition("/")
        if subresource in ENTERING_SUBRESOURCES and not atoms.get("objectRef.resource"):
            resource = "pods"
        whole = ANY if resource == ANY else own
        kinds[resource, whole if subresource == ANY else subresource] = None
    verbs = list(_WRITES) if needed > 1 and not atoms.get("verb") else values("verb")
    return [Request(verb, group, *kind) for verb, group, kind in product(verbs, groups, kinds)]


_ANSWERS = ("responseStatus", "annotations", "authorization.", "request.latency_seconds", *sorted(TOLD_BY_ANNOTATIONS))
"""How the names of fields begin that are known only when a request has been answered."""


def _need_of_rule(rule: CompiledRule) -> Need:
    level = needed_level(rule.info, rule.tree)
    outcomes = required_atoms(rule.tree).get("outcome")
    names = fields_of(rule.tree)
    is_of_failures = outcomes is not None and "allowed" not in outcomes
    return Need(
        level=level,
        requests=tuple(requests_of(rule.tree, level)),
        answer=any(name.startswith(_ANSWERS) for name in names) or is_of_failures,
        health="request.is_health" in names,
    )


def _needs_of_detectors() -> dict[str, Need]:
    """By rule id. Those that need bodies are about writes of the resources themselves, others about any request."""
    resources = {info.id: cls.resources for cls in all_detectors() for info in cls.infos}
    resources |= {entry.info.id: entry.resources for entry in ENTRIES}
    needs = {}
    for info in (info for cls in all_detectors() for info in cls.infos):
        level = 1 + NEEDS.index(info.needs)
        verbs, subresource = (_WRITES, "") if level > 1 else ((ANY,), ANY)
        kinds = sorted(name or ANY for name in resources[info.id] or (ANY,))
        requests = tuple(
            Request(verb, ANY, kind, ANY if kind == ANY else subresource) for verb, kind in product(verbs, kinds)
        )
        needs[info.id] = Need(level, requests)
    return needs


def _blind(rules: RuleSet, judge: Callable[[Need], Sight]) -> list[Blindness]:
    """Every rule and detector that can report and is not shown all, once, by id."""
    sights = {key: judge(_need_of_rule(rule)) for key, rule in rules.rules.items()}
    correlations = {correlation.info.id: correlation for correlation in rules.correlations}

    def sight_of(key: str) -> Sight:
        """That of a correlation comes from the rules that it counts: of some way to meet it, all must be shown."""
        if key in sights:
            return sights[key]
        sights[key] = _SEES  # so that those that name each other come to an end
        correlation = correlations[key]
        fed = {name: sight_of(name) for name in correlation.rules}
        ways = [way.present for way in correlation.alternatives] or [(name,) for name in correlation.rules]
        wholly = all(any(fed[name].wholly_blind for name in way) for way in ways)
        missing = sorted((sight for sight in fed.values() if sight.why), key=lambda sight: not sight.wholly_blind)
        if missing:
            sights[key] = Sight(wholly, missing[0].why)
        return sights[key]

    seen = {key: sight_of(key) for key in rules.infos}
    seen |= {key: judge(need) for key, need in _needs_of_detectors().items()}
    return [Blindness(key, sight.wholly_blind, sight.why) for key, sight in sorted(seen.items()) if sight.why]


def one_each(blind: Iterable[Blindness]) -> list[Blindness]:
    """What several sources say of the rules as one statement a rule: the worst, of equals the first."""
    worst: dict[str, Blindness] = {}
    for item in blind:
        known = worst.setdefault(item.rule, item)
        if item.wholly and not known.wholly:
            worst[item.rule] = item
    return sorted(worst.values())


def blind_by_policy(rules: RuleSet, policy: Iterable[PolicyRule]) -> list[Blindness]:
    """Rules and detectors that the policy leaves without events of the stage and level that they need."""
    ordered = list(policy)
    without_health = [rule for rule in ordered if not rule.is_of_health]

    def judge(need: Need) -> Sight:
        concerned = ordered if need.health else without_health
        sights = [_sight_by_policy(request, concerned, need) for request in need.requests]
        wholly = all(sight.wholly_blind for sight in sights)
        missing = sorted((sight for sight in sights if sight.why), key=lambda sight: not sight.wholly_blind)
        return Sight(wholly, missing[0].why) if missing else _SEES

    return _blind(rules, judge)


def _sight_by_policy(request: Request, policy: list[PolicyRule], need: Need) -> Sight:
    """What is logged of requests of one kind."""
    is_seen, missing = False, ""
    for rule in policy:
        extent = rule.applies(request)
        if extent == "none":
            continue
        asked = str(request) if extent == "all" else f"{request}{rule.part(request)}"
        sight = _sight_by_rule(request, asked, rule, need)
        is_seen = is_seen or not sight.wholly_blind
        if extent == "all":
            return Sight(not is_seen, sight.why or missing)
        missing = missing or sight.why
    return Sight(not is_seen, f"no rule of the policy logs {request}; add one")


def _sight_by_rule(request: Request, asked: str, rule: PolicyRule, need: Need) -> Sight:
    """What is logged of the requests for which a policy rule decides; `asked` calls them by name."""
    if LEVELS.index(rule.level) < need.level:
        if rule.level == "None":
            return Sight(wholly_blind=True, why=f"line {rule.line} does not log {asked}")
        why = f"line {rule.line} logs only {rule.level} of {asked}; the rule needs {LEVELS[need.level]}"
        return Sight(wholly_blind=True, why=why)
    if "ResponseComplete" not in rule.omitted:
        return _SEES
    is_open = ANY in {request.verb, request.subresource}
    is_long = request.verb == "watch" or request.subresource in LONG_RUNNING_SUBRESOURCES
    is_start_logged = "ResponseStarted" not in rule.omitted and need.level == 1
    if is_long and is_start_logged:
        return _SEES
    is_asking_logged = "RequestReceived" not in rule.omitted and need.level == 1 and not need.answer
    why = f"line {rule.omitted['ResponseComplete']} omits ResponseComplete, which tells how {asked} ended"
    return Sight(not (is_asking_logged or (is_open and is_start_logged)), why)


class Sighting(Struct):
    """What a log shows of one kind of request: how many events, and the highest level; no body came before the answer."""

    events: int = 0
    level: int = 0


def blind_by_log(rules: RuleSet, batches: Iterable[Batch]) -> list[Blindness]:
    """Rules and detectors that the events of a log give too little to: wrong level, or no such request at all."""
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
            if event.level in LEVELS:
                level = LEVELS.index(event.level)
                sighting.level = max(sighting.level, min(level, 1) if event.stage == "RequestReceived" else level)

    def judge(need: Need) -> Sight:
        matching = [(request, sighting) for request in need.requests for sighting in _sightings(request, seen)]
        if not matching:
            why = f"no {need.requests[0]} in the log: nobody did it, or it is not logged"
            return Sight(wholly_blind=False, why=why)
        if any(sighting.level >= need.level for _, sighting in matching):
            return _SEES
        request, sighting = matching[0]
        why = f"{request} is logged at {LEVELS[sighting.level]}; the rule needs {LEVELS[need.level]}"
        return Sight(wholly_blind=True, why=why)

    return _blind(rules, judge)


def _sightings(request: Request, seen: Mapping[tuple[str, str, str, str], Sighting]) -> list[Sighting]:
    return [
        sighting
        for (verb, group, resource, subresource), sighting in seen.items()
        if request.verb in {ANY, verb}
        and request.group in {ANY, group}
        and request.resource in {ANY, resource}
        and request.subresource in {ANY, subresource}
    ]
