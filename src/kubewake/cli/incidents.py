"""`kubewake incidents`: list incidents and tell one in full, from a saved result, a log, or what serve has told."""

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kubewake.cli.verdict import verdict
from kubewake.errors import InputError, SettingsError

if TYPE_CHECKING:
    from kubewake.finding import Incident, ResultDocument

app = App(
    name="incidents",
    help="List incidents, tell one in full and judge it, from a saved result (-o json), a log, or serve.",
)
app.command(verdict)

Paths = Annotated[
    list[str] | None,
    Parameter(help="A result saved with -o json, or audit logs, which are scanned; - is a log on standard input. "
              "Default: what serve has told.", negative=(), allow_leading_hyphen=True),
]  # fmt: skip
StateDir = Annotated[Path | None, Parameter(name="--state-dir", help="State folder of serve; default: the setting.")]
Cluster = Annotated[str, Parameter(name="--cluster", help="Name of the cluster, for a log that names none.")]
Rbac = Annotated[Path | None, Parameter(name="--rbac", help="A dump of roles and bindings, for the blast radius.")]


@app.command(name="list")
def list_incidents(
    paths: Paths = None,
    /,
    *,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
    cluster: Cluster = "",
    rbac: Rbac = None,
    state_dir: StateDir = None,
) -> int:
    """Every incident on a line, the most urgent first.

    Parameters
    ----------
    output
        table, or json for one JSON object a line.
    """
    import msgspec

    from kubewake.reports.table import ranked

    document = open_document(paths or [], cluster, rbac, state_dir=state_dir)
    incidents = ranked(document.incidents)
    if output == "json":
        for incident in incidents:
            sys.stdout.write(msgspec.json.encode(incident).decode() + "\n")
        return 0
    print_list(incidents)
    return 0


@app.command
def show(
    incident: str,
    paths: Paths = None,
    /,
    *,
    graph: Literal["dot", "json", "svg"] | None = None,
    output: Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])] = "text",
    cluster: Cluster = "",
    rbac: Rbac = None,
    state_dir: StateDir = None,
) -> int:
    """One incident in full: what happened, step by step, how it was allowed, what to do, the evidence.

    Parameters
    ----------
    incident
        Its id, the beginning of its id, or its number in the list.
    graph
        Print the graph of the incident instead: DOT for Graphviz, JSON, or an SVG picture.
    output
        text, or json for the incident and its findings.
    """
    import msgspec

    from kubewake.cli.scan import colored, terminal_width
    from kubewake.reports import Style
    from kubewake.reports.table import console_for, print_story

    document = open_document(named(incident, paths), cluster, rbac, state_dir=state_dir)
    found = choose(document.incidents, incident)
    members = set(found.findings)
    findings = [finding for finding in document.findings if finding.id in members]
    if graph is not None:
        from kubewake.reports.drawing import as_svg
        from kubewake.reports.graph import as_dot, as_json, graph_of

        picture = graph_of(found, findings)
        if graph == "dot":
            sys.stdout.write(as_dot(picture, found.title))
        elif graph == "json":
            sys.stdout.write(as_json(picture))
        else:
            sys.stdout.write(as_svg(picture, found.title, label="incident") + "\n")
    elif output == "json":
        whole = {"incident": found, "findings": findings}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n")
    else:
        console = console_for(sys.stdout, Style(width=terminal_width(), color=colored(sys.stdout)))
        print_story(console, found, findings)
    return 0


def named(incident: str, paths: list[str] | None) -> list[str]:
    """The paths given behind an incident's name; SettingsError where a path stands in the name's place."""
    if not paths and Path(incident).exists():
        raise SettingsError(f"{incident} is a file: name the incident first, as in `1 {incident}` for the first in it")
    return paths or []


def open_document(
    paths: list[str],
    cluster: str,
    rbac: Path | None,
    *,
    baseline: Path | None = None,
    state_dir: Path | None = None,
) -> "ResultDocument":
    """The saved result, or what a scan of the logs finds, from a baseline file on; without paths what serve has told."""
    if not paths:
        return told_by_serve(state_dir)
    from kubewake.reports.saved import is_result, load_result

    saved = [path for path in paths if path != "-" and is_result(Path(path))]
    if saved:
        if len(paths) > 1:
            raise SettingsError(f"{saved[0]} is a saved result: give it alone, or give logs only")
        return load_result(Path(saved[0]))
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.parallel import default_workers
    from kubewake.pipeline.scan import scan as run_scan
    from kubewake.rbac.state import load_dump
    from kubewake.sources.files import FileSource

    source = FileSource(paths, cluster=cluster)
    document = run_scan(
        source.chunks(),
        Knowledge(baseline=baseline),
        rbac=None if rbac is None else load_dump(rbac),
        workers=default_workers(source.size_bytes()),
    )
    if not document.input.events:
        first = next(iter(document.input.malformed), None)
        why = f" ({first.file}{f':{first.line}' if first.line else ''}: {first.reason})" if first is not None else ""
        raise InputError(
            f"{', '.join(paths)}: neither a result saved with -o json nor audit events{why}; check the path"
        )
    return document


def told_by_serve(state_dir: Path | None) -> "ResultDocument":
    """The findings and incidents that serve has told of, and keeps."""
    import msgspec

    from kubewake.cli.baseline import folder_of, read_state
    from kubewake.finding import Finding, Incident, ResultDocument

    try:
        with read_state(folder_of(state_dir)) as state:
            return ResultDocument(
                findings=[msgspec.json.decode(item.body, type=Finding) for item in state.all_items("finding")],
                incidents=[msgspec.json.decode(item.body, type=Incident) for item in state.all_items("incident")],
            )
    except SettingsError as error:
        raise SettingsError(f"{error}; or give a saved result or a log") from error


def choose(found: "Iterable[Incident]", wanted: str) -> "Incident":
    """The incident of that id, beginning of an id, or number in the list; SettingsError says which there are."""
    from kubewake.reports.table import ranked

    incidents = ranked(found)
    if wanted.isdecimal() and 0 < int(wanted) <= len(incidents):
        return incidents[int(wanted) - 1]
    near = [item for item in incidents if item.id == wanted] or [
        item for item in incidents if item.id.removeprefix("incident-").startswith(wanted.removeprefix("incident-"))
    ]
    if len(near) == 1:
        return near[0]
    if near:
        raise SettingsError(f"{wanted} fits {', '.join(item.id for item in near[:5])}; give more of the id")
    close = difflib.get_close_matches(wanted, [item.id for item in incidents], n=1)
    if close:
        raise SettingsError(f"there is no incident '{wanted}' (did you mean '{close[0]}'?)")
    known = f"there are {len(incidents):,}: 1 to {len(incidents):,}, or an id" if incidents else ""
    if not known:
        raise SettingsError(f"there is no incident '{wanted}', and no other; give the result or the log that it is in")
    raise SettingsError(f"there is no incident '{wanted}'; {known} of `kubewake incidents list`")


def print_list(incidents: "list[Incident]") -> None:
    """A table on a terminal, tab-separated lines in a pipe."""
    from rich.table import Table
    from rich.text import Text

    from kubewake.cli.scan import colored, terminal_width
    from kubewake.reports import Style
    from kubewake.reports.table import COLORS, console_for
    from kubewake.reports.wording import one_line, place

    if not incidents:
        sys.stderr.write("no incidents\n")
        return
    if not sys.stdout.isatty():
        for incident in incidents:
            cells = (incident.id, incident.severity, f"{incident.score:.1f}", incident.first_time, place(incident))
            sys.stdout.write("\t".join([*cells, one_line(incident.title)]) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("#", "severity", "began (UTC)"):
        table.add_column(name, no_wrap=True, justify="right" if name == "#" else "left")
    table.add_column("what", overflow="fold")
    for number, incident in enumerate(incidents, 1):
        said = Text.assemble(
            one_line(incident.title), (f"\n{place(incident)}  score {incident.score:.1f}  {incident.id}", "dim")
        )
        when = incident.first_time[5:16].replace("T", " ")
        table.add_row(str(number), Text(incident.severity.upper(), style=COLORS[incident.severity]), when, said)
    console_for(sys.stdout, Style(width=terminal_width(), color=colored(sys.stdout))).print(table)
