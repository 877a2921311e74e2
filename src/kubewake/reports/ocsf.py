"""`-o ocsf`: one OCSF Detection Finding (class 2004) a line for each incident and finding."""

import ipaddress
from typing import IO, Any

import msgspec

from kubewake import __version__
from kubewake.finding import Attack, Confidence, Finding, Incident, Outcome, ResultDocument, Severity, State
from kubewake.reports import Style, report
from kubewake.reports.wording import TACTICS, epoch_ms, ids_total, place, shown_ids, technique_url

OCSF_VERSION = "1.6.0"
SEVERITIES: dict[Severity, tuple[int, str]] = {
    "informational": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
CONFIDENCES: dict[Confidence, tuple[int, str]] = {"low": (1, "Low"), "medium": (2, "Medium"), "high": (3, "High")}
STATUSES: dict[State, tuple[int, str]] = {
    "new": (1, "New"),
    "acknowledged": (2, "In Progress"),
    "closed": (4, "Resolved"),
    "false_positive": (3, "Suppressed"),
}
OUTCOMES: dict[Outcome, str] = {"allowed": "Success", "denied": "Failure: refused", "failed": "Failure"}
IP_ADDRESS, USER_NAME, RESOURCE_UID, USER_AGENT = 2, 4, 10, 16
OBSERVABLES = {
    IP_ADDRESS: "IP Address",
    USER_NAME: "User Name",
    RESOURCE_UID: "Resource UID",
    USER_AGENT: "HTTP User-Agent",
}


@report("ocsf", "OCSF Detection Findings, one a line")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write incidents, then findings, as JSON Lines."""
    for incident in document.incidents:
        out.write(msgspec.json.encode(of_incident(incident)).decode() + "\n")
    for finding in document.findings:
        out.write(msgspec.json.encode(of_finding(finding)).decode() + "\n")


def of_finding(finding: Finding) -> dict[str, Any]:
    """The Detection Finding of a finding."""
    actor, target = finding.actor, finding.target
    suppressed = finding.suppressed_by is not None
    event = _common(finding, finding.time, (3, "Suppressed") if suppressed else (1, "New"), alert=not suppressed)
    event["count"] = max(finding.count, 1)
    event["finding_info"] |= {
        "types": ["finding"],
        "analytic": {"type_id": 1, "type": "Rule", "uid": finding.rule, "name": finding.title},
    }
    if finding.incident:
        event["metadata"]["correlation_uid"] = finding.incident
    user: dict[str, Any] = {"name": actor.name or "system:anonymous", "type": actor.kind, "type_id": 99}
    if actor.groups:
        user["groups"] = [{"name": group} for group in actor.groups]
    evidence: dict[str, Any] = {
        "actor": {"user": user},
        "api": {
            "operation": target.verb or "unknown",
            "service": {"name": "kubernetes"},
            "response": {"message": OUTCOMES[finding.outcome]},
        },
        "data": {
            "audit_ids": shown_ids(finding),
            "audit_ids_total": ids_total(finding),
            "event_keys": finding.event_keys[:100],
            "locations": msgspec.to_builtins(finding.locations[:100]),
        },
    }
    if target.api_group:
        evidence["api"]["group"] = {"name": target.api_group}
    addresses = [source for source in actor.source_ips if _is_address(source)]
    if addresses:
        evidence["src_endpoint"] = {"ip": addresses[0], "intermediate_ips": addresses[1:]}
    if actor.user_agent:
        evidence["http_request"] = {"user_agent": actor.user_agent}
    event["evidences"] = [evidence]
    event["resources"] = [_resource(target.resource, target.namespace, target.name, place(finding))]
    event["observables"] = [
        *(_observable("evidences[].src_endpoint.ip", IP_ADDRESS, address) for address in addresses),
        _observable("evidences[].actor.user.name", USER_NAME, user["name"]),
        *(
            [_observable("evidences[].http_request.user_agent", USER_AGENT, actor.user_agent)]
            if actor.user_agent
            else []
        ),
    ]
    event["unmapped"] |= {
        "type": "finding",
        "audience": finding.audience,
        "outcome": finding.outcome,
        "covers": finding.covers,
        "subresource": target.subresource,
        "impersonating": actor.impersonating,
        "incident": finding.incident,
        "suppressed_by": finding.suppressed_by,
    }
    return event


def of_incident(incident: Incident) -> dict[str, Any]:
    """The Detection Finding of an incident; its findings are `related_events`."""
    event = _common(incident, incident.first_time, STATUSES[incident.state], alert=incident.state != "false_positive")
    event["finding_info"] |= {
        "types": ["incident"],
        "analytic": {"type_id": 1, "type": "Rule", "uid": "incident", "name": "Attack in several steps"},
        "created_time": epoch_ms(incident.opened_at),
        "related_events": [
            {"uid": name, "type": "Detection Finding", "type_uid": 200401} for name in incident.findings
        ],
        "related_events_count": len(incident.findings),
    }
    event["metadata"]["correlation_uid"] = incident.id
    steps: list[dict[str, Any]] = [
        {"data": {"time": step.time, "text": step.text, "audit_id": step.audit_id, "link": step.link,
                  "allowed_by": step.allowed_by, "context": step.context}}
        for step in incident.timeline
    ]  # fmt: skip
    event["evidences"] = [{"data": {"audit_ids": shown_ids(incident), "audit_ids_total": ids_total(incident)}}, *steps]
    event["resources"] = [
        {"name": entity.name, "type": entity.kind, "data": {"role": entity.role, "cluster": place(incident)}}
        for entity in incident.entities
    ]
    event["observables"] = [
        _observable("resources[].name", kind, entity.name)
        for entity in incident.entities
        if (kind := _observable_kind(entity.kind, entity.name)) is not None
    ]
    event["unmapped"] |= {
        "type": "incident",
        "state": incident.state,
        "score": incident.score,
        "bar": incident.bar,
        "root_cause": msgspec.to_builtins(incident.root_cause),
        "allowed_by": incident.allowed_by,
        "blast_radius": incident.blast_radius,
    }
    return event


def _common(item: Finding | Incident, first_time: str, status: tuple[int, str], *, alert: bool) -> dict[str, Any]:
    severity_id, severity = SEVERITIES[item.severity]
    confidence_id, confidence = CONFIDENCES[item.confidence]
    first, last = epoch_ms(first_time), epoch_ms(item.last_time)
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200401,
        "type_name": "Detection Finding: Create",
        "time": last,
        "start_time": first,
        "end_time": last,
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": status[0],
        "status": status[1],
        "is_alert": alert,
        "message": item.story or item.title,
        "metadata": {
            "version": OCSF_VERSION,
            "uid": item.id,
            "product": {"name": "kubewake", "vendor_name": "kubewake", "version": __version__},
            "labels": [f"cluster:{place(item)}"],
        },
        "finding_info": {
            "uid": item.id,
            "title": item.title,
            "desc": item.story,
            "first_seen_time": first,
            "last_seen_time": last,
            "attacks": _attacks(item.attack),
        },
        "remediation": {"desc": "\n".join(item.remediation) or "Ask the owner of the login whether they did this."},
        "unmapped": {"cluster": place(item), "threat_matrix": item.attack.threat_matrix},
    }


def _attacks(attack: Attack) -> list[dict[str, Any]]:
    # Findings say which tactics and which techniques apply, not which technique serves which tactic: each stands alone.
    attacks: list[dict[str, Any]] = [
        {"tactic": {"uid": TACTICS[slug][0], "name": TACTICS[slug][1]}} for slug in attack.tactics if slug in TACTICS
    ]
    for technique in attack.techniques:
        parent, dot, _ = technique.partition(".")
        entry: dict[str, Any] = {"technique": {"uid": parent, "src_url": technique_url(parent)}}
        if dot:
            entry["sub_technique"] = {"uid": technique, "src_url": technique_url(technique)}
        attacks.append(entry)
    return attacks


def _resource(resource: str, namespace: str, name: str, cluster: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name or resource or "(the API server)",
        "type": resource or "nonResourceURL",
        "data": {"cluster": cluster},
    }
    return {**found, "namespace": namespace} if namespace else found


def _observable(name: str, type_id: int, value: str) -> dict[str, Any]:
    return {"name": name, "type_id": type_id, "type": OBSERVABLES[type_id], "value": value}


def _observable_kind(kind: str, name: str) -> int | None:
    if kind == "identity":
        return USER_NAME
    if kind == "address":
        return IP_ADDRESS if _is_address(name) else None
    return RESOURCE_UID


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
