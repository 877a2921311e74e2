"""`-o cef`: one ArcSight Common Event Format line for each incident and finding (CEF:0, keys of the CEF dictionary)."""

import ipaddress
from collections.abc import Iterator
from typing import IO

from kubewake import __version__
from kubewake.finding import Finding, Incident, ResultDocument, Severity
from kubewake.reports import Style, report
from kubewake.reports.wording import epoch_ms, ids_total, one_line, place, shown_ids

LEVELS: dict[Severity, int] = {"informational": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
"""CEF counts from 0 to 10: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high."""

MAX_CHARS = {"msg": 1023, "suser": 1023, "duser": 1023, "requestClientApplication": 1023, "fname": 1023,
             "filePath": 1023, "externalId": 40, "act": 63, "cat": 1023, "outcome": 63, "reason": 1023,
             "fileType": 1023, "flexString1": 1023, "flexString2": 1023}  # fmt: skip
"""Lengths that the CEF dictionary allows, in characters before escaping; custom strings take 4,000."""


@report("cef", "Common Event Format lines for SIEMs")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write incidents, then findings, one a line."""
    for incident in document.incidents:
        out.write(line("incident", incident.title, incident.severity, _of_incident(incident)) + "\n")
    for finding in document.findings:
        out.write(line(finding.rule, finding.title, finding.severity, _of_finding(finding)) + "\n")


def line(signature: str, name: str, severity: Severity, extension: Iterator[tuple[str, object]]) -> str:
    """One CEF line without a syslog header."""
    pairs = " ".join(f"{key}={_value(key, value)}" for key, value in extension if value not in (None, ""))
    return f"CEF:0|kubewake|kubewake|{__version__}|{_head(signature)}|{_head(name)}|{LEVELS[severity]}|{pairs}"


def _head(text: str) -> str:
    return one_line(text)[:512].replace("\\", "\\\\").replace("|", "\\|")


def _value(key: str, value: object) -> str:
    text = "\n".join(one_line(part) for part in str(value).split("\n"))[: MAX_CHARS.get(key, 4000)]
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n")


def _of_finding(finding: Finding) -> Iterator[tuple[str, object]]:
    actor, target = finding.actor, finding.target
    yield from _common(finding, finding.time, finding.incident or "")
    yield "cnt", finding.count
    yield "act", target.verb
    yield "outcome", finding.outcome
    yield "suser", actor.name
    yield "duser", actor.impersonating
    yield from _addresses(actor.source_ips)
    yield "requestClientApplication", actor.user_agent
    yield "fname", target.name
    yield "fileType", "/".join(part for part in (target.resource, target.subresource) if part)
    yield "cs2Label", "namespace"
    yield "cs2", target.namespace or "(none)"
    yield "flexString1Label", "audience"
    yield "flexString1", finding.audience
    if finding.suppressed_by is not None:
        yield "flexString2Label", "suppressedBy"
        yield "flexString2", finding.suppressed_by
    if finding.locations:
        yield "filePath", f"{finding.locations[0].file}:{finding.locations[0].line}"


def _of_incident(incident: Incident) -> Iterator[tuple[str, object]]:
    yield from _common(incident, incident.first_time, incident.id)
    yield "cnt", len(incident.findings)
    yield "suser", incident.root_cause.name if incident.root_cause.kind == "identity" else ""
    yield "cs2Label", "findings"
    yield "cs2", " ".join(incident.findings)
    yield "flexString1Label", "state"
    yield "flexString1", incident.state
    yield "cfp1Label", "score"
    yield "cfp1", incident.score


def _common(item: Finding | Incident, first_time: str, incident: str) -> Iterator[tuple[str, object]]:
    yield "externalId", item.id
    yield "rt", epoch_ms(item.last_time)
    yield "start", epoch_ms(first_time)
    yield "end", epoch_ms(item.last_time)
    yield "cat", " ".join(item.attack.tactics)
    yield "msg", item.story
    yield "reason", f"confidence {item.confidence}"
    yield "cs1Label", "cluster"
    yield "cs1", place(item)
    yield "cs3Label", "techniques"
    yield "cs3", " ".join([*item.attack.techniques, *item.attack.threat_matrix]) or "(none)"
    yield "cs4Label", "incident"
    yield "cs4", incident or "(none)"
    yield "cs5Label", "remediation"
    yield "cs5", "\n".join(item.remediation) or "(none)"
    yield "cs6Label", "auditIds"
    yield "cs6", " ".join(shown_ids(item)) or "(none)"
    yield "cn1Label", "auditIdsTotal"
    yield "cn1", ids_total(item)


def _addresses(sources: list[str]) -> Iterator[tuple[str, object]]:
    if not sources:
        return
    try:
        version = ipaddress.ip_address(sources[0]).version
    except ValueError:
        return
    if version == 4:
        yield "src", sources[0]
    else:
        yield "c6a2Label", "Source IPv6 Address"
        yield "c6a2", sources[0]
