"""What is known of all events that behave alike: which rules can still match them, and whether they pass singly."""

import hashlib

import msgspec

from kubewake.event import STAGES
from kubewake.facts import Facts
from kubewake.facts.actor import actor_kind
from kubewake.facts.authorization import outcome
from kubewake.facts.profile import in_profile
from kubewake.facts.specification import remembered
from kubewake.facts.template import TEMPLATES, specification_of
from kubewake.fields import is_told_by_question
from kubewake.observation import Hit, Stub
from kubewake.rules.ruleset import CompiledRule

_encode = msgspec.msgpack.Encoder().encode

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


Question = tuple[str | None, str | None, str | None]
"""What was asked: request URI, object name, and message of the answer."""


class Behaviour:
    """What is known of all events with one behaviour key: which rules can still match, and the stub now open."""

    __slots__ = (
        "bare",
        "certain",
        "cluster",
        "code",
        "counted_as",
        "feeds",
        "gives_evidence",
        "ignored",
        "is_partial",
        "number",
        "opened",
        "outline",
        "owner",
        "plain",
        "provisional",
        "single",
        "told",
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
        """`rules` are still open for the behaviour's events, `bare_rules` for those without bodies.

        Of these, `plain` ones have no annotations either but those that behaviour depends on.
        """
        self.outline = outline
        self.cluster = outline.cluster
        self.user = outline.user
        self.code = code
        self.ignored = ignored
        self.single = single
        self.provisional = code in PROVISIONAL_STAGES
        self.certain = certain
        self.feeds = feeds
        self.whole: Left = (rules, _answers(rules))
        self.bare: Left = (bare_rules, _answers(bare_rules))
        self.plain = self.bare if self.bare[1] is not None else (bare_rules, _answers(bare_rules, plain=True))
        self.told: dict[tuple[str, Question | None], Hit] = {}
        """Hits of rules that say the same of all its events, or of those with one question."""
        self.number = outline.kind = number_of(outline)
        self.counted_as = number_of((outline, certain)) if certain else self.number
        """Behaviours with one such number are counted in one stub: they look alike, and the same rules hold for them."""
        self.opened: object = None
        """The stubs of the span (see `Gathering`) in which `owner` is the one that counts its events."""
        self.is_partial = is_partial
        self.gives_evidence = bool(certain) or not outline.values.get("actor.in_profile")
        self.owner = 0

    def is_ordinary(self, left: "Left") -> bool:
        """Whether its events with these rules left are only counted, whatever else they say."""
        return self.ignored or not (self.single or self.feeds or left[0])

    def answers(self, left: "Left") -> "Answers | None":
        """What the rules left answered of its events, where no answer means that they are only counted."""
        return None if self.single or self.feeds else left[1]


def number_of(outline: Stub | tuple[Stub, tuple[str, ...]]) -> int:
    """The same for the same outline in every process, and nobody can write requests whose outline shares another's."""
    digest = hashlib.blake2b(_encode(outline), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


Answers = dict[Question, tuple[str, ...]]
"""The rules that matched, by what was asked."""

Left = tuple[tuple[CompiledRule, ...], Answers | None]
"""Rules that are open for some of a behaviour's events, and what they answered, where that is worth remembering."""


def _answers(rules: tuple[CompiledRule, ...], *, plain: bool = False) -> Answers | None:
    """Where what was asked decides whether the rules match, a place to remember it; None where it does not."""
    is_told = rules and all(is_told_by_question(name, plain=plain) for rule in rules for name in rule.open_fields)
    return {} if is_told else None


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


def is_notable(facts: Facts) -> bool:
    """Whether events of this behaviour pass singly even where no rule matches.

    Denials, writes under impersonation, entering a pod, and every write that is not a component's routine. Reads of
    Secrets are counted per Secret (its name is part of the behaviour key), so who read which is never lost.
    """
    verb, resource, subresource = facts.verb, facts.resource, facts.subresource
    does_own_job = in_profile(facts)
    if subresource in ENTERING_SUBRESOURCES or (outcome(facts) == "denied" and not does_own_job):
        return True
    if verb in READS:
        return False
    if facts.event.impersonated_user is not None:
        return True
    if not resource:
        return verb not in {"head", "options", ""}
    if resource in ROUTINE_RESOURCES or subresource in ROUTINE_SUBRESOURCES:
        return actor_kind(facts) not in {"control-plane", "node", "serviceaccount"}
    if not does_own_job or subresource == "token":
        return True
    if subresource in UPKEEP_SUBRESOURCES or (resource in UPKEEP and verb != "create"):
        return False
    return resource in CAUSES
