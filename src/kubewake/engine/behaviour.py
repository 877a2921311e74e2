"""What is known of all events that behave alike: which rules can still match them, and whether they pass singly."""

import hashlib

import msgspec

from kubewake.event import STAGES, AuditEvent
from kubewake.facts import Facts
from kubewake.facts.specification import remembered
from kubewake.facts.template import TEMPLATES, specification_of
from kubewake.observation import Hit, Stub
from kubewake.rules.ruleset import CompiledRule

STAGE_CODES = {stage: code for code, stage in enumerate(STAGES)}

READS = frozenset({"get", "list", "watch"})
ROUTINE_RESOURCES = frozenset(
    {"leases", "events", "endpoints", "endpointslices", "tokenreviews", "subjectaccessreviews"},
)
"""Written all day by the control plane, nodes and operators: ordinary unless a rule says otherwise."""
ROUTINE_SUBRESOURCES = frozenset({"status", "finalize"})
CAUSES = frozenset(
    {
        "certificatesigningrequests",
        "clusterrolebindings",
        "clusterroles",
        "cronjobs",
        "customresourcedefinitions",
        "daemonsets",
        "deployments",
        "jobs",
        "mutatingwebhookconfigurations",
        "namespaces",
        "nodes",
        "pods",
        "replicasets",
        "rolebindings",
        "roles",
        "serviceaccounts",
        "statefulsets",
        "validatingwebhookconfigurations",
    },
)
"""What later requests can follow from: writes of these pass singly even when a component does its own job."""
UPKEEP = frozenset({"jobs", "pods", "replicasets"})
"""What controllers make, keep adjusting and clear away: nothing follows from it that its creation did not cause."""
UPKEEP_SUBRESOURCES = frozenset({"binding", "eviction", "scale"})
ENTERING_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "ephemeralcontainers"})
LONG_RUNNING_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "proxy"})
PROVISIONAL_STAGES = frozenset({1, 2})
"""Stage codes (see `event.STAGES`) that a later stage of the same request may complete."""


NO_HITS: dict[str, Hit] = {}
"""Shared by all behaviours that have none, which is most; never written to."""


class Behaviour:
    """What is known of all events with one behaviour key: which rules can still match, and the stub now open."""

    __slots__ = (
        "bare",
        "certain",
        "cluster",
        "code",
        "feeds",
        "gives_evidence",
        "hits",
        "ignored",
        "is_partial",
        "mark",
        "number",
        "outline",
        "owner",
        "provisional",
        "single",
        "user",
        "whole",
    )

    def __init__(
        self,
        outline: Stub,
        *,
        code: int,
        is_partial: bool = False,
        ignored: bool = False,
        single: bool = False,
        certain: tuple[str, ...] = (),
        feeds: tuple[str, ...] = (),
        rules: tuple[CompiledRule, ...] = (),
        bare_rules: tuple[CompiledRule, ...] = (),
    ) -> None:
        """`rules` are still open for the behaviour's events, `bare_rules` for those without bodies."""
        self.outline = outline
        self.cluster = outline.cluster
        self.user = outline.user
        self.code = code
        self.ignored = ignored
        self.single = single
        self.provisional = code in PROVISIONAL_STAGES
        self.certain = certain
        self.feeds = feeds
        self.whole = (rules, _answers(rules))
        self.bare = (bare_rules, _answers(bare_rules))
        self.mark: object = None
        self.number = outline.kind = number_of(outline)
        self.is_partial = is_partial
        self.gives_evidence = bool(certain) or not outline.values.get("actor.in_profile")
        self.owner = 0
        self.hits = NO_HITS
        """Hits that are the same for all its events, by rule."""

    def is_ordinary(self, *, bare: bool) -> bool:
        """Whether all its events, those without bodies or those with, are only counted, whatever else they say."""
        rules, _ = self.bare if bare else self.whole
        return self.ignored or not (self.single or self.feeds or rules)

    def answers(self, *, bare: bool) -> "Answers | None":
        """What rules answered of its events, where no answer means that they are only counted."""
        return None if self.single or self.feeds else (self.bare if bare else self.whole)[1]


def number_of(outline: Stub) -> int:
    """The same for the same outline in every process, and nobody can write requests whose outline shares another's."""
    digest = hashlib.blake2b(msgspec.msgpack.encode(outline), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


Answers = dict[tuple[str | None, str | None, str | None], tuple[str, ...]]
"""The rules that matched, by what was asked: request URI, object name, and message of the answer."""


def _answers(rules: tuple[CompiledRule, ...]) -> Answers | None:
    """Where what was asked decides whether the rules match, a place to remember it; None where it does not."""
    return {} if rules and all(rule.is_told_by_question for rule in rules) else None


def open_rules(rules: tuple[CompiledRule, ...], facts: Facts) -> tuple[CompiledRule, ...]:
    """What is left of rules that a behaviour leaves open, where the event writes a workload as others have before it."""
    specification = specification_of(facts) if facts.resource in TEMPLATES else None
    if specification is None or not specification.is_repeated:
        return rules
    return remembered(specification, (facts.resource, rules), lambda: _left_of(rules, facts))


def _left_of(rules: tuple[CompiledRule, ...], facts: Facts) -> tuple[CompiledRule, ...]:
    left = []
    for rule in rules:
        narrowed = rule.narrow_written(facts)
        if narrowed is not False:
            left.append(rule if narrowed is True else narrowed)
    return tuple(left)


def is_notable(event: AuditEvent, facts: Facts) -> bool:
    """Whether events of this behaviour pass singly even where no rule matches.

    Denials, writes under impersonation, entering a pod, and every write that is not a component's routine. Reads of
    Secrets are counted per Secret (its name is part of the behaviour key), so who read which is never lost.
    """
    ref = event.object_ref
    verb = event.verb or ""
    resource = (ref.resource if ref is not None else None) or ""
    subresource = (ref.subresource if ref is not None else None) or ""
    in_profile = facts.value("actor.in_profile")
    if subresource in ENTERING_SUBRESOURCES or (facts.value("outcome") == "denied" and not in_profile):
        return True
    if verb in READS:
        return False
    if event.impersonated_user is not None:
        return True
    if not resource:
        return verb not in {"head", "options", ""}
    if resource in ROUTINE_RESOURCES or subresource in ROUTINE_SUBRESOURCES:
        return facts.value("actor.kind") not in {"control-plane", "node", "serviceaccount"}
    if not in_profile or subresource == "token":
        return True
    if subresource in UPKEEP_SUBRESOURCES or (resource in UPKEEP and verb != "create"):
        return False
    return resource in CAUSES
