"""Files, directories, globs and standard input, plain or compressed, as chunks of whole records in event-time order."""

import glob
import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from msgspec.structs import replace

from kubewake.errors import InputError
from kubewake.event import Malformed
from kubewake.formats import describe, sniff
from kubewake.formats.documents import RECORD_LIMIT_BYTES, Piece, is_document
from kubewake.sources.chunk import Chunk
from kubewake.sources.compression import READ_BYTES, BadStream, inflate
from kubewake.sources.cutting import PlainSplitting, Recutting, Span, Splitting
from kubewake.sources.times import cut_before, first_time, last_time, later

CHUNK_BYTES = 4 * 1024 * 1024
"""A process gets fresh memory for every larger chunk, which costs more than reading it: at 8 MiB twice as much."""

STDIN = "-"
STDIN_NAME = "<stdin>"

LOG_PATTERNS = ("*.log", "*.log.*", "*.log-*", "*audit*", "*.json", "*.jsonl", "*.ndjson", "*.json.*", "*.jsonl.*")
"""Files of a directory that are read; all of them where none matches."""
COMPRESSED_PATTERNS = ("*.gz", "*.zst", "*.bz2", "*.xz")

_HEAD_BYTES = 12 * 1024 * 1024
"""How far the first line is followed to see whether it is a whole record: more than the largest webhook body."""

SLICE_SECONDS = 15.0
"""How far one of several files of the same time is read ahead of the others; below the watermark of the fold."""

_LEAST_CHUNK_BYTES = 256 * 1024
_IDLE_SECONDS = 0.2
"""How long standard input may be silent before what has come is passed on."""


def expand(paths: Sequence[str]) -> list[str]:
    """The files that paths, directories (recursive), globs and `-` name, each once; raises InputError for a missing one."""
    found: dict[tuple[int, int] | str, str] = {}
    for path in paths:
        if path == STDIN:
            found[STDIN] = STDIN
            continue
        names = [path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute patterns
        if not names:
            raise InputError(f"{path}: no such file or directory; give a log file, a directory, a glob, or - for stdin")
        for name in names:
            for file in _files_in(name) if Path(name).is_dir() else [name]:
                try:
                    status = Path(file).stat()
                except OSError as error:
                    raise InputError(f"{file}: {error.strerror}; check the path and its permissions") from error
                found.setdefault((status.st_dev, status.st_ino), file)
    return list(found.values())


def _files_in(directory: str) -> list[str]:
    files = sorted(
        str(path)
        for path in Path(directory).rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    logs = [file for file in files if any(fnmatch(Path(file).name, p) for p in LOG_PATTERNS + COMPRESSED_PATTERNS)]
    if not files:
        raise InputError(f"{directory}: the directory holds no files; give the one that the API server writes to")
    return logs or files


class FileSource:
    """Chunks of files in event-time order; files of the same time take turns.

    `recognised` tells, by file, what was found in it.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        cluster: str = "",
        format: str | None = None,  # noqa: A002  # the word that the settings use
        chunk_bytes: int = CHUNK_BYTES,
        record_limit_bytes: int = RECORD_LIMIT_BYTES,
    ) -> None:
        """Raises InputError when a path names nothing."""
        self.files = expand(paths)
        self.recognised: dict[str, str] = {}
        self._cluster = cluster
        self._format = format
        self._chunk_bytes = chunk_bytes
        self._limit = record_limit_bytes

    def size_bytes(self) -> int:
        """Bytes on disk of all files."""
        return sum(Path(file).stat().st_size for file in self.files if file != STDIN)

    def acknowledge(self, cursor: Any) -> None:
        """Files can always be read again: nothing to do."""

    def chunks(self) -> Iterator[Chunk]:
        """All chunks. A file that cannot be read becomes a chunk with nothing but a malformed record."""
        if len(self.files) == 1:
            yield from self._chunks_of(self.files[0], self._chunk_bytes)
            return
        starts = {file: (time_range(file)[0] or "") if Path(file).is_file() else "" for file in self.files}
        waiting = sorted(self.files, key=lambda file: (starts[file], file))
        open_: list[_Ahead] = []
        while waiting or open_:
            now = min((ahead.time for ahead in open_), default="")
            while waiting and (not open_ or starts[waiting[0]] <= now):
                file = waiting.pop(0)
                size = max(self._chunk_bytes // (len(open_) + 1), _LEAST_CHUNK_BYTES)
                ahead = _Ahead(self._chunks_of(file, size), starts[file])
                yield from ahead.untimed()
                if ahead.chunk is not None:
                    open_.append(ahead)
                    now = min(item.time for item in open_)
            if not open_:
                continue
            until = starts[waiting[0]] if waiting else None
            if len(open_) > 1:
                slice_end = later(now, SLICE_SECONDS)
                until = slice_end if until is None else min(until, slice_end)
            for ahead in sorted(open_, key=lambda ahead: ahead.time):
                yield from ahead.before(until)
            open_ = [ahead for ahead in open_ if ahead.chunk is not None]

    def _chunks_of(self, file: str, chunk_bytes: int) -> Iterator[Chunk]:
        name = STDIN_NAME if file == STDIN else file
        malformed: list[Malformed] = []
        format_ = self._format
        for piece, descriptor, sniffed in self._pieces(file, name, chunk_bytes, malformed):
            format_ = format_ or sniffed
            if isinstance(piece, Span):
                data, offset, length = None, piece.offset, piece.length
            else:
                data, offset, length = piece.data, None, len(piece.data)
            yield Chunk(
                file=name,
                first_line=piece.first_line,
                length=length,
                offset=offset,
                data=data,
                descriptor=descriptor,
                format=format_,
                cluster=self._cluster,
                malformed=tuple(malformed),
            )
            malformed.clear()
        if malformed:
            yield Chunk(file=name, first_line=0, length=0, data=b"", cluster=self._cluster, malformed=tuple(malformed))

    def _pieces(
        self, file: str, name: str, chunk_bytes: int, malformed: list[Malformed]
    ) -> Iterator[tuple[Piece | Span, int | None, str | None]]:
        """Pieces of one file, each with the open file in which it stands and the format that the file was recognised as."""
        layers: list[str] = []
        line = 0
        try:
            with _open(file) as stream:
                blocks = inflate(_blocks(stream, chunk_bytes), layers)
                blocks = chain((next(blocks, b""),), blocks)
                if layers:
                    blocks = _gather(blocks, chunk_bytes)
                head = _head(blocks)
                if not head.strip(b"\xef\xbb\xbf \t\r\n\0"):
                    malformed.append(Malformed(name, 0, "an empty file" if not head else "nothing but white space"))
                    self.recognised[name] = "nothing"
                    if not head:
                        return
                documents = is_document(head)
                pieces: Iterator[Piece | Span]
                descriptor: int | None = None
                if documents:
                    pieces = Recutting(name, self._limit, malformed)(chain((head,), blocks))
                elif layers or file == STDIN or not stream.seekable():
                    pieces = Splitting(name, self._limit, malformed)(chain((head,), blocks))
                else:
                    descriptor = stream.fileno()
                    pieces = PlainSplitting(name, self._limit, malformed, chunk_bytes)(descriptor)
                sniffed: str | None = None
                for piece in pieces:
                    if sniffed is None:
                        data = piece.read(stream.fileno()) if isinstance(piece, Span) else piece.data
                        sniffed = self._format or sniff(data)
                        if sniffed is not None or name not in self.recognised:
                            self.recognised[name] = describe(sniffed, documents=documents, layers=layers)
                    line = piece.first_line or 0
                    yield piece, descriptor, sniffed
                    line += piece.data.count(b"\n") if layers and isinstance(piece, Piece) else 0
        except BadStream as error:
            malformed.append(Malformed(name, line, str(error)))
        except OSError as error:
            malformed.append(Malformed(name, line, f"cannot be read: {error.strerror or error}"))


class _Ahead:
    """One of several files of the same time: its next chunk, and the time at which that begins."""

    def __init__(self, chunks: Iterator[Chunk], time: str) -> None:
        self._chunks = chunks
        self.time = time
        self.chunk: Chunk | None = None

    def _next(self) -> None:
        self.chunk = next(self._chunks, None)
        if self.chunk is not None and self.chunk.data is None:
            data, malformed = load(self.chunk)
            self.chunk = replace(self.chunk, data=data, length=len(data), malformed=tuple(malformed))
        if self.chunk is not None and self.chunk.data:
            self.time = max(self.time, first_time(self.chunk.data) or "")

    def untimed(self) -> Iterator[Chunk]:
        """Chunks at the start of the file that say no time."""
        self._next()
        while self.chunk is not None and not self.time:
            yield self.chunk
            self._next()

    def before(self, time: str | None) -> Iterator[Chunk]:
        """What comes before `time`; everything for None."""
        while self.chunk is not None and (time is None or self.time < time):
            chunk, data = self.chunk, self.chunk.data or b""
            if time is None or (last_time(data) or "") < time:
                yield chunk
                self._next()
                continue
            cut = cut_before(data, time) or data.find(b"\n") + 1 or len(data)
            yield _part(chunk, 0, cut, chunk.malformed)
            if cut == len(data):
                self._next()
                continue
            self.chunk = _part(chunk, cut, len(data), ())
            self.time = max(self.time, first_time(data[cut:]) or "", time)


def _part(chunk: Chunk, start: int, end: int, malformed: tuple[Malformed, ...]) -> Chunk:
    """The lines from byte `start` to byte `end` of a chunk's data."""
    data = chunk.data or b""
    return replace(
        chunk,
        first_line=None if chunk.first_line is None else chunk.first_line + data.count(b"\n", 0, start),
        length=end - start,
        offset=None if chunk.offset is None else chunk.offset + start,
        data=data[start:end],
        malformed=malformed,
    )


def _open(file: str) -> BinaryIO:
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb", 0) if file == STDIN else open(file, "rb", 0)  # noqa: PTH123


def _blocks(stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Blocks of a stream: full ones from a file, whatever has come from a pipe that falls silent."""
    if stream.seekable():
        while block := stream.read(block_bytes):
            yield block
        return
    held: list[bytes] = []
    size = 0
    while True:
        if held and (size >= block_bytes or not select.select([stream], [], [], _IDLE_SECONDS)[0]):
            yield b"".join(held)
            held, size = [], 0
        block = stream.read(READ_BYTES)
        if not block:
            break
        held.append(block)
        size += len(block)
    if held:
        yield b"".join(held)


def _gather(blocks: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
    """The small blocks that a decompressor makes, as blocks of at least `size_bytes`; a fault comes behind them."""
    held: list[bytes] = []
    size = 0
    try:
        for block in blocks:
            held.append(block)
            size += len(block)
            if size >= size_bytes:
                yield b"".join(held)
                held, size = [], 0
    except BadStream:
        yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _head(blocks: Iterator[bytes]) -> bytes:
    """The start of a stream: two lines, or as much of a long first line as is worth looking at."""
    head = b""
    for block in blocks:
        head += block
        if head.lstrip().count(b"\n", 0, _HEAD_BYTES) >= 2 or len(head) >= _HEAD_BYTES:
            break
    return head


def load(chunk: Chunk) -> tuple[bytes, list[Malformed]]:
    """The bytes of a chunk, and what was found malformed on the way, with what the file has lost meanwhile."""
    malformed = list(chunk.malformed)
    if chunk.data is not None:
        return chunk.data, malformed
    try:
        if chunk.descriptor is not None:
            data = os.pread(chunk.descriptor, chunk.length, chunk.offset or 0)
        else:
            with open(chunk.stored or chunk.file, "rb", 0) as stream:  # noqa: PTH123
                data = os.pread(stream.fileno(), chunk.length, chunk.offset or 0)
    except OSError as error:
        data, reason = b"", f"cannot be read: {error.strerror or error}"
    else:
        reason = "the file shrank while it was read"
    if len(data) < chunk.length:
        malformed.append(
            Malformed(chunk.file, chunk.first_line or 0, f"{chunk.length - len(data)} bytes lost: {reason}")
        )
    return data, malformed


def loaded(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, int, bytes, list[Malformed]]]:
    """Each chunk with the number of its first line, and what `load` answers."""
    next_line: dict[str, int] = {}
    for chunk in chunks:
        data, malformed = load(chunk)
        first_line = next_line.get(chunk.file, 1) if chunk.first_line is None else chunk.first_line
        next_line[chunk.file] = first_line + data.count(b"\n")
        yield chunk, first_line, data, malformed


_PEEK_BYTES = 256 * 1024


def time_range(file: str) -> tuple[str | None, str | None]:
    """Event times of the first and the last line that state one; the last is None for compressed files."""
    layers: list[str] = []
    first = last = None
    try:
        with open(file, "rb", 0) as stream:  # noqa: PTH123
            for block in inflate(iter(lambda: stream.read(_PEEK_BYTES), b""), layers):
                first = first_time(block)
                break
            if not layers:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - _PEEK_BYTES))
                last = last_time(stream.read(_PEEK_BYTES))
    except (OSError, BadStream):
        return first, last  # what is wrong with the file is told when it is read
    return first, last
