"""kubewake's log about itself: structlog on standard error, as text for people or JSON for collectors."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from kubewake.redact import redact_value


def configure(level: str = "info", form: Literal["auto", "text", "json"] = "auto") -> None:
    """Send the log to standard error. `auto` is text on a terminal and JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    # Plain tracebacks: Rich's would print local variables, and these hold events.
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if text else [structlog.processors.format_exc_info]),
            _without_credentials,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=max(number, logging.WARNING), format="%(name)s: %(message)s")


def _without_credentials(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    known = entry.pop("exc_info", None)
    entry = redact_value(entry)
    if known is not None:
        entry["exc_info"] = known
    return entry


def logger(room: str) -> Any:
    """A logger whose entries say which part of kubewake speaks."""
    return structlog.get_logger(room=room)
