"""Days without attacks, made from a recording: the same cluster lives through them one after another.

A day is the recording less all labelled attacks. Each day the people are drawn anew: somebody may do a colleague's work,
start earlier or later, come from another address or with another version of the client; newcomers and namespaces that
are made are new ones every day; every credential is fresh. Machines do what they did. Nothing of this takes part in tuning.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import msgspec
import xxhash
from msgspec import Struct

from bench.evaluation.labels import Labels
from bench.evaluation.recording import Line, Recording
from bench.evaluation.replay import Engine
from bench.evaluation.story import Story, story_of
from kubewake.baseline.calibration import Histogram, Rank
from kubewake.detectors import all_detectors
from kubewake.engine import Fold
from kubewake.observation import Observation, Stub

SEED = 11
P_LEVELS = (0.1, 0.05, 0.01, 0.001)
SWAP_SHARE = 0.3
"""Chance that somebody does a colleague's work for a day."""
TRAVEL_SHARE = 0.1
UPGRADE_SHARE = 0.1
JITTER_SECONDS = 60.0
BATCH_STUBS = 4_000
ABOUT_GAPS = frozenset({"audit-stream-gap"})
"""Detectors of silence: between two generated days, of half an hour each, lies a night of 23 hours without one event."""


class Persona(Struct, frozen=True):
    """How a person appears on one day."""

    name: str
    source: str
    user_agent: str
    delay_seconds: float


class Days(Struct):
    """False stories by day, and how many days there were."""

    days: int
    events: int
    false: list[tuple[int, Story]]
    scored: int = 0
    """Scores that entered a histogram of the calibration."""
    at_most: dict[str, int] = {}
    """Statements about something new whose p-value was at most the key."""

    @property
    def scores(self) -> list[float]:
        """Scores of all false stories."""
        return [story.score for _, story in self.false]


class Watch:
    """Looks over the shoulder of the calibration: how many scores it takes in, and how small its p-values are.

    If the p-values are what they claim, no more than a share `level` of all scores has a p-value of at most `level`.
    """

    def __init__(self) -> None:
        self.scored = 0
        self.at_most = dict.fromkeys(P_LEVELS, 0)

    @contextmanager
    def looking(self) -> Iterator["Watch"]:
        """Watch every histogram inside this block."""
        add, rank = Histogram.add, Histogram.rank
        watch = self

        def watched_add(histogram: Histogram, *arguments: Any) -> None:
            watch.scored += 1
            add(histogram, *arguments)

        def watched_rank(histogram: Histogram, score: float) -> Rank:
            found = rank(histogram, score)
            for level in P_LEVELS:
                watch.at_most[level] += found.p <= level
            return found

        with patch.object(Histogram, "add", watched_add), patch.object(Histogram, "rank", watched_rank):
            yield self


def harmless(recording: Recording) -> list[Line]:
    """The recording less every event of a campaign and every answer to one."""
    attack = recording.labels.attack_derived | set(recording.labels.campaign_of)
    return [line for line in recording.lines if line.audit_id not in attack]


def cast(stubs: Iterable[Stub], labels: Labels, day: int, rng: random.Random) -> dict[str, Persona]:
    """Who plays whom on a day, by the name in the recording."""
    looks: dict[str, Counter[tuple[str, str]]] = {}
    for stub in stubs:
        if stub.actor_kind == "human":
            looks.setdefault(stub.user, Counter())[stub.source, stub.user_agent] += stub.count
    role = {str(person["name"]): str(person.get("role", "")) for person in labels.people}
    newcomers = {str(person["name"]) for person in labels.people if person.get("new_employee")}
    newcomers |= looks.keys() - role.keys()
    playing = {name: name for name in sorted(looks)}
    for name in sorted(looks):
        colleagues = [other for other in sorted(looks) if other != name and role.get(other, "?") == role.get(name)]
        colleagues = [other for other in colleagues if other not in newcomers and name not in newcomers]
        if day and colleagues and rng.random() < SWAP_SHARE:
            other = rng.choice(colleagues)
            playing[name], playing[other] = playing[other], playing[name]
    personas = {}
    for name in sorted(looks):
        actor = playing[name]
        source, user_agent = looks[actor].most_common(1)[0][0]
        if source and rng.random() < TRAVEL_SHARE:
            source = f"192.0.2.{rng.randrange(1, 255)}"
        if user_agent and rng.random() < UPGRADE_SHARE:
            user_agent = user_agent.replace("/v1.3", f"/v1.{3 + day % 2}")
        if actor in newcomers:
            actor = f"{actor}{day}" if day else actor
        personas[name] = Persona(actor, source, user_agent, rng.uniform(-JITTER_SECONDS, JITTER_SECONDS))
    return personas


def day_of(encoded: bytes, labels: Labels, day: int, seed: int) -> list[Stub]:
    """The stubs of one generated day, in event-time order."""
    stubs = msgspec.msgpack.decode(encoded, type=list[Stub])
    rng = random.Random(f"{seed} {day}")
    personas = cast(stubs, labels, day, rng)
    names = {name: persona.name for name, persona in personas.items()}
    usual: dict[str, str] = {}
    for stub in stubs:
        if stub.actor_kind == "human":
            usual.setdefault(stub.user, stub.source)
    salt = xxhash.xxh3_64_intdigest(f"{seed} {day}".encode())
    born = {
        stub.name: f"{stub.name}-{day}"
        for stub in stubs
        if (stub.verb, stub.resource) == ("create", "namespaces") and stub.name
    }
    names |= born
    for stub in stubs:
        delay = 0.0
        persona = personas.get(stub.user) if stub.actor_kind == "human" else None
        if persona is not None:
            delay = persona.delay_seconds
            if persona.name != stub.user or stub.source == usual.get(stub.user):
                stub.source, stub.source_ips = persona.source, (persona.source,) if persona.source else ()
                stub.user_agent = persona.user_agent
        stub.time = moved(stub.time, day, delay)
        stub.last_time = moved(stub.last_time, day, delay) if stub.last_time else ""
        stub.key ^= (salt >> 2) << 2
        stub.last_key = stub.last_key ^ ((salt >> 2) << 2) if stub.last_key else 0
        if stub.behaviour:
            stub.behaviour ^= salt
        stub.user = names.get(stub.user, stub.user)
        stub.impersonated = names.get(stub.impersonated, stub.impersonated)
        if stub.namespace in born:
            stub.uri = stub.uri.replace(f"/namespaces/{stub.namespace}", f"/namespaces/{born[stub.namespace]}")
            stub.namespace = born[stub.namespace]
        if stub.resource == "namespaces":
            stub.name = born.get(stub.name, stub.name)
        stub.credential = f"{stub.credential}-{day}" if stub.credential else ""
        stub.issued_credential = f"{stub.issued_credential}-{day}" if stub.issued_credential else ""
        stub.values = renamed(stub.values, names)
        stub.hits, stub.records = (
            tuple(msgspec.structs.replace(hit, values=renamed(hit.values, names)) for hit in hits)
            for hits in (stub.hits, stub.records)
        )
    stubs.sort(key=lambda stub: (stub.time, stub.key))
    return stubs


def moved(time: str, day: int, seconds: float) -> str:
    """A time on another day."""
    if not seconds:
        date = datetime.fromisoformat(time[:10]) + timedelta(days=day)
        return date.strftime("%Y-%m-%d") + time[10:]
    return (datetime.fromisoformat(time) + timedelta(days=day, seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A value with every person's name replaced."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: renamed(held, names) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [renamed(held, names) for held in value]
    return value


def observations_of(stubs: list[Stub]) -> Iterator[Observation]:
    """Stubs as a reader would hand them on."""
    for start in range(0, len(stubs), BATCH_STUBS):
        part = stubs[start : start + BATCH_STUBS]
        yield Observation(
            file="generated",
            stubs=part,
            events=sum(stub.count for stub in part),
            first_time=part[0].time,
            last_time=part[-1].time,
        )


def live_through(engine: Engine, recording: Recording, days: int, *, seed: int = SEED) -> Days:
    """Fold that many generated days, one after another, in one cluster."""
    stubs = [stub for observation in engine.read(harmless(recording)) for stub in observation.stubs if stub.count]
    encoded = msgspec.msgpack.encode(stubs)
    kinds = [kind for kind in all_detectors() if ABOUT_GAPS.isdisjoint(info.id for info in kind.infos)]
    fold = Fold(engine.rules, kinds)
    with Watch().looking() as watch:
        for day in range(days):
            for observation in observations_of(day_of(encoded, recording.labels, day, seed)):
                fold.absorb(observation)
                fold.advance()
                fold.closed()
        fold.advance(flush=True)
    first = datetime.fromisoformat(recording.lines[0].time[:10])
    false = []
    for incident in fold.incidents():
        if recording.labels.credit(incident.audit_ids).is_false:
            number = (datetime.fromisoformat(incident.opened_at[:10]) - first).days
            false.append((number, story_of(incident)))
    false.sort(key=lambda item: item[0])
    return Days(days, fold.input().events, false, watch.scored, {f"{level:g}": n for level, n in watch.at_most.items()})
