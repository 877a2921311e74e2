"""What a saved state has learnt: read with what still waits in it, and changed while nothing runs."""

from collections.abc import Mapping

import msgspec

from kubewake.baseline import Archive, Baseline, Lesson, Verdict
from kubewake.baseline.archive import pack, unpack
from kubewake.engine.fold import Fold
from kubewake.engine.saved import BASELINE, decode_saved
from kubewake.errors import InputError
from kubewake.rules.ruleset import RuleSet


def saved_archives(data: bytes, pieces: Mapping[str, bytes], place: str) -> dict[str, Archive]:
    """What is usual, by cluster, in a snapshot of a `Fold` with its pieces that is from a place; raises StoreError."""
    return _seen_by_all(data, pieces, place).archives()


def with_archives(data: bytes, archives: Mapping[str, Archive]) -> bytes:
    """A snapshot of a `Fold` that also knows what the archives know of its clusters; raises StoreError."""
    saved = decode_saved(data)
    for name, parts in saved.clusters.items():
        if name in archives and BASELINE in parts:
            held, running = unpack(parts[BASELINE])
            parts[BASELINE] = pack(held.merge(archives[name]), running)
    return msgspec.msgpack.encode(saved)


def with_verdict(data: bytes, pieces: Mapping[str, bytes], verdict: Verdict, place: str) -> tuple[bytes, list[Lesson]]:
    """A snapshot of a `Fold`, from a place, after a verdict, and what that did. Its pieces stay as they are.

    What the verdict speaks of may still wait to be put in order: it is remembered until that is learnt. Raises StoreError
    where the snapshot cannot be read, InputError where it knows nothing of the verdict's cluster.
    """
    saved = decode_saved(data, place)
    parts = saved.clusters.get(verdict.cluster, {})
    whole = _seen_by_all(data, pieces, place).baseline(verdict.cluster)
    if BASELINE not in parts or whole is None:
        raise InputError(unknown_cluster(verdict.cluster, saved.clusters))
    baseline = Baseline()
    baseline.restore(parts[BASELINE])
    baseline.hear(verdict)
    parts[BASELINE] = baseline.snapshot()
    return msgspec.msgpack.encode(saved), whole.hear(verdict)


def unknown_cluster(cluster: str, known: Mapping[str, object]) -> str:
    """Which clusters there are, where one was asked for that is none of them."""
    names = ", ".join(name or "(no name)" for name in sorted(known)) or "none"
    return f"nothing is known of cluster {cluster or '(no name)'}; known are: {names}"


def _seen_by_all(data: bytes, pieces: Mapping[str, bytes], place: str) -> Fold:
    """A fold that goes on from a snapshot and has learnt from all that waits in it. Its rules are none."""
    for name, parts in decode_saved(data, place).clusters.items():
        if BASELINE in parts:
            unpack(parts[BASELINE], f"{place}: saved baseline of cluster '{name}'")
    fold = Fold(RuleSet(()), ())
    fold.restore(data, pieces)
    fold.advance_in_silence(flush=True)
    return fold
