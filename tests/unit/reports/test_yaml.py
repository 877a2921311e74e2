import json

import pytest
import yaml

from kubewake.finding import ResultDocument
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered


@pytest.mark.parametrize("document", [sample.hostile, ResultDocument], ids=["hostile", "empty"])
def test_says_the_same_as_json(document):
    text = rendered("yaml", document())
    assert "\x1b" not in text
    assert yaml.safe_load(text) == json.loads(rendered("json", document()))


def test_keeps_all_of_a_scan():
    found = yaml.load(rendered("yaml", sample.scanned()), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert [item["id"] for item in found["findings"]] == [item.id for item in sample.scanned().findings]
    assert found["incidents"] == json.loads(rendered("json", sample.scanned()))["incidents"]
