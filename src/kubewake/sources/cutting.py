"""A stream of bytes to pieces of whole records: at line breaks, or where its documents end."""

from collections.abc import Iterator

from kubewake.event import Malformed
from kubewake.formats.documents import Documents, Piece


class Splitting:
    """Cuts a stream of lines into pieces; memory is bounded by the limit of one line."""

    def __init__(self, name: str, limit: int, malformed: list[Malformed], *, plain: bool) -> None:
        """`plain`: the blocks are the bytes of the file as they stand there, so that pieces can say where they stand."""
        self._name = name
        self._limit = limit
        self._malformed = malformed
        self._plain = plain

    def __call__(self, blocks: Iterator[bytes]) -> Iterator[Piece]:
        tail: list[bytes] = []
        held = offset = 0
        line = 1
        dropping = False
        for block in blocks:
            if dropping:
                start = block.find(b"\n") + 1
                offset += start or len(block)
                if start == 0:
                    continue
                block, dropping = block[start:], False
                line += 1
            cut = block.rfind(b"\n") + 1
            if cut == 0:
                tail.append(block)
                held += len(block)
                if held > self._limit:
                    self._malformed.append(
                        Malformed(self._name, line, f"a line longer than {self._limit} bytes: raise the record limit")
                    )
                    offset += held
                    tail, held, dropping = [], 0, True
                continue
            data = b"".join((*tail, block[:cut]))
            yield Piece(line, data, offset if self._plain else None)
            offset += len(data)
            line += _count_lines(data)
            tail, held = [block[cut:]], len(block) - cut
        if held:
            yield Piece(line, b"".join(tail), offset if self._plain else None)


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


def _count_lines(data: bytes) -> int:
    """Line breaks in `data`: `find` of one byte is memchr, which beats `count` on long lines."""
    find, lines, position = data.find, 0, 0
    while position := find(b"\n", position) + 1:
        lines += 1
    return lines
