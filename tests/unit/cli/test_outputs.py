"""`kubewake scan -o NAME`, for every output."""

import json

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


@pytest.mark.parametrize("name", ["jsonl", "html"])
@pytest.mark.parametrize("path", ["audit.log", ".", "*.log"])
def test_a_log_is_not_overwritten_with_its_own_result(log, tmp_path, monkeypatch, capsys, name, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit.log").write_bytes(log.read_bytes())
    assert answer(["scan", "-q", "-o", name, path, "--out", str(tmp_path / "audit.log")]) == ExitCode.USAGE
    assert "among those to be read" in capsys.readouterr().err
    assert (tmp_path / "audit.log").read_bytes() == log.read_bytes()


def scanned(log, capsys, *flags):
    code = answer(["scan", "-q", "-o", "json", str(log), *flags])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "flags",
    [
        ["-n", "payments"],
        ["-n", "nowhere"],
        ["--user", "system:serviceaccount:platform:tenant-operator"],
        ["--rule", "role-wildcard-on-existing"],
        ["--rule", "effective-cluster-admin"],
        ["--min-severity", "critical"],
        ["--audience", "everyone"],
    ],
)
def test_what_was_asked_for_is_all_there_is(log, capsys, flags):
    whole = scanned(log, capsys)[1]
    assert whole["incidents"]
    code, found = scanned(log, capsys, *flags)
    kept = {finding["id"] for finding in found["findings"]}
    asks = {
        "-n": lambda finding: finding["target"]["namespace"] == flags[1],
        "--user": lambda finding: finding["actor"]["name"] == flags[1],
        "--rule": lambda finding: finding["rule"] == flags[1],
        "--min-severity": lambda finding: finding["severity"] == flags[1],
        "--audience": lambda finding: finding["audience"] == flags[1],
    }[flags[0]]
    assert kept == {finding["id"] for finding in whole["findings"] if asks(finding)}
    assert sum(found["summary"]["findings"].values()) == len(kept)
    assert sum(found["summary"]["incidents"].values()) == len(found["incidents"])
    if flags[0] in {"-n", "--user", "--rule"}:
        assert {item["id"] for item in whole["incidents"] if not kept.isdisjoint(item["findings"])} == {
            item["id"] for item in found["incidents"]
        }
    loud = {"high", "critical"}
    everyone = [finding for finding in found["findings"] if finding["audience"] == "everyone"]
    assert code == int(any(item["severity"] in loud for item in everyone + found["incidents"]))
    lines = answer(["scan", "-q", "-o", "jsonl", str(log), *flags]), capsys.readouterr().out.splitlines()
    told = [json.loads(line) for line in lines[1]]
    assert {line["id"] for line in told if line["type"] == "finding"} == kept
    assert {line["id"] for line in told if line["type"] == "incident"} == {item["id"] for item in found["incidents"]}


TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.mark.parametrize("name", sorted(names()))
def test_credentials_in_names_programs_and_commands_leave_in_no_output(tmp_path, name):
    stamp = "2026-11-23T07:13:21.{:06d}Z"
    pod = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0", "apiVersion": "v1"}
    secret = {"resource": "secrets", "namespace": "shop", "name": TOKEN, "apiVersion": "v1"}
    command = "/api/v1/namespaces/shop/pods/web-0/exec?command=sh&command=-c&command="
    requests = [
        {"verb": "create", "requestURI": f"{command}echo+hunter2+%7C+sudo+-S+id", "objectRef": pod},
        {"verb": "create", "requestURI": f"{command}cat+%2Fetc%2Fshadow", "objectRef": pod, "userAgent": f"x {TOKEN}"},
        {"verb": "get", "requestURI": f"/api/v1/namespaces/shop/secrets/{TOKEN}", "objectRef": secret},
        {
            "verb": "list",
            "requestURI": "/api/v1/secrets",
            "objectRef": {"resource": "secrets"},
            "user": {"username": TOKEN},
        },
    ]
    events = [
        {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"a-{number}",
            "stage": "ResponseComplete", "user": {"username": "mallory", "groups": ["system:authenticated"]},
            "sourceIPs": ["198.51.100.7"], "userAgent": "curl/8.5.0", "responseStatus": {"code": 200},
            "requestReceivedTimestamp": stamp.format(number), "stageTimestamp": stamp.format(number),
            "annotations": {"authorization.k8s.io/decision": "allow"}, **request,
        }
        for number, request in enumerate(requests)
    ]  # fmt: skip
    log, out = tmp_path / "audit.log", tmp_path / "out"
    log.write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    answer(["scan", "-q", "-o", name, "--audience", "auditor", "--cluster", "prod", "--out", str(out), str(log)])
    written = "".join(out.read_text(encoding="utf-8").split())
    assert "prod" in written
    assert "hunter2" not in written
    assert not any(part in written for part in TOKEN.split("."))
