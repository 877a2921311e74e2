"""`kubewake incidents`, as a person runs it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kubewake.__main__ import answer
from kubewake.demo import recording
from kubewake.errors import ExitCode
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered


@pytest.fixture
def saved(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(rendered("json", sample.small()))
    return str(file)


def test_lists_what_a_saved_result_holds(saved, capsys):
    assert answer(["incidents", "list", saved]) == ExitCode.CLEAN
    (line,) = capsys.readouterr().out.splitlines()
    incident = sample.small().incidents[0]
    assert line.split("\t") == [
        incident.id, "critical", "9.4", "2026-11-23T07:13:21.325498Z", "prod-eu", incident.title,
    ]  # fmt: skip


def test_lists_as_json(saved, capsys):
    assert answer(["incidents", "list", "-o", "json", saved]) == ExitCode.CLEAN
    assert json.loads(capsys.readouterr().out)["id"] == sample.small().incidents[0].id


@pytest.mark.parametrize("name", ["1", "incident-0000000000000001", "incident-00", "0000"])
def test_shows_one_by_number_id_or_its_beginning(saved, capsys, name):
    assert answer(["incidents", "show", name, saved]) == ExitCode.CLEAN
    text = capsys.readouterr().out
    for words in (
        "What happened     Mallory@shop.example",
        "Why it matters    Logins are in the wrong hands.",
        "07:13:21 mallory@shop.example ran commands inside web-0",
        "follows: the token of pod shop/web-0 was used",
        "(context: normal, not part of the attack)",
        "allowed by: RoleBinding web gives",
        "can read every secret of the cluster",
        "      kubectl -n shop delete pod web-0\n",
        "Evidence: 5 Audit-IDs",
        "a-5",
    ):
        assert words in " ".join(text.split()) or words in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("form", ["dot", "json", "svg"])
def test_draws_the_graph(saved, capsys, form):
    assert answer(["incidents", "show", "1", "--graph", form, saved]) == ExitCode.CLEAN
    text = capsys.readouterr().out
    if form == "dot":
        assert text.startswith("digraph incident {")
    elif form == "json":
        assert {node["kind"] for node in json.loads(text)["nodes"]} >= {"identity", "pod"}
    else:
        assert ET.fromstring(text).get("role") == "img"


def test_shows_as_json_with_the_findings(saved, capsys):
    assert answer(["incidents", "show", "1", "-o", "json", saved]) == ExitCode.CLEAN
    whole = json.loads(capsys.readouterr().out)
    assert [finding["id"] for finding in whole["findings"]] == whole["incident"]["findings"]


def test_scans_a_log(tmp_path, capsys):
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join(recording.lines()[:1500]) + b"\n")
    assert answer(["incidents", "list", "--cluster", "prod-eu", str(log)]) == ExitCode.CLEAN
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.split("\t")[4] == "prod-eu" for line in lines)
    assert answer(["incidents", "show", "1", str(log)]) == ExitCode.CLEAN
    assert "Timeline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda text: text[:500], ExitCode.NO_INPUT, "cannot be read"),
        (lambda text: text.replace("result/1", "result/2"), ExitCode.NO_INPUT, "kubewake.result/2"),
    ],
)
def test_says_why_a_result_cannot_be_read(tmp_path, capsys, change, code, words):
    file = tmp_path / "result.json"
    file.write_text(change(rendered("json", sample.small())))
    assert answer(["incidents", "list", str(file)]) == code
    assert words in capsys.readouterr().err


def test_says_which_incidents_there_are(saved, capsys):
    assert answer(["incidents", "show", "nope", saved]) == ExitCode.USAGE
    assert "there is no incident 'nope'; there are 1" in capsys.readouterr().err
    assert answer(["incidents", "list", saved, saved]) == ExitCode.USAGE
    assert "give it alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "RESULT"], ExitCode.USAGE, "name the incident first, as in `1 RESULT`"),
        (["verdict", "RESULT", "--benign"], ExitCode.USAGE, "name the incident first"),
        (["show", "1", "QUIET"], ExitCode.USAGE, "there is no incident '1', and no other"),
        (["list", "LINES"], ExitCode.NO_INPUT, "a line that kubewake printed"),
        (["list", "EMPTY"], ExitCode.NO_INPUT, "an empty file"),
    ],
)
def test_what_a_stranger_gets_wrong(saved, tmp_path, capsys, arguments, code, words):
    files = {
        "RESULT": saved,
        "QUIET": str(tmp_path / "quiet.log"),
        "LINES": str(tmp_path / "lines.jsonl"),
        "EMPTY": str(tmp_path / "empty.log"),
    }
    Path(files["QUIET"]).write_bytes(recording.lines()[0] + b"\n")
    Path(files["LINES"]).write_text(rendered("jsonl", sample.small()))
    Path(files["EMPTY"]).write_text("")
    assert answer(["incidents", *(files.get(word, word) for word in arguments)]) == code
    said = capsys.readouterr().err
    assert words.replace("RESULT", saved) in said
