"""Ordinary behaviours that nobody need look at again this hour, or this day.

A behaviour that passed once, and that no rule lets pass singly, says nothing new by being repeated: its repeats are
counted, learnt from and kept for stories, but most detectors see it once an hour. What a known component does within its job is
only counted until the next day.
"""

import msgspec

from kubewake.observation import Stub
from kubewake.snapshot import decode_state

HOUR_CHARACTERS = 13
"""Length of `2026-11-23T07`."""

DAY_CHARACTERS = 10
"""Length of `2026-11-23`: what a known component does within its job is looked at once a day."""

MAX_SETTLED = 200_000
"""Behaviours remembered; when full, all are forgotten and pass once more, which costs time and no detection."""


def is_upkeep(stub: Stub) -> bool:
    """Whether a known component does what it is there for."""
    return bool(stub.behaviour and not (stub.hits or stub.records) and stub.values.get("actor.in_profile"))


class Settled:
    """The hour, or the day, in which each ordinary behaviour was last passed on."""

    def __init__(self) -> None:
        self._hours: dict[int, str] = {}

    def is_repeat(self, stub: Stub) -> bool:
        """Whether the stub repeats what has passed in the same hour or day; remembers it otherwise."""
        behaviour = stub.behaviour
        if not behaviour:
            return False
        hour = self._hours.get(behaviour)
        if hour and stub.time.startswith(hour):
            return True
        if len(self._hours) >= MAX_SETTLED:
            self._hours.clear()
        self._hours[behaviour] = stub.time[: DAY_CHARACTERS if is_upkeep(stub) else HOUR_CHARACTERS]
        return False

    def snapshot(self) -> bytes:
        """All behaviours with their hours."""
        return msgspec.msgpack.encode(self._hours)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._hours = decode_state(data, dict[int, str], "saved ordinary behaviours")
