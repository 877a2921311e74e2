"""How often each rule is right, on results and labels made by hand."""

import json

import msgspec
import pytest

from bench.evaluation.labels import Labels
from bench.evaluation.measures import precision_of_rules
from bench.evaluation.story import Alert
from bench.rule_precision import count, factor, main

LABELS = {
    "recorded": {"start": "", "end": "", "attack_free_until": ""},
    "campaigns": [
        {"id": "A1", "audit_ids": ["a1", "a2"], "derived_audit_ids": ["d1"]},
        {"id": "A2", "audit_ids": ["b1"], "derived_audit_ids": []},
    ],
    "benign_lookalikes": [{"id": "L1", "audit_ids": ["l1"], "derived_audit_ids": []}],
}
FINDINGS = {
    "right": [["a1", "a2"], ["a1", "d1"]],
    "half": [["a1", "x1"]],
    "of-two-attacks": [["a1", "a2", "b1"]],
    "wrong": [["x1"], ["l1"]],
    "derived-only": [["d1"]],
}


@pytest.fixture
def files(tmp_path):
    findings = [{"rule": rule, "audit_ids": ids} for rule, all_ids in FINDINGS.items() for ids in all_ids]
    findings.append({"rule": "right", "audit_ids": ["x1"], "suppressed_by": "a filter"})
    (tmp_path / "result.json").write_text(json.dumps({"findings": findings}))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return str(tmp_path / "result.json"), str(tmp_path / "labels.json")


def test_a_finding_is_right_for_the_share_of_it_that_is_one_attacks(files):
    counts = {rule: (round(right, 3), round(wrong, 3)) for rule, (right, wrong) in count([files]).items()}
    assert counts == {
        "right": (2.0, 0.0),
        "half": (0.5, 0.5),
        "of-two-attacks": (0.667, 0.333),
        "wrong": (0.0, 2.0),
    }


def test_only_rules_that_were_wrong_are_written_down(files, tmp_path):
    out = tmp_path / "precision.json"
    main([str(out), *files, "--blind", *files])
    assert json.loads(out.read_text()) == {
        "half": [factor(0.5, 0.5)] * 2,
        "of-two-attacks": [factor(2 / 3, 1 / 3)] * 2,
        "wrong": [0.5, 0.5],
    }


def test_the_evaluation_measures_alike(files):
    blank = {"name": "", "kind": "", "start": "", "end": ""}
    episodes = {part: [{**blank, **item} for item in LABELS[part]] for part in ("campaigns", "benign_lookalikes")}
    labels = msgspec.convert({**LABELS, **episodes}, Labels)
    alerts = [Alert(rule, "high", "everyone", ids) for rule, several in FINDINGS.items() for ids in several]
    expected = {rule: factor(right, wrong) for rule, (right, wrong) in count([files]).items()}
    assert precision_of_rules([(alerts, labels)]) == expected
