"""What can be saved of an object that cannot be decoded whole: it breaks off, or is JSON in outline only.

A client decides what stands in a request body: nesting past any decoder's limit, numbers past any range, escapes of half
characters. None of these may hide the request that carried them.
"""

import re
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from kubewake.formats.format import Record, parse

DEEPEST = 200
"""Levels that are kept; Kubernetes' own objects have about 15, JSON schemas in CRDs about 60."""

BODIES = ("requestObject", "responseObject")
"""Kept as raw bytes: whoever reads them copes with what is in them."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
_TOKEN_OR_COMMA = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|(\Z))|[{}\[\],]', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PAIRED_OR_HALF = re.compile(
    rb"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
"""Escapes of UTF-16: a pair of halves (12 bytes), a half alone (6), any other escape (2)."""
_HALF_BYTES = 6
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_RESOURCE = re.compile(
    r"/(?:api|apis/(?P<apiGroup>[^/]+))/(?P<apiVersion>[^/]+)/(?:watch/)?"
    r"(?:namespaces/(?P<namespace>[^/]+)/(?!(?:status|finalize)$))?"
    r"(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+).*)?)?/?"
)
"""Where the path of a resource request names what."""
_MOST_LEVELS = 8


def prune(data: bytes, deepest: int = DEEPEST) -> bytes:
    """The JSON with every value deeper than `deepest` levels replaced by null."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(data):
        byte = token.group()[0]
        if byte in b"{[":
            depth += 1
            if depth == deepest + 1:
                kept.append(data[start : token.start()])
        elif byte in b"}]":
            depth -= 1
            if depth == deepest:
                kept.append(b"null")
                start = token.end()
    return b"".join((*kept, data[start:])) if kept else data


def salvage(data: bytes) -> tuple[Record, tuple[str, ...]]:
    """The fields of an object that can be decoded, and the dotted names of what cannot.

    Bytes that are no UTF-8, halves of UTF-16 pairs and control characters are replaced. Raises ValueError where not even the outline is that of a JSON object.
    """
    unknown: list[str] = []
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode(errors="replace").encode()
        unknown.append("encoding")
    whole = _PAIRED_OR_HALF.sub(_replace_half, _CONTROL.sub(b" ", data))
    if whole != data:
        data = whole
        unknown += () if "encoding" in unknown else ("encoding",)
    pruned = prune(data)
    if len(pruned) != len(data):
        unknown.append("nesting")
    return _fields(pruned, "", unknown, 0), tuple(unknown)


def complete(data: bytes) -> bytes:
    """The whole values of a JSON text that breaks off, with its open brackets closed; empty where there are none."""
    open_: list[int] = []
    end, closing = 0, b""
    for token in _TOKEN_OR_COMMA.finditer(data):
        byte = token.group()[0]
        if byte == 0x22:
            if token.group(1) is not None:
                break
        elif byte == 0x2C:
            end, closing = token.start(), bytes(reversed(open_))
        elif byte in b"{[":
            open_.append(byte + 2)  # } and ] stand two behind { and [
        else:
            if not open_ or open_.pop() != byte:
                break
            end, closing = token.end(), bytes(reversed(open_))
    return data[:end] + closing


def object_of(uri: str) -> Record | None:
    """The object reference that the API server makes of a URI; None where the request is about no object."""
    match = _RESOURCE.fullmatch(unquote(uri.partition("?")[0]))
    if match is None:
        return None
    named = {key: value for key, value in match.groupdict().items() if value}
    if named["resource"] == "namespaces" and "name" in named:
        named["namespace"] = named["name"]
    return named


def _replace_half(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if len(match[0]) == _HALF_BYTES else match[0]


def _fields(data: bytes | Raw, path: str, unknown: list[str], level: int) -> Record:
    try:
        fields = _FIELDS.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    record: Record = {}
    for key, raw in fields.items():
        try:
            record[key] = parse(bytes(raw))
        except ValueError:
            if not path and key in BODIES:
                record[key] = raw.copy()
                continue
            try:
                if level >= _MOST_LEVELS:
                    raise
                record[key] = _fields(raw, f"{path}{key}.", unknown, level + 1)
            except ValueError:
                unknown.append(f"{path}{key}")
    return record
