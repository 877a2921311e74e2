"""The saved state of a fold: its form, and what may be read and changed in it while nothing runs."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from kubewake.baseline import Archive, Baseline, Lesson, Verdict
from kubewake.baseline.archive import pack, unpack
from kubewake.errors import InputError, StoreError
from kubewake.finding import InputSummary

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


def decode_saved(data: bytes) -> Saved:
    """A snapshot again; raises StoreError where it cannot be read."""
    try:
        saved = msgspec.msgpack.decode(data, type=Saved)
    except msgspec.DecodeError as error:
        raise StoreError(f"saved engine state cannot be read ({error}); delete the state to start afresh") from error
    if saved.version != SNAPSHOT_VERSION:
        raise StoreError(
            f"saved engine state has version {saved.version}, this kubewake reads {SNAPSHOT_VERSION}; "
            "delete the state to start afresh",
        )
    return saved


def saved_archives(data: bytes) -> dict[str, Archive]:
    """What is usual, by cluster, in a snapshot of a `Fold`; raises StoreError."""
    clusters = decode_saved(data).clusters
    return {name: unpack(parts[BASELINE])[0] for name, parts in clusters.items() if BASELINE in parts}


def with_archives(data: bytes, archives: Mapping[str, Archive]) -> bytes:
    """A snapshot of a `Fold` that also knows what the archives know of its clusters; raises StoreError."""
    saved = decode_saved(data)
    for name, parts in saved.clusters.items():
        if name in archives and BASELINE in parts:
            held, running = unpack(parts[BASELINE])
            parts[BASELINE] = pack(held.merge(archives[name]), running)
    return msgspec.msgpack.encode(saved)


def with_verdict(data: bytes, verdict: Verdict) -> tuple[bytes, list[Lesson]]:
    """A snapshot of a `Fold` after a verdict, and what that did; raises StoreError, InputError for another cluster."""
    saved = decode_saved(data)
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
