"""Novel behaviours on probation: a day passes before they are learnt, and only outside open incidents.

Without this one attack would teach the baseline to ignore its repetition.
"""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from kubewake.baseline.days import DAY_SECONDS
from kubewake.baseline.traits import Trait
from kubewake.baseline.volume import SPAN_CHARACTERS
from kubewake.observation import Stub

LEAST_SECONDS = 60.0
"""In the first minutes of a log there is little to compare with; what comes then is what the cluster is like."""
MAX_SECONDS = float(DAY_SECONDS)
PENDING_MAX = 50_000
PENDING_EACH = 500
"""Behaviours on probation of one identity."""
WITHHELD_MAX = 10_000
"""Behaviours of incidents kept in case a verdict calls them benign."""


class Novelty(Struct, array_like=True):
    """One behaviour on probation. Scores below 0 were not measured: the identity was new itself."""

    key: int
    user: str
    first_seconds: float
    due_seconds: float
    last_day: int
    first_day: int
    action_class: str
    role: str
    traits: tuple[Trait, ...]
    session: tuple[str, str, str]
    """Credential, source and user agent that showed it first."""
    what: float = -1.0
    who: float = -1.0
    settled: str = ""
    """The ten minutes and the credential in which it was last weighed: repeats in them say nothing new."""

    def was_new(self, since: float, until: float) -> bool:
        """Whether it showed while new between two times, in seconds; exact for the first time, else to ten minutes."""
        if self.first_seconds > until:
            return False
        return self.first_seconds >= since or self.settled[:SPAN_CHARACTERS] >= span_of(since)

    def settle(self, stub: Stub) -> None:
        """Note that it was weighed."""
        self.settled = f"{stub.time[:SPAN_CHARACTERS]} {stub.credential}"

    def is_settled(self, stub: Stub) -> bool:
        """Whether it was weighed just now, for the same credential."""
        return self.settled == f"{stub.time[:SPAN_CHARACTERS]} {stub.credential}"


def span_of(seconds: float) -> str:
    """The ten minutes that a time falls into, as they begin an event's time."""
    return datetime.fromtimestamp(max(0.0, seconds), UTC).isoformat()[:SPAN_CHARACTERS]


def due_after(first: float, begun: float) -> float:
    """When a behaviour may be learnt: after a day, or in a young log after as long as the log had lasted."""
    return first + min(MAX_SECONDS, max(LEAST_SECONDS, first - begun))


class Probation(Struct):
    """Behaviours in the order of their first sight."""

    pending: dict[int, Novelty] = {}
    """An `OrderedDict`: an ordinary one looks long for its first entry where those before it are gone."""
    withheld: dict[int, Novelty] = {}
    by_user: dict[str, int] = {}
    evicted: int = 0

    def __post_init__(self) -> None:
        self.pending = OrderedDict(self.pending)

    def put(self, novelty: Novelty) -> bool:
        """Take one in; False, and counted, where its identity or the whole has too many."""
        held = self.by_user.get(novelty.user, 0)
        if held >= PENDING_EACH or len(self.pending) >= PENDING_MAX:
            self.evicted += 1
            return False
        self.by_user[novelty.user] = held + 1
        self.pending[novelty.key] = novelty
        return True

    def next_due(self) -> float:
        """When the first one is due; infinity where none is."""
        for novelty in self.pending.values():
            return novelty.due_seconds
        return float("inf")

    def take_due(self, now: float) -> Iterator[Novelty]:
        """Those whose probation is over, oldest first; they are on probation no more."""
        while self.pending:
            novelty = next(iter(self.pending.values()))
            if novelty.due_seconds > now:
                return
            yield self.take(novelty.key)

    def take(self, key: int) -> Novelty:
        """End the probation of one."""
        novelty = self.pending.pop(key)
        left = self.by_user[novelty.user] - 1
        if left:
            self.by_user[novelty.user] = left
        else:
            del self.by_user[novelty.user]
        return novelty

    def withhold(self, novelty: Novelty) -> None:
        """Keep back what an incident contains."""
        self.withheld.pop(novelty.key, None)
        if len(self.withheld) >= WITHHELD_MAX:
            del self.withheld[next(iter(self.withheld))]
            self.evicted += 1
        self.withheld[novelty.key] = novelty

    def drop(self, key: int) -> None:
        """Hold one no more, on probation or kept back."""
        if key in self.pending:
            self.take(key)
        self.withheld.pop(key, None)

    def of(self, user: str) -> list[Novelty]:
        """Those of an identity, on probation or kept back, each once, in the order of their first sight."""
        held = {**self.withheld, **self.pending}
        return sorted(
            (item for item in held.values() if item.user == user), key=lambda item: (item.first_seconds, item.key)
        )
