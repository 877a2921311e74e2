"""Signs that the audit stream itself was tampered with: silence, less detail than before, reused ids."""

from collections.abc import Iterable

import msgspec
import xxhash
from msgspec import Struct

from kubewake.bounds import forget_oldest
from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.finding import Attack, Severity
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

MAX_LEVELS = 50_000
MAX_IDS = 55_000
"""Audit-IDs remembered; when full, the oldest tenth goes."""
LEARNING_EVENTS = 2_000
LEARNING_SECONDS = 900.0
"""Events and time that must pass before silence means something."""
GAP_SECONDS = 180.0
GAP_FACTOR = 10.0
"""A silence is a gap when it is this long, and this many times longer than any before it."""
LEVEL_REQUESTS = 20
"""Requests of one behaviour that must be logged with bodies before a log without them is a downgrade."""
REPORT_SECONDS = 3600.0
DOWNGRADES = 3
"""Behaviours that must lose detail within REPORT_SECONDS: one alone may be a policy with odd rules."""

NOTHING: tuple[Detection, ...] = ()
SETTLED = (0, 0)
"""In place of a rank and a key: there is nothing to compare."""
RANK = {"Metadata": 1, "Request": 2, "RequestResponse": 3}

GAP = RuleInfo(
    id="audit-stream-gap",
    title="Audit stream lost integrity",
    level="high",
    description="The audit stream of a cluster falls silent for far longer than ever before; requests that were logged "
    "with their content are logged without it; or one client-chosen Audit-ID names different requests (medium: that is "
    "how an intruder makes a careless evaluation drop events as duplicates). Truncated events have a rule of their own.",
    attack=Attack(["defense-evasion"], ["T1562.008"]),
    falsepositives=(
        "A planned restart or a new audit policy of the API server.",
        "An outage of the log shipper.",
        "Clients behind a proxy that sets one Audit-ID for everything.",
    ),
    references=(
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/",
        "https://attack.mitre.org/techniques/T1562/008/",
    ),
    covers=("audit-stream-gap",),
    confidence="medium",
    group_by=("gap.kind",),
    story="The record of what happens in this cluster is no longer complete: {gap.text}. An intruder who can reach the "
    "control plane switches the record off first; what was done meanwhile is not seen here.",
    remediation=(
        "Look at the API server: was it restarted, with other audit flags or another policy file?",
        "apiserver_audit_error_total and apiserver_audit_event_total   # metrics that show lost events",
        "Compare with another record of the time (cloud log, network flow, node log)",
        "Restore the audit policy from source control and restrict who may log in to control-plane nodes",
    ),
    kind="detector",
    tactic="defense-evasion",
)


class Level(Struct, array_like=True):
    """How much of a behaviour was logged: the highest rank, and how many requests at it."""

    rank: int
    requests: int


class Clock(Struct, array_like=True):
    """The rhythm of the stream: first and latest event time, events, longest silence so far (seconds)."""

    first: float = 0.0
    latest: float = 0.0
    events: int = 0
    silence: float = 0.0


class _Saved(Struct):
    clock: Clock
    levels: list[tuple[int, Level]]
    ids: list[tuple[int, int]]
    downgrades: list[float]


@detector(GAP, counts=True)
class AuditGap:
    """Keeps the rhythm and the detail of the stream."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._events = 0
        """What `Clock.events` is to be once the state is saved: counted for every stub."""
        self._latest = ""
        """The latest event time as text: what is no later falls into no silence, and its time need not be read."""
        self._levels: Ledger[int, Level] = Ledger(MAX_LEVELS)
        """By hash of a behaviour (who, verb, resource, namespace)."""
        self._ids: dict[int, int] = {}
        """By hash of an Audit-ID: the request that it names."""
        self._downgrades: list[float] = []
        self._known: dict[int, tuple[int, int]] = {}
        """By kind of stub: what `_rank_and_key` says of it; `SETTLED` where no more is to be learnt until a level changes."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the stub's time, level and Audit-ID."""
        found = NOTHING
        count = stub.count
        last_time = stub.time if count == 1 else stub.last_time
        if last_time > self._latest:
            found = self._listen(stub, last_time)
            self._latest = last_time
        self._events += count
        rank, key = self._known.get(stub.kind) or self._weight_of(stub)
        if rank:
            found += self._compare_level(stub, rank, key)
        if count == 1 and stub.audit_id and stub.stage != "RequestReceived":
            name, request = xxhash.xxh3_64_intdigest(stub.audit_id.encode()), stub.key >> 2
            known = self._ids.get(name)
            if known is None:
                if len(self._ids) >= MAX_IDS:
                    forget_oldest(self._ids)
                self._ids[name] = request
            elif known != request:
                found += self._rename(stub, name, request)
        return found

    def _listen(self, stub: Stub, last_time: str) -> tuple[Detection, ...]:
        now = moment(stub.time)
        clock = self._clock
        if not self._events:
            clock.first = clock.latest = now
        silence = now - clock.latest
        found = NOTHING
        if silence > clock.silence:
            learnt = self._events >= LEARNING_EVENTS and clock.latest - clock.first >= LEARNING_SECONDS
            if learnt and silence >= GAP_SECONDS and silence >= GAP_FACTOR * clock.silence:
                text = f"nothing was recorded for {silence / 60:.0f} minutes before {stub.time}"
                found = (_detection(stub, "silence", text),)
            else:
                clock.silence = silence
        clock.latest = max(clock.latest, moment(last_time))
        return found

    def _weight_of(self, stub: Stub) -> tuple[int, int]:
        weight = _rank_and_key(stub)
        if stub.kind:
            if len(self._known) >= MAX_LEVELS:
                self._known.clear()
            self._known[stub.kind] = weight
        return weight

    def _compare_level(self, stub: Stub, rank: int, key: int) -> tuple[Detection, ...]:
        level = self._levels.get(key)
        if level is None or level.rank != rank:
            return self._change_level(stub, rank, key, level)
        if level.requests < LEVEL_REQUESTS:
            level.requests += stub.count  # more do not matter
        elif stub.kind:
            self._known[stub.kind] = SETTLED
        return NOTHING

    def _change_level(self, stub: Stub, rank: int, key: int, level: Level | None) -> tuple[Detection, ...]:
        if level is not None or len(self._levels) >= MAX_LEVELS:  # in a full memory, another one is forgotten
            self._known.clear()
        if level is None or rank > level.rank or level.requests < LEVEL_REQUESTS:
            self._levels.put(key, Level(rank, stub.count))
            return NOTHING
        self._levels.put(key, Level(rank, stub.count))
        now = moment(stub.time)
        self._downgrades = [time for time in self._downgrades if now - time < REPORT_SECONDS]
        self._downgrades.append(now)
        if len(self._downgrades) < DOWNGRADES:
            return NOTHING
        what = f"{stub.verb} of {stub.resource}"
        text = f"requests such as {what} are recorded without the content they had before"
        return (_detection(stub, "level", text),)

    def _rename(self, stub: Stub, name: int, request: int) -> tuple[Detection, ...]:
        del self._ids[name]  # so that it becomes the youngest
        self._ids[name] = request
        text = f"{stub.user or 'an unauthenticated caller'} gave several requests the same id"
        return (_detection(stub, "id", text, "medium"),)

    def snapshot(self) -> bytes:
        """All state."""
        self._clock.events = self._events
        saved = _Saved(self._clock, self._levels.items(), list(self._ids.items()), self._downgrades)
        return msgspec.msgpack.encode(saved)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._clock = saved.clock
        self._events = saved.clock.events
        self._latest = ""
        self._levels.fill(list(saved.levels))
        self._ids = dict(saved.ids)
        self._downgrades = saved.downgrades


def _rank_and_key(stub: Stub) -> tuple[int, int]:
    """How much is logged of the stub's behaviour, and a hash that stands for it; `SETTLED` where that says nothing."""
    rank = RANK.get(stub.level, 0)
    if not rank or not stub.resource or stub.outcome != "allowed":
        return SETTLED
    behaviour = (stub.user, stub.verb, stub.api_group, stub.resource, stub.subresource, stub.namespace)
    return rank, xxhash.xxh3_64_intdigest("\0".join(behaviour).encode())


def _detection(stub: Stub, kind: str, text: str, severity: Severity | None = None) -> Detection:
    return Detection(rule=GAP.id, stub=stub, values={"gap.kind": kind, "gap.text": text}, severity=severity)
