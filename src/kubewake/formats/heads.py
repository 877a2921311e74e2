"""Bytes to heads: the way that `scan` and followed logs take, where most events need not be decoded whole."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from kubewake.event import STAGES, AuditEvent, Malformed, decode_event
from kubewake.formats.decoder import BLOCK_BYTES, BYTE_ORDER_MARK, batches, block_end, sniff
from kubewake.formats.native import NATIVE, UNDECODABLE, is_sound, line_starts
from kubewake.formats.record import read_lines
from kubewake.formats.times import are_normal
from kubewake.head import Head, HeadBatch, heads_of

_decode_heads = msgspec.json.Decoder(Head).decode_lines
_KNOWN_STAGES = frozenset(STAGES)
_KNOWN_LEVELS = frozenset(("Metadata", "Request", "RequestResponse"))


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
    data = data.removeprefix(BYTE_ORDER_MARK)
    hint = sniff(data) if hint is None else hint
    if hint != NATIVE:
        for batch in batches(
            data, file=file, first_line=first_line, cluster=cluster, hint=hint, block_bytes=block_bytes
        ):
            yield heads_of(batch)
        return
    position, line, length = 0, first_line, len(data)
    while position < length:
        end = block_end(data, position, block_bytes)
        block = data[position:end]
        decoded = decode_heads(block)
        if decoded is not None:
            heads, starts = decoded
            malformed: list[Malformed] = []
            faults: list[Malformed] = []
            yield HeadBatch(
                file=file,
                heads=heads,
                lines=range(line, line + len(heads)),
                load=_loader(block, starts, file, line, malformed, faults),
                malformed=malformed,
                faults=faults,
                size_bytes=len(block),
                cluster=cluster,
            )
            line += len(heads)
        else:
            yield heads_of(read_lines(block, file, line, fast=True).batch(len(block), cluster))
            line += block.count(b"\n")
        position = end


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


def _loader(
    block: bytes,
    starts: list[int],
    file: str,
    first_line: int,
    malformed: list[Malformed],
    faults: list[Malformed],
) -> Callable[[int], AuditEvent | None]:
    def load(index: int) -> AuditEvent | None:
        text = block[starts[index] : starts[index + 1] if index + 1 < len(starts) else None]
        try:
            event = decode_event(text)
        except UNDECODABLE:
            pass
        else:
            if is_sound(event):
                return event
        reading = read_lines(text, file, first_line + index, fast=False)
        malformed.extend(reading.malformed)
        faults.extend(reading.faults)
        return reading.events[0] if reading.events else None

    return load
