"""Several rules against one identity, over tactics: within a day, or spread over days."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.facts.source import scope_of_address
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import NATS, RuleInfo

MAX_ENTITIES = 20_000
MAX_STEPS = 24
"""Steps kept per identity: one of each rule."""
MIN_TACTICS = 3
DAY_SECONDS = 86_400.0
SEQUENCE_BAR = 12.0
"""Nats, best step of each tactic summed, within a day: three rules of level high."""
ROAMING_BAR = 20.0
"""The same for an identity over several public addresses, within an hour: five rules of level high, as people roam."""
ROAMING_SECONDS = 3600.0
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
    description="Within 24 hours, rules of level high or above of at least three ATT&CK tactics reported different requests "
    "of one identity from one address; or, with more weight and within an hour, of one identity from three or more public "
    "addresses. Repeats of a rule do not add, rules of lower levels neither.",
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
    """One rule's hit on an identity, the latest that is not another rule's first."""

    rule: str
    tactic: str
    nats: float
    time: float
    source: str
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
    version=2,
    of_hits=True,
    wants=lambda scene: not scene.of_component and scene.actor_kind not in ("control-plane", "cloud"),
)
class CampaignSequence:
    """Collects rule hits per identity and address, and per identity over public addresses."""

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
        now = moment(stub.time)
        found = _judge(stub, self._add(f"{stub.user} {stub.source}", stub, now), now, rules)
        if stub.user and stub.actor_kind != "anonymous" and scope_of_address(stub.source) == "public":
            steps = _of_late(self._add(f"{stub.user} anywhere", stub, now), now, ROAMING_SECONDS)
            if found is None and len({item.source for item in steps}) >= MIN_TACTICS:
                found = _judge(stub, steps, now, rules, ROAMING_BAR)
        if found is not None:
            yield found

    def _add(self, key: str, stub: Stub, now: float) -> list[Step]:
        """The steps of a record with those of a stub; what is new in it leaves earlier steps in place."""
        steps = [item for item in self._steps.get(key) or [] if now - item.time <= HORIZON_SECONDS]
        hits = [self._serious[hit.rule] for hit in stub.hits if hit.rule in self._serious and hit.suppressed_by is None]
        known = {item.rule for item in steps}
        added = {info.id: info for info in hits if info.id not in known} or {info.id: info for info in hits}
        steps = [item for item in steps if item.rule not in added]
        for info in added.values():
            steps.append(Step(info.id, info.tactic, NATS[info.level], now, stub.source, evidence_of(stub)))
        self._steps.put(key, steps[-MAX_STEPS:])
        return steps

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._steps.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._steps.fill(list(msgspec.msgpack.decode(data, type=_Saved).steps))


def _is_serious(info: RuleInfo) -> bool:
    return info.audience == "everyone" and bool(info.tactic) and NATS[info.level] >= NATS["high"]


def _judge(
    stub: Stub, steps: list[Step], now: float, rules: Mapping[str, RuleInfo], bar: float = SEQUENCE_BAR
) -> Detection | None:
    today = _of_late(steps, now, DAY_SECONDS)
    if _weigh(today, now, decay=False) >= bar:
        return _detection(SEQUENCE, stub, today, rules)
    if now - min([item.time for item in steps]) < SLOW_SPAN_SECONDS:
        return None
    apart = _apart(steps)
    return _detection(SLOW, stub, apart, rules) if _weigh(apart, now, decay=True) >= SLOW_BAR else None


def _of_late(steps: list[Step], now: float, seconds: float) -> list[Step]:
    return [item for item in steps if now - item.time <= seconds]


def _weigh(steps: list[Step], now: float, *, decay: bool) -> float:
    """Nats of one step of each tactic, each of another request; 0 where those are fewer tactics than make an attack."""
    requests: dict[int, dict[str, float]] = {}
    for item in steps:
        nats = item.nats * (0.5 ** ((now - item.time) / HALF_LIFE_SECONDS) if decay else 1.0)
        tactics = requests.setdefault(item.evidence.key >> 2, {})
        tactics[item.tactic] = max(tactics.get(item.tactic, 0.0), nats)
    best: dict[str, float] = {}
    # Requests that can stand for few tactics choose first.
    for tactics in sorted(requests.values(), key=lambda tactics: (len(tactics), -max(tactics.values()))):
        free = {tactic: nats for tactic, nats in tactics.items() if tactic not in best}
        if free:
            tactic = max(free, key=free.__getitem__)
            best[tactic] = free[tactic]
    return sum(best.values()) if len(best) >= MIN_TACTICS else 0.0


def _apart(steps: list[Step]) -> list[Step]:
    """The steps that have an hour or more between them and the one before."""
    kept: list[Step] = []
    for item in sorted(steps, key=lambda step: step.time):
        if not kept or item.time - kept[-1].time >= SLOW_GAP_SECONDS:
            kept.append(item)
    return kept


def _detection(info: RuleInfo, stub: Stub, steps: list[Step], rules: Mapping[str, RuleInfo]) -> Detection:
    ordered = sorted(steps, key=lambda item: item.time)
    words = "; ".join(rules[item.rule].title for item in ordered[:8] if item.rule in rules)
    key = stub.key
    return Detection(
        rule=info.id,
        stub=stub,
        evidence=tuple(item.evidence for item in ordered if item.evidence.key != key),
        values={"sequence.identity": stub.user or stub.source, "sequence.source": stub.source, "sequence.steps": words},
    )
