"""Following log files that grow, across every way of rotating them: rename, copy and truncate, compress, delete.

A file is known by its beginning, not by its name: the hash of its first bytes, decompressed. So the same content under
another name, copied or compressed, is read on where it was left, never twice. `Follower` does no waiting and keeps
no threads; whoever stores a piece stores its cursor with it.
"""

import glob
import gzip
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from typing import Any, Literal

import msgspec
import xxhash
import zstandard
from msgspec import Struct

from kubewake.errors import InputError

HEAD_BYTES = 1024
"""A file's identity is the hash of so many of its first bytes; they hold the first event's id and times."""
CHUNK_BYTES = 1024 * 1024
DRAIN_SECONDS = 5.0
"""A file that was rotated away is read on for so long after its last growth: its writer may hold it open."""
_KEPT_FINISHED = 50
"""Finished files that are remembered, to recognise their copies."""
_LOG_NAME = re.compile(r"\.(log|json|jsonl|ndjson)([.-].*)?$")
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CUT_SHORT = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)

Trouble = Callable[[str, str, int], None]
"""Told a reason (line_too_long, rotated_away, unreadable), a file and a line, for each loss."""


class Piece(Struct, frozen=True):
    """Whole lines of one file; `line` is the number of the first. `cursor` is where to go on behind them."""

    file: str
    line: int
    data: bytes
    cursor: bytes


class Tail(Struct):
    """How far one file was read. `offset` and `line` count decompressed content; `modified` is in nanoseconds."""

    path: str
    device: int
    inode: int
    head: int
    head_length: int
    offset: int = 0
    line: int = 1
    modified: int = 0
    finished: bool = False
    skipping: bool = False
    """The rest of a line that is too long is being passed over."""


class _Cursor(Struct):
    version: int = 1
    tails: list[Tail] = []


class _Open:
    """An open file: where it stands, and since when nothing came."""

    def __init__(self, file: FileIO, packing: str, now: float) -> None:
        self.file = file
        self.reader = _unpacked(file, packing) if packing else None
        """Gives the content of a compressed file, to which nothing will be appended."""
        self.position = 0
        self.ahead = b""
        """Decompressed content from `position` on."""
        self.seen = 0
        """How far content was seen, unfinished last line included."""
        self.rotated = False
        self.idle_since = now


class Follower:
    """Files, folders and globs, read as they grow.

    `poll` makes one pass and yields what is new; pieces must be stored in order, each before the next is asked for.
    `start` says where to begin in files that are there at the very first pass; later ones are read from their
    beginning. Raises InputError for a cursor that it cannot read.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        cursor: bytes | None = None,
        *,
        start: Literal["beginning", "end"] = "beginning",
        line_max_bytes: int = 16 * 1024 * 1024,
        trouble: Trouble = lambda _reason, _file, _line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patterns = [os.path.abspath(os.path.expanduser(pattern)) for pattern in patterns]  # noqa: PTH100, PTH111
        self._line_max_bytes = line_max_bytes
        self._trouble = trouble
        self._clock = clock
        self._skip_existing = start == "end" and cursor is None
        self._opened: dict[int, _Open] = {}
        self._tails: list[Tail] = []
        self._copies: dict[str, tuple[int, int, int]] = {}
        """Paths that hold content known under another: device, inode and size when last looked at."""
        if cursor:
            try:
                self._tails = msgspec.json.decode(cursor, type=_Cursor).tails
            except msgspec.DecodeError as error:
                raise InputError(
                    f"the saved position in followed files cannot be read ({error}); remove the state"
                ) from error

    def cursor(self) -> bytes:
        """Where to go on behind all pieces yielded so far."""
        finished = [tail for tail in self._tails if tail.finished][-_KEPT_FINISHED:]
        return msgspec.json.encode(_Cursor(tails=finished + [tail for tail in self._tails if not tail.finished]))

    def folders(self) -> list[str]:
        """Existing folders in which a change can matter."""
        found: dict[str, None] = {}
        for pattern in self._patterns:
            if os.path.isdir(pattern):  # noqa: PTH112
                found.setdefault(pattern)
                continue
            for folder in glob.glob(os.path.dirname(pattern)):  # noqa: PTH120, PTH207
                if os.path.isdir(folder):  # noqa: PTH112
                    found.setdefault(folder)
        return list(found)

    def poll(self) -> Iterator[Piece]:
        """One pass over everything followed."""
        displaced = self._displaced()
        for tail in displaced:
            self._relocate(tail)
        for path in self._paths(displaced):
            self._meet(path)
        self._skip_existing = False
        for tail in [tail for tail in self._tails if not tail.finished]:
            yield from self._read(tail)
        unfinished = [tail for tail in self._tails if not tail.finished]
        self._tails = [tail for tail in self._tails if tail.finished][-_KEPT_FINISHED:] + unfinished

    def close(self) -> None:
        """Close all files."""
        for opened in self._opened.values():
            opened.file.close()
        self._opened.clear()

    def _paths(self, displaced: Iterable[Tail]) -> list[str]:
        """Files to look at: what the patterns name, behind rotated siblings that came since, oldest first."""
        named: dict[str, None] = {}
        for pattern in self._patterns:
            if os.path.isdir(pattern):  # noqa: PTH112
                entries = [entry for entry in os.scandir(pattern) if entry.is_file()]
                found = [
                    entry.path for entry in entries if _LOG_NAME.search(entry.name) and not entry.name.startswith(".")
                ]
            else:
                found = [path for path in glob.glob(pattern) if os.path.isfile(path)]  # noqa: PTH113, PTH207
            named.update(dict.fromkeys(sorted(found, key=_modified)))
        siblings: dict[str, None] = {}
        for tail in displaced:
            since = [path for path in _siblings(tail.path) if path not in named and _modified(path) >= tail.modified]
            siblings.update(dict.fromkeys(sorted(since, key=_modified)))
        return [*siblings, *named]

    def _displaced(self) -> list[Tail]:
        """Unfinished tails whose path does not hold them any more."""
        found = []
        for tail in self._tails:
            if tail.finished or (id(tail) in self._opened and self._opened[id(tail)].rotated):
                continue
            opened = self._opened.get(id(tail))
            if opened is not None and opened.reader is not None:
                continue
            status = _status(tail.path)
            at_path = status is not None and (status.st_dev, status.st_ino) == (tail.device, tail.inode)
            if opened is None and at_path:
                try:
                    opened = self._opened[id(tail)] = _Open(FileIO(tail.path), "", self._clock())
                except OSError:
                    at_path = False
            if opened is not None and not self._is_intact(tail, opened):
                opened.file.close()
                del self._opened[id(tail)]
                tail.inode = 0
                found.append(tail)
            elif not at_path:
                if opened is not None:
                    opened.rotated = True
                    opened.idle_since = self._clock()
                found.append(tail)
        return found

    @staticmethod
    def _is_intact(tail: Tail, opened: _Open) -> bool:
        """Whether the open file begins as it did and is no shorter: it was not truncated meanwhile."""
        number = opened.file.fileno()
        head = os.pread(number, tail.head_length, 0)
        return os.fstat(number).st_size >= tail.offset and _digest(head) == tail.head

    def _relocate(self, tail: Tail) -> None:
        """Find the content of a displaced tail under another name, unless its open file still gives it."""
        if id(tail) in self._opened:
            return
        for path in sorted({tail.path, *_siblings(tail.path), *self._copies}, key=_modified):
            begun = _begin(path)
            if begun is None:
                continue
            if not begun.is_of(tail):
                begun.file.close()
                continue
            tail.path, tail.device, tail.inode = path, begun.status.st_dev, begun.status.st_ino
            opened = self._opened[id(tail)] = _Open(begun.file, begun.packing, self._clock())
            opened.rotated = True
            self._copies.pop(path, None)
            return
        tail.finished = True
        self._trouble("rotated_away", tail.path, tail.line)

    def _meet(self, path: str) -> None:
        """Recognise the file at `path`, or begin with it."""
        status = _status(path)
        if status is None or status.st_size == 0:
            return
        for tail in self._tails:
            if (tail.device, tail.inode) != (status.st_dev, status.st_ino):
                continue
            if id(tail) in self._opened or (tail.finished and self._is_known_head(path, tail)):
                return
        mark = (status.st_dev, status.st_ino, status.st_size)
        if self._copies.get(path) == mark:
            return
        begun = _begin(path)
        if begun is None:
            return
        head, status = begun.head, begun.status
        if not begun.packing and b"\n" not in head and len(head) < HEAD_BYTES:
            begun.file.close()
            return
        if any(begun.is_of(tail) for tail in self._tails):
            self._copies[path] = mark
            begun.file.close()
            return
        self._copies.pop(path, None)
        tail = Tail(
            path=path,
            device=status.st_dev,
            inode=status.st_ino,
            head=_digest(head),
            head_length=len(head),
            modified=status.st_mtime_ns,
        )
        if self._skip_existing:
            tail.finished = bool(begun.packing)
            tail.offset, tail.line = (0, 1) if begun.packing else _end(begun.file)
        self._tails.append(tail)
        if tail.finished:
            begun.file.close()
        else:
            self._opened[id(tail)] = _Open(begun.file, begun.packing, self._clock())

    @staticmethod
    def _is_known_head(path: str, tail: Tail) -> bool:
        begun = _begin(path)
        if begun is None:
            return True
        begun.file.close()
        return begun.is_of(tail)

    def _read(self, tail: Tail) -> Iterator[Piece]:
        opened = self._opened.get(id(tail))
        if opened is None:
            return
        if tail.head_length < HEAD_BYTES and opened.reader is None:
            head = os.pread(opened.file.fileno(), HEAD_BYTES, 0)
            tail.head, tail.head_length = _digest(head), len(head)
        size = CHUNK_BYTES
        while True:
            data = self._content(tail, opened, size)
            if data is None:
                return
            if not data:
                break
            if tail.offset + len(data) > opened.seen:
                opened.seen = tail.offset + len(data)
                opened.idle_since = self._clock()
            end = data.rfind(b"\n") + 1
            if tail.skipping:
                end = data.find(b"\n") + 1
                tail.offset += end or len(data)
                tail.skipping = not end
                tail.line += 1 if end else 0
                size = CHUNK_BYTES
                yield Piece(tail.path, tail.line, b"", self.cursor())
                continue
            if not end:
                if len(data) >= self._line_max_bytes:
                    self._trouble("line_too_long", tail.path, tail.line)
                    tail.skipping = True
                    continue
                if len(data) < size:
                    break
                size = min(size * 4, self._line_max_bytes)
                continue
            yield self._piece(tail, data[:end])
            size = CHUNK_BYTES
        if opened.reader is not None or self._is_drained(tail, opened):
            rest = self._content(tail, opened, self._line_max_bytes)
            tail.finished = True
            if rest and not tail.skipping:
                yield self._piece(tail, rest)
            else:
                yield Piece(tail.path, tail.line, b"", self.cursor())
            opened.file.close()
            del self._opened[id(tail)]

    def _is_drained(self, tail: Tail, opened: _Open) -> bool:
        """Whether a file that was rotated away has been idle for long enough, and another has taken its place."""
        if not opened.rotated or self._clock() - opened.idle_since < DRAIN_SECONDS:
            return False
        return os.fstat(opened.file.fileno()).st_nlink == 0 or _status(tail.path) is not None

    def _piece(self, tail: Tail, data: bytes) -> Piece:
        line = tail.line
        tail.offset += len(data)
        tail.line += data.count(b"\n")
        tail.modified = max(tail.modified, _modified(tail.path))
        return Piece(tail.path, line, data, self.cursor())

    def _content(self, tail: Tail, opened: _Open, size: int) -> bytes | None:
        """Up to `size` bytes at the tail's offset; None where they cannot be had now."""
        try:
            if opened.reader is None:
                return os.pread(opened.file.fileno(), size, tail.offset)
            while True:
                done = min(tail.offset - opened.position, len(opened.ahead))
                opened.ahead = opened.ahead[done:]
                opened.position += done
                if opened.position == tail.offset and len(opened.ahead) >= size:
                    break
                more = opened.reader.read(CHUNK_BYTES)
                if not more:
                    break
                opened.ahead += more
        except (OSError, *_CUT_SHORT):
            opened.file.close()
            del self._opened[id(tail)]
            tail.finished = True
            self._trouble("unreadable", tail.path, tail.line)
            return None
        return opened.ahead[:size]


def _digest(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except OSError:
        return None


def _end(file: FileIO) -> tuple[int, int]:
    """Offset behind the last whole line, and the number of the line that follows."""
    offset, line, position = 0, 1, 0
    while data := os.pread(file.fileno(), CHUNK_BYTES, position):
        line += data.count(b"\n")
        last = data.rfind(b"\n")
        if last >= 0:
            offset = position + last + 1
        position += len(data)
    return offset, line


def _modified(path: str) -> int:
    status = _status(path)
    return status.st_mtime_ns if status is not None else 0


def _siblings(path: str) -> list[str]:
    """Files beside `path` whose names say that they were rotated from it, as logrotate, lumberjack and people name them.

    `audit.log` gives audit.log.1, audit.log.2.gz, audit.log-20260101, audit-2026-01-01T00-00-00.000.log(.gz).
    """
    folder, name = os.path.split(path)
    rotated = re.match(r"(?P<stem>.+?)-\d{4}-\d\d-\d\dT[\d.-]+(?P<suffix>\.[a-z]+)?(\.gz|\.zst)?$", name)
    if rotated:
        name = rotated["stem"] + (rotated["suffix"] or "")
    else:
        name = re.sub(r"(\.log)([.-]\d[\w.-]*)$", r"\1", name)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    try:
        entries = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return []
    return [
        os.path.join(folder, entry)  # noqa: PTH118
        for entry in entries
        if entry.startswith((f"{name}.", f"{name}-")) or (entry.startswith(f"{stem}-") and suffix in entry)
    ]


class _Beginning(Struct):
    """The first bytes of a file's content, the file itself, and how it is compressed ("", gzip, zstd)."""

    head: bytes
    file: FileIO
    packing: str
    status: os.stat_result

    def is_of(self, tail: Tail) -> bool:
        """Whether this is the content that the tail reads."""
        return len(self.head) >= tail.head_length and _digest(self.head[: tail.head_length]) == tail.head


def _begin(path: str) -> _Beginning | None:
    """The beginning of a file; None where it cannot be read (yet)."""
    try:
        file = FileIO(path)
    except OSError:
        return None
    status = os.fstat(file.fileno())
    head = os.pread(file.fileno(), HEAD_BYTES, 0)
    packing = "gzip" if head.startswith(_GZIP_MAGIC) else "zstd" if head.startswith(_ZSTD_MAGIC) else ""
    if packing:
        try:
            head = _unpacked(file, packing).read(HEAD_BYTES)
            file.seek(0)
        except _CUT_SHORT:
            file.close()
            return None
    return _Beginning(head, file, packing, status)


def _unpacked(file: FileIO, packing: str) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
