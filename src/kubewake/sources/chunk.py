"""A piece of input on its way to a decoder, light enough to go to another process."""

from msgspec import Struct
from msgspec.structs import replace

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

    def light(self) -> "Chunk":
        """The chunk to keep or to send: of a plain file without its bytes, as reading them again is cheaper."""
        return self if self.offset is None else replace(self, data=None)
