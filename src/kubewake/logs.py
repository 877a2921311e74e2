"""kubewake's log about itself: structlog on standard error, as text for people or JSON for collectors."""

import logging
import sys
from typing import Any, Literal

import structlog


def configure(level: str = "info", form: Literal["auto", "text", "json"] = "auto") -> None:
    """Send the log to standard error. `auto` is text on a terminal and JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if text else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=max(number, logging.WARNING), format="%(name)s: %(message)s")


def logger(room: str) -> Any:
    """A logger whose entries say which part of kubewake speaks."""
    return structlog.get_logger(room=room)
