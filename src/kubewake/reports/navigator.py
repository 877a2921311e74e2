"""`-o navigator`: an ATT&CK Navigator layer (format 4.5) of the techniques that were found."""

from typing import IO, Any

import msgspec

from kubewake.finding import SEVERITIES, SEVERITY_RANK, ResultDocument, Severity
from kubewake.reports import Style, report
from kubewake.reports.wording import one_line, place

COLORS: dict[Severity, str] = {
    "critical": "#b3001b",
    "high": "#d9480f",
    "medium": "#f2a900",
    "low": "#6fb1d6",
    "informational": "#cfd8dc",
}
MAX_RULES_IN_COMMENT = 12


class _Technique:
    def __init__(self) -> None:
        self.severity: Severity = "informational"
        self.findings = 0
        self.suppressed = 0
        self.titles: dict[str, None] = {}
        self.incidents: dict[str, None] = {}
        self.clusters: dict[str, None] = {}
        self.steps: dict[str, None] = {}


@report("navigator", "an ATT&CK Navigator layer of what was found")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write one layer: score = number of findings, colour = worst severity, comment = rules and what to do."""
    seen: dict[str, _Technique] = {}
    for finding in document.findings:
        for technique in finding.attack.techniques:
            entry = seen.setdefault(technique, _Technique())
            if finding.suppressed_by is not None:
                entry.suppressed += 1
                continue
            entry.findings += 1
            entry.titles[f"{finding.rule}: {one_line(finding.title)}"] = None
            entry.clusters[place(finding)] = None
            if finding.remediation:
                entry.steps[one_line(finding.remediation[0])] = None
            if finding.incident:
                entry.incidents[finding.incident] = None
            entry.severity = max(entry.severity, finding.severity, key=SEVERITY_RANK.__getitem__)
    for incident in document.incidents:
        for technique in incident.attack.techniques:
            entry = seen.setdefault(technique, _Technique())
            entry.incidents[incident.id] = None
            entry.clusters[place(incident)] = None
            entry.severity = max(entry.severity, incident.severity, key=SEVERITY_RANK.__getitem__)
    highest = max((entry.findings for entry in seen.values()), default=0)
    layer = {
        "name": "kubewake findings",
        "versions": {"attack": "17", "navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": _description(document),
        "filters": {"platforms": ["Containers", "IaaS", "Linux"]},
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True, "showAggregateScores": True,
                   "aggregateFunction": "max", "countUnscored": False},
        "hideDisabled": False,
        "techniques": [_technique(key, entry) for key, entry in sorted(seen.items())],
        "gradient": {"colors": ["#ffffff", "#b3001b"], "minValue": 0, "maxValue": max(highest, 1)},
        "legendItems": [{"label": severity, "color": COLORS[severity]} for severity in reversed(SEVERITIES)],
        "metadata": [{"name": "events read", "value": str(document.input.events)}],
        "showTacticRowBackground": True,
        "tacticRowBackground": "#dddddd",
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
    }  # fmt: skip
    out.write(msgspec.json.format(msgspec.json.encode(layer), indent=1).decode() + "\n")


def _description(document: ResultDocument) -> str:
    source = document.input
    clusters = ", ".join(one_line(name) or "(unnamed)" for name in source.clusters) or "(unnamed)"
    period = (
        f" from {source.first_time[:19]} to {source.last_time[:19]} UTC"
        if source.first_time and source.last_time
        else ""
    )
    return f"Techniques seen in {source.events:,} Kubernetes audit events of {clusters}{period}"


def _technique(key: str, entry: _Technique) -> dict[str, Any]:
    titles = list(entry.titles)
    comment = "; ".join(titles[:MAX_RULES_IN_COMMENT])
    if len(titles) > MAX_RULES_IN_COMMENT:
        comment += f"; and {len(titles) - MAX_RULES_IN_COMMENT} more rules"
    counts = {
        "severity": entry.severity,
        "findings": str(entry.findings),
        "incidents": str(len(entry.incidents)),
        "clusters": ", ".join(entry.clusters) or "(suppressed only)",
    }
    if entry.steps:
        counts["what to do first"] = next(iter(entry.steps))
    if entry.suppressed:
        counts["suppressed"] = str(entry.suppressed)
    technique = {
        "techniqueID": key,
        "score": entry.findings,
        "comment": comment,
        "enabled": True,
        "metadata": [{"name": name, "value": value} for name, value in counts.items()],
        "showSubtechniques": "." in key,
    }
    if entry.findings or entry.incidents:
        technique["color"] = COLORS[entry.severity]
    return technique
