"""What detectors remember: a bounded dictionary, and event time as a number."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Ledger(Generic[Key, Value]):
    """A dictionary that holds at most `limit` entries; the entry written longest ago goes first."""

    __slots__ = ("_entries", "evicted", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.evicted = 0
        """Entries that had to go to stay within the limit."""
        self._entries: OrderedDict[Key, Value] = OrderedDict()  # finds its oldest at once; a dict looks for it

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def get(self, key: Key) -> Value | None:
        """The value, or None; does not count as writing."""
        return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Write an entry; it becomes the youngest."""
        entries = self._entries
        entries.pop(key, None)
        if len(entries) >= self.limit:
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


def _hashable(key: Any) -> Any:
    return tuple(_hashable(part) for part in key) if isinstance(key, list) else key


@lru_cache(maxsize=64)  # every detector asks for the time of the same stub
def moment(time: str) -> float:
    """Event time as seconds since 1970; 0 where the text is no time."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0
