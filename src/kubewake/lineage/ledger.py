"""Bounded memory of causes: what was done that a later request may follow from."""

from collections import OrderedDict
from collections.abc import Iterator

from msgspec import Struct

from kubewake.lineage.reference import EventRef


class Cause(Struct, array_like=True):
    """One entry: who did it, when, and what the effect will have to match."""

    ref: EventRef
    seconds: float
    subject: str = ""
    """What the entry is about besides its key (an account, a common name, …)."""
    certainty: float = 1.0
    """Factor on the link's strength, for causes known by less than the exact fact."""
    uses: int = 0


class Ledger:
    """Causes by key, newest last, each kept for `horizon_seconds`; at most `capacity` keys, the oldest forgotten first.

    Several causes of one key are kept up to `depth`, one per session.
    """

    def __init__(self, horizon_seconds: float, capacity: int = 20_000, depth: int = 1) -> None:
        self.horizon_seconds = horizon_seconds
        self.capacity = capacity
        self.depth = depth
        self.evicted = 0
        self.entries: OrderedDict[str, list[Cause]] = OrderedDict()
        """Causes by key, oldest key first; the horizon is not looked at here (see `get`)."""

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def put(self, key: str, cause: Cause) -> None:
        """Remember a cause; the key moves to the young end, an older cause of the same session is replaced."""
        held = self.entries.pop(key, None)
        if held is None and len(self.entries) >= self.capacity:
            self._forget(cause.seconds)
        if held and self.depth > 1:
            others = [other for other in held if other.ref.session != cause.ref.session]
            self.entries[key] = [*others[1 - self.depth :], cause]
        else:
            self.entries[key] = [cause]

    def _forget(self, now: float) -> None:
        _, oldest = self.entries.popitem(last=False)
        if oldest[-1].seconds + self.horizon_seconds >= now:
            self.evicted += 1

    def get(self, key: str, now: float) -> list[Cause]:
        """Causes of a key that are still within the horizon, oldest first."""
        held = self.entries.get(key)
        if not held:
            return []
        return [cause for cause in held if 0 <= now - cause.seconds <= self.horizon_seconds]

    def discard(self, key: str) -> None:
        """Forget a key."""
        self.entries.pop(key, None)

    def items(self) -> Iterator[tuple[str, list[Cause]]]:
        """Every entry, oldest key first."""
        yield from self.entries.items()

    def dump(self) -> list[tuple[str, list[Cause]]]:
        """All entries in order, for a snapshot."""
        return list(self.entries.items())

    def load(self, entries: list[tuple[str, list[Cause]]], evicted: int) -> None:
        """Replace the content by that of a snapshot."""
        self.entries = OrderedDict(entries)
        self.evicted = evicted
