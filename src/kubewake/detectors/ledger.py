"""What detectors remember: a bounded dictionary, and event time as a number."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar

from kubewake.rules.correlation import microseconds

Key = TypeVar("Key")
Value = TypeVar("Value")


class Ledger(Generic[Key, Value]):
    """A dictionary that holds at most `limit` entries; the entry written longest ago goes first."""

    __slots__ = ("_entries", "evicted", "get", "limit", "renew")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.evicted = 0
        """Entries that had to go to stay within the limit."""
        self._entries: OrderedDict[Key, Value] = OrderedDict()  # finds its oldest at once; a dict looks for it
        self.get: Callable[[Key], Value | None] = self._entries.get
        """The value, or None; does not count as writing. Not a method, as detectors ask for most that they see."""
        self.renew: Callable[[Key], None] = self._entries.move_to_end
        """Let an entry that is there become the youngest, as if it were written again."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def put(self, key: Key, value: Value) -> None:
        """Write an entry; it becomes the youngest."""
        entries = self._entries
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self.limit:
            entries.popitem(last=False)
            self.evicted += 1
        entries[key] = value

    def pop(self, key: Key) -> Value | None:
        """Take an entry out."""
        return self._entries.pop(key, None)

    def values(self) -> Iterator[Value]:
        """All values, oldest first."""
        return iter(self._entries.values())

    def items(self) -> list[tuple[Key, Value]]:
        """All entries, oldest first: what a snapshot keeps."""
        return list(self._entries.items())

    def fill(self, items: list[tuple[Any, Any]]) -> None:
        """Replace everything by the entries of a snapshot."""
        self._entries = OrderedDict((_hashable(key), value) for key, value in items)
        self.get = self._entries.get
        self.renew = self._entries.move_to_end


def _hashable(key: Any) -> Any:
    return tuple(_hashable(part) for part in key) if isinstance(key, list) else key


class Span:
    """The stretch of event time, one of those of so many minutes since 1970, that the latest stub lies in.

    Who sees every stub compares its time with where the span begins and ends, and works out another one rarely.
    """

    __slots__ = ("begins", "ends", "minutes", "number")

    def __init__(self, minutes: int) -> None:
        self.minutes = minutes
        self.number = 0
        """How many such spans lie between 1970 and this one; 0 also where the time was no time."""
        self.begins = self.ends = ""
        """Times as text: the span reaches from the first up to, but not including, the other."""

    def turn_to(self, time: str) -> None:
        """Let this be the span that a time lies in."""
        self.number = microseconds(time) // (self.minutes * MINUTE_MICROSECONDS)
        first = EPOCH + timedelta(minutes=self.number * self.minutes)
        last = first + timedelta(minutes=self.minutes - 1)
        self.begins = first.isoformat(timespec="minutes")
        self.ends = last.isoformat(timespec="minutes") + AFTER_SECONDS


MINUTE_MICROSECONDS = 60_000_000
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # only its text is used, which then has no offset
AFTER_SECONDS = ":~"
"""What comes after all seconds of a minute, in a time as text."""


@lru_cache(maxsize=1024)  # every detector asks for the time of the same stub, and often for that of the same evidence
def moment(time: str) -> float:
    """Event time as seconds since 1970; 0 where the text is no time."""
    return microseconds(time) / 1_000_000
