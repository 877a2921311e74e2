"""The stateless half of the engine: a batch of events in, an `Observation` out.

Most requests repeat. Events are keyed by their behaviour, everything that low-cardinality conditions look at, and what
the rules can still say about a behaviour is worked out once (see docs/architecture.md). Pure: the caches below only save
work, so any process may read any batch.
"""

import re
import secrets
from array import array
from collections import Counter
from collections.abc import Iterable

import msgspec
import xxhash
from msgspec.structs import replace

from kubewake.engine.behaviour import LONG_RUNNING_SUBRESOURCES, PROVISIONAL_STAGES, STAGE_CODES, Behaviour, is_notable
from kubewake.engine.stub import begin, extend, fill, make_outline, place
from kubewake.event import NO_BODY, AuditEvent, Batch
from kubewake.facts import Context, Facts
from kubewake.head import HeadBatch, HeadRef, heads_of
from kubewake.observation import Hit, Observation, earliest
from kubewake.rules.ruleset import CompiledRule, RuleSet

MAX_BEHAVIOURS = 200_000
"""Behaviours remembered at once; the cache starts anew when full, so a flood of user agents costs time, not memory."""

SPAN_CHARACTERS = 15
"""Ordinary events of one behaviour are one stub for each ten minutes of event time: the length of `2026-11-23T07:0`."""

MOMENT_CHARACTERS = 18
"""What only feeds a correlation's count is told every ten seconds of event time: the length of `2026-11-23T07:00:1`."""

MAX_ANSWERS = 200
"""Questions remembered for each behaviour; further ones are put to the rules again."""

UNOWNED = 0xFFFFFFFF
"""Owner index of an event that is counted but stands in no stub."""

GATHERED_LEVELS = frozenset({"informational", "low", "medium"})
"""Hits of rules for hunters and auditors at these levels do not make an ordinary event pass singly: its stub names it."""


may_traverse = re.compile(r"\.\.|%(?:25)*2[eE]").search
"""URIs that could hold a `..` step are part of the behaviour key, so that rules about them cost nothing on others."""

has_escape = re.compile(rb"\\u001[bB]").search
"""Bodies with a terminal escape, as JSON writes it, are part of the behaviour key for the same reason."""


NO_REF = HeadRef()
_encode_key = msgspec.json.Encoder().encode


class Reader:
    """Reads batches with one set of rules and one context; keeps caches, no state.

    Events with a time before `since` or from `until` on (RFC 3339 UTC microseconds, "" for no limit) are passed over.
    """

    def __init__(self, rules: RuleSet, context: Context, *, since: str = "", until: str = "") -> None:
        self._rules = rules
        self._since = since
        self._until = until
        self._context = context
        feeding = {name for correlation in rules.correlations for name in correlation.rules}
        self._feeders = rules.feeders()
        self._gathered = {
            info.id
            for info in rules.infos.values()
            if info.audience != "everyone" and info.level in GATHERED_LEVELS and info.id not in feeding
        }
        self._behaviours: dict[bytes, Behaviour] = {}
        self._seed = secrets.randbits(64)
        """Keeps anyone from writing requests that pass for others; it names cache entries and shows in no result."""
        self._marks: dict[str, object] = {}
        """One object for each span of this observation, so that one look tells whether a behaviour's stub is open."""

    def read(self, batches: Iterable[Batch | HeadBatch]) -> Observation:
        """Judge every event of the batches (of one file) once; ordinary events aggregate over all of them."""
        if len(self._behaviours) > MAX_BEHAVIOURS:
            self._behaviours.clear()
        self._marks = {}
        observation = Observation(file="", stubs=[])
        keys, owners = array("Q"), array("I")
        open_stubs: dict[tuple[int, str], int] = {}
        times: dict[int, str] = {}
        ends: dict[int, tuple[int, str | None]] = {}
        members: dict[int, list[tuple[str, int, str]]] = {}
        for batch in batches:
            observation.file = batch.file
            observation.size_bytes += batch.size_bytes
            observation.skipped += batch.skipped
            whole = heads_of(batch) if isinstance(batch, Batch) else batch
            self._read_batch(whole, observation, open_stubs, times, ends, members, keys, owners)
            if whole.malformed:
                observation.malformed = observation.malformed + whole.malformed
                observation.malformed_total += len(whole.malformed)
            if whole.faults:
                observation.faults = observation.faults + whole.faults
            observation.cursor = batch.cursor
        counts = Counter(owners)
        for owner, time in times.items():
            stub = observation.stubs[owner]
            stub.count, stub.last_time = counts[owner], time
            stub.last_key, stub.last_audit_id = ends[owner][0], ends[owner][1] or ""
        for owner, named in members.items():
            if len(named) > 2:
                observation.stubs[owner].members = earliest(named)
        observation.events = len(keys)
        observation.keys, observation.owners = keys.tobytes(), owners.tobytes()
        return observation

    def _read_batch(
        self,
        batch: HeadBatch,
        observation: Observation,
        open_stubs: dict[tuple[int, str], int],
        times: dict[int, str],
        ends: dict[int, tuple[int, str | None]],
        members: dict[int, list[tuple[str, int, str]]],
        keys: "array[int]",
        owners: "array[int]",
    ) -> None:
        behaviours = self._behaviours
        since, until = self._since, self._until
        encode = _encode_key
        digest = xxhash.xxh3_64_intdigest
        digest_of_all = xxhash.xxh3_128_digest
        seed = self._seed
        stubs, fed = observation.stubs, observation.fed
        add_key = keys.append
        add_owner = owners.append
        file, lines, default_cluster, load = batch.file, batch.lines, batch.cluster, batch.load
        first_time, last_time = observation.first_time, observation.last_time
        span, mark = "no span", object()
        for index, head in enumerate(batch.heads):
            time = head.stage_timestamp or head.request_received_timestamp or ""
            if time < since or (until and time >= until):
                continue
            ref = head.object_ref or NO_REF
            uri = head.request_uri
            status = head.response_status
            body = head.request_object
            # One digest instead of a tuple: comparing a tuple's fifteen parts costs a cache miss each. Encoded as JSON,
            # no field can pose as another.
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
            behaviour_key = digest_of_all(encode(known_by), seed)
            behaviour = behaviours.get(behaviour_key)
            event = None
            if behaviour is None:
                event = load(index)
                if event is None:
                    continue
                behaviour = behaviours[behaviour_key] = self._learn(event, event.cluster or default_cluster)
                if behaviour.outline.cluster not in observation.clusters:
                    observation.clusters += (behaviour.outline.cluster,)
            if behaviour.is_partial:
                observation.partial += 1
                event = event or load(index)
            received = head.request_received_timestamp
            identity = f"{behaviour.cluster}\0{head.audit_id}\0{received or time}\0{uri}\0{behaviour.user}"
            key = (digest(identity.encode()) & ~3) | behaviour.code
            if time > last_time:  # noqa: PLR1730  # a call less for every event
                last_time = time
            if time < first_time or not first_time:
                first_time = time
            if behaviour.ignored:
                add_key(key)
                add_owner(UNOWNED)
                continue
            single = behaviour.single
            feeds = behaviour.feeds
            question = (uri, ref.name, None if status is None else status.message)
            rules, answers = behaviour.bare if body is NO_BODY and head.response_object is NO_BODY else behaviour.whole
            if single or rules:
                facts = None
                matched = None if answers is None else answers.get(question)
                if matched is None:
                    event = event or load(index)
                    if event is None:
                        continue
                    facts = Facts(event, behaviour.cluster, self._context)
                    matched = tuple([rule.id for rule in rules if rule.matches(facts)])
                    if answers is not None and len(answers) < MAX_ANSWERS:
                        answers[question] = matched
                if behaviour.provisional and not matched and not behaviour.certain:
                    add_key(key)
                    add_owner(UNOWNED)
                    continue
                if single or not self._feeders.issuperset(matched):
                    event = event or load(index)
                    if event is None:
                        continue
                    facts = facts or Facts(event, behaviour.cluster, self._context)
                    hits = self._words((*behaviour.certain, *feeds, *matched), facts)
                    add_key(key)
                    add_owner(len(stubs))
                    stubs.append(fill(behaviour.outline, event, facts, key, file, lines[index], hits))
                    continue
                feeds += matched
            if time[:SPAN_CHARACTERS] != span:
                span = time[:SPAN_CHARACTERS]
                mark = self._marks.setdefault(span, object())
            if behaviour.mark is not mark:
                owner = open_stubs.get((behaviour.number, span), -1)
                if owner < 0:
                    owner = len(stubs)
                    stub = place(behaviour.outline, head, key, file, lines[index])
                    stub.behaviour = behaviour.number
                    if behaviour.certain:
                        event = event or load(index)
                        if event is None:
                            continue
                        stub.hits = self._words(behaviour.certain, Facts(event, behaviour.cluster, self._context))
                    open_stubs[behaviour.number, span] = owner
                    stubs.append(stub)
                behaviour.mark, behaviour.owner = mark, owner
            owner = behaviour.owner
            add_key(key)
            add_owner(owner)
            known = times.get(owner)
            if known is None or time > known or (time == known and key > ends[owner][0]):
                times[owner] = time
                ends[owner] = (key, head.audit_id)
            elif (time, key) < (stubs[owner].time, stubs[owner].key):
                begin(stubs[owner], head, time, key, lines[index])
            if behaviour.gives_evidence:
                if known is None:
                    members[owner] = [(time, key, head.audit_id or "")]
                else:
                    members[owner].append((time, key, head.audit_id or ""))
            if feeds:
                moment = f"{time[:MOMENT_CHARACTERS]}\0{question}\0{feeds}"
                owner = open_stubs.get((behaviour.number, moment), -1)
                fed.append((len(keys) - 1, owner if owner >= 0 else len(stubs)))
                if owner >= 0:
                    extend(stubs[owner], head, time, key, lines[index])
                    members[owner].append((time, key, head.audit_id or ""))
                    continue
                event = event or load(index)
                if event is None:
                    fed.pop()
                    continue
                open_stubs[behaviour.number, moment] = len(stubs)
                members[len(stubs)] = [(time, key, head.audit_id or "")]
                feed = place(behaviour.outline, head, key, file, lines[index])
                feed.behaviour = digest(f"{behaviour.number}\0{moment}".encode())
                feed.is_feed = True
                feed.hits = self._words(feeds, Facts(event, behaviour.cluster, self._context))
                stubs.append(feed)
        observation.first_time, observation.last_time = first_time, last_time

    def _learn(self, event: AuditEvent, cluster: str) -> Behaviour:
        """Work out once what holds for every event of this behaviour."""
        facts = Facts(event, cluster, self._context)
        shared = make_outline(event, facts)
        stage = event.stage or ""
        ref = event.object_ref
        subresource = (ref.subresource if ref is not None else None) or ""
        code = (event.response_status.code if event.response_status is not None else None) or 0
        stage_code = STAGE_CODES.get(stage, 0)
        if stage == "ResponseStarted" and not (
            subresource in LONG_RUNNING_SUBRESOURCES or event.verb == "watch" or code == 401
        ):
            return Behaviour(shared, code=stage_code, ignored=True)
        certain: list[str] = []
        rules: list[CompiledRule] = []
        for rule in self._rules.route(facts):
            narrowed = rule.narrow(facts)
            if narrowed is True:
                certain.append(rule.id)
            elif narrowed is not False:
                rules.append(narrowed)
        bare_rules: list[CompiledRule] = []
        if rules:
            bare = Facts(replace(event, request_object=NO_BODY, response_object=NO_BODY), cluster, self._context)
            for rule in rules:
                narrowed = rule.narrow_bare(bare)
                if narrowed is True:
                    bare_rules.append(rule)
                elif narrowed is not False:
                    bare_rules.append(narrowed)
        provisional = stage_code in PROVISIONAL_STAGES
        feeds = self._feeders.intersection(certain)
        single = provisional or is_notable(event, facts) or not self._gathered.issuperset(set(certain) - feeds)
        return Behaviour(
            shared,
            code=stage_code,
            is_partial=bool(event.unknown),
            ignored=provisional and not (certain or rules),
            single=single,
            certain=tuple(rule for rule in certain if single or rule not in feeds),
            feeds=() if single else tuple(sorted(feeds)),
            rules=tuple(rules),
            bare_rules=tuple(bare_rules),
        )

    def _words(self, rules: tuple[str, ...], facts: Facts) -> tuple[Hit, ...]:
        return tuple(Hit(rule, self._rules.suppressor(rule, facts), self._rules.words(rule, facts)) for rule in rules)
