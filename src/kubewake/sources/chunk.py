"""A piece of input on its way to who reads it, light enough to go to another process."""

from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from kubewake.event import Malformed


class Chunk(Struct, frozen=True):
    """Whole lines of one file, one record a line: either the bytes, or where in the file they stand (see `load`)."""

    file: str
    first_line: int | None
    """None where it follows from what stands before in the file, or it is the first: see `files.loaded`."""
    length: int
    """Bytes of the lines."""
    offset: int | None = None
    """Where the lines stand in a plain file; None where the bytes were decompressed or re-cut, and stand in none."""
    data: bytes | None = None
    descriptor: int | None = None
    """The plain file, open in this process until the next chunk is asked for."""
    format: str | None = None
    """Name of the format that the file was recognised as; None: sniff."""
    cluster: str = ""
    stored: str | None = None
    """The plain file in which the lines stand, if not `file` itself."""
    malformed: tuple[Malformed, ...] = ()
    """What was no record, found while the file was cut into records."""

    def light(self, store: BinaryIO) -> "Chunk":
        """The chunk to keep or to send, without its bytes, as reading them again is cheaper; in this store, if in no plain file."""
        if self.offset is not None:
            return replace(self, data=None, descriptor=None)
        offset = store.tell()
        store.write(self.data or b"")
        return replace(self, data=None, stored=store.name, offset=offset)
