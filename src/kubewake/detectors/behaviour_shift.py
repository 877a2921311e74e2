"""An identity that changes in several respects at once."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import xxhash
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.detectors.new_value import behaviour_of
from kubewake.detectors.novelty_table import origin_of
from kubewake.finding import Attack, Severity
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

SHIFT = RuleInfo(
    id="identity-behaviour-anomaly",
    title="Identity behaves unlike itself",
    level="medium",
    kind="detector",
    tactic="initial-access",
    attack=Attack(tactics=["initial-access", "lateral-movement"], techniques=["T1078"]),
    description=(
        "Within an hour an identity with a past was new in at least three of five respects: network, program, kind of "
        "request, namespace, and way in which requests end."
    ),
    falsepositives=(
        "A person with a new laptop and a new task; a program that was replaced by a very different version.",
    ),
    references=("https://attack.mitre.org/techniques/T1078/",),
    covers=("identity-behaviour-anomaly",),
    confidence="low",
    audience="pedantic",
    story=(
        "{actor.name} behaves unlike itself within an hour: new are {aspects}. One new thing is nothing; several at once "
        "can mean that somebody else uses the login."
    ),
    remediation=(
        "Ask the owner of {actor.name} whether this was them.",
        "If nobody knows: list everything that {user.username} did from {source.ip}, and revoke the credential.",
    ),
    group_by=("user.username",),
    window_seconds=86_400,
)

HISTORY_REQUESTS = 50
HISTORY_MICROSECONDS = 3600 * 1_000_000
TOGETHER_MICROSECONDS = 3600 * 1_000_000
DAY_MICROSECONDS = 86_400 * 1_000_000
REMEMBERED_DAYS = 14
ASPECTS_ENOUGH = 3
ASPECTS_MANY = 5
IDENTITIES_MAX = 5_000
FAMILIAR_MAX = 100_000
VALUES_MAX = 500
"""Values remembered of one identity; one with more varies so much that nothing is new."""


class Character(Struct, array_like=True):
    """What an identity is like: hashes of what it does with the day of the last time, and what was new of late."""

    first: int
    requests: int = 0
    values: dict[int, int] = {}
    fresh: dict[str, tuple[int, Evidence]] = {}


@detector(SHIFT, of_people=True, wants=lambda scene: scene.actor_kind in ("human", "serviceaccount", "node"))
class BehaviourShift:
    """Remembers what each identity is like."""

    def __init__(self) -> None:
        self._characters: Ledger[str, Character] = Ledger(IDENTITIES_MAX)
        self._familiar: dict[int, int] = {}

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if not stub.user:
            return ()
        now = microseconds(stub.time)
        character = self._characters.get(stub.user)
        if character is None:
            character = Character(now)
            self._characters.put(stub.user, character)
        else:
            self._characters.renew(stub.user)
        requests = character.requests
        if requests < HISTORY_REQUESTS:  # more do not matter
            character.requests += stub.count
        day = now // DAY_MICROSECONDS
        behaviour = stub.kind or behaviour_of(stub)
        if self._familiar.get(behaviour) == day:
            return ()
        if len(self._familiar) >= FAMILIAR_MAX:
            self._familiar.clear()
        self._familiar[behaviour] = day
        known = (
            requests >= HISTORY_REQUESTS
            and now - character.first >= HISTORY_MICROSECONDS
            and len(character.values) < VALUES_MAX
        )
        return self._compare(stub, character, now, known=known)

    def _compare(self, stub: Stub, character: Character, now: int, *, known: bool) -> Iterator[Detection]:
        new = _learn(character, stub, now // DAY_MICROSECONDS)
        if not new or not known or stub.values.get("actor.in_profile"):
            return
        fresh = {name: item for name, item in character.fresh.items() if now - item[0] < TOGETHER_MICROSECONDS}
        for name in new:
            fresh[name] = (now, evidence_of(stub))
        character.fresh = fresh
        if len(fresh) < ASPECTS_ENOUGH:
            return
        severity: Severity | None = "high" if len(fresh) >= ASPECTS_MANY else None
        earlier = {item[1].key: item[1] for name, item in fresh.items() if name not in new}
        values: dict[str, Any] = {"aspects": sorted(fresh), "user.username": stub.user}
        yield Detection(rule=SHIFT.id, stub=stub, evidence=tuple(earlier.values()), values=values, severity=severity)

    def snapshot(self) -> bytes:
        """The character of all identities, longest idle first."""
        return msgspec.msgpack.encode(dict(self._characters.items()))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._characters.fill(list(msgspec.msgpack.decode(data, type=dict[str, Character]).items()))
        self._familiar = {}


def _learn(character: Character, stub: Stub, day: int) -> list[str]:
    """Note what the request is like; returns the aspects that are new."""
    values, new = character.values, []
    for aspect, value in (
        ("the network", origin_of(stub)),
        ("the program", stub.client),
        ("the kind of request", f"{stub.verb} {stub.resource} {stub.subresource}"),
        ("the namespace", stub.namespace),
        ("how requests end", stub.outcome),
    ):
        if not value:
            continue
        number = xxhash.xxh3_64_intdigest(f"{aspect}\0{value}".encode())
        last = values.get(number)
        if last is None or day - last > REMEMBERED_DAYS:
            new.append(aspect)
        if last is not None or len(values) < VALUES_MAX:
            values[number] = day
    return new
