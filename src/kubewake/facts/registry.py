"""The table of derived fields, and how any field, derived or native, gets its reader."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct

from kubewake.facts.native import compile_native

if TYPE_CHECKING:
    from kubewake.facts.facts import Facts

Kind = Literal["text", "number", "boolean", "list", "elements", "mapping"]
Scope = Literal["behaviour", "event"]
Level = Literal["Metadata", "Request", "RequestResponse"]
Reader = Callable[["Facts"], Any]
Result = TypeVar("Result")


class Part(Struct, frozen=True, gc=False):
    """A sub-field of the elements of an elements field."""

    kind: Kind
    doc: str


class Field(Struct, frozen=True, gc=False):
    """A derived field: what it is called, what it holds, what it depends on and how it is read.

    `scope` "behaviour" promises that the value follows from the behaviour key alone. `level` is the audit level that
    an event must be logged at for the field to be known.
    """

    name: str
    kind: Kind
    scope: Scope
    level: Level
    doc: str
    read: Reader
    example: str = ""
    parts: Mapping[str, Part] = {}
    module: str = ""
    """Name of the module that defines it."""


FIELDS: dict[str, Field] = {}
"""All derived fields by name, filled by the modules of this package as they are imported."""

_UNASKED = object()

HOSTILE = (TypeError, ValueError, AttributeError, LookupError, RecursionError)
"""What a body of a shape that no one foresaw can raise; the field then counts as unknown."""


def field(
    name: str,
    kind: Kind,
    doc: str,
    *,
    scope: Scope = "event",
    level: Level = "Metadata",
    example: str = "",
    parts: Mapping[str, Part] | None = None,
) -> Callable[[Callable[["Facts"], Result]], Callable[["Facts"], Result]]:
    """Register a function of Facts as a derived field; the decorated function answers from the event's cache."""

    def register(compute: Callable[["Facts"], Result]) -> Callable[["Facts"], Result]:
        def read(facts: "Facts") -> Any:
            cache = facts.cache
            value: Any = cache.get(name, _UNASKED)
            if value is not _UNASKED:
                return value
            try:
                value = compute(facts)
            except HOSTILE:
                facts.mark_unknown(name)
                value = None
            cache[name] = value
            return value

        read.__name__ = compute.__name__
        read.__doc__ = compute.__doc__
        if name in FIELDS:
            raise ValueError(f"derived field {name!r} is registered twice")
        FIELDS[name] = Field(name, kind, scope, level, doc, read, example, parts or {}, compute.__module__)
        return read

    return register


def owner_of(name: str) -> tuple[Field, str] | None:
    """The elements or mapping field that a longer name reaches into, and the rest of the name."""
    head = name
    while "." in head:
        head = head.rpartition(".")[0]
        owner = FIELDS.get(head)
        if owner is not None:
            return (owner, name[len(head) + 1 :]) if owner.kind in ("elements", "mapping") else None
    return None


def compile_reader(name: str) -> Reader:
    """Make the function that reads one field, derived, inside a derived field, or native."""
    derived = FIELDS.get(name)
    if derived is not None:
        return derived.read
    owner = owner_of(name)
    if owner is None:
        return compile_native(name)
    field_, rest = owner
    whole = field_.read
    if field_.kind == "mapping":
        key = rest.replace("\\.", ".")

        def read_entry(facts: "Facts") -> Any:
            entries = whole(facts)
            return entries.get(key) if entries else None

        return read_entry
    is_list = rest in field_.parts and field_.parts[rest].kind == "list"
    part, _, entry = rest.partition(".")

    def read_part(facts: "Facts") -> Any:
        items = whole(facts)
        if not items:
            return None
        values: list[Any] = []
        for item in items:
            value = item.get(part)
            if entry:
                value = value.get(entry) if isinstance(value, dict) else None
            if value is None:
                continue
            if is_list:
                values.extend(value)
            else:
                values.append(value)
        return values or None

    return read_part


class _Readers(dict[str, Reader]):
    def __missing__(self, name: str) -> Reader:
        read = self[name] = compile_reader(name)
        return read


READERS = _Readers()
"""Readers by field name, compiled at first use; names come from rules and code, so their number is bounded."""
