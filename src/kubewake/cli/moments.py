"""Times as people type them."""

import re
from datetime import UTC, datetime, timedelta

from kubewake.errors import SettingsError

_AGE = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime | None = None) -> str:
    """RFC 3339 UTC with microseconds from a time, a date, or an age such as "6h"; "" stays "".

    A time without a zone is UTC. Raises SettingsError.
    """
    if not text:
        return ""
    age = _AGE.fullmatch(text.strip())
    if age is not None:
        moment_ = (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    else:
        try:
            moment_ = datetime.fromisoformat(text.strip())
        except ValueError:
            raise SettingsError(
                f"{text!r} is no time; write 2026-11-23T07:00:00Z, 2026-11-23, or an age such as 6h or 2d",
            ) from None
        moment_ = moment_.replace(tzinfo=UTC) if moment_.tzinfo is None else moment_.astimezone(UTC)
    return moment_.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
