"""Views of a result: one module a format, found by the `@report` decorator. Reports render; they touch no engine."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import IO, Protocol

from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.finding import Audience, ResultDocument


class Style(Struct, frozen=True, kw_only=True):
    """How the reader looks at the output. `width` in columns; `audience` is the least busy reader to show findings to."""

    width: int = 100
    color: bool = False
    audience: Audience | None = None
    verbose: bool = False


class Report(Protocol):
    """Writes one view of the document."""

    def __call__(self, document: ResultDocument, out: IO[str], style: Style) -> None: ...


class _Entry(Struct, frozen=True):
    render: Report
    summary: str
    default_audience: Audience | None


_REPORTS: dict[str, _Entry] = {}


def report(name: str, summary: str, *, default_audience: Audience | None = None) -> Callable[[Report], Report]:
    """Register a report under its `-o` name. `default_audience` narrows what it shows unless the reader asks for more."""

    def register(render: Report) -> Report:
        _REPORTS[name] = _Entry(render, summary, default_audience)
        return render

    return register


def names() -> dict[str, str]:
    """Every report's `-o` name with its one-line summary."""
    _load()
    return {name: entry.summary for name, entry in sorted(_REPORTS.items())}


def default_audience(name: str) -> Audience | None:
    """The audience that a report shows when none is asked for; None shows all."""
    return find(name).default_audience


def find(name: str) -> _Entry:
    """The report of that name; SettingsError names the ones there are."""
    module = f"{__name__}.{name}"
    if name not in _REPORTS and name in {entry.name for entry in pkgutil.iter_modules(__path__)}:
        importlib.import_module(module)
    if name not in _REPORTS:
        _load()
    if name not in _REPORTS:
        raise SettingsError(f"-o {name}: there is no such output; choose one of {', '.join(sorted(_REPORTS))}")
    return _REPORTS[name]


def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
