"""Bytes to audit events, whatever envelope they come in.

`batches` decodes whole lines in small batches (the fast way: drop each before the next), `decode` in one.
"""

from kubewake.formats.decoder import BLOCK_BYTES, batches, decode, sniff
from kubewake.formats.format import Format, format_, formats

__all__ = ["BLOCK_BYTES", "Format", "batches", "decode", "format_", "formats", "sniff"]
