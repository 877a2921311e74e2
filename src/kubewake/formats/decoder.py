"""Bytes to batches: the stateless `batches` and `decode` for pieces of whole lines, and `Decoder` for a stream."""

from collections.abc import Iterator, Sequence

from kubewake.event import Batch
from kubewake.formats.format import formats, parse, recognise
from kubewake.formats.native import decode_block, decode_list
from kubewake.formats.record import Reading, read_lines

BLOCK_BYTES = 128 * 1024
"""How much is decoded at once. What is decoded and dropped before the next block stays in the processor's cache:
blocks of 64 to 256 KiB decode twice as many events a second as blocks of 8 MiB."""

NATIVE = "native"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def sniff(data: bytes) -> str | None:
    """The name of the format of the first record of `data` that has one; None when none of the first ten lines has."""
    for line in data.removeprefix(_BYTE_ORDER_MARK).split(b"\n", 10)[:10]:
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
    if data.startswith(_BYTE_ORDER_MARK):
        data = data[len(_BYTE_ORDER_MARK) :]
    hint = sniff(data) if hint is None else hint
    position, line, length = 0, first_line, len(data)
    while position < length:
        end = _block_end(data, position, block_bytes)
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


def _block_end(data: bytes, position: int, block_bytes: int) -> int:
    end = data.rfind(b"\n", position, position + block_bytes) + 1
    if end <= 0:
        end = data.find(b"\n", position + block_bytes) + 1
    return end if end > 0 and end < len(data) and position + block_bytes < len(data) else len(data)


def decode(data: bytes, *, file: str, first_line: int = 1, cluster: str = "", hint: str | None = None) -> Batch:
    """Decode whole lines into one batch; `batches` is faster where the events need not be kept."""
    return merge(batches(data, file=file, first_line=first_line, cluster=cluster, hint=hint), file, cluster)


def merge(parts: Iterator[Batch], file: str, cluster: str) -> Batch:
    """Several batches of one file as one."""
    whole = Batch(file=file, events=[], lines=[], cluster=cluster)
    lines: list[int] = []
    for part in parts:
        whole.events += part.events
        lines += part.lines
        whole.malformed = whole.malformed + part.malformed
        whole.size_bytes += part.size_bytes
        whole.skipped += part.skipped
        for reason, count in part.skipped_reasons.items():
            whole.skipped_reasons[reason] = whole.skipped_reasons.get(reason, 0) + count
    whole.lines = lines
    return whole


__all__ = ["BLOCK_BYTES", "NATIVE", "Reading", "batches", "decode", "formats", "merge", "sniff"]
