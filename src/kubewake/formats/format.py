"""What a format is, and the registry of them.

A format recognises one kind of record (one JSON object) and reads it into outcomes. A new one is one module in this
package (or an entry point of the group `kubewake.formats` that names a module) with a decorated class.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from kubewake.event import AuditEvent, EnvelopedEvent

Record: TypeAlias = dict[str, Any]
"""One decoded JSON object."""


class Inner(Struct, frozen=True):
    """A record inside a record, to be recognised in its turn: JSON text or bytes, an object, or a list of objects.

    `cluster`, `time` and `envelope` are what the outer record says about it. `text_means` names what the inner text is
    if it turns out to be no JSON object, so that it can be counted as skipped; None makes that malformed.
    """

    content: Any
    cluster: str = ""
    time: Any = None
    """When the outer record says that it happened: used for an event that says no time itself."""
    envelope: dict[str, Any] = {}
    unknown: tuple[str, ...] = ()
    text_means: str | None = None


class Skip(Struct, frozen=True):
    """The record is sound and no Kubernetes audit event; `reason` is a short constant, it becomes a counter."""

    reason: str


class Reject(Struct, frozen=True):
    """The record is no audit event and should have been: `reason` says why and what to do."""

    reason: str


Outcome: TypeAlias = AuditEvent | EnvelopedEvent | Inner | Skip | Reject


class Format(Protocol):
    """One envelope. `name` is its id in settings, `title` how people call it, `order` its turn in recognition."""

    name: str
    title: str
    order: int

    def recognises(self, record: Record) -> bool:
        """Whether the record is of this format; looks at keys, never raises on any JSON object."""

    def read(self, record: Record) -> Iterable[Outcome]:
        """What the record holds; wrong types inside become unknown fields, `Skip` or `Reject`, never an exception."""


_REGISTERED: dict[str, Format] = {}


def format_(cls: Callable[[], Format]) -> Callable[[], Format]:
    """Register a format class; its instance must be stateless."""
    instance = cls()
    if instance.name in _REGISTERED and type(_REGISTERED[instance.name]) is not type(instance):
        raise ValueError(f"two formats are called {instance.name!r}: rename one")
    _REGISTERED[instance.name] = instance
    return cls


@cache
def formats() -> tuple[Format, ...]:
    """All formats in the order in which they are asked; loads the modules of this package and entry points once."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    for entry_point in entry_points(group="kubewake.formats"):
        entry_point.load()
    return tuple(sorted(_REGISTERED.values(), key=lambda known: (known.order, known.name)))


def recognise(record: Record) -> Format | None:
    """The first format that recognises the record."""
    for known in formats():
        if known.recognises(record):
            return known
    return None


def text(value: Any) -> str | None:
    """The value if it is text."""
    return value if isinstance(value, str) else None


def mapping(value: Any) -> Record:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def parse(value: str | bytes) -> Any:
    """Decode JSON; raises ValueError on anything that is no JSON, nesting past the interpreter's limit included."""
    try:
        return msgspec.json.decode(value)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
