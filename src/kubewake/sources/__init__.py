"""Where audit events come from: files and standard input, the API server's webhook, log files that grow.

A source yields chunks of whole records with a cursor; it decodes nothing.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from kubewake.sources.chunk import Chunk


class Source(Protocol):
    """A stream of chunks. The reader acknowledges a chunk's cursor when what the chunk held is stored."""

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in the order in which they should be judged: as near to event time as the source can tell."""

    def acknowledge(self, cursor: Any) -> None:
        """What lies before the cursor is stored and need not be delivered again."""


__all__ = ["Chunk", "Source"]
