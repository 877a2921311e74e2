"""Where findings are told: one module a kind of sink, found by the `@sink` decorator.

A sink renders a change to bytes when it happens; the bytes wait in the state's outbox until `send` has taken them. So
nothing is lost while a target is down, and a restart goes on sending.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Protocol, TypeVar

from kubewake.errors import KubewakeError, SettingsError
from kubewake.sinks.change import Change, Filter


class DeliveryError(KubewakeError):
    """The target did not take a message now; it stays in the outbox and is sent again later."""


class Sink(Protocol):
    """One target. `name` is its metric label and its key in the outbox: stable, without secrets."""

    name: str

    def wants(self, change: Change) -> bool:
        """Whether this change is to be told here."""
        ...

    def render(self, change: Change) -> bytes:
        """What to store until it is sent."""
        ...

    def send(self, bodies: Sequence[bytes]) -> None:
        """Deliver all of them, in order; raises DeliveryError when the target did not take them."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


Opener = Callable[[str, Filter], Sink]
"""Makes a sink out of a target (a path, a URL) and what is wanted there."""

O = TypeVar("O", bound=Opener)  # noqa: E741
_OPENERS: dict[str, Opener] = {}


def sink(kind: str) -> Callable[[O], O]:
    """Register what opens sinks of a kind."""

    def register(opener: O) -> O:
        _OPENERS[kind] = opener
        return opener

    return register


def open_sink(kind: str, target: str, wanted: Filter) -> Sink:
    """A sink of that kind; raises SettingsError for unknown kinds and unusable targets."""
    if kind not in _OPENERS:
        for module in pkgutil.iter_modules(__path__):
            if module.name == kind:
                importlib.import_module(f"{__name__}.{module.name}")
        for entry_point in entry_points(group="kubewake.sinks", name=kind):
            entry_point.load()
    if kind not in _OPENERS:
        raise SettingsError(f"there is no kind of sink called {kind!r}")
    return _OPENERS[kind](target, wanted)


__all__ = ["Change", "DeliveryError", "Filter", "Opener", "Sink", "open_sink", "sink"]
