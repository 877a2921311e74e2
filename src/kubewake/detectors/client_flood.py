"""One caller under ever new user agents: memory exhaustion of old API servers (CVE-2020-8552)."""

from collections.abc import Iterable

import msgspec
import xxhash
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

MAX_CALLERS = 10_000
WINDOW_SECONDS = 600.0
AGENTS = 100
"""Different user agents of one caller within the window; people and build systems stay far below."""

FLOOD = RuleInfo(
    id="cve-2020-8552-client-flood",
    title="One caller under very many user agents (CVE-2020-8552)",
    level="medium",
    description="One identity from one address sends a hundred or more different user agents within ten minutes. On "
    "kube-apiserver 1.17.0-1.17.2, 1.16.0-1.16.6 and before 1.15.10 each new one takes memory that is never given back "
    "(CVE-2020-8552; the fix removed the client label from a metric). On patched servers it is a way to hide among "
    "clients or to flood tools that learn them. CVE-2020-8551, the kubelet's part, is not visible here.",
    attack=Attack(["impact", "defense-evasion"], ["T1499", "T1036"]),
    falsepositives=("A load test with generated user agents.", "A proxy that passes on its callers' user agents."),
    references=(
        "https://github.com/kubernetes/kubernetes/issues/89378",
        "https://github.com/kubernetes/kubernetes/issues/89377",
    ),
    covers=("cve-api-exploit",),
    cves=("CVE-2020-8552", "CVE-2020-8551"),
    affected="kube-apiserver <1.15.10, 1.16.0-1.16.6, 1.17.0-1.17.2",
    confidence="medium",
    audience="pedantic",
    story="{actor.name} introduced itself to the API server under {flood.agents} different program names within ten minutes, "
    "from {source.ip}. Old servers run out of memory from this; elsewhere it serves to confuse whoever reads the log.",
    remediation=(
        "kubectl version   # fixed in 1.15.10, 1.16.7, 1.17.3 and everything since",
        "Ask {actor.name} which program does this; disable the credential if nobody knows",
    ),
    kind="detector",
    tactic="impact",
)


class Agents(Struct, array_like=True):
    """Hashes of the user agents of one caller since the start of its window (seconds)."""

    start: float
    seen: set[int]


class _Saved(Struct):
    callers: list[tuple[str, Agents]]


@detector(FLOOD, of_people=True)
class ClientFlood:
    """Counts different user agents per caller in windows of ten minutes."""

    def __init__(self) -> None:
        self._callers: Ledger[str, Agents] = Ledger(MAX_CALLERS)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Count the stub's user agent."""
        caller = f"{stub.user} {stub.source}"
        agents = self._callers.get(caller)
        now = microseconds(stub.time) / 1_000_000
        if agents is None or now - agents.start > WINDOW_SECONDS:
            agents = Agents(now, set())
            self._callers.put(caller, agents)
        if len(agents.seen) >= AGENTS:
            return ()
        agents.seen.add(xxhash.xxh3_64_intdigest(stub.user_agent.encode()))
        if len(agents.seen) < AGENTS:
            return ()
        return (Detection(rule=FLOOD.id, stub=stub, values={"flood.agents": AGENTS}),)

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._callers.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._callers.fill(list(msgspec.msgpack.decode(data, type=_Saved).callers))
