"""`-o ecs`: one Elastic Common Schema alert document a line for each incident and finding."""

import ipaddress
from typing import IO, Any

import msgspec

from kubewake import __version__
from kubewake.finding import SEVERITY_RANK, Attack, Finding, Incident, Outcome, ResultDocument
from kubewake.reports import Style, report
from kubewake.reports.wording import SECURITY_SCORE, TACTICS, ids_total, shown_ids, technique_url

ECS_VERSION = "8.17.0"
OUTCOMES: dict[Outcome, str] = {"allowed": "success", "denied": "failure", "failed": "failure"}


@report("ecs", "Elastic Common Schema alert documents, one a line")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write incidents, then findings, as newline-delimited JSON ready for an Elasticsearch bulk loader."""
    for incident in document.incidents:
        _write(out, _of_incident(incident))
    for finding in document.findings:
        _write(out, _of_finding(finding))


def _write(out: IO[str], document: dict[str, Any]) -> None:
    out.write(msgspec.json.encode(_without_empty(document)).decode() + "\n")


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    return value


def _common(item: Finding | Incident, first_time: str) -> dict[str, Any]:
    return {
        "@timestamp": item.last_time,
        "ecs": {"version": ECS_VERSION},
        "message": item.story or item.title,
        "tags": ["kubewake"],
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "id": item.id,
            "start": first_time,
            "end": item.last_time,
            "severity": SEVERITY_RANK[item.severity] * 25,
            "risk_score": SECURITY_SCORE[item.severity] * 10,
            "module": "kubewake",
            "provider": "kubewake",
            "reason": item.title,
        },
        "observer": {"vendor": "kubewake", "product": "kubewake", "type": "ids", "version": __version__},
        "orchestrator": {"type": "kubernetes", "cluster": {"name": item.cluster}},
        "threat": _threat(item.attack),
    }


def _of_finding(finding: Finding) -> dict[str, Any]:
    actor, target = finding.actor, finding.target
    addresses = [source for source in actor.source_ips if _is_address(source)]
    document = _common(finding, finding.time)
    document["event"] |= {
        "type": ["info", "allowed" if finding.outcome == "allowed" else "denied"],
        "action": target.verb,
        "outcome": OUTCOMES[finding.outcome],
        "dataset": "kubewake.finding",
    }
    document["rule"] = {"id": finding.rule, "name": finding.title, "ruleset": "kubewake", "category": actor.kind}
    document["user"] = {"name": actor.name, "roles": actor.groups, "effective": {"name": actor.impersonating}}
    document["user_agent"] = {"original": actor.user_agent}
    document["source"] = {
        "address": actor.source_ips[0] if actor.source_ips else "",
        "ip": addresses[0] if addresses else "",
    }
    document["orchestrator"] |= {
        "namespace": target.namespace,
        "resource": {"type": target.resource, "name": target.name},
    }
    if finding.locations:
        first = finding.locations[0]
        document["log"] = {"file": {"path": first.file}, "origin": {"file": {"line": first.line}}}
    names = [name for name in (actor.name, actor.impersonating) if name]
    document["related"] = {"user": names, "ip": addresses}
    document["kubewake"] = {
        "type": "finding",
        "severity": finding.severity,
        "confidence": finding.confidence,
        "audience": finding.audience,
        "count": finding.count,
        "covers": finding.covers,
        "subresource": target.subresource,
        "api_group": target.api_group,
        "incident": finding.incident,
        "suppressed_by": finding.suppressed_by,
        "remediation": finding.remediation,
        "audit_ids": shown_ids(finding),
        "audit_ids_total": ids_total(finding),
        "threat_matrix": finding.attack.threat_matrix,
    }
    if finding.suppressed_by is not None:
        document["tags"] = ["kubewake", "suppressed"]
    return document


def _of_incident(incident: Incident) -> dict[str, Any]:
    document = _common(incident, incident.first_time)
    document["event"]["dataset"] = "kubewake.incident"
    document["rule"] = {"id": "incident", "name": incident.title, "ruleset": "kubewake"}
    people = [entity.name for entity in incident.entities if entity.kind == "identity"]
    addresses = [entity.name for entity in incident.entities if entity.kind == "address" and _is_address(entity.name)]
    if incident.root_cause.kind == "identity":
        document["user"] = {"name": incident.root_cause.name}
    document["related"] = {"user": people, "ip": addresses}
    document["kubewake"] = {
        "type": "incident",
        "severity": incident.severity,
        "confidence": incident.confidence,
        "state": incident.state,
        "score": incident.score,
        "bar": incident.bar,
        "root_cause": msgspec.to_builtins(incident.root_cause),
        "findings": incident.findings,
        "timeline": msgspec.to_builtins(incident.timeline),
        "allowed_by": incident.allowed_by,
        "blast_radius": incident.blast_radius,
        "remediation": incident.remediation,
        "audit_ids": shown_ids(incident),
        "audit_ids_total": ids_total(incident),
        "threat_matrix": incident.attack.threat_matrix,
    }
    return document


def _threat(attack: Attack) -> dict[str, Any]:
    tactics = [TACTICS[slug] for slug in attack.tactics if slug in TACTICS]
    parents = list(dict.fromkeys(technique.partition(".")[0] for technique in attack.techniques))
    children = [technique for technique in attack.techniques if "." in technique]
    if not tactics and not parents:
        return {}
    return {
        "framework": "MITRE ATT&CK",
        "tactic": {
            "id": [key for key, _ in tactics],
            "name": [name for _, name in tactics],
            "reference": [f"https://attack.mitre.org/tactics/{key}/" for key, _ in tactics],
        },
        "technique": {
            "id": parents,
            "reference": [technique_url(technique) + "/" for technique in parents],
            "subtechnique": {"id": children, "reference": [technique_url(technique) + "/" for technique in children]},
        },
    }


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
