"""Whom a person may have meant by a name that is not known."""

import difflib
from collections.abc import Iterable

MAX_NAMES = 5


def known_names(wanted: str, known: Iterable[str]) -> str:
    """Names that hold the one that was wanted or look like it; else the first and how many there are."""
    names = sorted(known)
    near = [name for name in names if wanted and wanted.lower() in name.lower()]
    near = near or difflib.get_close_matches(wanted, names, n=MAX_NAMES)
    if near:
        return f"did you mean {' or '.join(near[:MAX_NAMES])}?"
    if not names:
        return "nobody is known"
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return f"known are {', '.join(names[:MAX_NAMES])}{more}"
