"""Event time as a number, for distances between events."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=4096)
def _minute(text: str) -> float:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def seconds_of(time: str) -> float:
    """Seconds since 1970 of an RFC 3339 UTC time with `Z`; 0 where it is none."""
    try:
        return _minute(time[:16]) + float(time[17:].rstrip("Z") or 0)
    except ValueError:
        return 0.0
