"""One observation in the making: each event finds its behaviour, and is counted with its like or stands alone."""

import re
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import xxhash

from kubewake.engine.behaviour import Behaviour, Left, Question, open_rules
from kubewake.engine.stub import extend, fill, place
from kubewake.event import NO_BODY, AuditEvent
from kubewake.facts import Context, Facts
from kubewake.formats import Lines
from kubewake.head import Head, HeadBatch, HeadRef
from kubewake.observation import Hit, Observation, earliest

SPAN_CHARACTERS = 15
"""Ordinary events of one behaviour are one stub for each ten minutes of event time: the length of `2026-11-23T07:0`."""

MOMENT_CHARACTERS = 18
"""What only feeds a correlation's count is told every ten seconds of event time: the length of `2026-11-23T07:00:1`."""

MAX_ANSWERS = 200
"""Questions remembered for each behaviour; further ones are put to the rules again."""

UNOWNED = 0xFFFFFFFF
"""Owner index of an event that is counted but stands in no stub."""

may_traverse = re.compile(r"\.\.|%(?:25)*2[eE]").search
"""URIs that could hold a `..` step are part of the behaviour key, so that rules about them cost nothing on others."""

has_escape = re.compile(rb"\\u001[bB]").search
"""Bodies with a terminal escape, as JSON writes it, are part of the behaviour key for the same reason."""

Load = Callable[[Any], AuditEvent | None]

NO_REF = HeadRef()
_encode_key = msgspec.json.Encoder().encode
_digest = xxhash.xxh3_64_intdigest
_digest_of_all = xxhash.xxh3_128_digest


Found = tuple[tuple[Hit, ...], tuple[Hit, ...]]
"""What rules find in an event: hits that accuse, and those that only keep a record."""

NOTHING: Found = ((), ())

Counts = Callable[["array[int]", int], list[tuple[int, int]]]


def _counts(owners: "array[int]", number: int) -> list[tuple[int, int]]:
    """As `tally.Tally.counts`."""
    return [(owner, count) for owner, count in Counter(owners).items() if count > 1 and owner < number]


class Knowing(Protocol):
    """What a reader knows: its rules, and the behaviours that it has met."""

    behaviours: dict[bytes, Behaviour]
    feeders: frozenset[str]
    records: frozenset[str]
    context: Context
    seed: int
    """Keeps anyone from writing requests that pass for others; it names cache entries and shows in no result."""
    since: str
    until: str

    def learn(self, event: AuditEvent, cluster: str) -> Behaviour:
        """Work out what holds for every event that behaves like this one."""
        ...

    def hit(self, rule: str, facts: Facts) -> Hit:
        """The hit of a rule on an event."""
        ...

    def is_told(self, rule: str, *, asked: bool) -> bool:
        """Whether the rule's hit is the same for all events of a behaviour; for those with one question if `asked`."""
        ...


class Gathering:
    """What is known so far of the events of one observation. `judge` them in input order, then `finish`."""

    def __init__(self, reader: Knowing) -> None:
        self._reader = reader
        self.observation = Observation(file="", stubs=[])
        self.keys, self.owners = array("Q"), array("I")
        self.first_time = self.last_time = ""
        self._fed: dict[tuple[int, str, Question, tuple[str, ...]], int] = {}
        """Feeds, by behaviour, moment and question."""
        self.members: dict[int, list[tuple[str, int, str]]] = {}
        """The events that stubs name, by stub."""
        self._spans: dict[str, dict[int, int]] = {}
        """The stubs that are open in each span, by what they count. One look tells whether a behaviour's is among them."""
        self._span: str = "no span"
        self._opened: dict[int, int] = {}

    def judge_all(self, batch: HeadBatch) -> None:
        """Judge every event of a batch."""
        judge, load, file, lines, cluster = self.judge, batch.load, batch.file, batch.lines, batch.cluster
        for index, head in enumerate(batch.heads):
            judge(head, load, index, file, lines[index], cluster)

    def judge_line(self, lines: Lines, start: int, end: int, number: int) -> Behaviour | None:
        """Judge what is in one line of a block; returns its behaviour where it is one event in its standard form."""
        where = (start, end, number)
        head = lines.head(where)
        if head is not None:
            return self.judge(head, lines.load, where, lines.file, number, lines.cluster)
        self.judge_all(lines.others(where))
        return None

    def judge(
        self,
        head: Head,
        load: Load,
        where: Any,
        file: str,
        line: int,
        default_cluster: str,
    ) -> Behaviour | None:
        """Find an event's behaviour and count it; returns the behaviour, or None where there turns out to be no event."""
        reader = self._reader
        time = head.stage_timestamp or head.request_received_timestamp or ""
        if time < reader.since or (reader.until and time >= reader.until):
            return None
        ref = head.object_ref or NO_REF
        uri = head.request_uri
        status = head.response_status
        body = head.request_object
        # One digest instead of a tuple: comparing a tuple's fifteen parts costs a cache miss each. Encoded as JSON,
        # no field can pose as another. `engine.tally` compares the same parts.
        resource = ref.resource
        known_by: tuple[object, ...] = (
            head.user,
            head.impersonated_user,
            head.source_ips,
            head.user_agent,
            head.verb,
            head.level,
            head.stage,
            default_cluster,
            None if status is None else status.code,
            head.annotations,
            resource,
            ref.subresource,
            ref.api_group,
            ref.namespace,
            ref.name if resource == "secrets" else None,
        )
        if uri is not None and (".." in uri or "%2" in uri) and may_traverse(uri) is not None:
            known_by += (uri,)
        if body is not NO_BODY and has_escape(body) is not None:
            known_by += (True,)
        behaviour_key = _digest_of_all(_encode_key(known_by), reader.seed)
        behaviour = reader.behaviours.get(behaviour_key)
        event = None
        if behaviour is None:
            event = load(where)
            if event is None:
                return None
            behaviour = reader.behaviours[behaviour_key] = reader.learn(event, event.cluster or default_cluster)
        if behaviour.is_partial:
            self.observation.partial += 1
            event = event or load(where)
        identity = (
            f"{behaviour.cluster}\0{head.audit_id}\0{head.request_received_timestamp or time}\0{uri}\0{behaviour.user}"
        )
        self.stretch(time, time)
        self.count(
            behaviour,
            behaviour.bare if body is NO_BODY and head.response_object is NO_BODY else behaviour.whole,
            time,
            (_digest(identity.encode()) & ~3) | behaviour.code,
            head.audit_id or "",
            (uri, ref.name, None if status is None else status.message),
            load,
            where,
            file,
            line,
            event,
        )
        return behaviour

    def count(
        self,
        behaviour: Behaviour,
        left: Left,
        time: str,
        key: int,
        audit_id: str,
        question: Question,
        load: Load,
        where: Any,
        file: str,
        line: int,
        event: AuditEvent | None = None,
    ) -> None:
        """Count an event with its like, or let it stand alone.

        `left` are the rules of its behaviour that are open for it; `question` is its request URI, object name and the
        answer's message; `load(where)` the whole event, or None where it turns out to be none; `event` is given where that
        was asked before.
        """
        self._meet(behaviour)
        if behaviour.ignored:
            self._add(key, UNOWNED)
            return
        reader = self._reader
        stubs = self.observation.stubs
        single = behaviour.single
        feeds = behaviour.feeds
        rules, answers = left
        if single or rules:
            facts = None
            matched = None if answers is None else answers.get(question)
            if matched is None:
                event = event or load(where)
                if event is None:
                    return
                facts = Facts(event, behaviour.cluster, reader.context)
                matched = tuple([rule.id for rule in open_rules(rules, facts) if rule.matches(facts)])
                if answers is not None and len(answers) < MAX_ANSWERS:
                    answers[question] = matched
            if behaviour.provisional and not matched and not behaviour.certain:
                self._add(key, UNOWNED)
                return
            if single or not reader.feeders.issuperset(matched):
                event = event or load(where)
                if event is None:
                    return
                facts = facts or Facts(event, behaviour.cluster, reader.context)
                rules_met = (*behaviour.certain, *feeds, *matched)
                found = self._hits(behaviour, rules_met, None, load, where, event, facts) if rules_met else NOTHING
                if found is None:
                    return
                self._add(key, len(stubs))
                stubs.append(fill(behaviour.outline, event, facts, key, file, line, *found))
                return
            feeds += matched
        uri, name, _ = question
        owner = self.open(behaviour, time, key, audit_id, name, uri, load, where, file, line)
        if owner is None:
            return
        self._add(key, owner)
        extend(stubs[owner], time, key, audit_id, name, uri, line)
        if behaviour.gives_evidence:
            self.members[owner].append((time, key, audit_id))
        if not feeds:
            return
        fed = self.observation.fed
        feed_key = (behaviour.number, time[:MOMENT_CHARACTERS], question, feeds)
        owner = self._fed.get(feed_key)
        if owner is not None:
            fed.append((len(self.keys) - 1, owner))
            stubs[owner].count += 1
            extend(stubs[owner], time, key, audit_id, name, uri, line)
            self.members[owner].append((time, key, audit_id))
            return
        told = self._hits(behaviour, feeds, question, load, where, event)
        if told is not None:
            owner = self._fed[feed_key] = len(stubs)
            fed.append((len(self.keys) - 1, owner))
            self.members[owner] = [(time, key, audit_id)]
            feed = place(behaviour.outline, time, key, audit_id, name, uri, file, line)
            feed.behaviour = _digest(f"{behaviour.number}\0{time[:MOMENT_CHARACTERS]}\0{question}\0{feeds}".encode())
            feed.is_feed = True
            feed.hits, feed.records = told
            stubs.append(feed)

    def _hits(
        self,
        behaviour: Behaviour,
        rules: tuple[str, ...],
        question: Question | None,
        load: Load,
        where: Any,
        event: AuditEvent | None = None,
        facts: Facts | None = None,
    ) -> Found | None:
        """The hits of these rules on an event; None where it turns out to be none."""
        reader, told = self._reader, behaviour.told
        hits: list[Hit] = []
        records: list[Hit] = []
        for rule in rules:
            hit = told.get((rule, None))
            if hit is None and question is not None:
                hit = told.get((rule, question))
            if hit is None:
                event = event or load(where)
                if event is None:
                    return None
                facts = facts or Facts(event, behaviour.cluster, reader.context)
                hit = reader.hit(rule, facts)
                if reader.is_told(rule, asked=False):
                    told[rule, None] = hit
                elif question is not None and len(told) < MAX_ANSWERS and reader.is_told(rule, asked=True):
                    told[rule, question] = hit
            (records if rule in reader.records else hits).append(hit)
        return tuple(hits), tuple(records)

    def _meet(self, behaviour: Behaviour) -> None:
        if behaviour.cluster not in self.observation.clusters:
            self.observation.clusters += (behaviour.cluster,)

    def _add(self, key: int, owner: int) -> None:
        self.keys.append(key)
        self.owners.append(owner)

    def open(
        self,
        behaviour: Behaviour,
        time: str,
        key: int,
        audit_id: str,
        name: str | None,
        uri: str | None,
        load: Load,
        where: Any,
        file: str,
        line: int,
    ) -> int | None:
        """The number of the stub that counts the behaviour's events at that time. It begins with this event where none is open;
        None where that turns out to be no event.
        """
        span = time[:SPAN_CHARACTERS]
        if span != self._span:
            self._span = span
            self._opened = self._spans.setdefault(span, {})
        if behaviour.opened is not self._opened:
            counted_as = behaviour.counted_as
            owner = self._opened.get(counted_as)
            if owner is None:
                self._meet(behaviour)
                stubs = self.observation.stubs
                owner = len(stubs)
                stub = place(behaviour.outline, time, key, audit_id, name, uri, file, line)
                stub.behaviour = counted_as
                if behaviour.certain:
                    found = self._hits(behaviour, behaviour.certain, None, load, where)
                    if found is None:
                        return None
                    stub.hits, stub.records = found
                self._opened[counted_as] = owner
                stubs.append(stub)
                if behaviour.gives_evidence:
                    self.members[owner] = []
            behaviour.opened, behaviour.owner = self._opened, owner
        return behaviour.owner

    def stretch(self, first: str, last: str) -> None:
        """There were events between these times; "" says nothing."""
        self.last_time = max(self.last_time, last)
        if first and (first < self.first_time or not self.first_time):
            self.first_time = first

    def finish(self, counts: Counts = _counts) -> Observation:
        """The observation, with all that was counted in its stubs."""
        observation, stubs = self.observation, self.observation.stubs
        for owner, count in counts(self.owners, len(stubs)):
            stubs[owner].count = count
        for owner, named in self.members.items():
            if len(named) > 2:
                stubs[owner].members = earliest(named)
        for opened in self._spans.values():
            opened.clear()  # behaviours keep hold of it
        observation.events = len(self.keys)
        observation.keys, observation.owners = self.keys.tobytes(), self.owners.tobytes()
        observation.first_time, observation.last_time = self.first_time, self.last_time
        return observation
