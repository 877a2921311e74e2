"""The cyclopts application, made from the table of commands."""

from cyclopts import App

from kubewake import __version__
from kubewake.cli import COMMANDS, overview


def build() -> App:
    """All commands, none of them imported yet."""
    app = App(
        name="kubewake",
        help="Real-time threat detection on Kubernetes audit logs.",
        version=__version__,
        default_command=lambda: print(overview()),  # noqa: T201  # the overview is this command's output
    )
    for command in COMMANDS:
        app.command(command.target, name=command.name, help=command.summary)
    app.register_install_completion_command()
    return app
