"""Bytes to heads: the way that `scan` and followed logs take, where most events need not be decoded whole."""

from collections.abc import Generator, Iterator, Sequence

import msgspec

from kubewake.event import STAGES, AuditEvent, Malformed, decode_event
from kubewake.formats.decoder import BLOCK_BYTES, BYTE_ORDER_MARK, batches, block_end, sniff
from kubewake.formats.native import NATIVE, UNDECODABLE, is_sound, line_starts
from kubewake.formats.record import read_lines
from kubewake.formats.times import are_normal, is_normal
from kubewake.head import Head, HeadBatch, heads_of

_decode_head = msgspec.json.Decoder(Head).decode
_decode_heads = msgspec.json.Decoder(Head).decode_lines
_KNOWN_STAGES = frozenset(STAGES)
_KNOWN_LEVELS = frozenset(("Metadata", "Request", "RequestResponse"))


Place = tuple[int, int, int]
"""Where a line stands: its first byte in `Lines.data`, the byte behind its last, and its number in the file."""


class Lines:
    """A block of whole lines that nobody has looked at yet: a native event each, in all likelihood.

    The block is what stands from `start` to `end` of `data`. `malformed`, `faults` and what was skipped grow while it is read.
    """

    def __init__(self, data: bytes, start: int, end: int, file: str, first_line: int, cluster: str) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.file = file
        self.first_line = first_line
        self.cluster = cluster
        self.size_bytes = end - start
        self.line_breaks = -1
        """How many there are, once somebody knows."""
        self.malformed: list[Malformed] = []
        self.faults: list[Malformed] = []
        self.skipped = 0
        self.skipped_reasons: dict[str, int] = {}
        self.cursor = None

    def heads(self) -> HeadBatch:
        """All of them decoded, as one batch."""
        first, line = self.start, self.first_line
        decoded = decode_heads(self.data[first : self.end])
        if decoded is None:
            return self.others((first, self.end, line))
        heads, starts = decoded
        places = [
            (first + start, first + end, line + index)
            for index, (start, end) in enumerate(zip(starts, [*starts[1:], self.size_bytes], strict=True))
        ]
        return HeadBatch(
            file=self.file,
            heads=heads,
            lines=range(line, line + len(heads)),
            load=lambda index: self.load(places[index]),
            malformed=self.malformed,
            faults=self.faults,
            size_bytes=self.size_bytes,
            cluster=self.cluster,
        )

    def head(self, place: Place) -> Head | None:
        """The head of one line; None unless it looks like a sound native event."""
        try:
            head = _decode_head(self.data[place[0] : place[1]])
        except UNDECODABLE:
            return None
        return head if _looks_sound(head) else None

    def load(self, place: Place) -> AuditEvent | None:
        """The whole event of a line that has a head; None where it turns out to be none."""
        start, end, line = place
        text = self.data[start:end]
        try:
            event = decode_event(text)
        except UNDECODABLE:
            pass
        else:
            if is_sound(event):
                return event
        reading = read_lines(text, self.file, line, fast=False)
        self.malformed.extend(reading.malformed)
        self.faults.extend(reading.faults)
        return reading.events[0] if reading.events else None

    def others(self, place: Place) -> HeadBatch:
        """What is in lines that have no head."""
        start, end, line = place
        data = self.data[start:end]
        found = heads_of(read_lines(data, self.file, line, fast=True).batch(len(data), self.cluster))
        self.malformed.extend(found.malformed)
        self.faults.extend(found.faults)
        self.skipped += found.skipped
        for reason, count in found.skipped_reasons.items():
            self.skipped_reasons[reason] = self.skipped_reasons.get(reason, 0) + count
        return found


def line_blocks(
    data: bytes,
    *,
    file: str,
    first_line: int = 1,
    cluster: str = "",
    hint: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Generator[Lines | HeadBatch, None, int]:
    """As `head_batches`, with native lines not looked at yet. Returns the number of the line behind the last."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    hint = sniff(data) if hint is None else hint
    if hint != NATIVE:
        for batch in batches(
            data, file=file, first_line=first_line, cluster=cluster, hint=hint, block_bytes=block_bytes
        ):
            yield heads_of(batch)
        return first_line + data.count(b"\n")
    position, line, length = 0, first_line, len(data)
    while position < length:
        end = block_end(data, position, block_bytes)
        block = Lines(data, position, end, file, line, cluster)
        yield block
        line += data.count(b"\n", position, end) if block.line_breaks < 0 else block.line_breaks
        position = end
    return line


def head_batches(
    data: bytes,
    *,
    file: str,
    first_line: int = 1,
    cluster: str = "",
    hint: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[HeadBatch]:
    """As `decoder.batches`, with the events' heads; consume and drop each batch before the next."""
    for block in line_blocks(
        data, file=file, first_line=first_line, cluster=cluster, hint=hint, block_bytes=block_bytes
    ):
        yield block.heads() if isinstance(block, Lines) else block


def decode_heads(data: bytes) -> tuple[list[Head], list[int]] | None:
    """The heads of a block of whole lines, one a line, with where each begins.

    None unless each line looks like a sound native event.
    """
    try:
        heads = _decode_heads(data)
    except UNDECODABLE:
        return None
    starts = line_starts(data, len(heads)) if heads else None
    return (heads, starts) if starts is not None and _look_sound(heads) else None


def _look_sound(heads: Sequence[Head]) -> bool:
    """What ordering and counting need; `load` looks at everything else, once for each behaviour at least."""
    return (
        {head.stage for head in heads} <= _KNOWN_STAGES
        and {head.level for head in heads} <= _KNOWN_LEVELS
        and None not in {head.verb for head in heads}
        and None not in [head.audit_id for head in heads]
        and are_normal([head.stage_timestamp for head in heads])
    )


def _looks_sound(head: Head) -> bool:
    """As `_look_sound` for one."""
    return (
        head.stage in _KNOWN_STAGES
        and head.level in _KNOWN_LEVELS
        and head.verb is not None
        and head.audit_id is not None
        and head.stage_timestamp is not None
        and is_normal(head.stage_timestamp)
    )
