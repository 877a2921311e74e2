"""`-o table`: what a person reads in a terminal, from 80 columns up; incidents first, the worst first, in plain words."""

from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.text import Text

from kubewake.finding import (
    AUDIENCES,
    SEVERITIES,
    SEVERITY_RANK,
    Finding,
    Incident,
    InputSummary,
    ResultDocument,
    Severity,
)
from kubewake.incidents.phrase import actor_name
from kubewake.reports import Style, report
from kubewake.reports.telling import command, moment, sentences, span, timeline, titles
from kubewake.reports.wording import ids_total, one_line, place, shown_ids

COLORS: dict[Severity, str] = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
MAX_INCIDENTS = 30
"""Incidents printed with their story; the rest are one line each."""
MAX_SHOWN = 100
"""Findings outside of incidents printed; the rest are counted, and `-o json` has them all."""
MAX_COMMANDS = 6
MAX_TITLES = 6
MIN_WIDTH = 60


@report("table", "readable text for a terminal", default_audience="everyone")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:
    """Write incidents with what to do, findings that belong to none, then what was read and what could not be."""
    console = console_for(out, style)
    audience = AUDIENCES.index(style.audience or "auditor")
    incidents = ranked(document.incidents)
    told = {incident.id: incident for incident in incidents}
    joined: dict[str, list[Finding]] = {}
    alone: dict[tuple[str, str, str], list[Finding]] = {}
    hidden: dict[str, int] = {}
    for finding in document.findings:
        if finding.suppressed_by is not None:
            continue
        if finding.incident in told:
            joined.setdefault(finding.incident, []).append(finding)
        elif AUDIENCES.index(finding.audience) <= audience:
            alone.setdefault((finding.rule, finding.severity, finding.actor.name), []).append(finding)
        else:
            hidden[finding.audience] = hidden.get(finding.audience, 0) + 1
    for incident in incidents[:MAX_INCIDENTS]:
        print_incident(console, incident, joined.get(incident.id, []))
    for incident in incidents[MAX_INCIDENTS:]:
        print_headline(console, incident.severity, f"INCIDENT  {incident.title}  {incident.id}")
    groups = sorted(alone.values(), key=lambda group: (-SEVERITY_RANK[group[0].severity], group[0].time, group[0].id))
    if incidents and groups:
        console.print(Text("Findings outside of incidents", style="bold underline"), end="\n\n")
    for group in groups[:MAX_SHOWN]:
        print_finding(console, group)
    if len(groups) > MAX_SHOWN:
        rest = sum(len(group) for group in groups[MAX_SHOWN:])
        console.print(f"… and {rest:,} more findings; -o json prints them all.\n")
    print_summary(
        console, document, sum(map(len, joined.values())), [item for group in groups for item in group], hidden
    )


def console_for(out: IO[str], style: Style) -> Console:
    """A console of the reader's width; colour only where it was asked for."""
    return Console(file=out, width=max(style.width, MIN_WIDTH), force_terminal=style.color, no_color=not style.color,
                   highlight=False, markup=False, emoji=False)  # fmt: skip


def ranked(incidents: Iterable[Incident]) -> list[Incident]:
    """The most urgent first."""
    return sorted(incidents, key=lambda item: (-SEVERITY_RANK[item.severity], -item.score, item.id))


def print_headline(console: Console, severity: Severity, title: str) -> None:
    """The severity as a word (never colour alone) and the title."""
    mark = Text.assemble((f" {severity.upper()} ", COLORS[severity]), " ")
    _hang(console, mark, Text(one_line(title), style="bold"))


def print_incident(console: Console, incident: Incident, findings: list[Finding]) -> None:
    """One incident: its story, what to do, and the findings that it stands for."""
    print_headline(console, incident.severity, f"INCIDENT  {incident.title}")
    _dim(console, f"cluster {place(incident)}  {span(incident)}  confidence {incident.confidence}  {incident.id}")
    print_answers(console, incident)
    if incident.remediation:
        console.print(Text("  What to do, in this order:"))
        print_commands(console, incident.remediation[:MAX_COMMANDS])
        if len(incident.remediation) > MAX_COMMANDS:
            left = _many(len(incident.remediation) - MAX_COMMANDS, "more step")
            _dim(console, f"… and {left}: kubewake incidents show {incident.id} FILE")
    seen = titles(findings)
    if seen:
        more = f"; and {_many(len(seen) - MAX_TITLES, 'more kind')}" if len(seen) > MAX_TITLES else ""
        _dim(console, f"{_many(len(findings), 'finding')} in it: " + "; ".join(map(one_line, seen[:MAX_TITLES])) + more)
    console.print()


def print_finding(console: Console, group: list[Finding]) -> None:
    """A finding: what, the story, where to look, what to do; more of the same rule and actor are counted."""
    finding = group[0]
    print_headline(console, finding.severity, finding.title)
    _hang(console, Text("  "), Text(one_line(finding.story or finding.title)))
    times = "" if finding.count == 1 else f", {finding.count:,} times"
    _dim(console, f"{span(finding)}{times}  cluster {place(finding)}")
    where = f"  {one_line(finding.locations[0].file)}:{finding.locations[0].line}" if finding.locations else ""
    _dim(console, f"rule {finding.rule}  confidence {finding.confidence}  {finding.id}{where}")
    if len(group) > 1:
        requests = sum(item.count for item in group)
        _dim(console, f"and {len(group) - 1:,} more of this kind by the same login, {requests:,} requests in all")
    if finding.remediation:
        print_commands(console, finding.remediation[:1])
    console.print()


def print_commands(console: Console, steps: list[str]) -> None:
    """Remediation: what a command does, then the command on one unbroken line that can be copied."""
    for step in steps:
        text, said = command(one_line(step))
        if said:
            _hang(console, Text("    - "), Text(said))
        if text:
            console.print(Text(f"      {text}" if said else f"    - {text}", style="bold"), soft_wrap=True)


def print_story(console: Console, incident: Incident, findings: list[Finding]) -> None:
    """An incident in full: sentences, timeline, how it was allowed, blast radius, remediation, evidence."""
    print_headline(console, incident.severity, f"INCIDENT  {incident.title}")
    facts = f"confidence {incident.confidence}  score {incident.score:.1f}, reported from {incident.bar:.1f}"
    _dim(console, f"cluster {place(incident)}  {span(incident)}  {facts}  {incident.id}")
    console.print()
    print_answers(console, incident)
    _title(console, "Timeline")
    for row in timeline(incident.timeline):
        many = f" ({row.times:,} times until {row.until[11:19]})" if row.times > 1 else ""
        beside = " (context: normal, not part of the attack)" if row.context else ""
        _line(console, row.time[11:19], f"{row.text}{many}{beside}", "dim" if row.context else "")
        for name, text in (("matches", "; ".join(row.matches)), ("follows", row.link), ("allowed by", row.allowed_by)):
            if text:
                _line(console, "", f"{name}: {text}", "dim")
    _section(console, "How it was allowed", incident.allowed_by, "the log does not say")
    unknown = "not known from this input; scan with --rbac DUMP to see it"
    _section(console, "What the attacker can reach with it", incident.blast_radius, unknown)
    _section(
        console,
        "Who and what took part",
        [_entity_words(item.kind, item.name, item.role) for item in incident.entities],
    )
    _title(console, "What to do, in this order")
    print_commands(console, incident.remediation or ["Ask the owner of the login whether they did this."])
    if findings:
        words = [f"{item.severity}: {item.title} ({item.rule}, {item.id})" for item in findings]
        _section(console, "Findings", words)
    total, shown = ids_total(incident), shown_ids(incident)
    first = f", the first {len(shown):,}" if total > len(shown) else ""
    _section(console, f"Evidence: {total:,} Audit-IDs{first}", shown, "none")


def _entity_words(kind: str, name: str, role: str) -> str:
    called = actor_name(name) if kind == "identity" else name
    return f"{kind} {called}" + (f" ({role})" if role else "")


def print_answers(console: Console, incident: Incident) -> None:
    """The three sentences of the story beside the questions that they answer."""
    for question, answer in sentences(incident.story):
        mark = Text.assemble("  ", (f"{question:<18}", "bold"))
        _hang(console, mark, Text(one_line(answer)))


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold underline"))


def _section(console: Console, title: str, lines: list[str], otherwise: str = "none") -> None:
    _title(console, title)
    for line in lines or [otherwise]:
        _line(console, "-", line, "" if lines else "dim")


def _line(console: Console, mark: str, text: str, style: str) -> None:
    _hang(console, Text(f"  {mark} " if mark == "-" else f"  {mark:<8} "), Text(one_line(text), style=style))


def _dim(console: Console, text: str) -> None:
    _hang(console, Text("  "), Text(one_line(text), style="dim"))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _plain(console: Console, text: str) -> None:
    _hang(console, Text(""), Text(one_line(text)))


def _hang(console: Console, mark: Text, text: Text) -> None:
    """Print the text wrapped behind the mark, every further line under the first, without blanks at the ends."""
    for number, line in enumerate(text.wrap(console, max(console.width - mark.cell_len, 20), overflow="fold")):
        line.rstrip()
        console.print(Text.assemble(mark if number == 0 else " " * mark.cell_len, line), soft_wrap=True)


def print_recognised(console: Console, source: InputSummary) -> None:
    """What the files were recognised as: one line a kind, with the file or how many."""
    kinds: dict[str, list[str]] = {}
    for file, kind in source.recognised.items():
        kinds.setdefault(kind, []).append(file)
    for kind, files in sorted(kinds.items()):
        _dim(console, f"{files[0] if len(files) == 1 else _many(len(files), 'file')} read as: {kind}")


def print_summary(
    console: Console, document: ResultDocument, joined: int, shown: list[Finding], hidden: dict[str, int]
) -> None:
    """What was read, found, hidden, and could not be read."""
    source = document.input
    counts = {severity: sum(item.severity == severity for item in shown) for severity in SEVERITIES}
    found = ", ".join(f"{counts[severity]:,} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    period = f" from {moment(source.first_time)} to {moment(source.last_time)}" if source.first_time else ""
    console.print(Text(f"{source.events:,} events read{period}."))
    total = len(document.incidents)
    if total:
        beside = f"beside {'it' if total == 1 else 'them'} {_many(len(shown), 'finding')}" + (
            f": {found}" if found else ""
        )
        _plain(console, f"{_many(total, 'incident')} with {_many(joined, 'finding')}; {beside}.")
    else:
        _plain(console, _many(len(shown), "finding") + (f": {found}" if found else "") + ".")
    if hidden:
        kinds = " and ".join(name for name in AUDIENCES if name in hidden)
        _plain(console, f"{sum(hidden.values()):,} more for {kinds} readers: add --audience auditor to see all.")
    if document.summary.suppressed:
        console.print(f"{document.summary.suppressed:,} suppressed by your filters (counted, in -o json).")
    if source.duplicates or source.late or source.partial or source.skipped:
        _plain(
            console,
            f"{source.duplicates:,} duplicate events dropped, {source.late:,} late, {source.partial:,} judged on part of "
            f"their fields, {source.skipped:,} records of other kinds passed over.",
        )
    for reason, count in source.skipped_reasons.items():
        _dim(console, f"{_many(count, 'record')} skipped: {reason}")
    print_recognised(console, source)
    for notice in document.notices:
        _plain(console, f"note: {notice.title}: {notice.detail}")
    if source.malformed_total:
        console.print(Text(f"{_many(source.malformed_total, 'piece')} of input could not be read:", style="bold"))
        alike: dict[tuple[str, str], list[int]] = {}
        for item in source.malformed:
            alike.setdefault((item.file, item.reason), []).append(item.line)
        told = 0
        for (file, reason), lines in list(alike.items())[:10]:
            told += len(lines)
            where = f"{file}:{lines[0]}" if lines[0] else file
            _dim(console, f"{where}: {reason}" + (f" ({len(lines):,} like this)" if len(lines) > 1 else ""))
        if source.malformed_total > told:
            console.print(f"  … {source.malformed_total - told:,} more; -o jsonl lists them all.")
    if total:
        _plain(console, "kubewake incidents show ID FILE tells an incident in full; -o html makes a page to mail.")
