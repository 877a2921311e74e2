"""`-o csv`: one row for each incident and finding, for spreadsheets; cells cannot become formulas."""

import csv
from collections.abc import Iterator
from typing import IO

from kubewake.finding import Finding, Incident, ResultDocument
from kubewake.reports import Style, report
from kubewake.reports.wording import ids_total, one_line, shown_ids

COLUMNS = (
    "type", "id", "severity", "confidence", "audience", "state", "time", "last_time", "count", "cluster", "rule", "title",
    "actor_kind", "actor", "impersonating", "source_ips", "user_agent", "verb", "resource", "subresource", "api_group",
    "namespace", "name", "outcome", "story", "remediation", "tactics", "techniques", "threat_matrix", "score", "incident",
    "suppressed_by", "file", "line", "audit_ids_total", "audit_ids",
)  # fmt: skip
"""New columns are added at the end only."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for a formula at the start of a cell, full-width forms included (OWASP, CSV injection)."""


@report("csv", "one row for each incident and finding, for spreadsheets")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write a head and the rows: every cell quoted, on one line, lists joined with a semicolon, CRLF as in RFC 4180."""
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in _rows(document):
        writer.writerow([cell(row.get(column)) for column in COLUMNS])


def cell(value: object) -> str:
    """A value as a spreadsheet shows it; text that would be a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = "; ".join(one_line(str(item)) for item in value) if isinstance(value, list | tuple) else one_line(str(value))
    return "'" + text if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def _rows(document: ResultDocument) -> Iterator[dict[str, object]]:
    for incident in document.incidents:
        yield {
            **_common(incident),
            "type": "incident",
            "state": incident.state,
            "time": incident.first_time,
            "count": len(incident.findings),
            "actor_kind": incident.root_cause.kind,
            "actor": incident.root_cause.name,
            "score": incident.score,
            "incident": incident.id,
        }
    for finding in document.findings:
        actor, target = finding.actor, finding.target
        first = finding.locations[0] if finding.locations else None
        yield {
            **_common(finding),
            "type": "finding",
            "audience": finding.audience,
            "time": finding.time,
            "count": finding.count,
            "rule": finding.rule,
            "actor_kind": actor.kind,
            "actor": actor.name,
            "impersonating": actor.impersonating,
            "source_ips": actor.source_ips,
            "user_agent": actor.user_agent,
            "verb": target.verb,
            "resource": target.resource,
            "subresource": target.subresource,
            "api_group": target.api_group,
            "namespace": target.namespace,
            "name": target.name,
            "outcome": finding.outcome,
            "incident": finding.incident,
            "suppressed_by": finding.suppressed_by,
            "file": first.file if first else "",
            "line": first.line if first else None,
        }


def _common(item: Finding | Incident) -> dict[str, object]:
    return {
        "id": item.id,
        "severity": item.severity,
        "confidence": item.confidence,
        "last_time": item.last_time,
        "cluster": item.cluster,
        "title": item.title,
        "story": item.story,
        "remediation": item.remediation,
        "tactics": item.attack.tactics,
        "techniques": item.attack.techniques,
        "threat_matrix": item.attack.threat_matrix,
        "audit_ids_total": ids_total(item),
        "audit_ids": shown_ids(item),
    }
