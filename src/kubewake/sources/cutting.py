"""A stream of bytes to pieces of whole records: at line breaks, or where its documents end."""

import os
from collections.abc import Iterator

from msgspec import Struct

from kubewake.event import Malformed
from kubewake.formats.documents import Documents, Piece

try:
    from kubewake.sources.linebreaks import count_breaks
except ImportError:  # built without a C compiler

    def count_breaks(data: bytes) -> int:
        """How many line breaks there are; `find` of one byte is memchr, which beats `count` on long lines."""
        find, lines, position = data.find, 0, 0
        while position := find(b"\n", position) + 1:
            lines += 1
        return lines


_WINDOW_BYTES = 16 * 1024
"""How much is looked at to find the end of a line; most lines are shorter."""


class Splitting:
    """Cuts a stream of lines into pieces; memory is bounded by the limit of one line."""

    def __init__(self, name: str, limit: int, malformed: list[Malformed]) -> None:
        self._name = name
        self._limit = limit
        self._malformed = malformed

    def __call__(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        tail: list[bytes] = []
        held, line = 0, 1
        dropping = False
        for block in blocks:
            if dropping:
                start = block.find(b"\n") + 1
                if start == 0:
                    continue
                block, dropping = block[start:], False
                line += 1
            cut = block.rfind(b"\n") + 1
            if cut == 0:
                tail.append(block)
                held += len(block)
                if held > self._limit:
                    self._malformed.append(too_long(self._name, line, self._limit))
                    tail, held, dropping = [], 0, True
                continue
            data = b"".join((*tail, block[:cut]))
            yield Piece(line, data)
            line += count_breaks(data)
            tail, held = [block[cut:]], len(block) - cut
        if held:
            yield Piece(line, b"".join(tail))


class Span(Struct, frozen=True):
    """Whole lines of a plain file, not read yet."""

    first_line: int | None
    """None where it follows from what stands before in the file, or it is the first."""
    offset: int
    length: int

    def read(self, descriptor: int) -> bytes:
        """The lines; fewer where the file has shrunk."""
        return os.pread(descriptor, self.length, self.offset)


class PlainSplitting:
    """Cuts a file of lines into spans, of which only the line breaks where they end are looked for: reading and counting is
    left to who needs them whole. Only behind a line that is passed over are all counted here.
    """

    def __init__(self, name: str, limit: int, malformed: list[Malformed], chunk_bytes: int) -> None:
        self._name = name
        self._limit = limit
        self._malformed = malformed
        self._chunk_bytes = chunk_bytes

    def __call__(self, descriptor: int) -> Iterator[Span]:
        """`descriptor` is an open file; its position does not matter."""
        offset = 0
        line: int | None = None
        while True:
            last = offset + self._chunk_bytes - 1
            found = self._line_end(descriptor, last, last + self._limit)
            if found is not None:
                end = min(found, os.fstat(descriptor).st_size)
            else:
                # The line that runs past the limit begins at the last line break of the chunk.
                end = offset + os.pread(descriptor, self._chunk_bytes, offset).rfind(b"\n") + 1
            if end > offset:
                yield Span(line, offset, end - offset)
                line = None if line is None else line + self._count(descriptor, offset, end)
                offset = end
            elif found is not None:
                break
            if found is None:
                line = 1 + self._count(descriptor, 0, offset) if line is None else line
                self._malformed.append(too_long(self._name, line, self._limit))
                offset = self._line_end(descriptor, offset, None) or 0
                line += 1

    def _count(self, descriptor: int, start: int, end: int) -> int:
        """The line breaks between two places."""
        breaks = 0
        while start < end:
            data = os.pread(descriptor, min(self._chunk_bytes, end - start), start)
            if not data:
                break
            breaks += count_breaks(data)
            start += len(data)
        return breaks

    def _line_end(self, descriptor: int, start: int, stop: int | None) -> int | None:
        """Where the line ends that holds byte `start`, or the file; None when that is not before `stop`."""
        position = start
        while stop is None or position < stop:
            window = os.pread(descriptor, _WINDOW_BYTES, position)
            if not window:
                return position
            found = window.find(b"\n") + 1
            if found:
                return position + found
            position += len(window)
        return None


def too_long(name: str, line: int, limit: int) -> Malformed:
    """A line past the limit."""
    return Malformed(name, line, f"a line longer than {limit} bytes: raise the record limit to read it")


class Recutting:
    """Cuts a stream of documents into pieces."""

    def __init__(self, name: str, limit: int, malformed: list[Malformed]) -> None:
        self._documents = Documents(name, limit_bytes=limit)
        self._malformed = malformed

    def __call__(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        documents = self._documents
        first = True
        try:
            for block in blocks:
                yield from documents.feed(block.removeprefix(b"\xef\xbb\xbf") if first else block)
                self._take()
                first = False
        finally:
            rest = list(documents.finish())
            self._take()
        yield from rest

    def _take(self) -> None:
        self._malformed += self._documents.malformed
        self._documents.malformed.clear()
