"""Putting stubs in event-time order, each request once.

Audit logs are nearly, not fully, sorted: lines stand in the order in which requests ended, webhooks retry, exports come
late. Stubs wait here until nothing earlier can come within the allowed lateness.
"""

from array import array
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter

import msgspec
from msgspec import Struct

from kubewake.bounds import forget_oldest
from kubewake.engine.findings import later
from kubewake.engine.gathering import SPAN_CHARACTERS, UNOWNED
from kubewake.engine.settled import is_upkeep
from kubewake.event import STAGES
from kubewake.observation import Observation, Stub, earliest
from kubewake.snapshot import decode_state

try:
    from kubewake.engine.keyset import KeySet
except ImportError:  # built without a C compiler

    class KeySet(set[int]):  # type: ignore[no-redef]
        """As `keyset.KeySet`."""

        def add_all(self, keys: "array[int]") -> list[int]:
            known = []
            for index, key in enumerate(keys):
                if key in self:
                    known.append(index)
                self.add(key)
            return known

        def indexes_of(self, keys: "array[int]") -> list[int]:
            return [index for index, key in enumerate(keys) if key in self]


LATENESS_SECONDS = 30
"""Recorded logs are up to 2.1 s out of order by stage timestamp; API servers hold webhook batches for up to 30 s."""

MAX_GENERATION_KEYS = 4_000_000
"""Keys kept for recognising duplicates in one generation (128 MB at the very worst); two generations are kept."""

MAX_WAITING = 150_000
"""Stubs that may wait for what belongs before them (some 200 MB); beyond it they are passed on in the order known so far."""

MAX_STARTED = 100_000
"""Long-running requests remembered from their start to their end."""

_STARTED, _RECEIVED = STAGES[1:3]
"""A stub's stage is told by its text, which is faster than by the end of its key."""
_IN_TIME = attrgetter("time", "key")


class OrderCounts(Struct):
    """What ordering came across."""

    duplicates: int = 0
    late: int = 0
    hurried: int = 0
    """Stubs passed on before their time, as too many waited."""


class _Span:
    """The stubs of one span of event time. Ordinary ones of one behaviour are one, whatever batches they came in."""

    __slots__ = ("ordinary", "pieces", "saved", "single")

    def __init__(self) -> None:
        self.single: list[Stub] = []
        self.ordinary: dict[tuple[str, int], Stub] = {}
        """By cluster and behaviour: no client of one cluster shall find a number that stands for something in another."""
        self.pieces: list[str] = []
        """Names of the pieces that hold the first `saved` single stubs, which change no more."""
        self.saved = 0

    def add(self, stub: Stub) -> None:
        if not stub.behaviour:
            self.single.append(stub)
            return
        behaviour = (stub.cluster, stub.behaviour)
        known = self.ordinary.get(behaviour)
        self.ordinary[behaviour] = stub if known is None else joined(known, stub)

    def stubs(self) -> list[Stub]:
        """All of them."""
        return [*self.single, *self.ordinary.values()]

    def __len__(self) -> int:
        return len(self.single) + len(self.ordinary)


class _Saved(Struct):
    committed: str
    latest: str
    generations: list[bytes]
    generation_ends: str
    started: list[tuple[int, tuple[str, ...]]]
    waiting: list[Stub]
    counts: OrderCounts


class Order:
    """A reorder buffer with duplicate recognition. `take` gives stubs in event-time order."""

    def __init__(self, lateness_seconds: int = LATENESS_SECONDS) -> None:
        self._lateness_seconds = lateness_seconds
        self._spans: dict[str, _Span] = {}
        self._committed = ""
        self._latest = ""
        self._generations: deque[KeySet] = deque([KeySet()])
        self._generation_ends = ""
        self._received: dict[int, Stub] = {}
        self._started: dict[int, tuple[str, ...]] = {}
        self.counts = OrderCounts()

    def put(self, observation: Observation) -> None:
        """Take in an observation; duplicates are counted and taken back out of their stubs."""
        stubs = observation.stubs
        self._drop_duplicates(array("Q", observation.keys), array("I", observation.owners), observation.fed, stubs)
        span: _Span | None = None
        name, is_late = "", False
        for stub in stubs:
            if not stub.count:
                continue
            if stub.stage == _RECEIVED:
                if not any(self._is_answered(stub.key >> 2, generation) for generation in self._generations):
                    self._received[stub.key >> 2] = stub
                continue
            if span is None or stub.time[:SPAN_CHARACTERS] != name:  # seldom: they come nearly in order
                name = stub.time[:SPAN_CHARACTERS]
                span = self._span(name)
                is_late = bool(self._committed) and name <= self._committed
            if is_late:
                self.counts.late += stub.count
            span.add(stub)
        self._latest = max(self._latest, observation.last_time)

    def take(self, *, flush: bool = False, at_once: bool = False) -> list[Stub]:
        """Stubs that nothing earlier can precede any more, in order; all of them with `flush`.

        With `at_once`, all but requests whose answer may still come; what comes later may belong before them.
        """
        if not (self._latest or flush):
            return []
        hurry = not (flush or at_once) and self._is_full
        ready = set(self._spans) if flush or at_once or hurry else set(self._ready())
        watermark = later(self._latest, -self._lateness_seconds)
        for stub in self._unanswered("" if flush else watermark if at_once else watermark[:SPAN_CHARACTERS]):
            span = stub.time[:SPAN_CHARACTERS]
            self._span(span).add(stub)
            ready.add(span)
        taken: list[Stub] = []
        for span in sorted(ready):
            for stub in sorted(self._spans.pop(span).stubs(), key=_IN_TIME):
                if stub.stage == _STARTED:
                    self._note_start(stub)
                elif self._started and (stub.hits or stub.records) and self._is_completion(stub):
                    continue
                taken.append(stub)
        if hurry:
            self.counts.hurried += len(taken)
        elif ready and not (flush or at_once):
            self._committed = max(self._committed, *ready)
        return taken

    def _span(self, name: str) -> _Span:
        """The span of this name, made on first use."""
        span = self._spans.get(name)
        if span is None:
            span = self._spans[name] = _Span()
        return span

    def _ready(self) -> list[str]:
        """Spans that end before the watermark. What came too late for its span goes with the next one."""
        watermark = later(self._latest, -self._lateness_seconds)[:SPAN_CHARACTERS]
        ready = [span for span in self._spans if span < watermark]
        return ready if any(span > self._committed for span in ready) else []

    @property
    def _is_full(self) -> bool:
        return sum(map(len, self._spans.values())) > MAX_WAITING

    @property
    def is_ready(self) -> bool:
        """Whether `take` has something in order to give."""
        return self._is_full or bool(self._ready())

    @property
    def committed(self) -> str:
        """The last span of event time that was passed on in order: the beginning of its times, "" before the first."""
        return self._committed

    def unsaved(self) -> dict[str, bytes]:
        """Single stubs that no piece holds yet, as pieces by name."""
        return {
            f"{name}/{span.saved}": msgspec.msgpack.encode(span.single[span.saved :])
            for name, span in self._spans.items()
            if len(span.single) > span.saved
        }

    def note_saved(self, pieces: Iterable[str]) -> None:
        """These of `unsaved` are stored, and nothing was put in since."""
        for name in pieces:
            span = self._spans[name.partition("/")[0]]
            span.pieces.append(name)
            span.saved = len(span.single)

    @property
    def pieces(self) -> list[str]:
        """Names of the stored pieces that still wait."""
        return [name for span in self._spans.values() for name in span.pieces]

    def snapshot(self, *, in_pieces: bool = False) -> bytes:
        """What is needed to go on: recent keys, started requests, counts, and stubs still waiting.

        With `in_pieces` without the single ones, which pieces hold.
        """
        return msgspec.msgpack.encode(
            _Saved(
                committed=self._committed,
                latest=self._latest,
                generations=[array("Q", sorted(generation)).tobytes() for generation in self._generations],
                generation_ends=self._generation_ends,
                started=sorted(self._started.items()),
                waiting=[
                    *self._received.values(),
                    *(
                        stub
                        for span in self._spans.values()
                        for stub in (span.ordinary.values() if in_pieces else span.stubs())
                    ),
                ],
                counts=self.counts,
            ),
        )

    def restore(self, data: bytes, pieces: Mapping[str, bytes] | None = None) -> None:
        """Go on from a snapshot, and the pieces that belong to it."""
        saved = decode_state(data, _Saved, "saved order of events")
        waiting = {
            name: decode_state(piece, list[Stub], "saved waiting events") for name, piece in (pieces or {}).items()
        }
        self._committed, self._latest = saved.committed, saved.latest
        self._generation_ends = saved.generation_ends
        self._generations = deque(KeySet(array("Q", keys)) for keys in saved.generations)
        self._started = dict(saved.started)
        self._spans, self._received = {}, {}
        for name in sorted(waiting, key=lambda name: int(name.partition("/")[2])):
            span = self._span(name.partition("/")[0])
            span.single += waiting[name]
            span.saved = len(span.single)
            span.pieces.append(name)
        for stub in saved.waiting:
            if stub.stage == _RECEIVED:
                self._received[stub.key >> 2] = stub
            else:
                self._span(stub.time[:SPAN_CHARACTERS]).add(stub)
        self.counts = saved.counts

    @staticmethod
    def _is_answered(request: int, keys: KeySet) -> bool:
        """By the key of any stage that comes after it was received."""
        return not keys.isdisjoint((request << 2, request << 2 | 1, request << 2 | 3))

    def _unanswered(self, until: str) -> list[Stub]:
        """Requests received before then ("" for all) and never answered: judged on what was received."""
        if not self._received:
            return []
        unanswered = [stub for stub in self._received.values() if not until or stub.time < until]
        for stub in unanswered:
            del self._received[stub.key >> 2]
        return unanswered

    def _note_start(self, stub: Stub) -> None:
        if len(self._started) >= MAX_STARTED:
            forget_oldest(self._started)
        self._started[stub.key >> 2] = tuple(hit.rule for hit in (*stub.hits, *stub.records))

    def _is_completion(self, stub: Stub) -> bool:
        """Whether the request was already judged at its start, with the same result."""
        started = self._started.pop(stub.key >> 2, None)
        return started is not None and {hit.rule for hit in (*stub.hits, *stub.records)} <= set(started)

    def _drop_duplicates(
        self, keys: "array[int]", owners: "array[int]", fed: list[tuple[int, int]], stubs: list[Stub]
    ) -> None:
        if self._latest > self._generation_ends or len(self._generations[0]) > MAX_GENERATION_KEYS:
            self._generation_ends = later(self._latest, self._lateness_seconds) if self._latest else ""
            self._generations.appendleft(KeySet())
            while len(self._generations) > 2:
                self._generations.pop()
        newest, *older = self._generations
        known = newest.add_all(keys)
        for generation in older:
            known += generation.indexes_of(keys)
        if known:
            self._take_back(set(known), owners, dict(fed), stubs)
        if self._received:
            for request in list(self._received):
                if self._is_answered(request, newest):
                    del self._received[request]

    def _take_back(
        self, duplicates: Collection[int], owners: "array[int]", feed_of: Mapping[int, int], stubs: list[Stub]
    ) -> None:
        self.counts.duplicates += len(duplicates)
        for index in duplicates:
            if owners[index] != UNOWNED:
                stubs[owners[index]].count -= 1
            if index in feed_of:
                stubs[feed_of[index]].count -= 1


def joined(one: Stub, other: Stub) -> Stub:
    """Ordinary stubs of one behaviour and span as one: the earlier, which counts both."""
    if other.time < one.time or (other.time == one.time and other.key < one.key):
        one, other = other, one
    named = [] if is_upkeep(one) else [*_members(one), *_members(other)]
    one.count += other.count
    if other.last_time > one.last_time or (other.last_time == one.last_time and other.last_key > one.last_key):
        one.last_time, one.last_key, one.last_audit_id = other.last_time, other.last_key, other.last_audit_id
    if len(named) > 2:
        one.members = earliest(named)
    return one


def _members(stub: Stub) -> list[tuple[str, int, str]]:
    ends = [(stub.time, stub.key, stub.audit_id), (stub.last_time, stub.last_key, stub.last_audit_id)]
    return stub.members or ends[: stub.count]
