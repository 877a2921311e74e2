"""`-o html`: one file to mail: offline, no script, print-ready, light and dark; written for a manager, exact for an analyst."""

import re
from collections.abc import Iterable
from datetime import datetime
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
    Step,
)
from kubewake.incidents.phrase import actor_name
from kubewake.reports import Style, report
from kubewake.reports.drawing import STYLE, as_svg
from kubewake.reports.graph import Edge, Graph, graph_of
from kubewake.reports.rulebook import Card, card
from kubewake.reports.wording import TACTICS, ids_total, one_line, place, shown_ids

MAX_INCIDENTS = 50
"""Incidents told in full; the others are rows of the overview, and `-o json` has all."""
MAX_ROWS = 60
SIMILAR = ", and similar"
MAX_RULES = 150
MAX_EXAMPLES = 3
MAX_PLACES = 20


class Row(Struct):
    """A step of the timeline, and those after it that say the same. What was said just before is left empty."""

    time: str
    until: str
    text: str
    matches: list[str]
    link: str
    allowed_by: str
    context: bool
    times: int = 1


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


def timeline(steps: list[Step]) -> list[Row]:
    """The steps for a reader: repeats joined, and nothing said twice in a row."""
    rows: list[Row] = []
    seen: set[str] = set()
    allowed_by = ""
    for step in steps:
        text, _, tail = step.text.partition(" [")
        titles = [title for title in tail.removesuffix("]").split("; ") if title] if tail.endswith("]") else []
        if not titles:
            text = step.text
        last = rows[-1] if rows else None
        alike = last is not None and step.context and last.context and step.link == last.link != ""
        if last is not None and (alike or (last.text, last.context) == (text, step.context)):
            if alike and last.text != text:
                last.text = last.text.removesuffix(SIMILAR) + SIMILAR
            last.times += 1
            last.until = step.time
            last.matches += [title for title in titles if title not in seen]
            seen.update(titles)
            continue
        matches = [title for title in titles if title not in seen]
        seen.update(titles)
        known = "" if step.allowed_by == allowed_by else step.allowed_by
        allowed_by = step.allowed_by or allowed_by
        rows.append(Row(step.time, step.time, text, matches, step.link, known, step.context))
    return rows


_STORY = re.compile(r"(?P<what>.+?\.) (?P<why>This matters because .+?\.) (?P<do>First, .+)", re.DOTALL)


def sentences(story: str) -> list[tuple[str, str]]:
    """The three sentences of a story, each with its question; one without a question where it has another shape."""
    found = _STORY.fullmatch(story)
    if found is None:
        return [("What happened", story)]
    why = found["why"].removeprefix("This matters because ")
    first = found["do"].removeprefix("First, ")
    return [
        ("What happened", found["what"]),
        ("Why it matters", why[:1].upper() + why[1:]),
        ("What to do first", first[:1].upper() + first[1:]),
    ]


def command(step: str) -> tuple[str, str]:
    """A remediation step as a command to copy and what is said of it; the command is empty for a sentence."""
    if step[:1].isupper():
        return "", step
    text, _, said = step.partition("  # ")
    return text.strip(), said.strip()


def moment(time: str | None) -> str:
    """A time for people, to the second, in UTC."""
    if not time:
        return "unknown"
    try:
        return f"{datetime.fromisoformat(time):%d %b %Y, %H:%M:%S} UTC"
    except ValueError:
        return time


_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*Z")


def in_words(text: str) -> str:
    """The text with its timestamps as people write them."""
    return _STAMP.sub(lambda found: moment(found[0]), text)


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
