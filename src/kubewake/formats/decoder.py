"""Bytes to batches: the stateless `batches` and `decode` for pieces of whole lines, and `Decoder` for a stream."""

from collections.abc import Iterable, Iterator, Sequence

from kubewake.event import Batch, Malformed
from kubewake.formats.documents import RECORD_LIMIT_BYTES, Documents, Piece, is_document
from kubewake.formats.format import formats, parse, recognise
from kubewake.formats.native import NATIVE, decode_block, decode_list
from kubewake.formats.record import read_lines

BLOCK_BYTES = 128 * 1024
"""How much is decoded at once. What is decoded and dropped before the next block stays in the processor's cache:
blocks of 64 to 256 KiB decode twice as many events a second as blocks of 8 MiB."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sniff(data: bytes) -> str | None:
    """The name of the format of the first record of `data` that has one; None when none of the first ten lines has."""
    for line in data.removeprefix(BYTE_ORDER_MARK).split(b"\n", 10)[:10]:
        start = line.find(b"{")
        if start < 0:
            continue
        try:
            content = parse(line[start:] if line.lstrip()[:1] != b"[" else line)
        except ValueError:
            continue
        record = content[0] if isinstance(content, list) and content else content
        known = recognise(record) if isinstance(record, dict) else None
        if known is not None:
            return known.name
    return None


def batches(
    data: bytes,
    *,
    file: str,
    first_line: int = 1,
    cluster: str = "",
    hint: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Batch]:
    """Decode whole lines, one record a line, in small batches; consume and drop each before the next for full speed.

    `hint` is the format of the lines where it is known (`Chunk.format`, `sniff`); lines of other formats among them are
    still read. `cluster` applies to events whose envelope names none.
    """
    data = data.removeprefix(BYTE_ORDER_MARK)
    hint = sniff(data) if hint is None else hint
    position, line, length = 0, first_line, len(data)
    while position < length:
        end = block_end(data, position, block_bytes)
        block = data[position:end]
        events = decode_block(block) if hint == NATIVE else None
        if events is not None:
            lines: Sequence[int] = range(line, line + len(events))
            line += len(events)
            yield Batch(file=file, events=events, lines=lines, size_bytes=len(block), cluster=cluster)
        else:
            listed = decode_list(block) if hint == "eventlist" else None
            if listed is not None:
                yield Batch(
                    file=file, events=listed, lines=[line] * len(listed), size_bytes=len(block), cluster=cluster
                )
            else:
                yield read_lines(block, file, line, fast=hint == NATIVE).batch(len(block), cluster)
            line += block.count(b"\n")
        position = end


def block_end(data: bytes, position: int, block_bytes: int) -> int:
    """Where the block of whole lines that begins at `position` ends."""
    end = data.rfind(b"\n", position, position + block_bytes) + 1
    if end <= 0:
        end = data.find(b"\n", position + block_bytes) + 1
    return end if end > 0 and end < len(data) and position + block_bytes < len(data) else len(data)


def decode(data: bytes, *, file: str, first_line: int = 1, cluster: str = "", hint: str | None = None) -> Batch:
    """Decode a whole piece, such as a webhook body or a message of a queue: lines, a document or several, in one batch.

    `batches` is faster where lines are many and their events need not be kept.
    """
    is_one_line = data.find(b"\n") in (-1, len(data) - 1)
    events = decode_list(data) if is_one_line and hint in (None, "eventlist") else None
    if events is not None:
        lines = [first_line] * len(events)
        return Batch(file=file, events=events, lines=lines, size_bytes=len(data), cluster=cluster)
    decoder = Decoder(file, cluster, hint, first_line=first_line)
    whole = merge(iter((decoder.feed(data), decoder.finish())), file, cluster)
    whole.size_bytes = len(data)
    return whole


class Decoder:
    """Decodes one stream, whatever it holds; `recognised` says in words what that is once something has come."""

    def __init__(self, file: str, cluster: str = "", format: str | None = None, *, first_line: int = 1) -> None:  # noqa: A002
        """`format` is the name of a format, None to sniff; `cluster` applies to events whose envelope names none."""
        self.recognised = "nothing yet"
        self._file = file
        self._cluster = cluster
        self._format = format
        self._line = first_line
        self._held = b""
        self._documents: Documents | None = None
        self._begun = False

    def feed(self, data: bytes) -> Batch:
        """Take more of the stream, cut anywhere; answers with what is complete."""
        if not self._begun:
            data, self._held = self._held + data, b""
            if data.lstrip().count(b"\n") < 2 and len(data) < BLOCK_BYTES:
                self._held = data
                return Batch(file=self._file, events=[], lines=[], cluster=self._cluster)
            self._begin(data)
        if self._documents is not None:
            return self._decode(self._documents.feed(data))
        cut = data.rfind(b"\n") + 1
        if cut == 0:
            self._held += data
            if len(self._held) > RECORD_LIMIT_BYTES:
                reason = f"a line longer than {RECORD_LIMIT_BYTES} bytes"
                self._held = b""
                malformed = [Malformed(self._file, self._line, reason)]
                return Batch(file=self._file, events=[], lines=[], malformed=malformed, cluster=self._cluster)
            return Batch(file=self._file, events=[], lines=[], cluster=self._cluster)
        data, self._held = self._held + data[:cut], data[cut:]
        piece = Piece(self._line, data)
        self._line += data.count(b"\n")
        return self._decode(iter((piece,)))

    def finish(self) -> Batch:
        """The stream has ended: what was incomplete is decoded or malformed."""
        data, self._held = self._held, b""
        if not self._begun:
            self._begin(data)
            if self._documents is not None:
                return self._decode((*self._documents.feed(data), *self._documents.finish()))
        if self._documents is not None:
            return self._decode(self._documents.finish())
        return self._decode((Piece(self._line, data),) if data.strip() else ())

    def _begin(self, data: bytes) -> None:
        self._begun = True
        if is_document(data):
            self._documents = Documents(self._file, self._line)

    def _decode(self, pieces: Iterable[Piece]) -> Batch:
        parts: list[Batch] = []
        for piece in pieces:
            if self._format is None:
                self._format = sniff(piece.data)
                self.recognised = describe(self._format, documents=self._documents is not None)
            parts += batches(
                piece.data, file=self._file, first_line=piece.first_line, cluster=self._cluster, hint=self._format
            )
        whole = merge(iter(parts), self._file, self._cluster)
        if self._documents is not None:
            whole.malformed = whole.malformed + self._documents.malformed
            self._documents.malformed.clear()
        return whole


def describe(name: str | None, *, documents: bool = False, layers: Sequence[str] = ()) -> str:
    """What a stream was recognised as, in words, as in `Kubernetes audit event, one a line, gzip`."""
    title = next((known.title for known in formats() if known.name == name), "no audit events")
    shape = "documents" if documents else "one a line"
    return ", ".join((title, shape, *layers))


def merge(parts: Iterator[Batch], file: str, cluster: str) -> Batch:
    """Several batches of one file as one."""
    whole = Batch(file=file, events=[], lines=[], cluster=cluster)
    lines: list[int] = []
    for part in parts:
        whole.events += part.events
        lines += part.lines
        whole.malformed = whole.malformed + part.malformed
        whole.faults = whole.faults + part.faults
        whole.size_bytes += part.size_bytes
        whole.skipped += part.skipped
        for reason, count in part.skipped_reasons.items():
            whole.skipped_reasons[reason] = whole.skipped_reasons.get(reason, 0) + count
    whole.lines = lines
    return whole
