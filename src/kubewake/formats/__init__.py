"""Bytes to audit events, whatever envelope they come in.

`batches` decodes whole lines in small batches (the fast way: drop each before the next), `decode` a whole
body of any shape, `Decoder` a stream that is cut anywhere.
"""

from kubewake.formats.decoder import BLOCK_BYTES, Decoder, batches, decode, describe, sniff
from kubewake.formats.format import Format, format_, formats
from kubewake.formats.heads import Lines, head_batches, line_blocks

__all__ = [
    "BLOCK_BYTES",
    "Decoder",
    "Format",
    "Lines",
    "batches",
    "decode",
    "describe",
    "format_",
    "formats",
    "head_batches",
    "line_blocks",
    "sniff",
]
