"""The saved state of a fold: its form."""

from msgspec import Struct

from kubewake.finding import InputSummary
from kubewake.snapshot import decode_state

SNAPSHOT_VERSION = 1
BASELINE = "baseline"


class Saved(Struct):
    """A snapshot of a `Fold`; `clusters` holds the state of each part by name."""

    version: int
    order: bytes
    findings: bytes
    clusters: dict[str, dict[str, bytes]]
    input: InputSummary
    fleet: bytes
    final: dict[str, str] = {}


class Savings(Struct, frozen=True):
    """What is to be stored: a snapshot, the pieces of it that were not stored before, by name, and the names of all."""

    body: bytes
    pieces: dict[str, bytes]
    held: list[str]


def decode_saved(data: bytes, place: str = "") -> Saved:
    """A snapshot again; raises StoreError, which names the place that it is from, where it cannot be read."""
    return decode_state(data, Saved, f"{place}: saved engine state".lstrip(": "), version=SNAPSHOT_VERSION)
