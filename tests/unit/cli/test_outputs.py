"""`kubewake scan -o NAME`, for every output."""

import msgspec
import pytest

from kubewake.__main__ import answer
from kubewake.demo import recording
from kubewake.errors import ExitCode
from kubewake.reports import names


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    file = tmp_path_factory.mktemp("outputs") / "audit.log"
    file.write_bytes(b"\n".join(recording.lines()[:600]) + b"\n")
    return file


@pytest.mark.parametrize("name", sorted(names()))
def test_scan_writes_every_output(log, tmp_path, name):
    out = tmp_path / f"out.{name}"
    code = answer(["scan", "-q", "-o", name, "--cluster", "prod-eu", "--out", str(out), str(log)])
    assert code == ExitCode.FINDINGS
    assert "prod-eu" in out.read_text(encoding="utf-8")


def test_an_unknown_output_is_answered_with_the_known_ones(log, capsys):
    assert answer(["scan", "-q", "-o", "xml", str(log)]) == ExitCode.USAGE
    words = capsys.readouterr().err
    assert all(name in words for name in names())


@pytest.mark.parametrize("name", sorted(names()))
def test_input_without_events_is_said_on_standard_error_too(tmp_path, capsys, name):
    file = tmp_path / "audit.log"
    file.write_text('{"a": 1}\n', encoding="utf-8")
    assert answer(["scan", "-q", "-o", name, str(file)]) == ExitCode.NO_INPUT
    said = capsys.readouterr().err
    assert "no audit events" in said
    assert f"{file}:1" in said


def test_strict_names_what_could_not_be_read(log, tmp_path, capsys):
    (tmp_path / "audit.log").write_bytes(log.read_bytes() + b"{broken\n{again\n")
    assert answer(["scan", "-q", "--strict", "-o", "json", str(tmp_path)]) == ExitCode.UNREADABLE_INPUT
    said = capsys.readouterr().err
    assert said.startswith("kubewake: --strict: ")
    assert "2 such pieces" in said


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_out_replaces_what_the_file_held(log, tmp_path, name):
    out = tmp_path / "out"
    out.write_text("of yesterday", encoding="utf-8")
    answer(["scan", "-q", "-o", name, "--out", str(out), str(log)])
    assert out.read_text(encoding="utf-8").startswith("{")


def test_a_report_outlives_a_scan_that_fails(tmp_path):
    out = tmp_path / "out.html"
    out.write_text("of yesterday", encoding="utf-8")
    (tmp_path / "bad.yml").write_text("title: no rule\n", encoding="utf-8")
    (tmp_path / "empty.log").touch()
    arguments = ["--rules", str(tmp_path / "bad.yml"), str(tmp_path / "empty.log")]
    assert answer(["scan", "-q", "-o", "html", "--out", str(out), *arguments]) == ExitCode.RULE
    assert out.read_text(encoding="utf-8") == "of yesterday"


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("flag", "findings_there", "incidents_there"),
    [
        ("--namespace=nosuch", False, False),
        ("--namespace=payments", True, False),
        ("--namespace=platform", False, True),
        ("--user=system:serviceaccount:platform:tenant-operator", True, True),
        ("--user=nobody", False, False),
    ],
)
def test_what_was_asked_for_narrows_findings_and_incidents(log, tmp_path, form, flag, findings_there, incidents_there):
    out = tmp_path / "out"
    answer(["scan", str(log), flag, "-o", form, "--out", str(out), "--fail-on", "never"])
    text = out.read_bytes()
    if form == "json":
        result = msgspec.json.decode(text)
        findings, incidents = result["findings"], result["incidents"]
    else:
        lines = [msgspec.json.decode(line) for line in text.splitlines()]
        findings, incidents = ([line for line in lines if line["type"] == kind] for kind in ("finding", "incident"))
    assert (bool(findings), bool(incidents)) == (findings_there, incidents_there)
