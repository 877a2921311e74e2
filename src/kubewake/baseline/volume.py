"""How many different objects somebody touches in ten minutes, against what it usually touches: a Gamma-Poisson tail."""

import math

from msgspec import Struct

SPAN_CHARACTERS = 15
"""Ten minutes: the length of `2026-11-23T07:0`."""
PRIOR_OBJECTS, PRIOR_SPANS = 2.0, 1.0
"""What is expected of somebody unknown: two objects in ten minutes, held as lightly as one observation."""
OBJECTS_MAX = 4_096
"""Different objects told apart in one span."""
FIRST_TOLD = 6
"""Fewer objects are never many."""
GROWTH = 1.25
"""It is weighed again when the number has grown by this factor."""


class Volume(Struct, array_like=True):
    """Objects of one kind that one identity touched: in this span, and in all spans before."""

    span: str = ""
    objects: set[int] = set()
    told: int = 0
    spans: int = 0
    total: int = 0
    highest: float = 0.0
    """Highest score of this span so far."""

    def touch(self, span: str, item: int) -> int:
        """Note an object; returns how many there are when that is worth weighing, else 0."""
        if span != self.span:
            if self.span:
                self.spans += 1
                self.total += len(self.objects)
            self.span, self.objects, self.told, self.highest = span, set(), 0, 0.0
        if item in self.objects or len(self.objects) >= OBJECTS_MAX:
            return 0
        self.objects.add(item)
        number = len(self.objects)
        if number < FIRST_TOLD or number < self.told * GROWTH:
            return 0
        self.told = number
        return number

    def score(self, number: int) -> float:
        """Minus the logarithm of the chance of so many or more."""
        return -log_tail(number, PRIOR_OBJECTS + self.total, PRIOR_SPANS + self.spans)


def log_tail(number: int, shape: float, rate: float) -> float:
    """Logarithm of the chance that a Poisson count whose mean is Gamma(shape, rate) reaches `number`."""
    failure, success = rate / (rate + 1), 1 / (rate + 1)
    base = shape * math.log(failure) - math.lgamma(shape)
    term = math.lgamma(shape + number) - math.lgamma(number + 1) + base + number * math.log(success)
    total, ratio, k = 1.0, 1.0, float(number)  # not mixed with integers, which takes twice as long
    end = k + 20_000
    while ratio > 1e-9 and k < end:
        ratio *= (shape + k) / (k + 1.0) * success
        k += 1.0
        total += ratio
    return min(0.0, term + math.log(total))
