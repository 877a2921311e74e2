"""JSON that travels as base64 of gzip, as CloudWatch Logs hands it to Kinesis, Firehose and Lambda."""

import base64
import binascii
import zlib

UNPACKED_LIMIT_BYTES = 64 * 1024 * 1024
"""One message; CloudWatch sends at most 1 MiB of compressed events."""

_GZIP_AS_BASE64 = b"H4sI"


def is_packed(data: bytes) -> bool:
    """Whether the text is base64 of gzip, or gzip itself, by its first bytes."""
    return data.startswith((_GZIP_AS_BASE64, b"\x1f\x8b"))


def unpack(data: bytes) -> bytes:
    """The unpacked text; raises ValueError that says what is wrong with it."""
    if data.startswith(_GZIP_AS_BASE64):
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"damaged base64 of gzip data: {error}") from error
    unpacked = b""
    while data:
        inflater = zlib.decompressobj(wbits=31)
        try:
            unpacked += inflater.decompress(data, UNPACKED_LIMIT_BYTES - len(unpacked) + 1)
        except zlib.error as error:
            raise ValueError(f"damaged gzip data: {error}") from error
        if len(unpacked) > UNPACKED_LIMIT_BYTES:
            raise ValueError(f"gzip data that unpacks to more than {UNPACKED_LIMIT_BYTES} bytes")
        if not inflater.eof:
            raise ValueError("gzip data that breaks off before its end")
        data = inflater.unused_data
    return unpacked
