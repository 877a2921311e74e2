"""`kubewake scan`: find attacks in audit logs."""

import difflib
import inspect
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal

from cyclopts import Group, Parameter

from kubewake.cli.selection import Selection
from kubewake.errors import ExitCode, InputError, SettingsError
from kubewake.event import Malformed
from kubewake.finding import SEVERITY_RANK, Audience, Finding, Incident, Notice, ResultDocument, Severity

WHAT = Group("What to look at", sort_key=1)
HOW = Group("What to detect", sort_key=2)
OUTPUT = Group("What to print", sort_key=3)

FailOn = Literal["informational", "low", "medium", "high", "critical", "never"]
DEFAULT_FAIL_ON: FailOn = "high"


def scan(
    paths: Annotated[
        list[str],
        Parameter(help="Files, directories, globs, or - for standard input.", negative=(), allow_leading_hyphen=True),
    ],
    /,
    *,
    output: Annotated[str | None, Parameter(name=["--output", "-o"], group=OUTPUT)] = None,
    since: Annotated[str, Parameter(group=WHAT)] = "",
    until: Annotated[str, Parameter(group=WHAT)] = "",
    namespace: Annotated[list[str], Parameter(name=["--namespace", "-n"], group=WHAT, negative=())] = [],  # noqa: B006
    user: Annotated[list[str], Parameter(group=WHAT, negative=())] = [],  # noqa: B006  # cyclopts copies it
    cluster: Annotated[str, Parameter(group=WHAT)] = "",
    rule: Annotated[list[str], Parameter(group=HOW, negative=())] = [],  # noqa: B006
    rules: Annotated[list[Path], Parameter(group=HOW, negative=())] = [],  # noqa: B006
    intelligence: Annotated[Path | None, Parameter(group=HOW)] = None,
    rbac: Annotated[Path | None, Parameter(group=HOW)] = None,
    baseline: Annotated[Path | None, Parameter(group=HOW)] = None,
    min_severity: Annotated[Severity, Parameter(group=OUTPUT)] = "informational",
    audience: Annotated[Audience | None, Parameter(group=OUTPUT)] = None,
    fail_on: Annotated[FailOn, Parameter(group=OUTPUT)] = DEFAULT_FAIL_ON,
    out: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    strict: Annotated[bool, Parameter(group=WHAT, negative="")] = False,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], group=HOW)] = 0,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], group=OUTPUT, negative="")] = False,
) -> int:
    """Find attacks in audit logs.

    Reads Kubernetes audit events in any envelope (native, EventList, EKS, GKE, AKS, OpenShift, …), plain, gzip or
    zstd, and reports what they show. The exit code is 1 when something at or above --fail-on was found.

    Parameters
    ----------
    output
        Output format: table, json, jsonl, … Default: table on a terminal, jsonl otherwise.
    since
        Only events from this time on: RFC 3339, a date, or an age such as 6h or 2d.
    until
        Only events before this time.
    namespace
        Only findings in this namespace, and incidents that it takes part in; repeat for several.
    user
        Only findings about this user, and incidents that they take part in; repeat for several.
    cluster
        Name of the cluster for events whose envelope names none.
    rule
        Only this rule or detector, and its incidents; repeat for several.
    rules
        A folder or file of Sigma rules and filters of your own, beside the built-in pack; repeat for several.
    intelligence
        A folder with your threat lists and, optionally, mmdb files.
    rbac
        A dump of roles and bindings, for blast radius: kubectl get
        clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts -A -o yaml.
    baseline
        A file of `kubewake baseline train` or `export`: what is usual, so that the scan need not find out first.
    min_severity
        Leave out findings and incidents below this severity.
    audience
        Whom to show findings for: everyone, pedantic (hunters too), auditor (all). Default: everyone in a table, all
        in machine formats.
    fail_on
        Exit with 1 when a finding for everyone, or an incident, has this severity or a higher one; "never" for 0.
    out
        Write to this file instead of standard output.
    strict
        Exit with 11 when any input could not be read.
    jobs
        Processes to read with; 0 for as many as pay off. Several put a compressed log into the folder for temporary files
        (TMPDIR), at most some 200 MB a process at a time.
    quiet
        No progress bar.
    """
    from kubewake.cli.moments import moment
    from kubewake.cli.progress import Progress
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.parallel import default_workers
    from kubewake.pipeline.scan import scan as run_scan
    from kubewake.rbac.state import load_dump
    from kubewake.reports import Style, default_audience, find
    from kubewake.reports.jsonl import LineWriter
    from kubewake.sources.files import FileSource

    for path in paths:
        if path.startswith("-") and path != "-" and not os.path.lexists(path):
            known = [f"--{name.replace('_', '-')}" for name in inspect.signature(scan).parameters]
            near = difflib.get_close_matches(path.partition("=")[0], known, 1)
            hint = f"did you mean {near[0]}?" if near else "see `kubewake scan --help`"
            raise SettingsError(f"{path}: no such option; {hint}")
    if jobs < 0:
        raise SettingsError(f"--jobs is {jobs}, expected a number of processes, or 0 for as many as pay off")
    name = output or ("table" if out is None and sys.stdout.isatty() else "jsonl")
    report = find(name)
    source = FileSource(paths, cluster=cluster)
    if out is not None:
        refuse_to_overwrite(out, source.files)
    size_bytes = source.size_bytes()
    knowledge = Knowledge(rule_paths=tuple(rules), only_rules=tuple(rule), intelligence=intelligence, baseline=baseline)
    wanted = Selection(tuple(namespace), tuple(user), min_severity, of_rules=bool(rule))
    shown_audience = audience or default_audience(name)
    audience_counts = default_audience(name) is not None
    with open_output(out) as stream:
        writer = LineWriter(stream) if name == "jsonl" else None
        if writer is not None:
            emptied(stream)
        told: set[str] = set()

        def print_changes(items: Sequence[Finding | Incident | Notice | Malformed]) -> None:
            assert writer is not None
            for item in items:
                if isinstance(item, Notice):
                    told.add(item.id)
                if wanted.tells(item, shown_audience):
                    writer.write(item)
            stream.flush()

        with Progress(size_bytes, hidden=quiet or not sys.stderr.isatty()) as progress:
            document = run_scan(
                source.chunks(),
                knowledge,
                rbac=None if rbac is None else load_dump(rbac),
                workers=jobs or default_workers(size_bytes),
                since=moment(since),
                until=moment(until),
                on_change=print_changes if writer is not None else None,
                on_progress=progress.advance,
            )
        if not document.input.events and not document.input.malformed_total and not document.input.skipped:
            raise InputError(f"{', '.join(paths)}: no audit events in there; check the path, --since and --until")
        document.input.recognised = dict(sorted(source.recognised.items()))
        document = wanted.narrow(document, None if audience_counts else shown_audience)
        if writer is not None:
            for notice in document.notices:
                if notice.id not in told:
                    writer.write(notice)
            writer.summary(document.input, document.summary)
        else:
            style = Style(width=terminal_width(), color=colored(stream), audience=shown_audience)
            emptied(stream)
            report.render(document, stream, style)
        stream.flush()
    code = exit_code(document, fail_on, strict=strict)
    if code in {ExitCode.NO_INPUT, ExitCode.UNREADABLE_INPUT}:
        sys.stderr.write(f"kubewake: {unreadable(document, paths)}\n")
    return code


def unreadable(document: ResultDocument, paths: list[str]) -> str:
    """What could not be read, for the person who sees only standard error; one line."""
    first = document.input.malformed[0]
    where = f"{first.file}:{first.line}" if first.line else first.file
    many = f"; in all {document.input.malformed_total:,} such pieces" if document.input.malformed_total > 1 else ""
    if document.input.events:
        return f"--strict: {where} could not be read: {first.reason}{many}"
    return f"{', '.join(paths)}: no audit events in there ({where}: {first.reason}{many})"


def refuse_to_overwrite(out: Path, files: list[str]) -> None:
    """Raise SettingsError where the output would replace what is to be read: it may be the only evidence."""
    if out.is_file() and any(file != "-" and out.samefile(file) for file in files):
        raise SettingsError(f"--out {out}: this file is among those to be read; write the result somewhere else")


def exit_code(document: ResultDocument, fail_on: str, *, strict: bool) -> int:
    """What to answer to the shell."""
    source = document.input
    if strict and source.malformed_total:
        return ExitCode.UNREADABLE_INPUT
    if not source.events and not source.skipped:
        return ExitCode.NO_INPUT
    if fail_on == "never":
        return ExitCode.CLEAN
    bar = SEVERITY_RANK[fail_on]
    loud = any(
        SEVERITY_RANK[finding.severity] >= bar and finding.audience == "everyone" and finding.suppressed_by is None
        for finding in document.findings
    )
    if loud or any(SEVERITY_RANK[incident.severity] >= bar for incident in document.incidents):
        return ExitCode.FINDINGS
    return ExitCode.CLEAN


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or the file to write to; what it holds stays until there is something to put in its place."""
    if path is None:
        yield sys.stdout
        return
    try:
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--out {path}: cannot be written ({error.strerror}); choose another path") from error
    with stream:
        yield stream


def emptied(stream: IO[str]) -> None:
    """Empty a file that was opened for output; standard output, pipes and devices have nothing to empty."""
    if stream is not sys.stdout and stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.truncate(0)


def terminal_width() -> int:
    """Columns of the terminal; COLUMNS wins, 100 where there is none."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return 100


def colored(stream: IO[str]) -> bool:
    """Whether to use colour: a terminal, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
