"""The saved state of a fold: its form, and what may be read and changed in it while nothing runs."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from kubewake.baseline import Archive, Baseline, Lesson, Verdict
from kubewake.baseline.archive import pack, unpack
from kubewake.errors import InputError
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


def decode_saved(data: bytes, place: str = "") -> Saved:
    """A snapshot again; raises StoreError, which names the place that it is from, where it cannot be read."""
    return decode_state(data, Saved, f"{place}: saved engine state".lstrip(": "), version=SNAPSHOT_VERSION)


def saved_archives(data: bytes, place: str) -> dict[str, Archive]:
    """What is usual, by cluster, in a snapshot of a `Fold` that is from a place; raises StoreError."""
    return {
        name: unpack(parts[BASELINE], f"{place}: saved baseline of cluster '{name}'")[0]
        for name, parts in decode_saved(data, place).clusters.items()
        if BASELINE in parts
    }


def with_archives(data: bytes, archives: Mapping[str, Archive]) -> bytes:
    """A snapshot of a `Fold` that also knows what the archives know of its clusters; raises StoreError."""
    saved = decode_saved(data)
    for name, parts in saved.clusters.items():
        if name in archives and BASELINE in parts:
            held, running = unpack(parts[BASELINE])
            parts[BASELINE] = pack(held.merge(archives[name]), running)
    return msgspec.msgpack.encode(saved)


def with_verdict(data: bytes, verdict: Verdict, place: str) -> tuple[bytes, list[Lesson]]:
    """A snapshot of a `Fold`, from a place, after a verdict, and what that did.

    Raises StoreError where it cannot be read, InputError where it knows nothing of the verdict's cluster.
    """
    saved = decode_saved(data, place)
    parts = saved.clusters.get(verdict.cluster, {})
    if BASELINE not in parts:
        raise InputError(unknown_cluster(verdict.cluster, saved.clusters))
    baseline = Baseline()
    baseline.restore(parts[BASELINE])
    lessons = baseline.hear(verdict)
    parts[BASELINE] = baseline.snapshot()
    return msgspec.msgpack.encode(saved), lessons


def unknown_cluster(cluster: str, known: Mapping[str, object]) -> str:
    """Which clusters there are, where one was asked for that is none of them."""
    names = ", ".join(name or "(no name)" for name in sorted(known)) or "none"
    return f"nothing is known of cluster {cluster or '(no name)'}; known are: {names}"
