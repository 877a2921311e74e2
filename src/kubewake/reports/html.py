"""`-o html`: one file to mail: offline, no script, print-ready, light and dark; written for a manager, exact for an analyst."""

from collections.abc import Iterable
from functools import cache
from typing import IO, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from kubewake import __version__
from kubewake.finding import (
    AUDIENCES,
    SEVERITIES,
    SEVERITY_RANK,
    Audience,
    Finding,
    Incident,
    ResultDocument,
    Severity,
)
from kubewake.incidents.phrase import actor_name
from kubewake.reports import Style, report
from kubewake.reports.drawing import STYLE, as_svg
from kubewake.reports.graph import Edge, Graph, graph_of
from kubewake.reports.rulebook import Card, card
from kubewake.reports.telling import Row, command, in_words, moment, sentences, timeline
from kubewake.reports.wording import TACTICS, ids_total, one_line, place, shown_ids

MAX_INCIDENTS = 50
"""Incidents told in full; the others are rows of the overview, and `-o json` has all."""
MAX_ROWS = 60
MAX_RULES = 150
MAX_EXAMPLES = 3
MAX_PLACES = 20


class Told(Struct, frozen=True):
    """An incident as the page tells it."""

    item: Incident
    anchor: str
    sentences: list[tuple[str, str]]
    graph: Graph
    drawing: Markup
    edges: list[Edge]
    rows: list[Row]
    rows_total: int
    commands: list[tuple[str, str]]
    ids: list[str]
    ids_total: int


class Group(Struct):
    """The findings of one rule."""

    first: Finding
    severity: Severity
    card: Card
    findings: int = 0
    events: int = 0
    joined: int = 0
    examples: list[Finding] = []


@report("html", "one self-contained page to mail and print", default_audience="everyone")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:
    """Write the page. Findings for other readers than `style.audience` are counted, not shown."""
    audience: Audience = style.audience or "auditor"
    incidents = sorted(document.incidents, key=lambda item: (-SEVERITY_RANK[item.severity], -item.score, item.id))
    members = {name for incident in incidents[:MAX_INCIDENTS] for name in incident.findings}
    groups: dict[str, Group] = {}
    suppressed: dict[tuple[str, str], list[Finding]] = {}
    joined: dict[str, Finding] = {}
    hidden = 0
    for finding in document.findings:
        if finding.id in members:
            joined[finding.id] = finding
        if finding.suppressed_by is not None:
            suppressed.setdefault((finding.rule, finding.suppressed_by), []).append(finding)
        elif AUDIENCES.index(finding.audience) > AUDIENCES.index(audience):
            hidden += 1
        else:
            _collect(groups, finding)
    ranked = sorted(
        groups.values(), key=lambda group: (-SEVERITY_RANK[group.severity], -group.findings, group.first.rule)
    )
    page = _environment().get_template("page.html.j2")
    stream = page.stream(
        version=__version__,
        document=document,
        source=document.input,
        style=Markup(STYLE),  # noqa: S704  # a constant of this package
        verdict=verdict(document, ranked),
        period=period(document),
        clusters=[one_line(name) or "(unnamed)" for name in document.input.clusters],
        worst=_worst([*incidents, *(group.first for group in ranked)]),
        severities=list(reversed(SEVERITIES)),
        incident_counts=_counts(item.severity for item in incidents),
        finding_counts=_weighted(ranked),
        incidents=incidents,
        told=[tell(incident, joined, number) for number, incident in enumerate(incidents[:MAX_INCIDENTS], 1)],
        groups=ranked[:MAX_RULES],
        groups_total=len(ranked),
        shown=sum(group.findings for group in ranked),
        hidden=hidden,
        suppressed=suppressed,
        max_places=MAX_PLACES,
    )
    stream.enable_buffering(64)
    for piece in stream:
        out.write(piece)


def _collect(groups: dict[str, Group], finding: Finding) -> None:
    group = groups.get(finding.rule)
    if group is None:
        group = groups[finding.rule] = Group(finding, finding.severity, card(finding))
    if SEVERITY_RANK[finding.severity] > SEVERITY_RANK[group.severity]:
        group.first, group.severity = finding, finding.severity
    group.findings += 1
    group.events += finding.count
    group.joined += finding.incident is not None
    if len(group.examples) < MAX_EXAMPLES:
        group.examples.append(finding)


def tell(incident: Incident, findings: dict[str, Finding], number: int) -> Told:
    """What the page says of an incident."""
    members = [findings[name] for name in incident.findings if name in findings]
    graph = graph_of(incident, members)
    rows = timeline(incident.timeline)
    title = f"How the parts of incident {number} hang together"
    return Told(
        incident,
        f"incident-{number}",
        sentences(incident.story),
        graph,
        Markup(as_svg(graph, title, label=f"g{number}", standalone=False)),  # noqa: S704  # as_svg escapes every text
        graph.edges,
        rows[:MAX_ROWS],
        len(rows),
        [command(step) for step in incident.remediation],
        shown_ids(incident),
        ids_total(incident),
    )


def period(document: ResultDocument) -> str:
    """The time that the log covers."""
    source = document.input
    if not source.first_time or not source.last_time:
        return "at unknown times"
    return f"from {moment(source.first_time)} to {moment(source.last_time)}"


def verdict(document: ResultDocument, groups: list[Group]) -> str:
    """The headline: what a manager must know if nothing else."""
    incidents = document.incidents
    if incidents:
        loud = sum(SEVERITY_RANK[item.severity] >= SEVERITY_RANK["high"] for item in incidents)
        if len(incidents) == 1:
            return "1 serious incident" if loud else "1 incident"
        serious = ", all serious" if loud == len(incidents) else f", {loud:,} of them serious" if loud else ""
        return f"{len(incidents):,} incidents{serious}"
    if any(SEVERITY_RANK[group.severity] >= SEVERITY_RANK["high"] for group in groups):
        return "No incident, but findings to look at"
    if not document.input.events:
        return "Nothing could be judged"
    return "Nothing alarming was found"


def target(finding: Finding) -> str:
    """The object of a finding in a table."""
    kind = "/".join(part for part in (finding.target.resource, finding.target.subresource) if part)
    name = "/".join(part for part in (finding.target.namespace, finding.target.name) if part)
    return " ".join(part for part in (finding.target.verb, kind, name) if part)


def _worst(items: Iterable[Finding | Incident]) -> str:
    return max((item.severity for item in items), key=SEVERITY_RANK.__getitem__, default="none")


def _counts(severities: Iterable[Severity]) -> dict[str, int]:
    counts = dict.fromkeys(reversed(SEVERITIES), 0)
    for severity in severities:
        counts[severity] += 1
    return {severity: count for severity, count in counts.items() if count}


def _weighted(groups: list[Group]) -> dict[str, int]:
    return _counts(severity for group in groups for severity in [group.severity] * group.findings)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kubewake.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    environment.filters |= {
        "moment": moment,
        "in_words": in_words,
        "command": command,
        "target": target,
        "actor": actor_name,
        "place": place,
        "tactic": lambda slug: TACTICS.get(slug, ("", slug))[1],
        "number": lambda value: f"{value:,}",
    }
    return environment


def _harmless(value: Any) -> Any:
    return one_line(value) if type(value) is str else value
