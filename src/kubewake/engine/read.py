"""The stateless half of the engine: a batch of events in, an `Observation` out.

Most requests repeat. Events are keyed by their behaviour, everything that low-cardinality conditions look at, and what
the rules can still say about a behaviour is worked out once (see docs/architecture.md). Pure: the caches below only save
work, so any process may read any batch.
"""

from array import array
from collections.abc import Iterable

import xxhash

from kubewake.engine.stub import CREDENTIAL_ID, REASON, USUAL_ANNOTATIONS, fill, legacy_token_secret, outline, place
from kubewake.event import AuditEvent, Batch
from kubewake.facts import Context, Facts
from kubewake.observation import Hit, Observation, Stub
from kubewake.rules.ruleset import CompiledRule, RuleSet

MAX_BEHAVIOURS = 200_000
"""Behaviours remembered at once; the cache starts anew when full, so a flood of user agents costs time, not memory."""

SPAN_CHARACTERS = 15
"""Ordinary events of one behaviour are one stub for each ten minutes of event time: the length of `2026-11-23T07:0`."""

UNOWNED = 0xFFFFFFFF
"""Owner index of an event that is counted but stands in no stub."""

READS = frozenset({"get", "list", "watch"})
ROUTINE_RESOURCES = frozenset(
    {"leases", "events", "endpoints", "endpointslices", "tokenreviews", "subjectaccessreviews"},
)
"""Written all day by the control plane, nodes and operators: ordinary unless a rule says otherwise."""
ROUTINE_SUBRESOURCES = frozenset({"status", "finalize"})
ENTERING_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "ephemeralcontainers"})
LONG_RUNNING_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "proxy"})
PROVISIONAL_STAGES = frozenset({1, 2})
"""Stage codes (see `event.STAGES`) that a later stage of the same request may complete."""
NO_ANNOTATIONS: dict[str, str] = {}
NO_EXTRA: dict[str, list[str]] = {}


class Behaviour:
    """What is known of all events with one behaviour key: which rules can still match, and the stub now open."""

    __slots__ = ("certain", "code", "epoch", "ignored", "number", "outline", "owner", "rules", "single", "span", "stub")

    def __init__(
        self,
        outline: Stub,
        *,
        code: int,
        ignored: bool = False,
        single: bool = False,
        certain: tuple[str, ...] = (),
        rules: tuple[CompiledRule, ...] = (),
    ) -> None:
        self.outline = outline
        self.code = code
        self.ignored = ignored
        self.single = single
        self.certain = certain
        self.rules = rules
        self.epoch = -1
        self.span = ""
        self.number = 0
        self.stub: Stub | None = None
        self.owner = 0


class Reader:
    """Reads batches with one set of rules and one context; keeps caches, no state.

    Events with a time before `since` or from `until` on (RFC 3339 UTC microseconds, "" for no limit) are passed over.
    """

    def __init__(self, rules: RuleSet, context: Context, *, since: str = "", until: str = "") -> None:
        self._rules = rules
        self._since = since
        self._until = until
        self._context = context
        self._behaviours: dict[tuple[object, ...], Behaviour] = {}
        self._epoch = 0

    def read(self, batches: Iterable[Batch]) -> Observation:
        """Judge every event of the batches (of one file) once; ordinary events aggregate over all of them."""
        if len(self._behaviours) > MAX_BEHAVIOURS:
            self._behaviours.clear()
        self._epoch += 1
        observation = Observation(file="", stubs=[])
        keys, owners = array("Q"), array("I")
        open_stubs: dict[tuple[int, str], int] = {}
        for batch in batches:
            observation.file = batch.file
            observation.size_bytes += batch.size_bytes
            observation.skipped += batch.skipped
            if batch.malformed:
                observation.malformed = observation.malformed + batch.malformed
                observation.malformed_total += len(batch.malformed)
            self._read_batch(batch, observation, open_stubs, keys, owners)
            observation.cursor = batch.cursor
        observation.events = len(keys)
        observation.keys, observation.owners = keys.tobytes(), owners.tobytes()
        return observation

    def _read_batch(
        self,
        batch: Batch,
        observation: Observation,
        open_stubs: dict[tuple[int, str], int],
        keys: "array[int]",
        owners: "array[int]",
    ) -> None:
        epoch = self._epoch
        behaviours = self._behaviours
        since, until = self._since, self._until
        digest = xxhash.xxh3_64_intdigest
        stubs = observation.stubs
        add_key = keys.append
        add_owner = owners.append
        file, lines, default_cluster = batch.file, batch.lines, batch.cluster
        first_time, last_time = observation.first_time, observation.last_time
        for index, event in enumerate(batch.events):
            stage = event.stage
            received = event.request_received_timestamp
            time = event.stage_timestamp or received or ""
            if time < since or (until and time >= until):
                continue
            user = event.user
            ref = event.object_ref
            status = event.response_status
            annotations = event.annotations or NO_ANNOTATIONS
            cluster = event.cluster or default_cluster
            if user is not None:
                username = user.username
                groups = user.groups
                credential = (user.extra or NO_EXTRA).get(CREDENTIAL_ID)
                identity = (username, groups, credential[0] if credential else None)
            else:
                username = identity = None
            request_uri = event.request_uri
            if ref is not None:
                subject = (ref.resource, ref.subresource, ref.api_group, ref.namespace)
            else:
                subject = None
            impersonated = event.impersonated_user
            behaviour_key = (
                identity,
                event.verb,
                subject,
                event.user_agent,
                event.source_ips,
                status.code if status is not None else None,
                stage,
                annotations.get(REASON),
                annotations.get("authorization.k8s.io/decision"),
                event.level,
                cluster,
                None if impersonated is None else (impersonated.username, impersonated.groups, impersonated.uid),
                event.unknown,
                legacy_token_secret(annotations) if len(annotations) > USUAL_ANNOTATIONS else None,
            )
            text = f"{cluster}\0{event.audit_id}\0{received or time}\0{username}\0{request_uri}"
            behaviour = behaviours.get(behaviour_key)
            if event.unknown:
                observation.partial += 1
            if behaviour is None or event.envelope:
                behaviour = self._learn(event, cluster)
                if cluster not in observation.clusters:
                    observation.clusters += (cluster,)
                if not event.envelope:
                    behaviours[behaviour_key] = behaviour
            key = (digest(text.encode()) & ~3) | behaviour.code
            add_key(key)
            if not first_time or (time and time < first_time):
                first_time = time
            if time > last_time:
                last_time = time
            if behaviour.ignored:
                add_owner(UNOWNED)
                continue
            if not behaviour.single:
                if behaviour.rules:
                    facts = Facts(event, cluster, self._context)
                    hits = self._judge(behaviour, facts)
                    if hits:
                        add_owner(len(stubs))
                        stubs.append(fill(behaviour.outline, event, facts, key, file, lines[index], hits))
                        continue
                span = time[:SPAN_CHARACTERS]
                if behaviour.epoch == epoch and behaviour.span == span:
                    stub = behaviour.stub
                    add_owner(behaviour.owner)
                else:
                    number = behaviour.number = behaviour.number or digest(repr(behaviour_key).encode())
                    owner = open_stubs.get((number, span), -1)
                    behaviour.epoch, behaviour.span = epoch, span
                    if owner < 0:
                        owner = len(stubs)
                        open_stubs[number, span] = owner
                        stub = place(behaviour.outline, event, key, file, lines[index])
                        stub.behaviour = number
                        stubs.append(stub)
                        behaviour.stub, behaviour.owner = stub, owner
                        add_owner(owner)
                        continue
                    stub = stubs[owner]
                    behaviour.stub, behaviour.owner = stub, owner
                    add_owner(owner)
                assert stub is not None
                stub.count += 1
                if time >= stub.last_time:
                    if time > stub.last_time or key > stub.last_key:
                        stub.last_time, stub.last_key, stub.last_audit_id = time, key, event.audit_id or ""
                elif (time, key) < (stub.time, stub.key):
                    stub.time, stub.key, stub.audit_id = time, key, event.audit_id or ""
                    stub.file, stub.line, stub.uri = file, lines[index], request_uri or ""
                    stub.name = (ref.name if ref is not None else None) or ""
                continue
            facts = Facts(event, cluster, self._context)
            hits = self._judge(behaviour, facts)
            if not hits and behaviour.code in PROVISIONAL_STAGES:
                add_owner(UNOWNED)
                continue
            add_owner(len(stubs))
            stubs.append(fill(behaviour.outline, event, facts, key, file, lines[index], hits))
        observation.first_time, observation.last_time = first_time, last_time

    def _learn(self, event: AuditEvent, cluster: str) -> Behaviour:
        """Work out once what holds for every event of this behaviour."""
        facts = Facts(event, cluster, self._context)
        shared = outline(event, facts)
        stage = event.stage or ""
        ref = event.object_ref
        subresource = (ref.subresource if ref is not None else None) or ""
        code = (event.response_status.code if event.response_status is not None else None) or 0
        stage_code = {"ResponseStarted": 1, "RequestReceived": 2, "Panic": 3}.get(stage, 0)
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
        if stage_code in PROVISIONAL_STAGES:
            return Behaviour(
                shared,
                code=stage_code,
                ignored=not (certain or rules),
                single=True,
                certain=tuple(certain),
                rules=tuple(rules),
            )
        return Behaviour(
            shared,
            code=stage_code,
            single=bool(certain) or is_notable(event, facts),
            certain=tuple(certain),
            rules=tuple(rules),
        )

    def _judge(self, behaviour: Behaviour, facts: Facts) -> tuple[Hit, ...]:
        """The hits of the rules that match, each with what its words need."""
        matching = [*behaviour.certain, *(rule.id for rule in behaviour.rules if rule.matches(facts))]
        return tuple(
            Hit(rule, self._rules.suppressor(rule, facts), self._rules.words(rule, facts)) for rule in matching
        )


def is_notable(event: AuditEvent, facts: Facts) -> bool:
    """Whether events of this behaviour pass singly even where no rule matches.

    Denials, sensitive reads, impersonation, entering a pod, and every write that is not the control plane's routine.
    """
    outcome = facts.value("outcome")
    ref = event.object_ref
    resource = (ref.resource if ref is not None else None) or ""
    subresource = (ref.subresource if ref is not None else None) or ""
    if outcome == "denied" or event.impersonated_user is not None or subresource in ENTERING_SUBRESOURCES:
        return True
    if (event.verb or "") in READS:
        return resource == "secrets"
    if ref is None or not resource:
        return (event.verb or "") not in {"head", "options", ""}
    routine = resource in ROUTINE_RESOURCES or subresource in ROUTINE_SUBRESOURCES
    return not (routine and facts.value("actor.kind") in {"control-plane", "node", "serviceaccount"})

