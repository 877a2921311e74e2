"""Compressed streams, recognised by content: gzip of many members, zstd of many frames, bzip2, xz, and these inside each
other. Memory is bounded whatever a hostile stream expands to.
"""

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard
from msgspec import Struct

READ_BYTES = 1024 * 1024

_ZSTD_READ_BYTES = 512
"""zstandard's streaming decoder has no output limit; four bytes of input make at most 128 KiB, so this makes 16 MiB."""

_DEEPEST_NESTING = 3

_UNSUPPORTED = (
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"PAR1", "a Parquet file: export it as JSON Lines first"),
    (b"Obj\x01", "an Avro file: export it as JSON Lines first"),
    (b"SQLite format 3\0", "an SQLite database, no log"),
    (b"\x04\x22\x4d\x18", "lz4 data: decompress it first"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy data: decompress it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
)
_TAR_MAGIC_OFFSET = 257


class BadStream(Exception):  # noqa: N818  # says what the stream is, not that an error class exists
    """The stream cannot be read on; the text says why, fit for a malformed record."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Codec(Struct, frozen=True):
    name: str
    magic: bytes
    start: Callable[[], _Inflater]
    read_bytes: int = 8 * 1024
    """Compressed bytes per step; deflate expands at most 1,032 times, which makes 8 MiB."""


_CODECS = (
    _Codec("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    _Codec(
        "zstd",
        b"\x28\xb5\x2f\xfd",
        lambda: zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj(),
        _ZSTD_READ_BYTES,
    ),
    _Codec("bzip2", b"BZh", bz2.BZ2Decompressor, 1024),
    _Codec("xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=256 * 1024 * 1024), 1024),
)


def codec_of(head: bytes) -> str | None:
    """Name of the compression of a stream that begins with `head`; None for none."""
    codec = _codec_of(head)
    return None if codec is None else codec.name


def _codec_of(head: bytes) -> _Codec | None:
    return next((codec for codec in _CODECS if head.startswith(codec.magic)), None)


def unsupported(head: bytes) -> str | None:
    """What a stream is that begins with `head` and cannot hold log lines, and what to do; None if it may."""
    if head[_TAR_MAGIC_OFFSET : _TAR_MAGIC_OFFSET + 5] == b"ustar":
        return "a tar archive: unpack it first"
    return next((reason for magic, reason in _UNSUPPORTED if head.startswith(magic)), None)


def inflate(blocks: Iterator[bytes], names: list[str]) -> Iterator[bytes]:
    """The stream behind all its layers of compression, and of UTF-16, as UTF-8 bytes.

    `names` receives the layers found. Raises BadStream behind the last good byte where a layer is damaged or ends early.
    """
    head = next(blocks, b"")
    if len(head) < _TAR_MAGIC_OFFSET + 5:
        head += b"".join(_until(blocks, _TAR_MAGIC_OFFSET + 5 - len(head)))
    reason = unsupported(head)
    if reason is not None:
        raise BadStream(reason)
    codec = _codec_of(head)
    stream = _chain(head, blocks)
    if codec is not None:
        if len(names) >= _DEEPEST_NESTING:
            raise BadStream(f"compressed more than {_DEEPEST_NESTING} times over")
        names.append(codec.name)
        yield from inflate(_decompress(codec, stream), names)
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        names.append("UTF-16")
        yield from _from_utf16(stream)
    else:
        yield from stream


def _until(blocks: Iterator[bytes], size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0 and (block := next(blocks, b"")):
        size_bytes -= len(block)
        yield block


def _chain(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _decompress(codec: _Codec, blocks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = codec.start()
    try:
        for block in blocks:
            for start in range(0, len(block), codec.read_bytes):
                data = block[start : start + codec.read_bytes]
                while data:
                    if inflater.eof:
                        data = data.lstrip(b"\0")
                        if not data:
                            break
                        if not data.startswith(codec.magic[: len(data)]):
                            raise BadStream(f"bytes behind the end of the {codec.name} data that are none")
                        inflater = codec.start()
                    output = inflater.decompress(data)
                    if output:
                        yield output
                    data = inflater.unused_data if inflater.eof else b""
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError) as error:
        raise BadStream(f"damaged {codec.name} data: {error}") from error
    if not inflater.eof:
        raise BadStream(f"{codec.name} data that breaks off before its end: the file is truncated")


def _from_utf16(blocks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise BadStream(f"damaged UTF-16 text: {error}") from error
