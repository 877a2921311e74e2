"""The cyclopts application, made from the table of commands."""

from typing import Any

from cyclopts import App, Parameter

from kubewake import __version__
from kubewake.cli import COMMANDS, overview


def build() -> App:
    """All commands, none of them imported yet."""
    app = App(
        name="kubewake",
        help="Real-time threat detection on Kubernetes audit logs.",
        version=__version__,
        default_command=lambda: print(overview()),  # noqa: T201  # the overview is this command's output
        default_parameter=Parameter(show_default=telling),
        suppress_keyboard_interrupt=False,
    )
    for command in COMMANDS:
        app.command(command.target, name=command.name)
    app.register_install_completion_command()
    return app


def telling(default: Any) -> str | None:
    """A default as `--help` shows it; None where it goes without saying (empty, off, nothing)."""
    return str(default) if default not in ("", 0, None) and default != [] else None
