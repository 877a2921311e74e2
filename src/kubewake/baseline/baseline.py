"""What is normal in one cluster: behaviours in, statements about what is unusual out.

Two tiers. A known behaviour costs one look-up. A novel one is compared, trait by trait, with what the identity, its
peers and everybody have shown (`surprise`), ranked among what was new where nothing was wrong (`calibration`), and
weighed by what an attacker would gain (`action`). It is learnt after its probation.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime

import xxhash

from kubewake.baseline import days
from kubewake.baseline.archive import Archive, Running, pack, unpack
from kubewake.baseline.calibration import SHIFT_EVIDENCE, Flow, Histogram
from kubewake.baseline.explanation import detail_of, sentence_of
from kubewake.baseline.identity import COMMON_GROUPS, CONTEXTS_MAX, Context, Identity, role_of
from kubewake.baseline.population import Population
from kubewake.baseline.probation import LEAST_SECONDS, Novelty, due_after
from kubewake.baseline.surprise import Ask, ask_all, nats_of
from kubewake.baseline.template import NAMED
from kubewake.baseline.traits import HOUR_BLOCK, LADEN, WHAT, WHO, Portrait, payload_of, portray
from kubewake.baseline.volume import SPAN_CHARACTERS, Volume
from kubewake.finding import Notice, stable_id
from kubewake.observation import Signal, Stub
from kubewake.rules.correlation import microseconds

HOW_MUCH = "unusual-volume"
DETECTORS = (WHAT, WHO, HOW_MUCH)
KEYS_MAX = 200_000
CONTEXTS_TOTAL_MAX = 100_000
IDENTITIES_MAX = 20_000
FAMILIAR_MAX = 200_000
"""Behaviours of today that are known by their number; only speed is lost when it starts anew."""
SEEN_MAX = 50_000
BLOCK_SECONDS = 3600.0 * HOUR_BLOCK
TOLD_MAX = 10_000
SPOKEN_MAX = 32
"""Statements on one identity and tactic in ten minutes; a flood of new names is one matter, not thousands."""
VOLUME_THREAT = 0.6
"""Different objects are counted for actions that weigh at least this much."""
ORIGIN_THREAT = 0.9
"""Weight of an identity in a strange place or program, whatever it does there."""
TELLING_NATS = 0.3
"""Less is not worth a statement."""
SILENT_KINDS = frozenset({"control-plane", "cloud", ""})
NONE: tuple[Signal, ...] = ()
Suspect = Callable[[str, tuple[str, str, str], float], bool]
"""Whether a session (user; credential, source, user agent) has been in an incident since a time in seconds."""


def nobody(_user: str, _session: tuple[str, str, str], _since: float) -> bool:
    """Suspects no one: for learning from history."""
    return False


class Baseline:
    """The baseline of one cluster. Feed it every stub in event-time order."""

    def __init__(self, suspect: Suspect = nobody) -> None:
        self._suspect = suspect
        self._take(Archive(), Running())

    def _take(self, archive: Archive, running: Running) -> None:
        self._archive, self._running = archive, running
        self._identities = archive.identities
        self._births = archive.births
        self._strata = archive.strata
        self._probation = running.probation
        self._population = Population(archive.identities.values())
        self._familiar: dict[int, dict[int, int]] = {}
        self._seen: dict[tuple[str, ...], tuple[Identity, Portrait]] = {}
        self._keys = sum(len(identity.keys) for identity in archive.identities.values())
        self._contexts = sum(len(identity.contexts) for identity in archive.identities.values())
        self._wake = self._span = ""
        self._fresh_until = 0.0

    def observe(self, stub: Stub) -> tuple[Signal, ...]:
        """What is unusual about the next stub; nothing for known behaviours."""
        if stub.time < self._wake:
            if stub.behaviour:
                today = self._familiar.get(stub.behaviour)
                if today is not None:
                    today[self._running.day] += stub.count
                    return NONE
            held = self._seen.get(look_of(stub))
            if held is not None:
                return self._glance(stub, *held)
        return self._observe(stub)

    def _glance(self, stub: Stub, identity: Identity, portrait: Portrait) -> tuple[Signal, ...]:
        """The quick way for what looks like something seen today."""
        if portrait.key not in identity.keys:
            pending = self._probation.pending.get(portrait.key)
            if pending is None or not pending.is_settled(stub):
                return self._observe(stub)
        found: list[Signal] = []
        if portrait.threat >= VOLUME_THREAT:
            self._weigh_volume(stub, portrait, found)
        identity.requests[portrait.action_class][self._running.day] += stub.count
        return tuple(found)

    def _observe(self, stub: Stub) -> tuple[Signal, ...]:
        now = microseconds(stub.time) / 1e6
        if not now:
            return NONE
        running = self._running
        if stub.time >= self._wake:
            self._awake(now)
        if not self._births.begun:
            self._births.begun = now
        if stub.actor_kind in SILENT_KINDS or not stub.user:
            return NONE
        if stub.verb == "create" and stub.outcome == "allowed" and stub.resource in ("namespaces", "serviceaccounts"):
            self._see_birth(stub, now)
        if stub.namespace:
            self._births.see(f"ns {stub.namespace}", now)
        self._births.see(f"user {stub.user}", now)
        identity = self._identity(stub, now)
        portrait = portray(stub, self._births, now)
        tally = identity.tally(portrait.action_class, running.day)
        signals = self._judge(stub, identity, portrait, now)
        tally[running.day] += stub.count
        known = identity.keys.get(portrait.key)
        if stub.behaviour and known is not None and portrait.threat < VOLUME_THREAT and not portrait.young:
            if len(self._familiar) >= FAMILIAR_MAX:
                self._familiar.clear()
            self._familiar[stub.behaviour] = tally
        elif not portrait.young:
            if len(self._seen) >= SEEN_MAX:
                self._seen.clear()
            self._seen[look_of(stub)] = (identity, portrait)
        return signals

    def _see_birth(self, stub: Stub, now: float) -> None:
        name = stub.name or str(stub.values.get("object.name") or "")
        if not name:
            return
        if stub.resource == "namespaces":
            self._births.see(f"ns {name}", now, created=True)
        else:
            self._births.see(f"user system:serviceaccount:{stub.namespace}:{name}", now, created=True)

    def _identity(self, stub: Stub, now: float) -> Identity:
        identity = self._identities.get(stub.user)
        if identity is None:
            if len(self._identities) >= IDENTITIES_MAX:
                self._forget_identity()
            teams = ", ".join(sorted(set(stub.groups) - COMMON_GROUPS)) if stub.actor_kind == "human" else ""
            identity = Identity(stub.user, stub.actor_kind, now, teams)
            self._identities[stub.user] = identity
            self._population.enrol(identity)
        return identity

    def _forget_identity(self) -> None:
        """The identity first met longest ago goes; a known and busy one comes back within its next request."""
        victim = next(iter(self._identities.values()))
        self._population.dismiss(victim)
        self._keys -= len(victim.keys)
        self._contexts -= len(victim.contexts)
        del self._identities[victim.user]
        self._archive.identities_evicted += 1
        self._familiar.clear()
        self._seen.clear()

    def _judge(self, stub: Stub, identity: Identity, portrait: Portrait, now: float) -> tuple[Signal, ...]:
        day = self._running.day
        found: list[Signal] = []
        if portrait.threat >= VOLUME_THREAT:
            self._weigh_volume(stub, portrait, found)
        self._span = stub.time[:SPAN_CHARACTERS]
        known = identity.keys.get(portrait.key)
        if known is not None:
            if days.last_day(known) != day:
                self._meet_again(identity, portrait, stub)
            elif identity.kind == "human":
                self._note_hour(identity, portrait)
            return tuple(found)
        pending = self._probation.pending.get(portrait.key)
        if pending is not None:
            pending.last_day = max(pending.last_day, day)
        elif self._is_warming_up(now):
            self._learn(identity, portrait.key, (day, day), portrait, role_of(stub.reason))
            self._strata_of(identity, portrait, WHAT).add(day, 0.0)
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
            if portrait.key not in self._probation.refused:
                self._probation.put(novelty)
            if self._probation.next_due() == novelty.due_seconds:
                self._set_wake()
        if quiet or not identity.keys:
            return tuple(found)
        asks = ask_all(portrait.traits, identity, self._population)
        for statement in (WHAT, WHO):
            chosen = [item for trait, item in zip(portrait.traits, asks, strict=True) if trait.statement == statement]
            score = sum(nats_of(item) for item in chosen)
            if pending is None:
                if statement == WHAT:
                    novelty.what = score
                else:
                    novelty.who = score
            if score > 0 and portrait.threat > 0 and (statement == WHAT or self._is_news(stub, portrait)):
                self._state(statement, portrait, identity, chosen, score, found)
        return tuple(found)

    def _is_news(self, stub: Stub, portrait: Portrait) -> bool:
        """Whether this place and program were not spoken of in these ten minutes: one stranger is one trial."""
        who = "\0".join(
            (stub.user, stub.credential, *(item.value for item in portrait.traits if item.statement == WHO))
        )
        number, span = xxhash.xxh3_64_intdigest(who.encode()), stub.time[:SPAN_CHARACTERS]
        told = self._running.told
        if told.pop(number, "") == span:
            told[number] = span
            return False
        if len(told) >= TOLD_MAX:
            del told[next(iter(told))]
        told[number] = span
        return True

    def _state(
        self,
        statement: str,
        portrait: Portrait,
        identity: Identity,
        asks: list[Ask],
        score: float,
        found: list[Signal],
    ) -> None:
        """Make a statement where the score is rare and the action matters."""
        stratum = _stratum(identity.kind, portrait.action_class, statement)
        histogram = self._strata.get(stratum)
        if histogram is None:
            return
        rank = histogram.rank(score)
        threat = portrait.threat if statement == WHAT else ORIGIN_THREAT
        flow = self._running.flows.get(identity.kind)
        factor = SHIFT_EVIDENCE if flow is not None and flow.shifting else 1.0
        nats = rank.evidence * threat * factor
        tactic = portrait.tactic if statement == WHAT else "initial-access"
        if nats < TELLING_NATS or not self._may_speak(f"{portrait.user}\0{statement}\0{tactic}", nats):
            return
        found.append(
            Signal(
                "surprise",
                statement,
                tactic,
                round(nats, 6),
                sentence_of(portrait, asks, rank, identity.days_known()),
                detail_of(portrait, asks, rank, stratum=stratum, threat=threat, factor=factor, nats=nats),
            )
        )

    def _may_speak(self, topic: str, nats: float) -> bool:
        """Whether there is more to say on a topic in these ten minutes: at most so often, or louder than before."""
        spoken = self._running.spoken
        span, times, loudest = spoken.pop(topic, ("", 0, 0.0))
        if span != self._span:
            times, loudest = 0, 0.0
        if len(spoken) >= TOLD_MAX:
            del spoken[next(iter(spoken))]
        spoken[topic] = (self._span, times + 1, max(loudest, nats))
        return times < SPOKEN_MAX or nats > loudest

    def _weigh_volume(self, stub: Stub, portrait: Portrait, found: list[Signal]) -> None:
        name = f"{stub.user}\0{portrait.action}"
        volume = self._running.volumes.get(name)
        if volume is None:
            if len(self._running.volumes) >= IDENTITIES_MAX:
                del self._running.volumes[next(iter(self._running.volumes))]
                self._running.volumes_evicted += 1
            volume = self._running.volumes[name] = Volume("", set())
        stratum = _stratum(stub.actor_kind, portrait.action_class, HOW_MUCH)
        span = stub.time[:SPAN_CHARACTERS]
        if volume.span and volume.span != span:
            self._histogram(stratum).add(self._running.day, volume.highest)
        number = volume.touch(span, xxhash.xxh3_64_intdigest(f"{stub.namespace}/{stub.name}".encode()))
        if not number:
            return
        score = volume.score(number)
        volume.highest = max(volume.highest, score)
        rank = self._histogram(stratum).rank(score)
        nats = rank.evidence * portrait.threat
        if nats < TELLING_NATS or stub.values.get("actor.in_profile"):
            return
        usual = (volume.total + 2.0) / (volume.spans + 1.0)
        text = (
            f"{stub.user}: {portrait.sentence}, {number} different ones within ten minutes, where {usual:.1f} are usual; "
            f"{rank.higher} of {rank.observed} comparable counts were as unusual"
        )
        detail = {
            "identity": stub.user,
            "action": portrait.action,
            "stratum": stratum,
            "number": number,
            "spans": volume.spans,
            "total": volume.total,
            "surprise": round(score, 6),
            "higher": rank.higher,
            "observed": rank.observed,
            "p": round(rank.p, 9),
            "threat": portrait.threat,
            "nats": round(nats, 6),
        }
        found.append(Signal("surprise", HOW_MUCH, portrait.tactic, round(nats, 6), text, detail))

    def _meet_again(self, identity: Identity, portrait: Portrait, stub: Stub) -> None:
        """A known behaviour on a new day."""
        day = self._running.day
        self._learn(identity, portrait.key, (day, day), portrait, role_of(stub.reason))
        for statement in (WHAT, WHO):
            self._strata_of(identity, portrait, statement).add(day, 0.0)
        self._flow(identity.kind, stub, novel=False)

    def _note_hour(self, identity: Identity, portrait: Portrait) -> None:
        """A known behaviour at another hour: hours are no part of a behaviour, but of what a person is like."""
        for trait in portrait.traits:
            context = identity.contexts.get(trait.context) if trait.facet == "hour" else None
            if context is None:
                continue
            if trait.value not in context.values:
                self._population.add(identity.user, trait.context, trait.value)
            context.add(trait.value, days.on_day(self._running.day))

    def _learn(
        self, identity: Identity, key: int, seen: tuple[int, int], portrait: Portrait | Novelty, role: str
    ) -> None:
        """Know a behaviour, and all its traits, as seen on these days."""
        packed = days.join(days.on_day(seen[0]), days.on_day(seen[1]))
        before = len(identity.keys)
        if key not in identity.keys and self._keys >= KEYS_MAX:
            self._archive.keys_refused += 1
            return
        identity.add_key(key, packed)
        self._keys += len(identity.keys) - before
        if role and role not in identity.roles:
            identity.roles[role] = packed
            self._population.enrol(identity)
        elif role:
            identity.roles[role] = days.join(identity.roles[role], packed)
        for trait in portrait.traits:
            context = identity.contexts.get(trait.context)
            if context is None:
                if len(identity.contexts) >= CONTEXTS_MAX or self._contexts >= CONTEXTS_TOTAL_MAX:
                    identity.contexts_evicted += 1
                    continue
                context = identity.contexts[trait.context] = Context({})
                self._contexts += 1
            is_new = trait.value not in context.values
            victim = context.add(trait.value, packed)
            if is_new and victim != trait.value:
                self._population.add(identity.user, trait.context, trait.value)
            if victim is not None and victim != trait.value:
                self._population.drop(identity.user, trait.context, victim)

    def _awake(self, now: float) -> None:
        """End probations that are over; begin a new day."""
        running = self._running
        day = int(now // days.DAY_SECONDS)
        for novelty in self._probation.take_due(now):
            self._release(novelty, day)
        if day > running.day:
            if running.day:
                self._forget_old(day)
            running.day = day
        if now >= self._fresh_until:
            self._fresh_until = (now // BLOCK_SECONDS + 1) * BLOCK_SECONDS
            self._familiar.clear()
            self._seen.clear()
        self._set_wake()

    def _set_wake(self) -> None:
        """When the quick path must be left: every three hours, which is as fine as hours are told, or a probation's end."""
        at = min(self._fresh_until, self._probation.next_due())
        self._wake = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _release(self, novelty: Novelty, today: int) -> None:
        """Learn what has been harmless so far; keep back what an incident contains."""
        if novelty.key in self._probation.refused:
            return
        if self._suspect(novelty.user, novelty.session, novelty.first_seconds):
            self._probation.withhold(novelty)
            return
        self._accept(novelty, today)

    def _accept(self, novelty: Novelty, today: int) -> None:
        identity = self._identities.get(novelty.user)
        if identity is None:
            return
        self._learn(identity, novelty.key, (novelty.first_day, novelty.last_day), novelty, novelty.role)
        for statement, score in ((WHAT, novelty.what), (WHO, novelty.who)):
            stratum = _stratum(identity.kind, novelty.action_class, statement)
            self._histogram(stratum).add(today, max(0.0, score))

    def _forget_old(self, today: int) -> None:
        for identity in list(self._identities.values()):
            identity.forget(today)
            if not identity.requests_in() and not identity.keys:
                del self._identities[identity.user]
        for histogram in self._strata.values():
            histogram.forget(today)
        self._population = Population(self._identities.values())
        self._keys = sum(len(identity.keys) for identity in self._identities.values())
        self._contexts = sum(len(identity.contexts) for identity in self._identities.values())

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

    def _histogram(self, stratum: str) -> Histogram:
        histogram = self._strata.get(stratum)
        if histogram is None:
            histogram = self._strata[stratum] = Histogram({})
        return histogram

    def _strata_of(self, identity: Identity, portrait: Portrait, statement: str) -> Histogram:
        return self._histogram(_stratum(identity.kind, portrait.action_class, statement))

    def bar_shift(self, openings: int) -> float:
        """How far to move the bar for statistical incidents, of which there were `openings` so far, in nats."""
        running = self._running
        opened, running.openings = openings - running.openings, openings
        return running.budget.count(running.day, opened)

    @property
    def day(self) -> int:
        """The day of the last event, since 1970."""
        return self._running.day

    def notices(self) -> list[Notice]:
        """Notices since the last call."""
        notices, self._running.notices = self._running.notices, []
        return notices

    def teach(self, user: str, *, benign: bool, since: float = -math.inf, until: float = math.inf) -> int:
        """A verdict on what an identity did first between two times: benign is learnt at once, malicious never.

        Returns how many behaviours it touched.
        """
        probation = self._probation
        held = [*probation.pending.values(), *probation.withheld.values()]
        chosen = [item for item in held if item.user == user and since <= item.first_seconds <= until]
        for novelty in chosen:
            if not benign:
                probation.refuse(novelty.key, user)
                continue
            if novelty.key in probation.pending:
                probation.take(novelty.key)
            probation.withheld.pop(novelty.key, None)
            self._accept(novelty, self._running.day)
        self._set_wake()
        return len(chosen)

    @property
    def archive(self) -> Archive:
        """What is learnt, for export."""
        return self._archive

    @property
    def population(self) -> Population:
        """Groups of peers."""
        return self._population

    def evicted(self) -> dict[str, int]:
        """What was forgotten or not learnt for want of room, by memory."""
        identities = self._identities.values()
        return {
            "identities": self._archive.identities_evicted,
            "keys": self._archive.keys_refused + sum(item.keys_evicted for item in identities),
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
        self._take(self._archive.merge(archive), self._running)

    def snapshot(self) -> bytes:
        """All state, for `restore`."""
        return pack(self._archive, self._running)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        self._take(*unpack(data))


def look_of(stub: Stub) -> tuple[str, ...]:
    """All that a portrait depends on, apart from whether somebody or something is newborn."""
    resource = stub.resource
    return (
        stub.user,
        stub.verb,
        resource or stub.uri,
        stub.subresource,
        stub.namespace,
        stub.client,
        stub.source,
        stub.outcome,
        stub.name if resource in NAMED else "",
        stub.impersonated,
        payload_of(stub) if resource in LADEN and stub.values else "",
        stub.time[11:13] if stub.actor_kind == "human" else "",
        stub.stage,
    )


def _stratum(kind: str, action_class: str, statement: str) -> str:
    return f"{kind} {statement}" if statement == WHO else f"{kind} {action_class} {statement}"


def measure(baseline: Baseline, stub: Stub) -> float:
    """The surprise of what a stub does as of now, nothing learnt: for tests and tools."""
    now = microseconds(stub.time) / 1e6
    identity = baseline.archive.identities.get(stub.user)
    if identity is None:
        return 0.0
    portrait = portray(stub, baseline.archive.births, now)
    return sum(map(nats_of, ask_all(portrait.traits, identity, baseline.population)))
