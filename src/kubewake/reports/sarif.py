"""`-o sarif`: SARIF 2.1.0 with a rule for each that fired, a result for each finding and each incident."""

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import IO, Any
from urllib.parse import quote

import msgspec

from kubewake import __version__
from kubewake.event import Malformed
from kubewake.finding import Finding, Incident, Location, Notice, ResultDocument, Severity
from kubewake.reports import Style, report
from kubewake.reports.rulebook import Card, card
from kubewake.reports.wording import SECURITY_SCORE, ids_total, one_line, place, shown_ids, technique_url

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: dict[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "informational": "note",
}
RANKS = {"high": 90.0, "medium": 60.0, "low": 30.0}
"""SARIF's rank, 0 to 100, from the confidence."""
MAX_LOCATIONS = 20
"""Places of one result: viewers load them all, and the count and the audit ids stand in the properties."""
INCIDENT_RULE = "incident"


@report("sarif", "SARIF 2.1.0 for code scanning and IDEs")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write one run; results one at a time."""
    firsts: dict[str, Finding] = {}
    for finding in document.findings:
        firsts.setdefault(finding.rule, finding)
    rules = [_rule(name, first) for name, first in firsts.items()]
    index = {name: number for number, name in enumerate(firsts)}
    if document.incidents:
        rules.append(_incident_rule())
        index[INCIDENT_RULE] = len(index)
    source = document.input
    run = {
        "tool": {"driver": {"name": "kubewake", "organization": "kubewake", "semanticVersion": __version__,
                            "version": __version__, "rules": rules}},
        "columnKind": "utf16CodeUnits",
        "invocations": [_invocation(document)],
        "properties": {
            "events": source.events,
            "clusters": [one_line(name) for name in source.clusters],
            "firstTime": source.first_time or "",
            "lastTime": source.last_time or "",
            "suppressed": document.summary.suppressed,
        },
    }  # fmt: skip
    head = {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    text = msgspec.json.encode(head).decode()
    out.write(text.removesuffix("}]}") + ',"results":[')
    for number, result in enumerate(_results(document, index)):
        out.write((",\n" if number else "\n") + msgspec.json.encode(result).decode())
    out.write("\n]}]}\n")


def _results(document: ResultDocument, index: dict[str, int]) -> Iterator[dict[str, Any]]:
    if document.incidents:
        # An incident has audit ids, its findings have the lines: joined here, in memory only for what incidents name.
        wanted = {name for incident in document.incidents for name in incident.findings}
        members = {finding.id: finding for finding in document.findings if finding.id in wanted}
        for incident in document.incidents:
            found = [members[name] for name in incident.findings if name in members]
            yield _incident_result(incident, found, index[INCIDENT_RULE])
    for finding in document.findings:
        yield _finding_result(finding, index[finding.rule])


def _rule(name: str, first: Finding) -> dict[str, Any]:
    said: Card = card(first)
    steps = [f"- {one_line(step)}" for step in said.steps]
    innocent = [f"- {one_line(text)}" for text in said.falsepositives]
    text = said.meaning + ("\nWhat to do:\n" + "\n".join(steps) if steps else "")
    markdown = said.meaning + (
        "\n\n**What to do**\n\n" + "\n".join(_code(step) for step in said.steps) if steps else ""
    )
    if innocent:
        text += "\nWhen it is no attack:\n" + "\n".join(innocent)
        markdown += "\n\n**When it is no attack**\n\n" + "\n".join(innocent)
    attack = first.attack
    tags = ["security", "kubernetes", *attack.tactics, *attack.techniques, *attack.threat_matrix]
    rule: dict[str, Any] = {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": one_line(said.title)},
        "fullDescription": {"text": said.meaning[:1000]},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"level": LEVELS[first.severity], "rank": RANKS[first.confidence]},
        "properties": {
            "tags": list(dict.fromkeys(tags)),
            "precision": {"high": "very-high", "medium": "high", "low": "medium"}[first.confidence],
            "security-severity": str(SECURITY_SCORE[first.severity]),
            "covers": first.covers,
        },
    }
    if attack.techniques:
        rule["helpUri"] = technique_url(attack.techniques[0])
    return rule


def _code(step: str) -> str:
    text = one_line(step)
    return f"- `{text}`" if text[:1].islower() and "`" not in text else f"- {text}"


def _incident_rule() -> dict[str, Any]:
    text = (
        "Findings and ordinary requests that exact links join into the story of one attack. Read the message first, "
        "then the steps of the code flow; do what the remediation says from the top."
    )
    return {
        "id": INCIDENT_RULE,
        "name": "Incident",
        "shortDescription": {"text": "Attack in several steps"},
        "fullDescription": {"text": text},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["security", "kubernetes"], "precision": "high",
                       "security-severity": str(SECURITY_SCORE["critical"])},
    }  # fmt: skip


def _finding_result(finding: Finding, rule_index: int) -> dict[str, Any]:
    actor, target = finding.actor, finding.target
    name = "/".join(part for part in (target.namespace, target.resource, target.name, target.subresource) if part)
    logical = [{"name": one_line(target.name or target.resource or target.verb),
                "fullyQualifiedName": one_line(name or target.verb), "kind": "resource"}]  # fmt: skip
    locations = [{**place_of(item), "logicalLocations": logical} for item in _distinct(finding.locations)]
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": LEVELS[finding.severity],
        "rank": RANKS[finding.confidence],
        "message": {"text": one_line(finding.story or finding.title)},
        "locations": locations[:MAX_LOCATIONS] or [{"logicalLocations": logical}],
        "occurrenceCount": max(finding.count, 1),
        "partialFingerprints": {"kubewakeId/v1": finding.id, "kubewakeFirstEvent/v1": (finding.event_keys or [""])[0]},
        "properties": {
            **_properties(finding, finding.time),
            "audience": finding.audience,
            "outcome": finding.outcome,
            "actor": msgspec.to_builtins(actor),
            "target": msgspec.to_builtins(target),
            "covers": finding.covers,
            "incident": finding.incident or "",
        },
    }
    if finding.suppressed_by is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": f"filter {one_line(finding.suppressed_by)}"}
        ]
    return result


def _incident_result(incident: Incident, members: list[Finding], rule_index: int) -> dict[str, Any]:
    places: dict[str, Location] = {}
    for finding in members:
        if len(finding.locations) == len(finding.audit_ids):
            places.update(zip(finding.audit_ids, finding.locations, strict=True))
    every = _distinct(location for finding in members for location in finding.locations)
    root = {"name": one_line(incident.root_cause.name), "kind": one_line(incident.root_cause.kind)}
    steps = []
    for step in incident.timeline:
        words = step.text + (f" ({step.link})" if step.link else "")
        location: dict[str, Any] = {"message": {"text": one_line(words)}}
        if step.audit_id in places:
            location |= place_of(places[step.audit_id])
        when = {"executionTimeUtc": step.time} if step.time else {}
        importance = "unimportant" if step.context else "essential"
        steps.append({"location": location, "importance": importance, **when})
    result: dict[str, Any] = {
        "ruleId": INCIDENT_RULE,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": LEVELS[incident.severity],
        "rank": RANKS[incident.confidence],
        "message": {"text": one_line(f"{incident.title}. {incident.story}")},
        "locations": [{**place_of(item), "logicalLocations": [root]} for item in every[:MAX_LOCATIONS]]
        or [{"logicalLocations": [root]}],
        "partialFingerprints": {"kubewakeId/v1": incident.id},
        "properties": {
            **_properties(incident, incident.first_time),
            "state": incident.state,
            "score": incident.score,
            "findings": incident.findings,
            "allowedBy": incident.allowed_by,
            "blastRadius": incident.blast_radius,
        },
    }
    if steps:
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if incident.state == "false_positive":
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": "marked as a false positive"}
        ]
    return result


def _properties(item: Finding | Incident, first_time: str) -> dict[str, Any]:
    return {
        "severity": item.severity,
        "security-severity": str(SECURITY_SCORE[item.severity]),
        "confidence": item.confidence,
        "cluster": place(item),
        "firstTime": first_time,
        "lastTime": item.last_time,
        "remediation": item.remediation,
        "tags": [*item.attack.tactics, *item.attack.techniques, *item.attack.threat_matrix],
        "auditIds": shown_ids(item),
        "auditIdsTotal": ids_total(item),
    }


def _distinct(locations: Iterable[Location]) -> list[Location]:
    return list({(item.file, item.line): item for item in locations}.values())


def place_of(location: Location) -> dict[str, Any]:
    """A SARIF location; a line that is unknown is left out, since SARIF counts from 1."""
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri_of(location.file)}}
    if location.line > 0:
        physical["region"] = {"startLine": location.line}
    return {"physicalLocation": physical}


def uri_of(file: str) -> str:
    """The URI of a file of the input: relative as it was given, `file:` where it is absolute, `stdin` for `-`."""
    if file in {"", "-"}:
        return "stdin"
    path = PurePath(file)
    text = quote(path.as_posix().encode(errors="surrogateescape"), safe="/._-~")
    return f"file://{text}" if path.is_absolute() else text


def _invocation(document: ResultDocument) -> dict[str, Any]:
    notes: list[dict[str, Any]] = [_notice(notice) for notice in document.notices]
    notes += [_unreadable(item) for item in document.input.malformed]
    invocation: dict[str, Any] = {"executionSuccessful": True, "toolExecutionNotifications": notes}
    missing = document.input.malformed_total - len(document.input.malformed)
    if missing > 0:
        notes.append({"level": "warning", "message": {"text": f"{missing:,} more pieces of input could not be read"}})
    return invocation


def _notice(notice: Notice) -> dict[str, Any]:
    return {"level": "note", "descriptor": {"id": one_line(notice.id) or "notice"},
            "message": {"text": one_line(f"{notice.title}: {notice.detail}")}}  # fmt: skip


def _unreadable(item: Malformed) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": one_line(item.reason)},
            "locations": [place_of(Location(item.file, item.line))]}  # fmt: skip
