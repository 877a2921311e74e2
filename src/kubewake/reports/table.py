"""`-o table`: what a person reads in a terminal, from 80 columns up; the worst first, in plain words."""

from typing import IO

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from kubewake.finding import AUDIENCES, SEVERITIES, SEVERITY_RANK, Finding, Incident, ResultDocument
from kubewake.reports import Style, report

COLORS = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
MAX_SHOWN = 200
"""Findings printed in full; the rest are counted, and `-o json` has them all."""


@report("table", "readable text for a terminal", default_audience="everyone")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:
    """Write incidents, then findings, then what was read and what could not be."""
    console = Console(file=out, width=max(style.width, 60), force_terminal=style.color, no_color=not style.color,
                      highlight=False, soft_wrap=False)
    audience = AUDIENCES.index(style.audience or "auditor")
    shown = [
        finding
        for finding in document.findings
        if finding.suppressed_by is None and AUDIENCES.index(finding.audience) <= audience
    ]
    shown.sort(key=lambda finding: (-SEVERITY_RANK[finding.severity], finding.time, finding.id))
    for incident in sorted(document.incidents, key=lambda item: (-item.score, item.id)):
        print_incident(console, incident)
    for finding in shown[:MAX_SHOWN]:
        print_finding(console, finding)
    if len(shown) > MAX_SHOWN:
        console.print(f"… and {len(shown) - MAX_SHOWN:,} more findings; -o json prints them all.\n")
    print_summary(console, document, shown)


def print_incident(console: Console, incident: Incident) -> None:
    """One incident: its story, its steps, what to do."""
    console.print(headline(incident.severity, f"INCIDENT  {incident.title}"))
    body: list[Text] = [Text(incident.story), Text("")]
    steps = [step for step in incident.timeline if not step.context][:12]
    body += [Text(f"{clock(step.time)}  {step.text}") for step in steps]
    if incident.remediation:
        body += [Text(""), Text("What to do:")]
        body += [Text(f"  {step}") for step in incident.remediation[:5]]
    console.print(Padding(Group(*body), (0, 0, 1, 2)))


def print_finding(console: Console, finding: Finding) -> None:
    """One finding: what, the story, where to look, what to do."""
    console.print(headline(finding.severity, finding.title))
    times = "" if finding.count == 1 else f", {finding.count:,} times until {clock(finding.last_time)}"
    cluster = f"  cluster {finding.cluster}" if finding.cluster else ""
    place = ""
    if finding.locations:
        place = f"  {finding.locations[0].file}:{finding.locations[0].line}"
    body = [
        Text(finding.story or finding.title),
        Text(f"{finding.time[:19].replace('T', ' ')} UTC{times}{cluster}", style="dim"),
        Text(f"rule {finding.rule}  confidence {finding.confidence}  {finding.id}{place}", style="dim"),
    ]
    if finding.remediation:
        body.append(Text(f"next: {finding.remediation[0]}"))
    console.print(Padding(Group(*body), (0, 0, 1, 2)))


def print_summary(console: Console, document: ResultDocument, shown: list[Finding]) -> None:
    """What was read, found, hidden, and could not be read."""
    source = document.input
    counts = {severity: sum(item.severity == severity for item in shown) for severity in SEVERITIES}
    found = ", ".join(f"{counts[severity]:,} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    console.print(Text(f"{source.events:,} events read, {len(shown):,} findings" + (f": {found}" if found else "")))
    others = [
        finding for finding in document.findings if finding.suppressed_by is None and finding not in shown
    ] if len(document.findings) < 10_000 else []
    hidden = sum(finding.suppressed_by is None for finding in document.findings) - len(shown)
    if hidden:
        kinds = sorted({finding.audience for finding in others}, key=AUDIENCES.index)
        console.print(f"{hidden:,} more for {' and '.join(kinds) or 'other readers'}: add --audience auditor to see all.")
    if document.summary.suppressed:
        console.print(f"{document.summary.suppressed:,} suppressed by your filters (counted, in -o json).")
    if source.duplicates or source.late or source.partial or source.skipped:
        console.print(
            f"{source.duplicates:,} duplicate events dropped, {source.late:,} late, {source.partial:,} judged on part of "
            f"their fields, {source.skipped:,} records of other kinds passed over.",
        )
    for notice in document.notices:
        console.print(Text(f"note: {notice.title}: {notice.detail}"))
    if source.malformed_total:
        console.print(f"[bold]{source.malformed_total:,} pieces of input could not be read:[/bold]")
        for item in source.malformed[:10]:
            console.print(Text(f"  {item.file}:{item.line}: {item.reason}"))
        if source.malformed_total > 10:
            console.print(f"  … {source.malformed_total - 10:,} more; -o jsonl lists them all.")


def headline(severity: str, title: str) -> Text:
    """The severity as a word (never colour alone) and the title."""
    return Text.assemble((f" {severity.upper()} ", COLORS[severity]), " ", (escape(title), "bold"))


def clock(time: str) -> str:
    """The time of day of a timestamp, to the second."""
    return time[11:19]
