"""The harness that measures detection quality, on labels made by hand."""

import json

import pytest

from bench.evaluation.agreement import HEARINGS, contested, disagreements, document_of, second_opinions
from bench.evaluation.labels import Actor, Credit, Episode, LabelledStep, Labels, Recorded, load_labels
from bench.evaluation.measures import bar_for, found_above, found_within, openings, quality, ranking
from bench.evaluation.story import Alert, Story, Telling


def episode(number, audits, *, steps=None, derived=(), kind="single"):
    return Episode(
        id=number,
        name=f"attack {number}",
        kind=kind,
        start="",
        end="",
        audit_ids=list(audits),
        derived_audit_ids=list(derived),
        actors=[Actor(identity="mallory")],
        steps=[LabelledStep(step=f"step {n}", audit_ids=list(held)) for n, held in enumerate(steps or [audits])],
    )


LABELS = Labels(
    Recorded("", "", ""),
    [
        episode("A1", ["a1", "a2", "a3"], steps=[["a1"], ["a2"], ["a3"]], derived=["d1", "d2"]),
        episode("A2", ["b1", "b2"], derived=["d3", "a1"]),
    ],
    [episode("L1", ["l1"], derived=["d4"], kind="benign")],
)
TIMES = {"a1": "10", "a2": "20", "a3": "30", "b1": "12", "b2": "14", "l1": "15", "x1": "11", "x2": "13", "d1": "31"}


@pytest.mark.parametrize(
    ("ids", "credit"),
    [
        (["a1", "a2"], Credit("A1", judged=True)),
        (["a1", "x1"], Credit("A1", judged=True)),
        (["a1", "x1", "x2"], Credit(None, judged=True)),
        (["a1", "d1", "d2", "d3", "d4"], Credit("A1", judged=True)),
        (["a1", "b1", "b2"], Credit("A2", judged=True)),
        (["d1", "d4"], Credit(None, judged=False)),
        (["l1"], Credit(None, judged=True)),
        ([], Credit(None, judged=True)),
    ],
)
def test_a_story_credits_the_campaign_of_most_of_its_events_if_they_are_half(ids, credit):
    assert LABELS.credit(ids) == credit


def test_what_a_campaign_sent_is_never_derived():
    assert "a1" not in LABELS.derived
    assert "d1" in LABELS.derived


def story(score, ids, opened="", root="mallory"):
    return Story(score, ids, opened, root)


def test_equal_scores_count_the_false_story_first():
    ranks = ranking([story(5, ["a1"]), story(5, ["x1"]), story(4, ["b1"])], LABELS)
    assert found_within(ranks, 0) == set()
    assert found_within(ranks, 1) == {"A1", "A2"}


def test_stories_of_derived_events_are_not_ranked():
    assert ranking([story(9, ["d1"])], LABELS) == []


@pytest.mark.parametrize(("allowed", "bar"), [(0, 7), (0.9, 7), (1, 5), (2, 3), (3, float("-inf"))])
def test_the_bar_is_the_best_false_story_that_may_not_pass(allowed, bar):
    assert bar_for([3, 7, 5], allowed) == bar


def test_only_stories_above_the_bar_are_found():
    ranks = ranking([story(5, ["a1"]), story(4, ["b1"])], LABELS)
    assert found_above(ranks, 4) == {"A1"}


def test_an_opening_counts_the_requests_and_steps_so_far():
    (opened,) = openings([story(5, ["a1", "a2"], "20")], LABELS, TIMES)
    assert (opened.events, opened.steps, opened.steps_total, opened.before_impact) == (2, 2, 3, True)


def test_a_story_opened_at_the_last_step_is_not_before_impact():
    (opened,) = openings([story(5, ["a3"], "30")], LABELS, TIMES)
    assert not opened.before_impact


def test_quality_of_a_telling():
    told = Telling(
        events=1000,
        stories=[
            story(9, ["a1", "a2", "x1", "d1"], "20"),
            story(8, ["a3"], "30", root="bob"),
            story(7, ["x2"], "13"),
            story(6, ["l1"], "15"),
            story(5, ["d1"], "31"),
        ],
        alerts=[
            Alert("loud", "high", "everyone", ["b1"]),
            Alert("loud", "high", "everyone", ["l1"]),
            Alert("quiet", "low", "everyone", ["b2"]),
            Alert("off", "critical", "everyone", ["x1"], suppressed=True),
        ],
    )
    got = quality(told, LABELS, TIMES)
    assert got.found == ["A1"]
    assert got.false_stories == 2
    assert got.purity == pytest.approx((2 / 3 + 1) / 2)
    assert got.fragmentation == 2
    assert got.steps_listed == pytest.approx(2 / 3)
    assert got.root_right == 1
    assert got.loud_recall == 1
    assert got.loud_false == {"loud": 1}
    assert got.any_recall == 1
    assert got.lookalike_stories == {"L1": 1}
    assert got.lookalike_alerts == {"L1": 1}
    assert (got.opened_events, got.before_impact, got.multi_step) == (2, 1, 1)
    assert 0 < got.pr_auc < 1


def test_the_document_for_another_scorer_says_the_same():
    told = Telling(
        events=5, stories=[story(9, ["a1"])], alerts=[Alert("r", "high", "everyone", ["a1"], suppressed=True)]
    )
    document = document_of(told)
    assert document["incidents"] == [{"score": 9, "audit_ids": ["a1"], "root_cause": {"name": "mallory"}}]
    assert document["findings"][0]["suppressed_by"]


def test_a_differing_scorer_is_named():
    told = Telling(events=5, stories=[story(9, ["a1"])])
    ours = quality(told, LABELS, TIMES)
    theirs = {
        "finding_recall_high": 0.0,
        "finding_recall_any": 0.0,
        "false_high_findings": 0,
        "incident_recall": 0.5,
        "false_incidents": 1,
        "purity": 1.0,
        "fragmentation": 1.0,
        "steps_listed": 0.333,
        "root_cause_right": 1.0,
        "recall_at_false_incidents": {str(n): 0.5 for n in (0, 1, 2, 5, 10, 20)},
    }
    assert disagreements(ours, theirs) == ["false_incidents: 0 here, 1 there"]


SCORER = """
import json, os
incidents = 1 if int(os.environ["PYTHONHASHSEED"]) == TIE else 0
print(json.dumps({"false_incidents": incidents}))
"""


@pytest.mark.parametrize(("tie", "heard", "left"), [(0, 1, []), (5, 6, []), (-1, HEARINGS, ["differs"])])
def test_a_scorer_that_breaks_ties_by_chance_is_heard_until_it_agrees(tmp_path, monkeypatch, tie, heard, left):
    scorer = tmp_path / "scorer.py"
    scorer.write_text(SCORER.replace("TIE", str(tie)), encoding="utf-8")
    asked = []

    def differing(_, theirs):
        asked.append(theirs)
        return [] if theirs["false_incidents"] else ["differs"]

    monkeypatch.setattr("bench.evaluation.agreement.disagreements", differing)
    told = Telling(events=5, stories=[story(9, ["a1"])])
    assert contested(quality(told, LABELS, TIMES), second_opinions(scorer, told, tmp_path / "labels.json")) == left
    assert len(asked) == heard


def test_labels_are_read_as_recorded(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(
        json.dumps(
            {
                "recorded": {"start": "1", "end": "2", "attack_free_until": "1"},
                "campaigns": [
                    {
                        "id": "A1", "name": "n", "kind": "single", "start": "1", "end": "2",
                        "actors": [{"identity": "mallory", "ip": "192.0.2.1", "userAgent": "curl"}],
                        "steps": [{"step": "main", "auditIDs": ["a1"]}],
                        "audit_ids": ["a1"], "derived_audit_ids": ["d1"],
                    }
                ],
                "benign_lookalikes": [],
            }
        )
    )  # fmt: skip
    labels = load_labels(path)
    assert labels.by_id["A1"].root == "mallory"
    assert labels.by_id["A1"].steps[0].audit_ids == ["a1"]
