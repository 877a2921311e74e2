import json

import pytest

from tests.unit.reports import sample
from tests.unit.reports.rendering import lines, rendered

FIELDS = {
    "@timestamp", "message", "tags", "ecs.version",
    "event.kind", "event.category", "event.type", "event.id", "event.start", "event.end", "event.severity",
    "event.risk_score", "event.module", "event.provider", "event.reason", "event.action", "event.outcome", "event.dataset",
    "observer.vendor", "observer.product", "observer.type", "observer.version",
    "orchestrator.type", "orchestrator.cluster.name", "orchestrator.namespace", "orchestrator.resource.type",
    "orchestrator.resource.name",
    "rule.id", "rule.name", "rule.ruleset", "rule.category",
    "user.name", "user.roles", "user.effective.name", "user_agent.original", "source.address", "source.ip",
    "log.file.path", "log.origin.file.line", "related.user", "related.ip",
    "threat.framework", "threat.tactic.id", "threat.tactic.name", "threat.tactic.reference",
    "threat.technique.id", "threat.technique.reference", "threat.technique.subtechnique.id",
    "threat.technique.subtechnique.reference",
}  # fmt: skip
"""Fields of ECS 8.17 that may be used, from https://www.elastic.co/guide/en/ecs/8.17/ecs-field-reference.html."""
OWN = "kubewake"


def flat(value, prefix=""):
    if isinstance(value, dict):
        for key, item in value.items():
            if not prefix and key == OWN:
                continue
            yield from flat(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix


@pytest.mark.parametrize("document", [sample.scanned, sample.hostile], ids=["demo", "hostile"])
def test_only_fields_of_ecs_are_used(document):
    found = [json.loads(line) for line in lines(rendered("ecs", document()))]
    assert len(found) == len(document().incidents) + len(document().findings)
    for alert in found:
        assert set(flat(alert)) <= FIELDS
        assert alert["event"]["kind"] == "alert"
        assert alert["event"]["category"] == ["intrusion_detection"]
        assert set(alert["event"]["type"]) <= {"info", "allowed", "denied"}
        assert alert["event"].get("outcome", "unknown") in {"success", "failure", "unknown"}
        assert alert["orchestrator"]["cluster"]["name"]
        assert alert["kubewake"]["remediation"]


def test_suppressed_and_evidence():
    incident, finding, suppressed, *_ = [json.loads(line) for line in lines(rendered("ecs", sample.hostile()))]
    assert suppressed["tags"] == ["kubewake", "suppressed"]
    assert suppressed["kubewake"]["suppressed_by"]
    assert "suppressed_by" not in finding["kubewake"]
    assert len(incident["kubewake"]["audit_ids"]) == 100
    assert incident["kubewake"]["audit_ids_total"] == 301
    assert "ip" not in finding["source"]
    assert incident["related"]["ip"] == ["2001:db8::1"]
