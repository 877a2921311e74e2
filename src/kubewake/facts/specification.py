"""Specifications met before: what pods of one template share is decoded and understood once."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import xxhash
from msgspec import Raw

LEAST_BYTES = 400
"""Shorter specifications cost less to decode than to recognise."""

MAX_REMEMBERED = 2_000
"""Specifications remembered; when there are more, all are forgotten."""

_decode = msgspec.json.Decoder().decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_seed = secrets.randbits(64)
"""Keeps anyone from writing a specification that passes for another."""
_UNASKED = object()
Result = TypeVar("Result")


class Specification(dict[str, Any]):
    """A decoded `spec`, with what was derived from it alone. Shared between events: nobody may change it."""

    __slots__ = ("derived",)

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.derived: dict[Any, Any] = {}


_met: dict[bytes, Specification] = {}


def decode_object(raw: Raw) -> Any:
    """Any JSON; of an object that has a `spec` of some length, that is a `Specification`."""
    view = memoryview(raw)
    if view.nbytes < LEAST_BYTES or b'"spec"' not in bytes(view):
        return _decode(raw)
    try:
        keys = _decode_keys(raw)
    except msgspec.ValidationError:  # no object
        return _decode(raw)
    return {key: _specification(part) if key == "spec" else _decode(part) for key, part in keys.items()}


def _specification(raw: Raw) -> Any:
    if memoryview(raw).nbytes < LEAST_BYTES:
        return _decode(raw)
    digest = xxhash.xxh3_128_digest(raw, _seed)
    known = _met.get(digest)
    if known is None:
        content = _decode(raw)
        if not isinstance(content, dict):
            return content
        if len(_met) >= MAX_REMEMBERED:
            _met.clear()
        known = _met[digest] = Specification(content)
    return known


def remembered(specification: Any, key: Any, derive: Callable[[], Result]) -> Result:
    """What `derive` makes of the specification; once, where it is one that is remembered."""
    if type(specification) is not Specification:
        return derive()
    found: Any = specification.derived.get(key, _UNASKED)
    if found is _UNASKED:
        found = specification.derived[key] = derive()
    result: Result = found
    return result
