import io
import json

import msgspec

from kubewake.reports.jsonl import LineWriter
from tests.unit.reports import sample
from tests.unit.reports.rendering import lines, rendered


def written(*items):
    out = io.StringIO()
    writer = LineWriter(out)
    for item in items:
        writer.write(item)
    return [json.loads(line) for line in lines(out.getvalue())]


def test_a_finished_document_is_typed_lines_with_the_summary_last():
    found = [json.loads(line) for line in lines(rendered("jsonl", sample.small()))]
    assert [item["type"] for item in found] == ["malformed", *["finding"] * 5, "incident", "notice", "summary"]
    assert found[-1]["input"]["events"] == 1234
    assert found[-1]["findings"]["critical"] == 1
    assert found[1] == {"type": "finding", **msgspec.to_builtins(sample.small().findings[0])}


def test_growth_of_a_finding_adds_audit_ids_under_the_same_id():
    finding = msgspec.structs.replace(sample.small().findings[1], audit_ids=["a-2"], count=1)
    grown = msgspec.structs.replace(finding, audit_ids=["a-2", "a-3"], count=2, last_time="2026-11-23T09:00:00.000000Z")
    first, second, third = written(finding, grown, grown)
    assert first["audit_ids"] == ["a-2"]
    assert "audit_ids_added" not in first
    assert second["id"] == third["id"] == first["id"]
    assert (second["audit_ids_added"], second["count"], second["last_time"]) == (["a-3"], 2, grown.last_time)
    assert "audit_ids" not in second
    assert third["audit_ids_added"] == []


def test_growth_of_an_incident_tells_the_story_anew():
    incident = msgspec.structs.replace(sample.small().incidents[0], audit_ids=["a-1"])
    grown = msgspec.structs.replace(incident, audit_ids=["a-1", "a-2"], score=12.5, story="More.", severity="critical")
    first, second = written(incident, grown)
    assert first["type"] == second["type"] == "incident"
    assert second["audit_ids_added"] == ["a-2"]
    assert (second["score"], second["story"], second["findings"]) == (12.5, "More.", incident.findings)
    assert not {"audit_ids", "timeline", "entities"} & set(second)


def test_ids_added_up_are_the_ids_of_the_whole():
    finding = sample.small().findings[1]
    steps = [msgspec.structs.replace(finding, audit_ids=finding.audit_ids[:number]) for number in (1, 2, 4)]
    whole, *growth = written(*steps)
    assert whole["audit_ids"] + [name for item in growth for name in item["audit_ids_added"]] == finding.audit_ids


def test_ids_added_to_an_incident_may_stand_before_those_that_were_printed():
    incident = msgspec.structs.replace(sample.small().incidents[0], audit_ids=["a-2", "a-4"])
    grown = msgspec.structs.replace(incident, audit_ids=["a-1", "a-2", "a-3", "a-4"], title="Part of another")
    _, second = written(incident, grown)
    assert (second["audit_ids_added"], second["title"]) == (["a-1", "a-3"], "Part of another")


def test_every_unreadable_piece_is_a_line():
    unreadable = sample.hostile().input.malformed[0]
    assert [item["type"] for item in written(unreadable, unreadable)] == ["malformed", "malformed"]


def test_hostile_text_ends_no_line():
    text = rendered("jsonl", sample.hostile())
    document = sample.hostile()
    assert len(lines(text)) == len(document.findings) + 1 + 1 + 1 + 1
    assert "\x1b" not in text
