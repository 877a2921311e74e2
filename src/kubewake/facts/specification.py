"""Specifications met before: what pods of one template share is decoded and understood once."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import xxhash
from msgspec import UNSET, Raw, Struct, UnsetType

LEAST_BYTES = 400
"""Shorter specifications cost less to decode than to recognise."""

MOST_BYTES = 32_768
"""Longer ones are not remembered: so the memory has a bound, of some ten times as much for each."""

DEEPEST = 4
"""How many specifications and templates are looked for one inside the other: a cron job's pods have theirs that deep."""

MAX_REMEMBERED = 2_000
"""Specifications remembered; when there are more, all are forgotten."""

MAX_DERIVED = 500
"""What is remembered of each; the same holds."""


class _Usual(Struct, gc=False, forbid_unknown_fields=True):
    """What most objects are made of, in the order in which an API server writes it."""

    kind: Any = UNSET
    apiVersion: Any = UNSET  # noqa: N815  # as Kubernetes spells it
    metadata: Any = UNSET
    spec: Raw | UnsetType = UNSET
    status: Any = UNSET


_MAKERS = frozenset({"template", "jobTemplate"})
"""Keys behind which stands what makes pods."""
_USUAL_KEYS = _Usual.__struct_fields__
_decode_usual = msgspec.json.Decoder(_Usual).decode
_decode = msgspec.json.Decoder().decode
_decode_keys = msgspec.json.Decoder(dict[str, Raw]).decode
_seed = secrets.randbits(64)
"""Keeps anyone from writing a specification that passes for another."""
_UNASKED = object()
Result = TypeVar("Result")


class Specification(dict[str, Any]):
    """A decoded `spec`, with what was derived from it alone. Shared between events: nobody may change it."""

    __slots__ = ("derived", "is_repeated")

    def __init__(self, content: dict[str, Any], *, is_repeated: bool = False) -> None:
        super().__init__(content)
        self.derived: dict[Any, Any] = {}
        self.is_repeated = is_repeated
        """Whether it was met more than once, so that it pays to learn more about it than one event asks for."""


NO_SPECIFICATION = Specification({}, is_repeated=True)
"""What was written without any `spec`, as a patch of labels is."""

_met: dict[bytes, Specification] = {}


def decode_object(raw: Raw) -> Any:
    """Any JSON; of an object that has a `spec` of some length, that is a `Specification`."""
    if not _has_specification(raw):
        return _decode(raw)
    try:
        usual = _decode_usual(raw)
    except msgspec.ValidationError:  # no object, or one with other keys
        return _decode_parts(raw)
    found = {key: part for key in _USUAL_KEYS if (part := getattr(usual, key)) is not UNSET}
    if "spec" in found:
        found["spec"] = _specification(found["spec"])
    return found


def decode_patch(raw: Raw) -> Any:
    """As `decode_object`, with all keys in the order in which they stand."""
    return _decode_parts(raw) if _has_specification(raw) else _decode(raw)


def _has_specification(raw: Raw) -> bool:
    view = memoryview(raw)
    return view.nbytes >= LEAST_BYTES and b'"spec"' in bytes(view)


def _specification(raw: Raw, depth: int = 0) -> Any:
    if not LEAST_BYTES <= memoryview(raw).nbytes <= MOST_BYTES:
        return _decode(raw)
    digest = xxhash.xxh3_128_digest(raw, _seed)
    known = _met.get(digest)
    if known is None:
        content = _decode_parts(raw, depth + 1) if b'"template"' in bytes(raw) else _decode(raw)
        if not isinstance(content, dict):
            return content
        if len(_met) >= MAX_REMEMBERED:
            _met.clear()
        known = _met[digest] = Specification(content)
    else:
        known.is_repeated = True
    return known


def _decode_parts(raw: Raw, depth: int = 0) -> Any:
    """Of what makes pods, their own `spec` is a `Specification` too: it stays when replicas come and go."""
    if depth > DEEPEST:
        return _decode(raw)
    try:
        keys = _decode_keys(raw)
    except msgspec.ValidationError:  # no object
        return _decode(raw)
    return {
        key: _specification(part, depth)
        if key == "spec"
        else _decode_parts(part, depth + 1)
        if key in _MAKERS
        else _decode(part)
        for key, part in keys.items()
    }


def remembered(specification: Any, key: Any, derive: Callable[[], Result]) -> Result:
    """What `derive` makes of the specification; once, where it is one that is remembered."""
    if type(specification) is not Specification:
        return derive()
    found: Any = specification.derived.get(key, _UNASKED)
    if found is _UNASKED:
        found = derive()
        if len(specification.derived) >= MAX_DERIVED:
            specification.derived.clear()
        specification.derived[key] = found
    result: Result = found
    return result
