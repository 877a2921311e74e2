"""Which versions a vulnerability affects, as rules write it: `kube-apiserver <=1.12, 1.13.0-1.13.8` or `kubelet all`."""

import re
from functools import lru_cache

from msgspec import Struct

_RANGE = re.compile(
    r"^(?:(?P<sign><=?)(?P<limit>[\d.]+)|(?P<first>[\d.]+)-(?P<last>[\d.]+)|(?P<one>[\d.]+)|(?P<all>all))$"
)
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
PATCHES = 1_000_000
"""Stands for any patch release: `<=1.12` means every 1.12.x as well."""

Number = tuple[int, int, int]


class Affected(Struct, frozen=True):
    """The component that is vulnerable, and the ranges of its versions, both ends inclusive."""

    component: str
    ranges: tuple[tuple[Number, Number], ...]

    def includes(self, version: str) -> bool | None:
        """Whether a version such as `v1.33.2` is vulnerable; None where the text is no version."""
        number = number_of(version)
        if number is None:
            return None
        return any(first <= number <= last for first, last in self.ranges)


def number_of(version: str, *, patch: int = 0) -> Number | None:
    """A version as numbers; a missing patch release counts as `patch`."""
    match = _VERSION.match(version)
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3]) if match[3] is not None else patch


@lru_cache(maxsize=512)
def read_affected(text: str) -> Affected | None:
    """Read the text of a rule's `affected`; None where it is empty or names versions in another way."""
    component, _, rest = text.partition(" ")
    ranges: list[tuple[Number, Number]] = []
    for piece in rest.split(","):
        match = _RANGE.match(piece.strip())
        if match is None:
            return None
        if match["all"]:
            ranges.append(((0, 0, 0), (PATCHES, 0, 0)))
            continue
        last = number_of(match["limit"] or match["last"] or match["one"], patch=PATCHES)
        first = number_of(match["first"] or match["one"] or "0.0")
        if first is None or last is None:
            return None
        if match["sign"] == "<":
            below = number_of(match["limit"])
            if below is None:
                return None
            last = (below[0], below[1], below[2] - 1) if below[2] else (below[0], below[1] - 1, PATCHES)
        ranges.append((first, last))
    return Affected(component, tuple(ranges)) if ranges else None
