"""What is normal in one cluster: behaviours in, statements about what is unusual out.

Two tiers. A known behaviour costs one look-up. A novel one is compared, trait by trait, with what the identity, its
peers and everybody have shown (`surprise`), ranked among what was new where nothing was wrong (`calibration`), and
weighed by what an attacker would gain (`action`). It is learnt after its probation.
"""

import math
from collections.abc import Callable

import msgspec
from msgspec import Struct

from kubewake.baseline import days
from kubewake.baseline.archive import Archive, Running, pack, unpack
from kubewake.baseline.calibration import Flow
from kubewake.baseline.identity import Identity, role_of
from kubewake.baseline.judgement import HOW_MUCH, VOLUME_THREAT, Judgement
from kubewake.baseline.memory import Memory, stratum_of
from kubewake.baseline.population import Population
from kubewake.baseline.probation import LEAST_SECONDS, Novelty, due_after
from kubewake.baseline.surprise import ask_all, nats_of
from kubewake.baseline.template import NAMED
from kubewake.baseline.traits import HOUR_BLOCK, LADEN, WHAT, WHO, Portrait, name_in, payload_of, portray
from kubewake.baseline.verdict import Lesson, Verdict
from kubewake.baseline.volume import SPAN_CHARACTERS
from kubewake.finding import Notice, stable_id
from kubewake.observation import Signal, Stub
from kubewake.rules.correlation import microseconds

DETECTORS = (WHAT, WHO, HOW_MUCH)
FAMILIAR_MAX = 200_000
"""Behaviours of today that are known by their number; only speed is lost when it starts anew."""
SEEN_MAX = 50_000
BLOCK_SECONDS = 3600.0 * HOUR_BLOCK
SILENT_KINDS = frozenset({"control-plane", "cloud", ""})
NONE: tuple[Signal, ...] = ()
Suspect = Callable[[str, tuple[str, str, str], float], bool]
"""Whether a session (user; credential, source, user agent) has been in an incident since a time in seconds."""


class Sight(Struct):
    """Whom and what a look shows; one for all kinds that look like it."""

    identity: Identity
    portrait: Portrait


def nobody(_user: str, _session: tuple[str, str, str], _since: float) -> bool:
    """Suspects no one: for learning from history."""
    return False


class Baseline:
    """The baseline of one cluster. Feed it every stub in event-time order."""

    def __init__(self, suspect: Suspect = nobody) -> None:
        self._suspect = suspect
        self._take(Archive(), Running())

    def _take(self, archive: Archive, running: Running) -> None:
        self._memory, self._running = Memory(archive), running
        self.day = running.day
        """The day of the last event, since 1970."""
        self._judgement = Judgement(self._memory, running)
        self._births = archive.births
        self._probation = running.probation
        self._familiar: dict[tuple[int | str, ...], dict[int, int]] = {}
        """By behaviour and details."""
        self._seen: dict[tuple[int | str, ...], Sight] = {}
        """By look, and by kind and details, which are told faster."""
        self._wake = -math.inf
        """When `_awake` is due next, in seconds since 1970: every three hours, as fine as hours are told, or as soon as a
        probation ends."""
        self._fresh_until = 0.0

    def observe(self, stub: Stub) -> tuple[Signal, ...]:
        """What is unusual about the next stub; nothing for known behaviours."""
        now = microseconds(stub.time) / 1e6
        if now and now >= self._wake:
            self._awake(now)
        details = details_of(stub)
        if stub.behaviour:
            today = self._familiar.get((stub.behaviour, *details))
            if today is not None:
                today[self.day] += stub.count
                return NONE
        detailed = (stub.kind, *details)
        sight = self._seen.get(detailed)
        if sight is None:
            sight = self._seen.get(look_of(stub, details))
            if sight is None:
                return self._observe(stub, None, now)
            if stub.kind:
                self._note_seen(detailed, sight)
        return self._glance(stub, sight, now)

    def _note_seen(self, as_what: tuple[int | str, ...], sight: Sight) -> Sight:
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[as_what] = sight
        return sight

    def _glance(self, stub: Stub, sight: Sight, now: float) -> tuple[Signal, ...]:
        """The quick way for what looks like something seen today."""
        identity, portrait = sight.identity, sight.portrait
        if portrait.key not in identity.keys:
            pending = self._held(portrait.key)
            if pending is None or not pending.is_settled(stub):
                return self._observe(stub, sight, now)
        found = self._judgement.weigh_volume(stub, portrait) if portrait.threat >= VOLUME_THREAT else NONE
        identity.requests[portrait.action_class][self.day] += stub.count
        return found

    def _observe(self, stub: Stub, sight: Sight | None, now: float) -> tuple[Signal, ...]:
        if not now:
            return NONE
        running = self._running
        if not self._births.begun:
            self._births.begun = now
        if stub.actor_kind in SILENT_KINDS or not stub.user:
            return NONE
        is_first = False
        if stub.verb == "create" and stub.outcome == "allowed" and stub.resource in ("namespaces", "serviceaccounts"):
            is_first = self._see_birth(stub, now)
        if stub.namespace:
            is_first |= self._births.see(f"ns {stub.namespace}", now)
        is_first |= self._births.see(f"user {stub.user}", now)
        identity = self._identity(stub, now)
        # Nobody grows younger but by being forgotten and seen anew.
        portrait = portray(stub, self._births, now) if sight is None or is_first else sight.portrait
        tally = identity.tally(portrait.action_class, running.day)
        signals = self._judge(stub, identity, portrait, now)
        if running.verdicts:
            self._recall_verdicts(stub.user, now)
        tally[running.day] += stub.count
        known = identity.keys.get(portrait.key)
        if stub.behaviour and known is not None and portrait.threat < VOLUME_THREAT and not portrait.young:
            if len(self._familiar) >= FAMILIAR_MAX:
                self._familiar.clear()
            self._familiar[stub.behaviour, *details_of(stub)] = tally
        elif not portrait.young:
            if sight is None:
                look = look_of(stub, details_of(stub))
                sight = self._seen.get(look) or self._note_seen(look, Sight(identity, portrait))
            sight.identity, sight.portrait = identity, portrait
        return signals

    def _recall_verdicts(self, user: str, now: float) -> None:
        """Act on verdicts that were given before what they speak of was seen here: live, things are seen twice."""
        for verdict in self._running.verdicts:
            if user in verdict.users and verdict.since_seconds <= now <= verdict.until_seconds:
                self.teach(user, benign=verdict.benign, since=verdict.since_seconds, until=verdict.until_seconds)

    def _see_birth(self, stub: Stub, now: float) -> bool:
        name = name_in(stub)
        if not name:
            return False
        if stub.resource == "namespaces":
            return self._births.see(f"ns {name}", now, created=True)
        return self._births.see(f"user system:serviceaccount:{stub.namespace}:{name}", now, created=True)

    def _identity(self, stub: Stub, now: float) -> Identity:
        identity = self._memory.identities.get(stub.user)
        if identity is None:
            if self._memory.is_full:
                self._memory.forget_identity()
                self._familiar.clear()
                self._seen.clear()
            identity = self._memory.enrol(stub, now)
        return identity

    def _judge(self, stub: Stub, identity: Identity, portrait: Portrait, now: float) -> tuple[Signal, ...]:
        day = self._running.day
        found: list[Signal] = []
        if portrait.threat >= VOLUME_THREAT:
            found += self._judgement.weigh_volume(stub, portrait)
        known = identity.keys.get(portrait.key)
        if known is not None:
            if days.last_day(known) != day:
                self._meet_again(identity, portrait, stub)
            elif identity.kind == "human":
                self._memory.note_hour(identity, portrait, day)
            return tuple(found)
        pending = self._held(portrait.key)
        if pending is not None:
            pending.last_day = max(pending.last_day, day)
        elif self._is_warming_up(now):
            self._memory.learn(identity, portrait.key, (day, day), portrait, role_of(stub.reason))
            self._count_known(identity, portrait, WHAT)
            return tuple(found)
        quiet = bool(stub.values.get("actor.in_profile")) or stub.stage == "ResponseStarted"
        if pending is not None:
            if quiet or pending.is_settled(stub):
                return tuple(found)
            pending.settle(stub)
        session = (stub.credential, stub.source, stub.user_agent)
        novelty = pending or Novelty(
            portrait.key,
            stub.user,
            now,
            due_after(now, self._births.begun),
            day,
            day,
            portrait.action_class,
            role_of(stub.reason),
            portrait.traits,
            session,
        )
        if pending is None:
            novelty.settle(stub)
            self._flow(identity.kind, stub, novel=True)
            self._probation.put(novelty)
            if self._probation.next_due() == novelty.due_seconds:
                self._set_wake()
        if quiet or not identity.keys:
            return tuple(found)
        asks = ask_all(portrait.traits, identity, self._memory.population)
        for statement in (WHAT, WHO):
            chosen = [item for trait, item in zip(portrait.traits, asks, strict=True) if trait.statement == statement]
            surprises = list(map(nats_of, chosen))
            score = sum(surprises)
            if pending is None:
                if statement == WHAT:
                    novelty.what = score
                else:
                    novelty.who = score
            if score > 0 and portrait.threat > 0 and (statement == WHAT or self._judgement.is_news(stub, portrait)):
                span = stub.time[:SPAN_CHARACTERS]
                signal = self._judgement.state(statement, portrait, identity, chosen, surprises, span)
                if signal is not None:
                    found.append(signal)
        return tuple(found)

    def _held(self, key: int) -> Novelty | None:
        """A behaviour that is on probation, or never to be learnt."""
        return self._probation.pending.get(key) or self.archive.refused.get(key)

    def _meet_again(self, identity: Identity, portrait: Portrait, stub: Stub) -> None:
        """A known behaviour on a new day."""
        day = self._running.day
        self._memory.learn(identity, portrait.key, (day, day), portrait, role_of(stub.reason))
        for statement in (WHAT, WHO):
            self._count_known(identity, portrait, statement)
        self._flow(identity.kind, stub, novel=False)

    def _count_known(self, identity: Identity, portrait: Portrait, statement: str) -> None:
        """What is known counts as no surprise among the scores of today."""
        stratum = stratum_of(identity.kind, portrait.action_class, statement)
        self._memory.histogram(stratum).add(self._running.day, 0.0)

    def _awake(self, now: float) -> None:
        """End probations that are over; begin a new day."""
        running = self._running
        day = int(now // days.DAY_SECONDS)
        for novelty in self._probation.take_due(now):
            self._release(novelty, day)
        if day > running.day:
            if running.day:
                self._memory.forget_old(day)
            running.verdicts = [
                verdict for verdict in running.verdicts if verdict.until_seconds >= now - days.DAY_SECONDS
            ]
            running.day = self.day = day
        if now >= self._fresh_until:
            self._fresh_until = (now // BLOCK_SECONDS + 1) * BLOCK_SECONDS
            self._familiar.clear()
            self._seen.clear()
        self._set_wake()

    def _set_wake(self) -> None:
        self._wake = min(self._fresh_until, self._probation.next_due())

    def _release(self, novelty: Novelty, today: int) -> None:
        """Learn what has been harmless so far; keep back what an incident contains."""
        if novelty.key in self.archive.refused:
            return
        if self._suspect(novelty.user, novelty.session, novelty.first_seconds):
            self._probation.withhold(novelty)
            return
        self._memory.accept(novelty, today)

    def _flow(self, kind: str, stub: Stub, *, novel: bool) -> None:
        flow = self._running.flows.get(kind)
        if flow is None:
            flow = self._running.flows[kind] = Flow(identities={})
        if flow.count(self._running.day, stub.user, novel=novel):
            self._running.notices.append(
                Notice(
                    stable_id("notice", "baseline-shift", stub.cluster, kind, flow.day),
                    stub.time,
                    "Many identities changed their behaviour at once",
                    f"Cluster {stub.cluster or 'without a name'}: {flow.novel} new behaviours of {kind} identities today, "
                    "far more than usual, as after an upgrade. Until tomorrow what is unusual counts half for them.",
                )
            )

    def _is_warming_up(self, now: float) -> bool:
        return now - self._births.begun < LEAST_SECONDS

    def bar_shift(self, openings: int) -> float:
        """How far to move the bar for statistical incidents, of which there were `openings` so far, in nats."""
        running = self._running
        opened, running.openings = openings - running.openings, openings
        return running.budget.count(running.day, opened)

    def notices(self) -> list[Notice]:
        """Notices since the last call."""
        notices, self._running.notices = self._running.notices, []
        return notices

    def hear(self, verdict: Verdict) -> list[Lesson]:
        """Take in a verdict: benign is learnt at once, malicious never. What was done to each identity."""
        self._running.verdicts.append(verdict)
        since, until = verdict.since_seconds, verdict.until_seconds
        return [self.teach(user, benign=verdict.benign, since=since, until=until) for user in verdict.users]

    def teach(self, user: str, *, benign: bool, since: float = -math.inf, until: float = math.inf) -> Lesson:
        """A verdict on what was new of an identity between two times: benign is learnt at once, malicious never.

        The last verdict counts, but what is learnt stays learnt.
        """
        memory, probation = self._memory, self._probation
        chosen = self.novelties(user, since=since, until=until)
        lacking = dict.fromkeys(trait for novelty in chosen for trait in memory.lacks(novelty))
        for novelty in chosen:
            probation.drop(novelty.key)
            if benign:
                memory.archive.refused.pop(novelty.key, None)
                memory.accept(novelty, max(self._running.day, novelty.last_day))
            else:
                memory.refuse(novelty)
        self._set_wake()
        identity = memory.identities.get(user)
        if benign:
            known = {} if identity is None else identity.keys
            left = {trait for novelty in chosen for trait in memory.lacks(novelty)}
            behaviours, traits = (
                sum(item.key in known for item in chosen),
                [item for item in lacking if item not in left],
            )
        else:
            behaviours, traits = len(chosen), list(lacking)
        return Lesson(user, identity is not None, behaviours, traits)

    def novelties(self, user: str, *, since: float = -math.inf, until: float = math.inf) -> list[Novelty]:
        """Behaviours of an identity that were new between two times (seconds) and are not learnt, refused ones too."""
        refused = [item for item in self.archive.refused.values() if item.user == user]
        held = {item.key: item for item in (*refused, *self._probation.of(user))}
        return [item for item in held.values() if item.was_new(since, until)]

    def present(self, novelty: Novelty, identity: Identity) -> None:
        """Keep a behaviour that was seen elsewhere for a verdict; its identity is met where it was unknown."""
        known = self._memory.meet(identity)
        if novelty.key not in known.keys:
            self._probation.withhold(msgspec.structs.replace(novelty))

    @property
    def archive(self) -> Archive:
        """What is learnt, for export."""
        return self._memory.archive

    @property
    def population(self) -> Population:
        """Groups of peers."""
        return self._memory.population

    def evicted(self) -> dict[str, int]:
        """What was forgotten or not learnt for want of room, by memory."""
        identities = self._memory.identities.values()
        return {
            "identities": self.archive.identities_evicted,
            "keys": self.archive.keys_refused + sum(item.keys_evicted for item in identities),
            "contexts": sum(item.contexts_evicted for item in identities),
            "values": sum(context.evicted for item in identities for context in item.contexts.values()),
            "pending": self._probation.evicted,
            "births": self._births.evicted,
            "volumes": self._running.volumes_evicted,
        }

    def settle(self) -> None:
        """End all probations now: what is in no incident is learnt."""
        while self._probation.pending:
            self._release(self._probation.take(next(iter(self._probation.pending))), self._running.day)
        self._set_wake()

    def start_from(self, archive: Archive) -> None:
        """Know what an archive knows, before the first event or beside what is known already."""
        self._take(self.archive.merge(archive), self._running)

    def snapshot(self) -> bytes:
        """All state, for `restore`."""
        return pack(self.archive, self._running)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        self._take(*unpack(data))


def details_of(stub: Stub) -> tuple[str, str, str, str]:
    """What a portrait depends on that differs between stubs of one kind: path, name, body, and the hour of people."""
    resource = stub.resource
    return (
        "" if resource else stub.uri,
        name_in(stub) if resource in NAMED else "",
        payload_of(stub) if resource in LADEN and stub.values else "",
        stub.time[11:13] if stub.actor_kind == "human" else "",
    )


def look_of(stub: Stub, details: tuple[str, str, str, str]) -> tuple[str, ...]:
    """All that a portrait depends on, apart from whether somebody or something is newborn."""
    return (
        stub.user,
        stub.verb,
        stub.resource,
        stub.subresource,
        stub.namespace,
        stub.client,
        stub.source,
        stub.outcome,
        stub.impersonated,
        stub.stage,
        *details,
    )


def measure(baseline: Baseline, stub: Stub) -> float:
    """The surprise of what a stub does as of now, nothing learnt: for tests and tools."""
    now = microseconds(stub.time) / 1e6
    identity = baseline.archive.identities.get(stub.user)
    if identity is None:
        return 0.0
    portrait = portray(stub, baseline.archive.births, now)
    return sum(map(nats_of, ask_all(portrait.traits, identity, baseline.population)))
