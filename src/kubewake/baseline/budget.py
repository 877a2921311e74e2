"""Keeps the promise of how many incidents may rest on statistics: the bar moves with the realised rate."""

import math

from msgspec import Struct

ALLOWED_A_DAY = 1.0
STEP = 0.5
"""Nats that the bar moves for each e-fold between the realised and the allowed rate."""
LOWEST_NATS, HIGHEST_NATS = -1.5, 3.0


class Budget(Struct):
    """How far the bar for incidents with statistical evidence is moved, in nats."""

    allowed_a_day: float = ALLOWED_A_DAY
    shift: float = 0.0
    day: int = 0
    opened: int = 0

    def count(self, day: int, opened: int = 0) -> float:
        """Take in incidents that opened on a day; moves the bar when a day has ended. Returns the shift."""
        if self.day and day > self.day:
            nudge = STEP * math.log((self.opened + 0.5) / (self.allowed_a_day + 0.5))
            nudge += (day - self.day - 1) * STEP * math.log(0.5 / (self.allowed_a_day + 0.5))
            self.shift = min(HIGHEST_NATS, max(LOWEST_NATS, self.shift + nudge))
            self.opened = 0
        self.day = max(self.day, day)
        self.opened += opened
        return self.shift
