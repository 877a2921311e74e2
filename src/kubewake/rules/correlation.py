"""Correlations: windows of event time over the hits of other rules.

Deterministic, bounded and restorable: no clock, no randomised hash; what is evicted is counted.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.observation import Evidence, Hit, Stub, evidence_in
from kubewake.rules.compiled import CorrelationRule
from kubewake.rules.predicate import number_of, text_of
from kubewake.rules.window import Entry, Window
from kubewake.snapshot import decode_state

MAX_GROUPS = 20_000
"""Groups that one correlation follows at once; the longest idle goes first."""

MAX_ENTRIES_TOTAL = 100_000
"""Events that one correlation keeps over all its groups (some 30 MB); the longest idle groups go first."""

SNAPSHOT_VERSION = 1

STUB_FIELDS: dict[str, str] = {
    "verb": "verb",
    "user.username": "user",
    "user.groups": "groups",
    "impersonatedUser.username": "impersonated",
    "actor.kind": "actor_kind",
    "actor.name": "user",
    "client.family": "client",
    "source.ip": "source",
    "sourceIPs": "source_ips",
    "userAgent": "user_agent",
    "objectRef.resource": "resource",
    "objectRef.subresource": "subresource",
    "objectRef.apiGroup": "api_group",
    "objectRef.namespace": "namespace",
    "objectRef.name": "name",
    "requestURI": "uri",
    "responseStatus.code": "code",
    "outcome": "outcome",
    "credential.id": "credential",
    "credential.pod": "pod",
    "credential.node": "node",
    "auditID": "audit_id",
    "cluster": "cluster",
    "level": "level",
}
"""Fields that every stub carries; others that a correlation names travel in the values of its hits."""

PLAIN_FIELDS = STUB_FIELDS.keys() - {"user.groups", "sourceIPs", "responseStatus.code"}
"""Those that are one text."""

_ATTRIBUTES = {name: attrgetter(attribute) for name, attribute in STUB_FIELDS.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CorrelationHit(Struct, frozen=True, kw_only=True):
    """A correlation holds, or still holds. `stub` is the event that completed it.

    `evidence` are the other events of the window when it first fired; later hits of one `group` only add `stub`.
    `group` is the same while one window grows.
    """

    rule: str
    stub: Stub
    evidence: tuple[Evidence, ...] = ()
    group: tuple[str, ...] = ()
    values: dict[str, Any] = {}
    suppressed_by: str | None = None


class _SavedWindow(Struct, array_like=True):
    rule: str
    group: tuple[str, ...]
    entries: list[Entry]
    fired: tuple[int, int] | None
    closes: int
    last: Stub | None


class _Saved(Struct):
    version: int
    windows: list[_SavedWindow]
    evicted: dict[str, int]


class _Group:
    __slots__ = ("closes", "last", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.closes = 0
        self.last: Stub | None = None


class _Feed:
    """One correlation: how it reads the events that feed it, and what it has of them."""

    __slots__ = ("entries", "group_of", "groups", "is_alone", "name", "rule", "value_of", "waits")

    def __init__(self, rule: CorrelationRule) -> None:
        self.name = rule.info.id
        self.rule = rule
        self.groups: dict[tuple[str, ...], _Group] = {}
        """The longest idle first."""
        self.entries = 0
        """Events kept over all groups."""
        self.is_alone = len(rule.rules) == 1
        self.waits = waits_for_close(rule)
        self.group_of = _group_reader(rule)
        self.value_of = _value_reader(rule)


class Correlator:
    """All correlations over the stubs of one cluster, fed in event-time order (a little disorder is tolerated)."""

    def __init__(self, rules: Iterable[CorrelationRule]) -> None:
        self._feeds = {rule.info.id: _Feed(rule) for rule in rules}
        self._by_base: dict[str, list[_Feed]] = {}
        for feed in self._feeds.values():
            for name in dict.fromkeys(feed.rule.rules):
                self._by_base.setdefault(name, []).append(feed)
        self.due: list[tuple[int, str, tuple[str, ...]]] = []
        """When windows close that the passing of time alone can complete; a heap."""
        self.evicted: dict[str, int] = {}
        """What was forgotten to stay within bounds, by correlation id."""

    def observe(self, stub: Stub) -> Sequence[CorrelationHit]:
        """Pass a stub: what its hits, or the time that has passed, complete."""
        hits: Sequence[Hit] = stub.hits
        feeds = self._feeds_of(hits)
        if not feeds and not self.due:
            return ()
        now = microseconds(stub.time)
        found: list[CorrelationHit] = []
        if self.due:
            found += self._close_before(now)
            hits = [*hits, *_as_hits(found)]
            feeds = self._feeds_of(hits)
        fed: list[_Feed] = []
        while feeds:
            completed: list[CorrelationHit] = []
            for feed, hit in feeds.items():
                if feed.is_alone:
                    match = self._count(feed, stub, now, hit, (0,))
                    if match is not None:
                        completed.append(match)
                else:
                    completed += self._count_together(feed, stub, now, hits)
            if not completed:
                break
            found += completed
            fed += feeds
            hits = _as_hits(completed)
            feeds = self._feeds_of(hits)
            for feed in fed:
                feeds.pop(feed, None)
        return found

    def _feeds_of(self, hits: Iterable[Hit]) -> dict[_Feed, Hit]:
        """The correlations that count these hits, each once, with the last hit that it counts."""
        feeds: dict[_Feed, Hit] = {}
        for hit in hits:
            for feed in self._by_base.get(hit.rule, ()):
                feeds[feed] = hit
        return feeds

    def _count_together(self, feed: _Feed, stub: Stub, now: int, hits: Iterable[Hit]) -> list[CorrelationHit]:
        """Enter the stub for all the rules that it matched; what different filters mark is counted apart."""
        rule = feed.rule
        found: list[CorrelationHit] = []
        matched: dict[str | None, list[int]] = {}
        by_rule = {hit.rule: hit for hit in hits}
        for position, name in enumerate(rule.rules):
            said = by_rule.get(name)
            if said is not None:
                matched.setdefault(said.marked_for(feed.name), []).append(position)
        for positions in matched.values():
            match = self._count(feed, stub, now, by_rule[rule.rules[positions[0]]], tuple(positions))
            if match is not None:
                found.append(match)
        return found

    def _count(self, feed: _Feed, stub: Stub, now: int, hit: Hit, positions: tuple[int, ...]) -> CorrelationHit | None:
        """Enter the stub, as the hit has it, for the rules at these positions."""
        value = None
        if feed.value_of is not None:
            value = feed.value_of(stub, hit)
            if value is None:
                return None
        key = (hit.marked_for(feed.name) or "", *feed.group_of(stub, hit))
        groups = feed.groups
        group = groups.pop(key, None)
        if group is None:
            if len(groups) >= MAX_GROUPS:
                self._evict_oldest(feed)
            group = _Group(Window(feed.rule))
        groups[key] = group
        window = group.window
        entries = window.entries
        before = len(entries)
        entry = Entry(now, stub.key, positions, stub.count, value, evidence_in(stub))
        if not window.add(entry):
            return None
        feed.entries += len(entries) - before
        while feed.entries > MAX_ENTRIES_TOTAL and len(groups) > 1:
            self._evict_oldest(feed)
        if window.dropped:
            self._evict(feed.name, window.dropped)
            window.dropped = 0
        if feed.waits:
            group.last = stub
            if not group.closes:
                group.closes = now + feed.rule.timespan_seconds * 1_000_000
                heapq.heappush(self.due, (group.closes, feed.name, key))
            return None
        is_late = entries[-1].time > now
        if window.holds_around(entry) if is_late else window.holds():
            return self._fire(feed.rule, key, window, stub, hit, entry)
        if not is_late:
            window.fired = None
        return None

    def _fire(
        self, rule: CorrelationRule, key: tuple[str, ...], window: Window, stub: Stub, hit: Hit, entry: Entry
    ) -> CorrelationHit:
        """The condition holds with this entry: the window fires, or goes on."""
        evidence: tuple[Evidence, ...] = ()
        if window.fired is None:
            contributing = window.contributing()
            first = contributing[0] if contributing else entry
            window.fired = (first.time, first.key)
            evidence = _evidence_before(stub, contributing)
        return self._hit(rule, key, window, stub, evidence, hit.values)

    def _close_before(self, now: int) -> Iterator[CorrelationHit]:
        while self.due and self.due[0][0] < now:
            closes, name, key = heapq.heappop(self.due)
            feed = self._feeds[name]
            group = feed.groups.get(key)
            if group is None or group.closes != closes or group.last is None:
                continue
            rule = feed.rule
            window = group.window
            entries = window.between(closes - rule.timespan_seconds * 1_000_000, closes)
            if entries and window.holds_between(entries[0].time, closes):
                window.fired = (entries[0].time, entries[0].key)
                last = group.last
                evidence = _evidence_before(last, entries)
                yield self._hit(rule, key, window, last, evidence, {})
            before = len(window.entries)
            window.drop_until(closes)
            feed.entries += len(window.entries) - before
            window.fired = None
            group.closes = 0
            if window.entries:
                group.closes = window.entries[0].time + rule.timespan_seconds * 1_000_000
                heapq.heappush(self.due, (group.closes, name, key))
            else:
                del feed.groups[key]

    def _hit(
        self,
        rule: CorrelationRule,
        key: tuple[str, ...],
        window: Window,
        stub: Stub,
        evidence: tuple[Evidence, ...],
        words: Mapping[str, Any],
    ) -> CorrelationHit:
        count, value, values = window.summary()
        assert window.fired is not None
        suppressed_by, *group = key
        return CorrelationHit(
            rule=rule.info.id,
            stub=stub,
            evidence=evidence,
            group=(*group, str(window.fired[1])),
            values={
                **words,
                **dict(zip(rule.group_by, group, strict=True)),
                "count": count,
                "value": int(value) if value == int(value) else round(value, 3),
                "values": values,
                "timespan_seconds": rule.timespan_seconds,
            },
            suppressed_by=suppressed_by or None,
        )

    def _evict_oldest(self, feed: _Feed) -> None:
        oldest = feed.groups.pop(next(iter(feed.groups)))
        feed.entries -= len(oldest.window.entries)
        self._evict(feed.name, 1)

    def _evict(self, name: str, number: int) -> None:
        self.evicted[name] = self.evicted.get(name, 0) + number

    def snapshot(self) -> bytes:
        """All windows, as bytes for `restore`."""
        windows = [
            _SavedWindow(name, key, group.window.entries, group.window.fired, group.closes, group.last)
            for name, feed in sorted(self._feeds.items())
            for key, group in feed.groups.items()
        ]
        return msgspec.msgpack.encode(_Saved(SNAPSHOT_VERSION, windows, self.evicted))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; windows of correlations that no longer exist are dropped."""
        saved = decode_state(data, _Saved, "saved state of correlations", version=SNAPSHOT_VERSION)
        self.due = []
        for feed in self._feeds.values():
            feed.groups, feed.entries = {}, 0
        self.evicted = saved.evicted
        for item in saved.windows:
            known = self._feeds.get(item.rule)
            if known is None or len(item.group) != len(known.rule.group_by) + 1:
                continue
            group = known.groups[item.group] = _Group(Window(known.rule))
            group.window.restore(item.entries, item.fired)
            known.entries += len(item.entries)
            group.closes, group.last = item.closes, item.last
            if item.closes:
                heapq.heappush(self.due, (item.closes, item.rule, item.group))


def _as_hits(matches: Iterable[CorrelationHit]) -> list[Hit]:
    """What correlations have found, for those that stand on them."""
    return [Hit(match.rule, match.suppressed_by, match.values) for match in matches]


def _evidence_before(stub: Stub, entries: Iterable[Entry]) -> tuple[Evidence, ...]:
    """The events of a window without those that the stub names itself."""
    return tuple(evidence for entry in entries if entry.key != stub.key for evidence in entry.evidence)


def waits_for_close(rule: CorrelationRule) -> bool:
    """Whether only the end of the window decides: "fewer than", "exactly", "a and not b"."""
    if rule.threshold is not None:
        counts = rule.type in {"event_count", "value_count", "value_sum", "temporal", "temporal_ordered"}
        return counts and rule.threshold.operator in {"lt", "lte", "eq", "neq"}
    return any(way.absent for way in rule.alternatives)


@lru_cache(maxsize=64)  # everything that looks at one stub asks for the same time
def microseconds(time: str) -> int:
    """Event time text to microseconds since 1970; 0 where it cannot be read."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds


def field_value(name: str, stub: Stub, hit: Hit) -> Any:
    """A field of the event behind a stub: what every stub has, what the hit carries, or a carried fact."""
    attribute = _ATTRIBUTES.get(name)
    if attribute is not None:
        return attribute(stub)
    value = hit.values.get(name)
    return stub.values.get(name) if value is None else value


def stub_reader(name: str) -> Callable[[Any], Any]:
    """Reads a field from a stub alone; None for what stubs do not carry."""
    attribute = _ATTRIBUTES.get(name)
    if attribute is not None:
        return attribute
    return lambda stub: stub.values.get(name)


def _group_reader(rule: CorrelationRule) -> Callable[[Stub, Hit], tuple[str, ...]]:
    """Reads what events are grouped by."""
    plain = [STUB_FIELDS[name] for name in rule.group_by if name in PLAIN_FIELDS]
    if rule.aliases or len(plain) < len(rule.group_by):
        return lambda stub, hit: tuple(_group(rule, stub, hit))
    if not plain:
        return lambda _, __: ()
    if len(plain) == 1:
        read_one = attrgetter(plain[0])
        return lambda stub, _: (read_one(stub),)
    read = attrgetter(*plain)
    return lambda stub, _: read(stub)


def _group(rule: CorrelationRule, stub: Stub, hit: Hit) -> list[str]:
    names: Iterable[str] = rule.group_by
    if rule.aliases:
        names = [rule.aliases.get(name, {}).get(hit.rule, name) for name in names]
    return [_text(field_value(name, stub, hit)) for name in names]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_text(item) for item in value)
    text = text_of(value)
    return text if text is not None else "" if value is None else str(value)


def _value_reader(rule: CorrelationRule) -> Callable[[Stub, Hit], str | float | None] | None:
    """Reads what is counted, summed, … of an event; None where only events count."""
    if not rule.fields:
        return None
    if rule.type == "value_count" and len(rule.fields) == 1 and rule.fields[0] in PLAIN_FIELDS:
        read = _ATTRIBUTES[rule.fields[0]]
        return lambda stub, _: read(stub) or None
    return lambda stub, hit: _counted(rule, stub, hit)


def _counted(rule: CorrelationRule, stub: Stub, hit: Hit) -> str | float | None:
    values = [field_value(name, stub, hit) for name in rule.fields]
    if all(map(_is_empty, values)):
        return None
    if rule.type == "value_count":
        return "\0".join(map(_text, values))
    return number_of(values[0])


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], ())
