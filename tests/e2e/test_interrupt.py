"""Ctrl-C while several processes read: a terminal sends it to all of them, and none may hang or complain."""

import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

EVENT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods",
    "verb": "list",
    "user": {"username": "jane", "groups": ["system:authenticated"]},
    "sourceIPs": ["10.0.0.9"],
    "userAgent": "kubectl/v1.34.0",
    "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-05-04T10:00:00.000000Z",
    "stageTimestamp": "2026-05-04T10:00:00.000000Z",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "audit.jsonl"
    line = msgspec.json.encode({**EVENT, "auditID": "%08d"}) + b"\n"
    with path.open("wb") as file:
        for number in range(400_000):
            file.write(line.replace(b"%08d", b"%08d" % number))
    return path


@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.1])
def test_ctrl_c_ends_all_processes_of_a_scan(log, seconds):
    scan = subprocess.Popen(
        [sys.executable, "-m", "kubewake", "scan", "-q", "-j", "2", "-o", "json", str(log)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(scan.pid, signal.SIGINT)
    try:
        error = scan.communicate(timeout=30)[1].decode()
    finally:
        ended = _has_ended(scan.pid)
        if not ended:
            os.killpg(scan.pid, signal.SIGKILL)
    assert scan.returncode == 130
    assert error == "kubewake: interrupted\n"
    assert ended


def _has_ended(group):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_who_ends_the_first_process_ends_all_and_no_file_stays(log, tmp_path, number, code):
    scan = subprocess.Popen(
        [sys.executable, "-m", "kubewake", "scan", "-q", "-j", "2", "-o", "json", str(log)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        until = time.monotonic() + 30
        while not list(tmp_path.glob("kubewake-read-*/*.begun")) and time.monotonic() < until:
            time.sleep(0.01)
        scan.send_signal(number)
        assert scan.wait(timeout=30) == code
        assert _has_ended(scan.pid)
    finally:
        if not _has_ended(scan.pid):
            os.killpg(scan.pid, signal.SIGKILL)
    assert not list(tmp_path.glob("kubewake-read-*"))


LOST = """
import os, signal, sys, time, weakref
from kubewake import __main__ as command

class Thing: pass

def run(arguments):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.NAME))
    del thing
    try:
        time.sleep(20)
    finally:
        time.sleep(1)
        sys.stderr.write("in order\\n")

command.answer = run
command.main()
"""
"""A command in which a signal falls into a callback whose exceptions Python drops."""


def _run_lost(tmp_path, code, name="SIGINT"):
    (tmp_path / "lost.py").write_text(code.replace("NAME", name), encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "lost"], capture_output=True, timeout=15, check=False, cwd=tmp_path)


@pytest.mark.parametrize(
    ("name", "code", "text"), [("SIGINT", 130, b"in order\nkubewake: interrupted\n"), ("SIGTERM", 143, b"in order\n")]
)
def test_a_signal_that_python_drops_arrives_and_what_ends_in_order_is_left_to(tmp_path, name, code, text):
    ended = _run_lost(tmp_path, LOST, name)
    assert (ended.returncode, ended.stderr) == (code, text)


def test_ctrl_c_in_a_text_that_python_runs_ends_with_the_same_code(tmp_path):
    ended = _run_lost(tmp_path, LOST.replace("time.sleep(20)", "exec('time.sleep(20)')"))
    assert (ended.returncode, ended.stderr) == (130, b"in order\nkubewake: interrupted\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_ignored_signal_stays_ignored(tmp_path, name):
    ignore = "import signal; signal.signal(signal.NAME, signal.SIG_IGN); "
    ended = _run_lost(tmp_path, ignore + LOST.replace("sleep(20)", "sleep(1)"), name)
    assert (ended.returncode, ended.stderr) == (0, b"in order\n")
