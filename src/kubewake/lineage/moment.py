"""Event time as a number, for distances between events."""

from kubewake.rules.correlation import microseconds


def seconds_of(time: str) -> float:
    """Seconds since 1970 of an event time; 0 where it is none."""
    return microseconds(time) / 1e6
