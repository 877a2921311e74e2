"""What is said: statements on actions, origins and numbers of objects, each weighed and none too often."""

import xxhash

from kubewake.baseline.archive import Running
from kubewake.baseline.calibration import SHIFT_EVIDENCE
from kubewake.baseline.explanation import detail_of, sentence_of
from kubewake.baseline.identity import Identity
from kubewake.baseline.memory import IDENTITIES_MAX, Memory, stratum_of
from kubewake.baseline.surprise import Ask
from kubewake.baseline.traits import WHAT, WHO, Portrait
from kubewake.baseline.volume import SPAN_CHARACTERS, Volume
from kubewake.observation import Signal, Stub

HOW_MUCH = "unusual-volume"
TOLD_MAX = 10_000
SPOKEN_MAX = 32
"""Statements on one identity and tactic in ten minutes; a flood of new names is one matter, not thousands."""
VOLUME_THREAT = 0.6
"""Different objects are counted for actions that weigh at least this much."""
ORIGIN_THREAT = 0.9
"""Weight of an identity in a strange place or program, whatever it does there."""
TELLING_NATS = 0.3
"""Less is not worth a statement."""


class Judgement:
    """Makes the statements about one cluster from what its memory holds."""

    def __init__(self, memory: Memory, running: Running) -> None:
        self._memory, self._running = memory, running

    def is_news(self, stub: Stub, portrait: Portrait) -> bool:
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

    def state(
        self, statement: str, portrait: Portrait, identity: Identity, asks: list[Ask], surprises: list[float], span: str
    ) -> Signal | None:
        """A statement, where the surprises, one for each ask, are rare together and the action matters.

        `span` is the ten minutes it falls into.
        """
        stratum = stratum_of(identity.kind, portrait.action_class, statement)
        histogram = self._memory.scores_of(stratum)
        if histogram is None:
            return None
        rank = histogram.rank(sum(surprises))
        threat = portrait.threat if statement == WHAT else ORIGIN_THREAT
        flow = self._running.flows.get(identity.kind)
        factor = SHIFT_EVIDENCE if flow is not None and flow.shifting else 1.0
        nats = rank.evidence * threat * factor
        tactic = portrait.tactic if statement == WHAT else "initial-access"
        if nats < TELLING_NATS or not self._may_speak(f"{portrait.user}\0{statement}\0{tactic}", nats, span):
            return None
        return Signal(
            "surprise",
            statement,
            tactic,
            round(nats, 6),
            sentence_of(portrait, asks, surprises, rank, identity.days_known()),
            detail_of(portrait, asks, surprises, rank, stratum=stratum, threat=threat, factor=factor, nats=nats),
        )

    def _may_speak(self, topic: str, nats: float, now_span: str) -> bool:
        """Whether there is more to say on a topic in these ten minutes: at most so often, or louder than before."""
        spoken = self._running.spoken
        span, times, loudest = spoken.pop(topic, ("", 0, 0.0))
        if span != now_span:
            times, loudest = 0, 0.0
        if len(spoken) >= TOLD_MAX:
            del spoken[next(iter(spoken))]
        spoken[topic] = (now_span, times + 1, max(loudest, nats))
        return times < SPOKEN_MAX or nats > loudest

    def weigh_volume(self, stub: Stub, portrait: Portrait) -> tuple[Signal, ...]:
        """Count the different objects of an action; a statement where there are unusually many in ten minutes."""
        running = self._running
        name = portrait.volume
        volume = running.volumes.get(name)
        if volume is None:
            if len(running.volumes) >= IDENTITIES_MAX:
                del running.volumes[next(iter(running.volumes))]
                running.volumes_evicted += 1
            volume = running.volumes[name] = Volume("", set())
        span = stub.time[:SPAN_CHARACTERS]
        if volume.span and volume.span != span:
            stratum = stratum_of(stub.actor_kind, portrait.action_class, HOW_MUCH)
            self._memory.histogram(stratum).add(running.day, volume.highest)
        number = volume.touch(span, xxhash.xxh3_64_intdigest(f"{stub.namespace}/{stub.name}".encode()))
        if not number:
            return ()
        stratum = stratum_of(stub.actor_kind, portrait.action_class, HOW_MUCH)
        score = volume.score(number)
        volume.highest = max(volume.highest, score)
        rank = self._memory.histogram(stratum).rank(score)
        nats = rank.evidence * portrait.threat
        if nats < TELLING_NATS or stub.values.get("actor.in_profile"):
            return ()
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
        return (Signal("surprise", HOW_MUCH, portrait.tactic, round(nats, 6), text, detail),)
