"""The events of one group in the window of a correlation, and what they come to."""

import operator
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeVar

from msgspec import Struct

from kubewake.observation import Evidence
from kubewake.rules.compiled import Alternative, CorrelationRule, Operator

MAX_ENTRIES = 5_000
"""Events kept in one window; more than any sensible threshold, and a bound whatever the log."""

FORGOTTEN_AT_ONCE = 64
"""So many old entries are dropped together, and no fewer: each time moves all that stay."""

SLACK_MICROSECONDS = 30_000_000
"""How long entries stay behind the newest window, for events that come late."""

_RELATIONS: dict[Operator, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": lambda left, right: left == left and left != right,  # noqa: PLR0124  # not a number differs from itself
}
"""How an aggregate and the bound may relate; never for "not a number"."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One event in a window, or `weight` like ones that came together. `rules` are the positions of the rules that it matched."""

    time: int
    """Event time in microseconds since 1970."""
    key: int
    rules: tuple[int, ...]
    weight: int
    value: str | float | None
    evidence: tuple[Evidence, ...]


class _Way(NamedTuple):
    """One way to satisfy a temporal correlation, its rules by their positions."""

    present: tuple[int, ...]
    needed: frozenset[int]
    absent: frozenset[int]


@lru_cache(maxsize=256)
def _ways(rules: tuple[str, ...], alternatives: tuple[Alternative, ...]) -> tuple[_Way, ...]:
    ways = []
    for way in alternatives:
        present = tuple(map(rules.index, way.present))
        ways.append(_Way(present, frozenset(present), frozenset(map(rules.index, way.absent))))
    return tuple(ways)


def _order(entry: Entry) -> tuple[int, int]:
    """Entries stand by time and event key; two of one event (told of again, with another rule) stay as they came."""
    return entry.time, entry.key


class Window:
    """Entries of one group in time order, with the aggregate of the newest timespan kept up to date."""

    __slots__ = (
        "_chains",
        "_counts_rules",
        "_low",
        "_requests",
        "_rules",
        "_span",
        "_threshold",
        "_total",
        "_values",
        "_ways",
        "dropped",
        "entries",
        "fired",
        "rule",
    )

    def __init__(self, rule: CorrelationRule) -> None:
        self.rule = rule
        self.entries: list[Entry] = []
        self.fired: tuple[int, int] | None = None
        """Time and key of the first event of the window that fired, while the condition goes on to hold."""
        self.dropped = 0
        self._requests: set[int] = set()
        """Every request that has an entry, and some that had one."""
        self._span = rule.timespan_seconds * 1_000_000
        self._low = 0
        self._total = 0
        self._values: dict[str | float | None, int] = {}
        self._rules: dict[int, int] = {}
        self._counts_rules = rule.threshold is None or rule.type in {"temporal", "temporal_ordered"}
        threshold = rule.threshold
        self._threshold = None if threshold is None else (_RELATIONS[threshold.operator], threshold.bound)
        self._ways = _ways(rule.rules, rule.alternatives)
        self._chains: list[list[tuple[int, int] | None]] = []
        self._forget_chains()

    @property
    def newest(self) -> int:
        """Event time of the newest entry; 0 while empty."""
        return self.entries[-1].time if self.entries else 0

    def add(self, entry: Entry) -> bool:
        """Take in an event; False where this request is in already."""
        entries, time, request = self.entries, entry.time, entry.key >> 2
        if request in self._requests and self._is_in(entry):
            return False
        self._requests.add(request)
        last = entries[-1] if entries else entry
        if time < last.time or (time == last.time and entry.key < last.key):
            insort(entries, entry, key=_order)
            self._recount()
        else:
            entries.append(entry)
            self._count(entry, 1)
            if self._chains:
                self._chain(entry)
            low, edge = self._low, time - self._span
            while entries[low].time < edge:
                self._count(entries[low], -1)
                low += 1
            self._low = low
        if self._low > FORGOTTEN_AT_ONCE or len(entries) > MAX_ENTRIES:
            self._prune()
        return True

    def _is_in(self, entry: Entry) -> bool:
        """Whether a recent entry says as much of the same request."""
        request = entry.key >> 2
        long_ago = entry.time - SLACK_MICROSECONDS
        for other in islice(reversed(self.entries), 64):
            if other.key >> 2 == request and set(entry.rules) <= set(other.rules):
                return True
            if other.time < long_ago:
                break
        return False

    def holds(self) -> bool:
        """Whether the condition holds in the timespan that ends with the newest entry."""
        return self._holds(self._total, self._values, self._rules, self._chain_holds)

    def holds_around(self, entry: Entry) -> bool:
        """Whether it holds in any timespan that contains the entry (for entries that came late)."""
        first = bisect_left(self.entries, _order(entry), key=_order)
        for end in range(first, len(self.entries)):
            moment = self.entries[end].time
            if moment > entry.time + self._span:
                break
            start = bisect_left(self.entries, moment - self._span, key=lambda item: item.time)
            if self._holds_in(self.entries[start : end + 1]):
                return True
        return False

    def holds_between(self, start: int, end: int) -> bool:
        """Whether it holds for the entries between two times, both included."""
        return self._holds_in(self.between(start, end))

    def between(self, start: int, end: int) -> list[Entry]:
        """The entries between two times, both included."""
        low = bisect_left(self.entries, start, key=lambda item: item.time)
        high = bisect_right(self.entries, end, key=lambda item: item.time)
        return self.entries[low:high]

    def drop_until(self, moment: int) -> None:
        """Forget the entries up to and including a time."""
        self.entries = [entry for entry in self.entries if entry.time > moment]
        self._note_requests()
        self._recount()

    def contributing(self) -> list[Entry]:
        """The entries that the newest timespan consists of; of a chain, those from its first link on."""
        found = self.between(self.newest - self._span, self.newest)
        if self.rule.type == "temporal_ordered":
            starts = [chain[-1] for chain in self._chains if chain and chain[-1] is not None]
            if starts:
                first = max(start for start in starts if start is not None)
                found = [entry for entry in found if (entry.time, entry.key) >= first]
        return found

    def summary(self) -> tuple[int, float, list[str]]:
        """Events in the newest timespan, the aggregate, and up to ten distinct values."""
        values = sorted(str(value) for value in self._values if value is not None)[:10]
        return self._total, self._aggregate_of(self._total, self._values, self._rules), values

    def restore(self, entries: Sequence[Entry], fired: tuple[int, int] | None) -> None:
        """Take over saved entries."""
        self.entries = list(entries)
        self.fired = fired
        self._note_requests()
        self._recount()

    def _note_requests(self) -> None:
        self._requests = {entry.key >> 2 for entry in self.entries}

    def _count(self, entry: Entry, sign: int) -> None:
        self._total += sign * entry.weight
        value = entry.value
        if value is not None:
            _add(self._values, value, sign)
        if self._counts_rules:
            for position in entry.rules:
                _add(self._rules, position, sign)

    def _recount(self) -> None:
        self._total = 0
        self._values.clear()
        self._rules.clear()
        self._forget_chains()
        edge = self.newest - self._span
        self._low = bisect_left(self.entries, edge, key=lambda item: item.time)
        for entry in self.entries[self._low :]:
            self._count(entry, 1)
            self._chain(entry)

    def _forget_chains(self) -> None:
        if self.rule.type == "temporal_ordered":
            self._chains = [[None] * len(way.present) for way in self._ways]

    def _chain(self, entry: Entry) -> None:
        rules = entry.rules
        for way, chain in zip(self._ways, self._chains, strict=False):
            for stage in range(len(chain) - 1, -1, -1):
                if way.present[stage] in rules:
                    if stage == 0:
                        chain[0] = (entry.time, entry.key)
                    elif chain[stage - 1] is not None:
                        chain[stage] = chain[stage - 1]

    def _chain_holds(self, number: int) -> bool:
        start = self._chains[number][-1] if self._chains[number] else None
        return start is not None and start[0] >= self.newest - self._span

    def _prune(self) -> None:
        edge = self.newest - self._span - SLACK_MICROSECONDS
        if len(self.entries) <= MAX_ENTRIES and self.entries[FORGOTTEN_AT_ONCE].time >= edge:
            return
        excess = bisect_left(self.entries, edge, key=lambda item: item.time)
        if len(self.entries) - excess > MAX_ENTRIES:
            surplus = len(self.entries) - excess - MAX_ENTRIES // 2
            self.dropped += surplus
            excess += surplus
            del self.entries[:excess]
            self._note_requests()
            self._recount()
        elif excess > FORGOTTEN_AT_ONCE and excess <= self._low:
            del self.entries[:excess]
            self._low -= excess
            if len(self._requests) > 2 * len(self.entries) + FORGOTTEN_AT_ONCE:
                self._note_requests()

    def _aggregate_of(self, total: int, values: Mapping[str | float | None, int], rules: Mapping[int, int]) -> float:
        match self.rule.type:
            case "event_count":
                return total
            case "value_count":
                return len(values)
            case "temporal" | "temporal_ordered":
                return len(rules)
        numbers = sorted((float(value), times) for value, times in values.items() if isinstance(value, int | float))
        count = sum(times for _, times in numbers)
        if not count:
            return float("nan")
        match self.rule.type:
            case "value_sum":
                return sum(value * times for value, times in numbers)
            case "value_avg":
                return sum(value * times for value, times in numbers) / count
            case "value_median":
                flat = [value for value, times in numbers for _ in range(times)]
                middle = count // 2
                return flat[middle] if count % 2 else (flat[middle - 1] + flat[middle]) / 2
        rank = max(1, -(-count * self.rule.percentile // 100))
        seen = 0
        for value, times in numbers:
            seen += times
            if seen >= rank:
                return value
        return numbers[-1][0]

    def _holds_in(self, entries: Sequence[Entry]) -> bool:
        values: Counter[str | float | None] = Counter(entry.value for entry in entries if entry.value is not None)
        rules = Counter(position for entry in entries for position in entry.rules)
        total = sum(entry.weight for entry in entries)
        return self._holds(total, values, rules, lambda number: self._chain_in(number, entries))

    def _chain_in(self, number: int, entries: Iterable[Entry]) -> bool:
        wanted = self._ways[number].present
        stage = 0
        for entry in entries:
            if stage < len(wanted) and wanted[stage] in entry.rules:
                stage += 1
        return stage == len(wanted)

    def _holds(
        self,
        total: int,
        values: Mapping[str | float | None, int],
        rules: Mapping[int, int],
        chain_holds: Callable[[int], bool],
    ) -> bool:
        if self._threshold is not None:
            relates, bound = self._threshold
            return relates(self._aggregate_of(total, values, rules), bound)
        is_ordered = self.rule.type == "temporal_ordered"
        for number, way in enumerate(self._ways):
            if not way.absent.isdisjoint(rules):
                continue
            if is_ordered:
                if chain_holds(number):
                    return True
            elif way.needed <= rules.keys():
                return True
        return False


Counted = TypeVar("Counted", str | float | None, int)


def _add(counts: dict[Counted, int], item: Counted, number: int) -> None:
    """Add to a count, and forget it at nought."""
    count = counts.get(item, 0) + number
    if count:
        counts[item] = count
    else:
        del counts[item]
