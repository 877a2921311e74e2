"""A piece of input on its way to a decoder, light enough to go to another process."""

from typing import Any

from msgspec import Struct

from kubewake.event import Malformed


class Chunk(Struct, frozen=True):
    """Whole lines of one file, one record a line: either the bytes, or where in the file they stand."""

    file: str
    first_line: int
    length: int
    """Bytes of `data`."""
    offset: int | None = None
    """Where the lines stand in a plain file; None where the bytes were decompressed or re-cut. Also the cursor."""
    data: bytes | None = None
    """None: `load` reads them from the file, as the process does that a chunk of a plain file was sent to."""
    format: str | None = None
    """Name of the format that the file was recognised as; None: sniff."""
    cluster: str = ""
    malformed: tuple[Malformed, ...] = ()
    """What was no record, found while the file was cut into records."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, a chunk of a plain file leaves its bytes behind: reading them again is cheaper than sending them."""
        data = self.data if self.offset is None else None
        return Chunk, (
            self.file, self.first_line, self.length, self.offset, data, self.format, self.cluster, self.malformed,
        )  # fmt: skip
