"""From surprise to evidence: how rare is a score this high where nothing is wrong.

For each stratum (kind of identity, class of action, statement) a histogram for each day. The p-value is conformal, the
evidence `log .5 - .5 log p`, floored at 0: with few observations p is large and nothing is said.
"""

import math

from msgspec import Struct

from kubewake.baseline.days import WINDOW_DAYS
from kubewake.baseline.identity import added

BIN_NATS = 0.25
MAX_BIN = 160
SHIFT_FACTOR = 4.0
"""So many times the usual share of novel behaviours, and at least `SHIFT_MINIMUM` of them, is a shift of the stratum."""
SHIFT_MINIMUM = 30
SHIFT_IDENTITIES = 5
"""A shift takes several identities: one alone that changes is what surprise is for."""
SHIFT_EVIDENCE = 0.5
"""Evidence of a stratum counts half while it shifts."""


class Rank(Struct, frozen=True, array_like=True):
    """How many of the observed scores were at least as high."""

    higher: int
    observed: int

    @property
    def p(self) -> float:
        """Conformal p-value."""
        return (1 + self.higher) / (1 + self.observed)

    @property
    def evidence(self) -> float:
        """The e-value's logarithm in nats, never below 0."""
        return max(0.0, math.log(0.5) - 0.5 * math.log(self.p))


def bin_of(score: float) -> int:
    """Number of the histogram's column; 0 is no surprise at all."""
    return min(MAX_BIN, math.ceil(score / BIN_NATS))


class Histogram(Struct):
    """Scores by day and column."""

    by_day: dict[int, dict[int, int]] = {}

    def add(self, day: int, score: float, times: int = 1) -> None:
        """Count a score on a day."""
        column = self.by_day.get(day)
        if column is None:
            column = self.by_day[day] = {}
        number = bin_of(score)
        column[number] = column.get(number, 0) + times

    def rank(self, score: float) -> Rank:
        """How rare such a score is."""
        number = bin_of(score)
        higher = observed = 0
        for column in self.by_day.values():
            for held, times in column.items():
                observed += times
                if held >= number:
                    higher += times
        return Rank(higher, observed)

    def forget(self, today: int) -> None:
        """Let go of what lies outside the window."""
        for day in [day for day in self.by_day if today - day >= WINDOW_DAYS]:
            del self.by_day[day]

    def merge(self, other: "Histogram") -> "Histogram":
        """Counts of both."""
        return Histogram(
            {
                day: added(self.by_day.get(day, {}), other.by_day.get(day, {}))
                for day in sorted(self.by_day.keys() | other.by_day.keys())
            }
        )


class Flow(Struct):
    """Novel and known behaviours of one kind of identity today, to notice when all of them change at once."""

    day: int = 0
    novel: int = 0
    known: int = 0
    identities: dict[str, int] = {}
    past_novel: float = 0.0
    past_known: float = 0.0
    shifting: bool = False

    def count(self, day: int, user: str, *, novel: bool) -> bool:
        """Count one behaviour of one day; True where a shift begins with it."""
        if day != self.day:
            if self.day:
                keep = 1 - 1 / WINDOW_DAYS
                self.past_novel = keep * self.past_novel + self.novel
                self.past_known = keep * self.past_known + self.known
            self.day, self.novel, self.known, self.shifting = day, 0, 0, False
            self.identities = {}
        if not novel:
            self.known += 1
            return False
        self.novel += 1
        if len(self.identities) < SHIFT_IDENTITIES:
            self.identities[user] = 1
        past = self.past_novel + self.past_known
        if self.shifting or not past or self.novel < SHIFT_MINIMUM or len(self.identities) < SHIFT_IDENTITIES:
            return False
        share = self.novel / (self.novel + self.known)
        self.shifting = share >= SHIFT_FACTOR * (self.past_novel + 1) / (past + 1)
        return self.shifting
