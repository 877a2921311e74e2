"""What of a scan's result was asked for: by namespace, user, rule, severity and audience."""

import msgspec

from kubewake.event import Malformed
from kubewake.finding import (
    AUDIENCES,
    SEVERITY_RANK,
    Audience,
    Finding,
    Incident,
    Notice,
    ResultDocument,
    Severity,
    count_severities,
)

_SERVICE_ACCOUNT = "system:serviceaccount:"


class Selection:
    """What the person asked to see."""

    def __init__(
        self,
        namespaces: tuple[str, ...] = (),
        users: tuple[str, ...] = (),
        min_severity: Severity = "informational",
        *,
        of_rules: bool = False,
    ) -> None:
        self._namespaces = frozenset(namespaces)
        self._users = frozenset(users)
        self._rank = SEVERITY_RANK[min_severity]
        self._of_rules = of_rules
        self._seen: set[str] = set()
        """Ids of findings in the namespaces and about the users asked for: their incidents were asked for too."""

    @property
    def _is_narrow(self) -> bool:
        return bool(self._namespaces or self._users or self._of_rules)

    def tells(self, item: Finding | Incident | Notice | Malformed, audience: Audience | None) -> bool:
        """Whether what has just happened was asked for; findings come before their incident."""
        if isinstance(item, Finding):
            if self._is_narrow and self._is_about(item):
                self._seen.add(item.id)
            return self.shows(item, audience)
        return not isinstance(item, Incident) or self.shows_incident(item)

    def shows(self, finding: Finding, audience: Audience | None) -> bool:
        """Whether the finding was asked for."""
        if SEVERITY_RANK[finding.severity] < self._rank:
            return False
        if audience is not None and AUDIENCES.index(finding.audience) > AUDIENCES.index(audience):
            return False
        return self._is_about(finding)

    def _is_about(self, finding: Finding) -> bool:
        if self._namespaces and finding.target.namespace not in self._namespaces:
            return False
        return not self._users or bool({finding.actor.name, finding.actor.impersonating} & self._users)

    def shows_incident(self, incident: Incident) -> bool:
        """Whether the incident was asked for: one of its findings was, or who and what takes part in it."""
        if SEVERITY_RANK[incident.severity] < self._rank:
            return False
        if not self._is_narrow or not self._seen.isdisjoint(incident.findings):
            return True
        return not self._of_rules and self._takes_part(incident)

    def _takes_part(self, incident: Incident) -> bool:
        users = {entity.name for entity in incident.entities if entity.kind == "identity"}
        places = {
            entity.name.removeprefix(_SERVICE_ACCOUNT).partition(":" if entity.kind == "identity" else "/")[0]
            for entity in incident.entities
            if entity.kind == "namespace" or "/" in entity.name or entity.name.startswith(_SERVICE_ACCOUNT)
        }
        return (not self._users or bool(users & self._users)) and (
            not self._namespaces or bool(places & self._namespaces)
        )

    def narrow(self, document: ResultDocument, audience: Audience | None) -> ResultDocument:
        """The document with only what was asked for, counted anew."""
        if not self._is_narrow and not self._rank and audience in {None, "auditor"}:
            return document
        if self._is_narrow:
            self._seen.update(finding.id for finding in document.findings if self._is_about(finding))
        findings = [finding for finding in document.findings if self.shows(finding, audience)]
        document.findings = findings
        document.incidents = [incident for incident in document.incidents if self.shows_incident(incident)]
        document.summary = msgspec.structs.replace(
            document.summary,
            findings=count_severities([finding for finding in findings if finding.suppressed_by is None]),
            incidents=count_severities(document.incidents),
            suppressed=sum(finding.suppressed_by is not None for finding in findings),
        )
        return document
