"""The harness as a whole, without recordings."""

import pytest

from bench.evaluation.__main__ import main
from bench.evaluation.ablations import ablations
from bench.evaluation.bars import bars
from bench.evaluation.evaluation import Evaluation, joined
from bench.evaluation.forks import Forked, first_at, shifted
from bench.evaluation.generated import moved, renamed
from bench.evaluation.labels import Episode, Labels, Recorded
from bench.evaluation.measures import quality
from bench.evaluation.recording import Line
from bench.evaluation.report import BEGIN, END, write_page
from bench.evaluation.shelf import NotKeptError, Shelf
from bench.evaluation.story import Alert, Story, Telling
from bench.evaluation.table import terminal_table

LABELS = Labels(
    Recorded("", "", ""),
    [Episode("A", "theft", "single", "", "", ["a1"]), Episode("B", "ransom", "single", "", "", ["b1"])],
    [],
)


def test_without_recordings_there_is_nothing_to_do(tmp_path, capsys):
    assert main(["--recordings", str(tmp_path / "absent")]) == 0
    assert "nothing to evaluate" in capsys.readouterr().out


@pytest.mark.parametrize("ablation", ablations(), ids=lambda ablation: ablation.name)
def test_each_ablation_finds_what_it_replaces(ablation):
    with ablation.applied():
        pass


def test_forks_are_joined_with_the_benign_day():
    benign = Telling(events=10, stories=[Story(3, ["x1"])], alerts=[Alert("r", "high", "everyone", ["x1"])])
    own = Telling(events=3, stories=[Story(3, ["x1"]), Story(5, ["a1"]), Story(2, ["x2"])])
    own.alerts = [Alert("r", "high", "everyone", ["a1"]), Alert("r", "high", "everyone", ["x1"])]
    told = joined(Forked(benign, {"A": own}), LABELS)
    assert [story.audit_ids for story in told.stories] == [["x1"], ["a1"], ["x2"]]
    assert [alert.audit_ids for alert in told.alerts] == [["x1"], ["a1"]]


def test_a_fork_is_cut_in_time():
    lines = [Line(time, "", b"") for time in ("10", "20", "20", "30")]
    assert first_at(lines, "20") == 1
    assert first_at(lines, "99") == 4
    assert shifted("2026-01-01T00:00:10.000000Z", -15) == "2025-12-31T23:59:55.000000Z"


def test_generated_days_move_and_rename():
    assert moved("2026-01-31T10:00:00.500000Z", 1, 0) == "2026-02-01T10:00:00.500000Z"
    assert moved("2026-01-31T23:59:59.000000Z", 0, 2.0) == "2026-02-01T00:00:01.000000Z"
    assert renamed({"a": ["alice", "bob"], "n": 1}, {"alice": "carol"}) == {"a": ["carol", "bob"], "n": 1}


def test_the_shelf_makes_once(tmp_path):
    made = []
    shelf = Shelf(tmp_path, "v1")
    for _ in range(2):
        assert shelf.get("part a/b", list[int], lambda: made.append(1) or [1, 2]) == [1, 2]
    assert made == [1]
    with pytest.raises(NotKeptError):
        Shelf(tmp_path, "v2", only_kept=True).get("part a/b", list[int], list)


def test_the_page_keeps_its_reading(tmp_path):
    told = Telling(
        events=1000, stories=[Story(5, ["a1"], "1", "mallory", "Theft"), Story(4, ["x1"], "1", "", "Nothing")]
    )
    one = quality(told, LABELS, {"a1": "1", "b1": "2", "x1": "1"})
    result = Evaluation(version="v", whole={"dev3/recorded": one})
    result.names["dev3"] = {"A": "theft", "B": "ransom"}
    result.lookalikes["dev3"] = {}
    result.costs["dev3/recorded"] = {}
    page = tmp_path / "evaluation.md"
    write_page(result, page)
    page.write_text(page.read_text().replace("*Not written yet.*", "What it means."))
    write_page(result, page)
    text = page.read_text()
    assert f"{BEGIN}\nWhat it means.\n{END}" in text
    assert "ransom" in text
    assert {bar.what for bar in bars(result)} >= {"recall at 1 false incident", "purity"}
    assert all(len(line) <= 80 for line in terminal_table(result).splitlines())
