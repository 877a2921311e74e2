"""On which of the last fourteen days something was seen, packed into one integer. Days are counted, not hits.

A packed value is `last_day << 14 | mask`: bit i of the mask stands for the day `last_day - i`, days since 1970. A burst
of requests marks one day only, so that haste buys an attacker nothing. Joining is commutative and associative.
"""

WINDOW_DAYS = 14
DAY_SECONDS = 86_400
_MASK = (1 << WINDOW_DAYS) - 1


def on_day(day: int) -> int:
    """Seen on this day only."""
    return day << WINDOW_DAYS | 1


def last_day(packed: int) -> int:
    """The last day on which it was seen."""
    return packed >> WINDOW_DAYS


def join(one: int, other: int) -> int:
    """Seen on the days of either."""
    if one == other:
        return one
    if one < other:
        one, other = other, one
    distance = (one >> WINDOW_DAYS) - (other >> WINDOW_DAYS)
    return one | (((other & _MASK) << distance) & _MASK) if distance < WINDOW_DAYS else one


def mark(packed: int, day: int) -> int:
    """Seen on this day too."""
    return join(packed, on_day(day)) if packed else on_day(day)


def count(packed: int) -> int:
    """Number of days, 0 to 14."""
    return (packed & _MASK).bit_count()


def is_over(packed: int, today: int) -> bool:
    """Whether the last day lies outside the window."""
    return today - (packed >> WINDOW_DAYS) >= WINDOW_DAYS
