"""How a process that reads much uses its memory: what the engine makes has next to no cycles, and is much the same again
and again.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_EVERY = 1_000_000
"""Objects made until garbage is looked for, a thousand times as many as usual: looking walks all state of the engine."""

KEPT_BYTES = 64 * 1024 * 1024
"""Freed memory that the C library keeps for what is read next; the kernel gives none so fast."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_ON_HEAP = 32 * 1024 * 1024
"""The largest that glibc allows."""


def look_rarely() -> None:
    """For the rest of this process, look rarely for garbage, and never among what is there already."""
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])


def keep_freed() -> None:
    """For the rest of this process, keep what is freed; left to itself, glibc gives each chunk's memory back.

    Elsewhere than in glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MOST_ON_HEAP)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look rarely for a while."""
    before = gc.get_threshold()
    look_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
