"""Streams of JSON documents, pretty-printed, concatenated or one huge array, re-cut into one record a line.

`Documents` rewrites what passes through it so that the line-based decoder can read it: each record (or each item of a
top-level array, of an EventList, of Azure `records`, of CloudWatch `events`) becomes one line that stands at the line
number at which the record began. Records that begin on one line become one array. Memory is bounded by one record.
"""

import re
from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from kubewake.event import Malformed
from kubewake.formats.explanation import explain
from kubewake.formats.format import parse

LIST_KEYS = frozenset((b'"items"', b'"records"', b'"Records"', b'"events"', b'"entries"'))
"""Keys of a top-level object whose array holds the records; the rest of that object says nothing about them."""

PIECE_BYTES = 4 * 1024 * 1024
"""A piece is closed when it has reached this size."""

RECORD_LIMIT_BYTES = 64 * 1024 * 1024
"""Longest record that is held in memory; an API server refuses requests of 3 MiB and writes lines of a few of them."""

_MOST_RESTARTS = 100
"""New attempts behind documents that never end, per stream: each may cost a pass over one record limit."""

_TOKEN = re.compile(rb'"(?:[^"\\\n]++|\\.)*+(?:"|(?=\n)|\\?\Z)|[{}\[\]]', re.DOTALL)
_BEFORE_RECORD = re.compile(rb"[\s,\x1e]*+")
_LIST_STARTS = re.compile(rb'\s*+:\s*+\[\s*+(?:(?=[{\]"])|(\Z))')
_UNDECIDED = re.compile(rb"\s*+(?::\s*+)?\Z")
_SCALAR = re.compile(rb"[^\s,\]\[{}\"]++")
_NEXT_DOCUMENT = re.compile(rb"\n(?=[{\[])")


class Piece(Struct, frozen=True):
    """Whole lines of input, one record a line."""

    first_line: int
    data: bytes


class _Place(Enum):
    BETWEEN = "between documents"
    HEAD = "in an object that may turn out to hold a list of records"
    LIST = "between the items of a list"
    ITEM = "in an item of a list"
    TAIL = "behind the list, in the object that holds it"


class Documents:
    """Re-cuts a stream; `malformed` collects what cannot be re-cut, for the caller to take."""

    def __init__(
        self, file: str, first_line: int = 1, limit_bytes: int = RECORD_LIMIT_BYTES, *, grouped: bool = True
    ) -> None:
        """`file` names the stream in `malformed`; ungrouped, each record is a line, and line numbers are lost."""
        self.malformed: list[Malformed] = []
        self._file = file
        self._limit = limit_bytes
        self._grouped = grouped
        self._buffer = b""
        self._line = first_line
        """Line of `_buffer[_counted]`."""
        self._counted = 0
        self._start = 0
        """Where the record under way begins in the buffer; what is before it is done with."""
        self._position = 0
        self._depth = 0
        self._place = _Place.BETWEEN
        self._listed = False
        """Whether the list under way stands in an object."""
        self._too_long = False
        self._seeking = False
        """Looking for a line that begins a document, behind one that is broken."""
        self._scalars = 0
        self._is_first = True
        """Whether the list under way has had no record yet."""
        self._restarts = 0
        self._pieces: list[Piece] = []
        self._lines: list[bytes] = []
        self._group: list[bytes] = []
        self._group_line = 0
        """Line of the last record."""
        self._first_line = first_line
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take more of the stream; yields what is complete."""
        self._line_at(self._start)
        self._buffer = self._buffer[self._start :] + data
        self._position -= self._start
        self._counted -= self._start
        self._start = 0
        self._scan(final=False)
        return self._take()

    def finish(self) -> Iterator[Piece]:
        """The stream has ended; yields the rest. What never ended is malformed."""
        self._scan(final=True)
        while self._depth or self._place in (_Place.LIST, _Place.TAIL):
            self._broken(explain(self._buffer[self._start :], "truncated"))
            self._scan(final=True)
        self._buffer = b""
        return self._take()

    def _take(self) -> Iterator[Piece]:
        self._close_piece()
        pieces, self._pieces = self._pieces, []
        return iter(pieces)

    def _scan(self, *, final: bool) -> None:
        while True:
            progressed = self._scan_record(final=final) if self._depth else self._scan_between(final=final)
            if not progressed:
                break
        if not self._depth:
            self._start = self._position
        elif len(self._buffer) - self._start > self._limit:
            self._drop_long()

    def _scan_between(self, *, final: bool) -> bool:
        """Look for the next record; False when the buffer holds none."""
        buffer = self._buffer
        if self._seeking:
            found = _NEXT_DOCUMENT.search(buffer, self._position)
            if found is None:
                self._position = len(buffer) - (not final and buffer.endswith(b"\n"))
                return False
            self._position, self._seeking = found.end(), False
        match = _BEFORE_RECORD.match(buffer, self._position)
        assert match is not None
        self._position = self._start = match.end()
        if self._position >= len(buffer):
            return False
        byte = buffer[self._position : self._position + 1]
        if self._place is _Place.LIST:
            return self._scan_list(byte, final=final)
        if byte == b"[":
            self._position += 1
            self._place, self._listed, self._scalars, self._is_first = _Place.LIST, False, 0, True
            return True
        if byte == b"{":
            self._position += 1
            self._depth, self._place = 1, _Place.HEAD
            return True
        if self._restarts and byte in b"]}":
            self._position += 1
            return True
        end = buffer.find(b"\n", self._position)
        if end < 0 and not final and len(buffer) - self._position <= self._limit:
            return False
        end = len(buffer) if end < 0 else end
        self._emit_text(buffer[self._position : end])
        self._position = end
        return True

    def _scan_list(self, byte: bytes, *, final: bool) -> bool:
        buffer = self._buffer
        if byte == b"]":
            self._position += 1
            if self._scalars:
                self._reject(f"a JSON array with {self._scalars} items that are no objects")
            elif self._is_first:
                self._emit(b"[]")
            self._place, self._depth = (_Place.TAIL, 1) if self._listed else (_Place.BETWEEN, 0)
            return True
        if byte in (b"{", b"["):
            self._position += 1
            self._depth, self._place, self._is_first = 1, _Place.ITEM, False
            return True
        if byte == b"}":
            self._position += 1
            self._reject("a list that is closed like an object")
            self._place = _Place.BETWEEN
            return True
        if byte == b'"':
            token = _TOKEN.match(buffer, self._position)
            assert token is not None
            if token.end() == len(buffer) and not final and len(buffer) - self._position <= self._limit:
                return False
            self._emit(b"[" + token.group() + b"]")
            self._is_first = False
            self._position = token.end()
            return True
        scalar = _SCALAR.match(buffer, self._position)
        assert scalar is not None
        if scalar.end() == len(buffer) and not final and len(buffer) - self._position <= self._limit:
            return False
        self._scalars += 1
        self._position = scalar.end()
        return True

    def _scan_record(self, *, final: bool) -> bool:
        """Go on inside a record; True when it is complete or broken, False when the buffer ends before."""
        buffer, depth, head = self._buffer, self._depth, self._place is _Place.HEAD
        for token in _TOKEN.finditer(buffer, self._position):
            text = token.group()
            byte = text[0]
            if byte == 0x22:
                end = token.end()
                if len(text) < 2 or text[-1] != 0x22 or _is_open(text):
                    self._depth, self._position = depth, token.start()
                    if end < len(buffer):
                        self._broken("a JSON document that breaks off inside a text")
                        return True
                    return False
                if head and depth == 1 and text in LIST_KEYS:
                    opened = _LIST_STARTS.match(buffer, end)
                    if opened is not None and opened.group(1) is None:
                        self._depth, self._position = 0, opened.end()
                        self._place, self._listed, self._scalars, self._is_first = _Place.LIST, True, 0, True
                        return True
                    if not final and (opened is not None or _UNDECIDED.match(buffer, end)):
                        self._depth, self._position = depth, token.start()
                        return False
            elif byte in b"{[":
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    self._depth, self._position = 0, token.end()
                    self._close_record()
                    return True
        self._depth, self._position = depth, len(buffer)
        return False

    def _close_record(self) -> None:
        if self._too_long:
            self._too_long = False
        elif self._place is not _Place.TAIL:
            self._emit(self._buffer[self._start : self._position])
        self._place = _Place.LIST if self._place is _Place.ITEM else _Place.BETWEEN

    def _drop_long(self) -> None:
        """Forget the bytes of a record past the limit, and go on looking for its end."""
        if not self._too_long and self._place is not _Place.TAIL:
            self._too_long = True
            self._reject(f"a record longer than {self._limit} bytes: raise the record limit to read it")
        inside_text = self._position < len(self._buffer)
        self._line_at(self._position)
        if inside_text:
            # An open quote stays, without what it has swallowed so far.
            backslashes = len(self._buffer) - len(self._buffer.rstrip(b"\\"))
            self._buffer = self._buffer[: self._position] + (b'"\\' if backslashes % 2 else b'"')
        self._start = self._position

    def _broken(self, reason: str) -> None:
        """The document under way is no JSON: go on at the next line that begins one."""
        self._reject(reason)
        self._restarts += 1
        self._depth, self._too_long = 0, False
        self._place = _Place.BETWEEN
        self._seeking = True
        self._position = self._start
        if self._restarts > _MOST_RESTARTS:
            self._position = len(self._buffer)
            if self._restarts == _MOST_RESTARTS + 1:
                self._reject(f"more than {_MOST_RESTARTS} broken documents: the rest of what is buffered is left out")
        self._start = self._position

    def _line_at(self, position: int) -> int:
        if position > self._counted:
            self._line += self._buffer.count(b"\n", self._counted, position)
            self._counted = position
        return self._line

    def _reject(self, reason: str) -> None:
        self.malformed.append(Malformed(self._file, self._line_at(self._start), reason))

    def _emit(self, record: bytes) -> None:
        line = self._line_at(self._start)
        if b"\n" in record:
            record = record.replace(b"\n", b" ")
        if not self._grouped:
            self._lines.append(record)
            return
        if self._group and line != self._group_line:
            self._close_group()
        if not self._group:
            if not self._lines:
                self._first_line = line
            self._group_line = line
        self._group.append(record)
        self._size += len(record)
        if self._size >= PIECE_BYTES:
            self._close_piece()

    def _emit_text(self, line: bytes) -> None:
        """A line of something else between the documents: the decoder says what it is, or finds JSON in it."""
        if self._line_at(self._start) == self._group_line:
            self._reject(
                f"{len(line)} bytes behind a JSON document on its line: {line[:40].decode(errors='replace')!a}"
            )
        elif len(line) > self._limit:
            self._reject(f"{len(line)} bytes of text without a line break")
        else:
            self._emit(line)

    def _close_group(self) -> None:
        group = self._group
        behind = self._first_line + len(self._lines)
        self._lines += [b""] * (self._group_line - behind)
        if len(group) == 1:
            self._lines.append(group[0])
        else:
            listed = (item[1:-1] if item[:1] == b"[" else item for item in group if item != b"[]")
            self._lines.append(b"[" + b",".join(listed) + b"]")
        self._group = []

    def _close_piece(self) -> None:
        if self._group:
            self._close_group()
        if self._lines:
            self._pieces.append(Piece(self._first_line, b"\n".join(self._lines) + b"\n"))
        self._lines, self._size = [], 0


def _is_open(text: bytes) -> bool:
    """Whether the quote at the end of a string token is escaped, so that the string is not closed."""
    backslashes = len(text) - 1 - len(text[:-1].rstrip(b"\\"))
    return backslashes % 2 == 1


def recut(data: bytes, file: str, line: int) -> tuple[list[bytes], list[Malformed]]:
    """The single records of JSON that is broken as a whole (items of lists, values behind each other), and what is not."""
    stream = Documents(file, line, grouped=False)
    pieces = [*stream.feed(data), *stream.finish()]
    return [record for piece in pieces for record in piece.data.split(b"\n") if record], stream.malformed


def is_document(head: bytes) -> bool:
    """Whether a stream that begins with `head` must be re-cut, because its first record does not end on its line.

    `head` should hold at least two lines where the stream has them.
    """
    lines = [line.strip() for line in head.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 2)]
    first = lines[0]
    if first[:1] not in (b"{", b"["):
        return False
    if _is_json(first):
        return False
    return len(lines) == 1 or first in (b"{", b"[") or first[:1] == b"[" or lines[1][:1] != b"{"


def _is_json(data: bytes) -> bool:
    try:
        parse(data)
    except ValueError:
        return False
    return True
