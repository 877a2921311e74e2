"""How memories that are full make room."""

from itertools import islice
from typing import Any


def forget_oldest(memory: dict[Any, Any]) -> int:
    """The oldest tenth goes at once, as a dict looks long for its first entry where many are gone. Answers how many went."""
    oldest = list(islice(memory, max(1, len(memory) // 10)))
    for key in oldest:
        del memory[key]
    return len(oldest)
