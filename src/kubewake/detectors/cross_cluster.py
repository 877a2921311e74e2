"""The same hand in several clusters: one credential, person, outside address or attack tool with evidence in each."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.campaign_sequence import shipped_rules
from kubewake.detectors.ledger import Ledger, moment
from kubewake.facts.client import attack_tool_of
from kubewake.facts.source import scope_of_address
from kubewake.finding import SEVERITY_RANK, Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_HANDS = 50_000
WINDOW_SECONDS = 72 * 3600
MAX_CLUSTERS = 16
HUB_PRINCIPALS = 5
"""An address used by more identities than this is a shared one (VPN, office, NAT) and identifies nobody."""

CROSS_CLUSTER = RuleInfo(
    id="cross-cluster-identity",
    title="Same suspicious actor in several clusters",
    level="high",
    description="A rule of level high or above reported the same person, credential, public address or attack tool in two "
    "or more clusters within 72 hours. Service accounts are told apart by credential, because clusters share their "
    "names; addresses that many identities use do not count. Needs a stream of several clusters in one engine.",
    attack=Attack(["lateral-movement"], ["T1078", "T1021"]),
    falsepositives=("An administrator of several clusters in a rough change window.", "An agreed penetration test."),
    references=("https://attack.mitre.org/techniques/T1078/",),
    covers=("cross-cluster-identity",),
    confidence="medium",
    group_by=("hand.what",),
    window_seconds=72 * 3600,
    story="{hand.what} did suspicious things in several clusters within three days: {hand.clusters}. What was a finding in "
    "one place is an intruder who moves through all of them.",
    remediation=(
        "Disable the credential or block the address everywhere at once, not cluster by cluster",
        "List the findings of {hand.what} in each cluster, and look at clusters that have no finding yet",
        "Find what the clusters have in common: identity provider, build system, cloud account",
    ),
    always=True,
    kind="detector",
    tactic="lateral-movement",
)


class Trace(Struct, array_like=True):
    """What a hand did in one cluster last."""

    time: float
    evidence: Evidence


class _Saved(Struct):
    hands: list[tuple[str, dict[str, Trace]]]
    addresses: list[tuple[str, list[str]]]


@detector(CROSS_CLUSTER, of_hits=True, wants=lambda scene: scene.actor_kind not in ("control-plane", "cloud"))
class CrossCluster:
    """Remembers in which clusters each hand had a serious rule hit. One instance must see all clusters."""

    fleet = True

    def __init__(self) -> None:
        self._hands: Ledger[str, dict[str, Trace]] = Ledger(MAX_HANDS)
        self._addresses: Ledger[str, list[str]] = Ledger(MAX_HANDS)
        """Identities with hits from each public address, at most HUB_PRINCIPALS + 1."""
        self._rules: Mapping[str, RuleInfo] | None = None
        self._serious: frozenset[str] = frozenset()
        """Those of the rules whose hits are followed."""

    def brief(self, rules: Mapping[str, RuleInfo]) -> None:
        """Take the cards of the rules whose hits will come."""
        self._rules = rules
        serious = (name for name, info in rules.items() if SEVERITY_RANK[info.level] >= SEVERITY_RANK["high"])
        self._serious = frozenset(serious)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Follow serious hits over clusters."""
        if not stub.cluster:
            return ()
        if self._rules is None:
            self.brief(shipped_rules())
        for hit in stub.hits:
            if hit.suppressed_by is None and hit.rule in self._serious:
                return self._follow(stub)
        return ()

    def _follow(self, stub: Stub) -> Iterator[Detection]:
        now = moment(stub.time)
        for hand in self._hands_of(stub):
            traces = self._hands.get(hand) or {}
            traces = {name: trace for name, trace in traces.items() if now - trace.time <= WINDOW_SECONDS}
            earlier = [trace.evidence for name, trace in traces.items() if name != stub.cluster]
            if stub.cluster in traces or len(traces) < MAX_CLUSTERS:
                traces[stub.cluster] = Trace(now, evidence_of(stub))
            self._hands.put(hand, traces)
            if earlier:
                yield Detection(
                    rule=CROSS_CLUSTER.id,
                    stub=stub,
                    evidence=tuple(earlier),
                    values={"hand.what": hand, "hand.clusters": ", ".join(sorted(traces))},
                )
                return

    def _hands_of(self, stub: Stub) -> Iterator[str]:
        if stub.credential:
            yield f"the credential {stub.credential}"
        if stub.actor_kind == "human":
            yield stub.user
        if scope_of_address(stub.source) == "public":
            known = self._addresses.get(stub.source) or []
            if stub.user not in known and len(known) <= HUB_PRINCIPALS:
                known = [*known, stub.user]
                self._addresses.put(stub.source, known)
            if len(known) <= HUB_PRINCIPALS:
                yield f"the address {stub.source}"
        tool = attack_tool_of(stub.user_agent)
        if tool:
            yield f"the tool {tool}"

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._hands.items(), self._addresses.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._hands.fill(list(saved.hands))
        self._addresses.fill(list(saved.addresses))
