import json
import re

import pytest

from kubewake.finding import ResultDocument
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

LAYER_KEYS = {
    "name", "versions", "domain", "description", "filters", "sorting", "layout", "hideDisabled", "techniques", "gradient",
    "legendItems", "metadata", "links", "showTacticRowBackground", "tacticRowBackground", "selectTechniquesAcrossTactics",
    "selectSubtechniquesWithParent", "selectVisibleTechniques", "customDataURL",
}  # fmt: skip
TECHNIQUE_KEYS = {
    "techniqueID", "tactic", "comment", "enabled", "score", "color", "metadata", "links", "showSubtechniques",
}  # fmt: skip
"""Keys of layer format 4.5 (mitre-attack/attack-navigator, layers/spec/v4.5/layerformat.md)."""


@pytest.mark.parametrize("document", [sample.scanned, sample.hostile, ResultDocument], ids=["demo", "hostile", "empty"])
def test_is_a_layer_of_what_was_found(document):
    layer = json.loads(rendered("navigator", document()))
    assert set(layer) <= LAYER_KEYS
    assert layer["versions"]["layer"] == "4.5"
    assert layer["domain"] == "enterprise-attack"
    found = {technique for finding in document().findings for technique in finding.attack.techniques}
    found |= {technique for incident in document().incidents for technique in incident.attack.techniques}
    assert {technique["techniqueID"] for technique in layer["techniques"]} == found
    for technique in layer["techniques"]:
        assert set(technique) <= TECHNIQUE_KEYS
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", technique["techniqueID"])
        assert re.fullmatch(r"#[0-9a-f]{6}", technique["color"])
        assert all(isinstance(item["value"], str) and item["value"] for item in technique["metadata"])
    assert layer["gradient"]["minValue"] < layer["gradient"]["maxValue"]


def test_suppressed_findings_do_not_score():
    techniques = {
        item["techniqueID"]: item for item in json.loads(rendered("navigator", sample.hostile()))["techniques"]
    }
    assert techniques["T1609"]["score"] == len(sample.hostile().findings) - 1
    assert {"name": "suppressed", "value": "1"} in techniques["T1609"]["metadata"]
