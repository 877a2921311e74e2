"""The command line. `COMMANDS` is the one table of commands; each is imported only when it runs."""

from typing import NamedTuple


class Command(NamedTuple):
    """One entry of the command line: where it lives and what it says of itself in the overview."""

    name: str
    target: str
    summary: str
    group: str


COMMANDS = (
    Command(
        "demo", "kubewake.cli.demo:demo", "Watch a real attack being detected, on this machine, in a minute", "Start"
    ),
    Command(
        "scan", "kubewake.cli.scan:scan", "Find attacks in audit logs: files, directories, or - for stdin", "Detect"
    ),
    Command("serve", "kubewake.cli.serve:serve", "Receive audit events and alert while an attack runs", "Detect"),
    Command(
        "connect", "kubewake.cli.connect:connect", "Write what an API server needs to send its events here", "Detect"
    ),
    Command(
        "incidents",
        "kubewake.cli.incidents:app",
        "List incidents, tell one in full, judge it, draw its graph",
        "Investigate",
    ),
    Command(
        "rbac", "kubewake.cli.rbac:app", "Who can do what, how far an identity reaches, what is unused", "Investigate"
    ),
    Command(
        "baseline",
        "kubewake.cli.baseline:app",
        "What is usual for whom: show it, learn it from logs, carry it over",
        "Investigate",
    ),
    Command("rules", "kubewake.cli.rules:app", "List, show, lint, test, explain and tune rules", "Rules"),
    Command(
        "settings", "kubewake.cli.settings:settings", "Show every setting, its value, and where it came from", "Help"
    ),
)

NAMES = tuple(command.name for command in COMMANDS)


def overview() -> str:
    """The text of `kubewake --help`, made from the table of commands without importing any of them."""
    lines = [
        "Usage: kubewake COMMAND [ARGUMENTS]",
        "",
        "Real-time threat detection on Kubernetes audit logs.",
    ]
    width = max(len(command.name) for command in COMMANDS) + 2
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ["", f"{group}:"]
        lines += [f"  {command.name:<{width}}{command.summary}" for command in COMMANDS if command.group == group]
    lines += [
        "",
        "Try:",
        "  kubewake demo                      see it work",
        "  kubewake scan /var/log/kubernetes  judge the logs that you have",
        "",
        "kubewake COMMAND --help says more. --version prints the version.",
        "--install-completion teaches your shell the commands.",
    ]
    return "\n".join(lines)
