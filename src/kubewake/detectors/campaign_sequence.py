"""Several rules against one identity or credential, over tactics: within a day, or spread over days."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import NATS, RuleInfo

MAX_ENTITIES = 20_000
MAX_STEPS = 24
"""Steps kept per identity: the best one of each rule."""
MIN_TACTICS = 3
DAY_SECONDS = 86_400.0
SEQUENCE_BAR = 12.0
"""Nats, best step of each tactic summed, within a day: three rules of level high."""
SLOW_BAR = 7.0
"""The same over days, after decay."""
SLOW_GAP_SECONDS = 3600.0
SLOW_SPAN_SECONDS = DAY_SECONDS
HALF_LIFE_SECONDS = 72 * 3600.0
HORIZON_SECONDS = 14 * DAY_SECONDS

SEQUENCE = RuleInfo(
    id="attack-sequence-compromised-cluster",
    title="Several stages of an attack by one identity",
    level="critical",
    description="Within 24 hours, rules of level high or above of at least three ATT&CK tactics reported one identity "
    "from one address. Repeats of a rule do not add, rules of lower levels neither.",
    attack=Attack(["initial-access", "execution", "credential-access", "privilege-escalation"], ["T1078"]),
    falsepositives=("An engineer who handles an incident with an administrator's rights.",),
    references=("https://attack.mitre.org/matrices/enterprise/containers/",),
    covers=("attack-sequence-compromised-cluster",),
    confidence="medium",
    group_by=("sequence.identity", "sequence.source"),
    window_seconds=86_400,
    story="{sequence.identity} went through several stages of an attack within a day: {sequence.steps}. One of them may "
    "have an innocent reason; together they look like a break-in.",
    remediation=(
        "Disable the credential of {sequence.identity} now; ask its owner by another channel",
        "Read the findings of this identity in order, starting with the earliest",
        "kubectl auth can-i --list --as {sequence.identity}   # what else was within reach",
        "Look for what stays behind: bindings, service accounts, tokens, workloads made since the first step",
    ),
    always=True,
    kind="detector",
    tactic="privilege-escalation",
)

SLOW = RuleInfo(
    id="low-and-slow-campaign",
    title="Attack spread over days",
    level="critical",
    description="Rules of level high or above of at least three ATT&CK tactics reported one identity over more than a day, "
    "with an hour or more between steps, so that no single day looks bad. Older steps weigh less (half-life 72 hours, horizon 14 days).",
    attack=Attack(["persistence", "credential-access", "privilege-escalation"], ["T1078"]),
    falsepositives=("An administrator whose everyday work includes such steps.",),
    references=("https://attack.mitre.org/techniques/T1078/",),
    covers=("low-and-slow-campaign",),
    confidence="medium",
    group_by=("sequence.identity", "sequence.source"),
    window_seconds=14 * 86_400,
    story="Over days, {sequence.identity} took small steps that belong to an attack: {sequence.steps}. Each alone was easy "
    "to overlook; the patience is typical of a careful intruder.",
    remediation=(
        "Disable the credential of {sequence.identity}; ask its owner by another channel",
        "Read the findings of this identity in order and look for steps in between that no rule reported",
        "Look for what stays behind: bindings, service accounts, tokens, workloads made since the first step",
    ),
    always=True,
    kind="detector",
    tactic="persistence",
)


class Step(Struct, array_like=True):
    """One rule's best hit on an identity."""

    rule: str
    tactic: str
    nats: float
    time: float
    evidence: Evidence


class _Saved(Struct):
    steps: list[tuple[str, list[Step]]]


@lru_cache(maxsize=1)
def shipped_rules() -> Mapping[str, RuleInfo]:
    """The cards of the built-in rules, for a detector that was not told which rules judge."""
    from kubewake.rules.pack import load_builtin  # noqa: PLC0415  # slow, and most streams never need it

    return {rule.info.id: rule.info for file in load_builtin() for rule in file.rules}


@detector(
    SEQUENCE,
    SLOW,
    of_hits=True,
    wants=lambda scene: not scene.of_component and scene.actor_kind not in ("control-plane", "cloud"),
)
class CampaignSequence:
    """Collects rule hits per identity."""

    def __init__(self) -> None:
        self._steps: Ledger[str, list[Step]] = Ledger(MAX_ENTITIES)
        self._rules: Mapping[str, RuleInfo] | None = None
        self._serious: dict[str, RuleInfo] = {}
        """Those of the rules whose hits are steps."""

    def brief(self, rules: Mapping[str, RuleInfo]) -> None:
        """Take the cards of the rules whose hits will come."""
        self._rules = rules
        self._serious = {name: info for name, info in rules.items() if _is_serious(info)}

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Add the stub's hits to the identity's record; report sequences that they complete."""
        if not stub.user and not stub.source:
            return ()
        if self._rules is None:
            self.brief(shipped_rules())
        for hit in stub.hits:
            if hit.rule in self._serious and hit.suppressed_by is None:
                return self._follow(stub, self._rules or self._serious)
        return ()

    def _follow(self, stub: Stub, rules: Mapping[str, RuleInfo]) -> Iterator[Detection]:
        known = self._serious
        serious = [known[hit.rule] for hit in stub.hits if hit.rule in known and hit.suppressed_by is None]
        key = f"{stub.user} {stub.source}"
        now = moment(stub.time)
        steps = [item for item in self._steps.get(key) or [] if now - item.time <= HORIZON_SECONDS]
        for info in serious:
            steps = [item for item in steps if item.rule != info.id]
            steps.append(Step(info.id, info.tactic, NATS[info.level], now, evidence_of(stub)))
        self._steps.put(key, steps[-MAX_STEPS:])
        yield from _judge(stub, stub.user or stub.source, steps, now, rules)

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._steps.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._steps.fill(list(msgspec.msgpack.decode(data, type=_Saved).steps))


def _is_serious(info: RuleInfo) -> bool:
    return info.audience == "everyone" and bool(info.tactic) and NATS[info.level] >= NATS["high"]


def _judge(
    stub: Stub, identity: str, steps: list[Step], now: float, rules: Mapping[str, RuleInfo]
) -> Iterator[Detection]:
    today = [item for item in steps if now - item.time <= DAY_SECONDS]
    weight, best = _weigh(today, now, decay=False)
    if len(best) >= MIN_TACTICS and weight >= SEQUENCE_BAR:
        yield _detection(SEQUENCE, stub, identity, today, rules)
        return
    if now - min([item.time for item in steps]) < SLOW_SPAN_SECONDS:
        return
    apart = _apart(steps)
    weight, best = _weigh(apart, now, decay=True)
    if len(best) >= MIN_TACTICS and weight >= SLOW_BAR:
        yield _detection(SLOW, stub, identity, apart, rules)


def _weigh(steps: list[Step], now: float, *, decay: bool) -> tuple[float, dict[str, float]]:
    best: dict[str, float] = {}
    for item in steps:
        nats = item.nats * (0.5 ** ((now - item.time) / HALF_LIFE_SECONDS) if decay else 1.0)
        best[item.tactic] = max(best.get(item.tactic, 0.0), nats)
    return sum(best.values()), best


def _apart(steps: list[Step]) -> list[Step]:
    """The steps that have an hour or more between them and the one before."""
    kept: list[Step] = []
    for item in sorted(steps, key=lambda step: step.time):
        if not kept or item.time - kept[-1].time >= SLOW_GAP_SECONDS:
            kept.append(item)
    return kept


def _detection(
    info: RuleInfo, stub: Stub, identity: str, steps: list[Step], rules: Mapping[str, RuleInfo]
) -> Detection:
    ordered = sorted(steps, key=lambda item: item.time)
    words = "; ".join(rules[item.rule].title for item in ordered[:8] if item.rule in rules)
    key = stub.key
    return Detection(
        rule=info.id,
        stub=stub,
        evidence=tuple(item.evidence for item in ordered if item.evidence.key != key),
        values={"sequence.identity": identity, "sequence.source": stub.source, "sequence.steps": words},
    )
