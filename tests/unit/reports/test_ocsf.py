import json
from pathlib import Path

import jsonschema
import pytest

from tests.unit.reports import sample
from tests.unit.reports.rendering import lines, rendered

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "ocsf-1.6.0-detection-finding.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def events(document):
    return [json.loads(line) for line in lines(rendered("ocsf", document))]


@pytest.mark.parametrize("document", [sample.scanned, sample.hostile], ids=["demo", "hostile"])
def test_every_line_is_a_detection_finding(document):
    found = events(document())
    for event in found:
        VALIDATOR.validate(event)
    every = [*document().incidents, *document().findings]
    assert [event["finding_info"]["uid"] for event in found] == [item.id for item in every]


def test_the_schema_can_fail():
    event = events(sample.hostile())[0]
    for key in ("finding_info", "severity_id", "metadata"):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate({name: value for name, value in event.items() if name != key})
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(event | {"no_such_attribute": 1})


def test_findings_carry_what_an_analyst_needs():
    for event, finding in zip(
        events(sample.scanned())[len(sample.scanned().incidents) :], sample.scanned().findings, strict=True
    ):
        assert event["class_uid"] == 2004
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["is_alert"]
        assert event["time"] >= event["start_time"] > 1_700_000_000_000
        assert event["unmapped"]["cluster"] == "prod-eu"
        assert event["evidences"][0]["data"]["audit_ids"] == finding.audit_ids[:100]
        assert event["resources"][0]["data"]["cluster"] == "prod-eu"
        names = {attack.get("technique", {}).get("uid") for attack in event["finding_info"]["attacks"]}
        assert {technique.partition(".")[0] for technique in finding.attack.techniques} <= names


def test_suppression_and_incidents():
    incident, finding, suppressed, *_ = events(sample.hostile())
    assert incident["finding_info"]["related_events"][0]["uid"] == finding["finding_info"]["uid"]
    assert finding["metadata"]["correlation_uid"] == incident["finding_info"]["uid"]
    assert (suppressed["status_id"], suppressed["is_alert"]) == (3, False)
    assert (finding["status_id"], finding["is_alert"]) == (1, True)
    assert len(incident["evidences"][0]["data"]["audit_ids"]) == 100
    assert incident["evidences"][0]["data"]["audit_ids_total"] == 301
    assert {item["value"] for item in incident["observables"] if item["type_id"] == 2} == {"2001:db8::1"}
