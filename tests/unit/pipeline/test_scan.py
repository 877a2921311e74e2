import json
import subprocess
import sys

import pytest

from kubewake.cli.scan import scan as scan_command
from kubewake.demo import recording
from kubewake.detectors.effective_admin import EffectiveAdmin
from kubewake.finding import Incident
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource
from tests.e2e.server import exec_event

AZURE = "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read"


def azure(*categories):
    records = [
        {"category": name, "operationName": AZURE, "time": "2026-01-01T00:00:00Z", "properties": {"log": "I0101 text"}}
        for name in categories
    ]
    return json.dumps({"records": records}) + "\n"


@pytest.fixture
def logs(tmp_path):
    """A native log; one of Azure with two records of other categories; one of Rancher, twelve lines."""
    entry = {"auditID": "x", "requestURI": "/v3/users", "method": "GET", "requestTimestamp": "2026-01-01T00:00:00Z"}
    (tmp_path / "audit.log").write_text(json.dumps(exec_event(1)) + "\n")
    (tmp_path / "azure.json").write_text(azure("kube-scheduler", "guard"))
    (tmp_path / "rancher.json").write_text((json.dumps(entry) + "\n") * 12)
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_skipped_is_counted_by_reason(logs, workers):
    document = scan(FileSource([str(logs)]).chunks(), Knowledge(), workers=workers)
    assert document.input.skipped_reasons == {"another Azure log category": 2}
    assert document.input.skipped == 2


def test_the_command_tells_what_was_skipped_and_what_files_were_read_as(logs):
    def run(form):
        command = [sys.executable, "-m", "kubewake", "scan", "-o", form, "--fail-on", "never", "."]
        return subprocess.run(command, cwd=logs, capture_output=True, text=True, check=True).stdout

    table = " ".join(run("table").split())
    assert "2 records skipped: another Azure log category" in table
    assert "rancher.json read as: Rancher API audit log (not supported), one a line" in table
    assert "impersonation by cattle-system (12 like this)" in table
    told = json.loads(run("json"))["input"]
    assert told["skipped_reasons"] == {"another Azure log category": 2}
    assert {file.rpartition("/")[2]: kind for file, kind in told["recognised"].items()} == {
        "audit.log": "Kubernetes audit event, one a line",
        "azure.json": "a list of cloud records, one a line",
        "rancher.json": "Rancher API audit log (not supported), one a line",
    }


def test_a_detector_that_fails_is_a_notice_and_told_once(logs, monkeypatch, capsys):
    def broken(self, stub):
        raise LookupError("secret of the log")

    monkeypatch.setattr(EffectiveAdmin, "observe", broken)
    monkeypatch.setattr(EffectiveAdmin, "resources", None)
    monkeypatch.setattr(EffectiveAdmin, "wants", None)
    document = scan(FileSource([str(logs)]).chunks(), Knowledge())
    title = f"Part of the engine failed: {EffectiveAdmin.infos[0].id}"
    [notice] = [notice for notice in document.notices if notice.title == title]
    assert "LookupError" in notice.detail
    assert "test_scan.py:" in notice.detail
    assert [finding.rule for finding in document.findings if finding.rule == "pod-exec"] == ["pod-exec"]
    scan_command([str(logs)], output="jsonl", fail_on="never", quiet=True)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in told if line.get("title") == title] == [notice.id]
    assert "secret of the log" not in str(told)


def test_the_result_is_the_same_whether_or_not_somebody_listens(tmp_path):
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(line + b"\n" for line in recording.lines()))
    told = []
    heard = scan(FileSource([str(log)]).chunks(), Knowledge(), on_change=told.extend)
    unheard = scan(FileSource([str(log)]).chunks(), Knowledge())
    assert any(isinstance(item, Incident) for item in told)
    assert any(finding.incident for finding in unheard.findings)
    assert list(unheard.findings) == list(heard.findings)
    assert unheard.incidents == heard.incidents
    assert unheard.notices == heard.notices


def test_what_is_to_say_of_lists_stands_under_fitting_titles(logs, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "notes.md").write_text("nothing")
    (lists / "malicous.txt").write_text("198.18.7.7\n")
    document = scan(FileSource([str(logs / "audit.log")]).chunks(), Knowledge(intelligence=lists))
    assert {"A file is not taken for a list", "A rule, exception or list is not in force"} <= {
        notice.title for notice in document.notices
    }
