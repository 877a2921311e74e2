"""The stateless half of the engine: a batch of events in, an `Observation` out.

Most requests repeat. Events are keyed by their behaviour, everything that low-cardinality conditions look at, and what
the rules can still say about a behaviour is worked out once (see docs/architecture.md). Pure: the caches below only save
work, so any process may read any batch.
"""

import secrets
from collections.abc import Iterable

from msgspec.structs import replace

from kubewake.engine.behaviour import LONG_RUNNING_SUBRESOURCES, PROVISIONAL_STAGES, STAGE_CODES, Behaviour, is_notable
from kubewake.engine.gathering import Gathering
from kubewake.engine.stub import make_outline
from kubewake.event import NO_BODY, AuditEvent, Batch
from kubewake.facts import Context, Facts
from kubewake.facts.authorization import code_of
from kubewake.formats import Lines
from kubewake.formats.times import is_normal
from kubewake.head import HeadBatch, heads_of
from kubewake.incidents.weight import SUSPICIOUS_NATS, rule_nats
from kubewake.observation import Hit, Observation
from kubewake.rules.ruleset import CompiledRule, RuleSet

try:
    from kubewake.engine.tally import Tally
except ImportError:  # built without a C compiler: every line is decoded, which finds the same and takes longer
    Tally = None  # type: ignore[assignment, misc]

MAX_BEHAVIOURS = 100_000
"""Behaviours remembered at once; the cache starts anew when full, so a flood of user agents costs time, not memory."""

GATHERED_LEVELS = frozenset({"informational", "low", "medium"})
"""Hits of rules for hunters and auditors at these levels do not make an ordinary event pass singly: its stub names it."""


class Reader:
    """Reads batches with one set of rules and one context; keeps caches, no state.

    Events with a time before `since` or from `until` on (RFC 3339 UTC microseconds, "" for no limit) are passed over.
    """

    def __init__(self, rules: RuleSet, context: Context, *, since: str = "", until: str = "") -> None:
        self._rules = rules
        self.since = since
        self.until = until
        self.context = context
        feeding = {name for correlation in rules.correlations for name in correlation.rules}
        self.feeders = rules.feeders()
        self._gathered = {
            info.id
            for info in rules.infos.values()
            if info.audience != "everyone"
            and info.level in GATHERED_LEVELS
            and info.id not in feeding
            and rules.is_marked_alike(info.id)
        }
        self.records = frozenset(
            info.id for info in rules.infos.values() if rule_nats(info) < SUSPICIOUS_NATS and info.id not in feeding
        )
        """Rules whose hits are no evidence in a story: they tell auditors and hunters what was done, and no more."""
        self.behaviours: dict[bytes, Behaviour] = {}
        self.seed = secrets.randbits(64)
        self._tally = None if Tally is None else Tally(self.seed, is_normal, since, until)

    def read(self, batches: Iterable[Batch | HeadBatch | Lines]) -> Observation:
        """Judge every event of the batches (of one file) once; ordinary events aggregate over all of them."""
        if len(self.behaviours) > MAX_BEHAVIOURS:
            self.behaviours.clear()
        gathering, tally = Gathering(self), self._tally
        observation = gathering.observation
        for batch in batches:
            if not isinstance(batch, Lines):
                gathering.judge_all(heads_of(batch) if isinstance(batch, Batch) else batch)
            elif tally is not None:
                tally.count(gathering, batch)
            else:
                gathering.judge_all(batch.heads())
            observation.file = batch.file
            observation.size_bytes += batch.size_bytes
            observation.skipped += batch.skipped
            if batch.malformed:
                observation.malformed = observation.malformed + batch.malformed
                observation.malformed_total += len(batch.malformed)
            if batch.faults:
                observation.faults = observation.faults + batch.faults
            observation.cursor = batch.cursor
        if tally is None:
            return gathering.finish()
        tally.flush(gathering)
        return gathering.finish(tally.counts)

    def learn(self, event: AuditEvent, cluster: str) -> Behaviour:
        """Work out once what holds for every event of this behaviour."""
        facts = Facts(event, cluster, self.context)
        narrowed_rules = self._rules.narrowed(facts)  # first, as it recalls facts of the sender
        shared = make_outline(event, facts)
        stage_code = STAGE_CODES.get(event.stage or "", 0)
        if event.stage == "ResponseStarted" and not (
            facts.subresource in LONG_RUNNING_SUBRESOURCES or facts.verb == "watch" or code_of(facts) == 401
        ):
            return Behaviour(shared, code=stage_code, ignored=True)
        certain: list[str] = []
        rules: list[CompiledRule] = []
        for rule, narrowed in narrowed_rules:
            if isinstance(narrowed, CompiledRule):
                rules.append(narrowed)
            else:
                certain.append(rule.id)
        bare_rules: list[CompiledRule] = []
        if rules:
            bare = facts
            if event.request_object is not NO_BODY or event.response_object is not NO_BODY:
                bare = Facts(replace(event, request_object=NO_BODY, response_object=NO_BODY), cluster, self.context)
            for rule in rules:
                left = rule.narrow_bare(bare)
                if left is True:
                    bare_rules.append(rule)
                elif left is not False:
                    bare_rules.append(left)
        provisional = stage_code in PROVISIONAL_STAGES
        feeds = self.feeders.intersection(certain)
        single = provisional or is_notable(facts) or not self._gathered.issuperset(set(certain) - feeds)
        return Behaviour(
            shared,
            code=stage_code,
            is_partial=bool(event.unknown),
            ignored=provisional and not (certain or rules),
            single=single,
            certain=tuple([rule for rule in certain if single or rule not in feeds]),
            feeds=() if single else tuple(sorted(feeds)),
            rules=tuple(rules),
            bare_rules=tuple(bare_rules),
        )

    def hit(self, rule: str, facts: Facts) -> Hit:
        """The hit of a rule on an event."""
        return self._rules.hit(rule, facts)

    def is_told(self, rule: str, *, asked: bool) -> bool:
        """Whether the rule's hit is the same for all events of a behaviour; for those with one question if `asked`."""
        return self._rules.is_told(rule, asked=asked)
