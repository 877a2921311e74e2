"""What a detector of attacks tells in the end: stories with a score, from kubewake or from a baseline."""

from typing import Any

from msgspec import Struct

from kubewake.finding import Finding, Incident


class Story(Struct):
    """One supposed attack. `opened_at` is the event time at which it was first told."""

    score: float
    audit_ids: list[str]
    opened_at: str = ""
    root_cause: str = ""
    title: str = ""


class Alert(Struct):
    """One finding, without its words."""

    rule: str
    severity: str
    audience: str
    audit_ids: list[str]
    suppressed: bool = False

    @property
    def is_loud(self) -> bool:
        """Whether it would wake somebody."""
        return self.severity in ("high", "critical") and self.audience == "everyone"


class Telling(Struct, kw_only=True):
    """Everything told about one stream."""

    events: int
    stories: list[Story]
    alerts: list[Alert] = []
    costs: dict[str, float] = {}
    """Seconds of reading and folding, bytes of state and of resident memory."""
    details: dict[str, Any] = {}


def story_of(incident: Incident) -> Story:
    """An incident, as far as it is scored."""
    root = f"{incident.root_cause.kind} {incident.root_cause.name} {incident.root_cause.role}"
    return Story(incident.score, incident.audit_ids, incident.opened_at, root, incident.title)


def alert_of(finding: Finding) -> Alert:
    """A finding, as far as it is scored."""
    return Alert(
        finding.rule,
        finding.severity,
        finding.audience,
        finding.audit_ids,
        finding.suppressed_by is not None,
    )
