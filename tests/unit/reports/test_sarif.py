import json
from pathlib import Path

import jsonschema
import pytest

from kubewake.reports.sarif import uri_of
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "sarif-2.1.0.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)


@pytest.fixture(params=[sample.scanned, sample.hostile], ids=["demo", "hostile"])
def run(request):
    document = request.param()
    log = json.loads(rendered("sarif", document))
    VALIDATOR.validate(log)
    return log["runs"][0], document


def test_the_schema_can_fail():
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({"version": "2.1.0", "runs": [{"tool": {}}]})


def test_has_a_result_for_everything(run):
    sarif, document = run
    ids = [result["partialFingerprints"]["kubewakeId/v1"] for result in sarif["results"]]
    assert ids == [item.id for item in [*document.incidents, *document.findings]]


def test_rules_are_indexed_and_explained(run):
    sarif, _ = run
    rules = sarif["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in sarif["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    for rule in rules:
        assert rule["help"]["text"]
        assert 0 < float(rule["properties"]["security-severity"]) <= 10


def test_security_severity_falls_in_the_range_of_its_word():
    # https://docs.github.com/en/code-security/code-scanning: over 9.0 critical, 7.0 high, 4.0 medium, else low
    sarif = json.loads(rendered("sarif", sample.scanned()))["runs"][0]
    low = {"critical": 9.1, "high": 7.0, "medium": 4.0, "low": 0.1, "informational": 0.1}
    high = {"critical": 10.0, "high": 8.9, "medium": 6.9, "low": 3.9, "informational": 3.9}
    for result in sarif["results"]:
        said = result["properties"]
        assert low[said["severity"]] <= float(said["security-severity"]) <= high[said["severity"]]


def test_places_are_files_and_lines():
    sarif = json.loads(rendered("sarif", sample.scanned()))["runs"][0]
    for result in sarif["results"]:
        physical = result["locations"][0]["physicalLocation"]
        assert physical["artifactLocation"]["uri"].startswith("file:///")
        assert physical["region"]["startLine"] >= 1


def test_suppressed_findings_say_so():
    results = json.loads(rendered("sarif", sample.hostile()))["runs"][0]["results"]
    marked = {result["partialFingerprints"]["kubewakeId/v1"]: result.get("suppressions") for result in results}
    assert marked["f-suppressed"][0]["status"] == "accepted"
    assert "filter-" in marked["f-suppressed"][0]["justification"]
    assert [name for name, suppressions in marked.items() if suppressions] == ["f-suppressed"]


def test_an_incident_tells_its_steps():
    results = json.loads(rendered("sarif", sample.scanned()))["runs"][0]["results"]
    incident = results[0]
    steps = incident["codeFlows"][0]["threadFlows"][0]["locations"]
    assert len(steps) == len(sample.scanned().incidents[0].timeline)
    assert any("physicalLocation" in step["location"] for step in steps)


def test_unreadable_input_and_notices_are_notifications():
    invocation = json.loads(rendered("sarif", sample.hostile()))["runs"][0]["invocations"][0]
    texts = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert len(texts) == 3
    assert texts[-1].startswith("3 more")


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("logs/audit.log", "logs/audit.log"),
        ("/var/log/k8s/audit 1.log", "file:///var/log/k8s/audit%201.log"),
        ("-", "stdin"),
        ("a\nb|ä#?.log", "a%0Ab%7C%C3%A4%23%3F.log"),
        ("bad\udcff.log", "bad%FF.log"),
    ],
)
def test_files_become_uris(file, uri):
    assert uri_of(file) == uri
