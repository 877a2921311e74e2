"""How often Python looks for garbage: what the engine makes has next to no cycles, and looking walks all its state."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_EVERY = 1_000_000
"""Objects made until garbage is looked for, a thousand times as many as usual."""


def look_rarely() -> None:
    """For the rest of this process, look rarely, and never among what is there already."""
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])


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
