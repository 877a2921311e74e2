"""A stream of bytes to pieces of whole records: at line breaks, or where its documents end."""

import os
from collections.abc import Iterator

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


class PlainSplitting:
    """Cuts a file of lines into pieces that say where in the file they stand.

    Looks for the line break at which a piece ends before it reads the piece, so that nothing is copied: fresh memory for
    every chunk costs more than reading it.
    """

    def __init__(self, name: str, limit: int, malformed: list[Malformed], chunk_bytes: int) -> None:
        self._name = name
        self._limit = limit
        self._malformed = malformed
        self._chunk_bytes = chunk_bytes

    def __call__(self, descriptor: int) -> Iterator[Piece]:
        """`descriptor` is an open file; its position does not matter."""
        offset, line = 0, 1
        while True:
            last = offset + self._chunk_bytes - 1
            end = self._line_end(descriptor, last, last + self._limit)
            if end is not None:
                data = os.pread(descriptor, end - offset, offset)
            else:
                # The line that runs past the limit begins at the last line break of the chunk.
                data = os.pread(descriptor, self._chunk_bytes, offset)
                data = data[: data.rfind(b"\n") + 1]
            if data:
                yield Piece(line, data, offset)
                offset += len(data)
                line += count_breaks(data)
            if end is None:
                self._malformed.append(too_long(self._name, line, self._limit))
                offset = self._line_end(descriptor, offset, None) or 0
                line += 1
            elif not data:
                break

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
