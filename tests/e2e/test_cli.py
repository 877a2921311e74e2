"""The command line as a stranger meets it: wrong input, closed pipes, Ctrl-C, and machines that allow little."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubewake.cli import COMMANDS, NAMES
from kubewake.demo import recording
from kubewake.errors import ExitCode

COMMAND = [sys.executable, "-m", "kubewake"]
UNWRITABLE = "/proc/sys"
"""Where not even root may create files."""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    file = tmp_path_factory.mktemp("cli") / "audit.log"
    file.write_bytes(b"\n".join(recording.lines()[:600]) + b"\n")
    return file


def kubewake(*arguments, cwd=None, drop=(), **environment):
    variables = {key: value for key, value in os.environ.items() if key not in drop} | environment
    run = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(arguments):
    run = kubewake(*arguments)
    assert run.returncode == ExitCode.CLEAN
    assert all(f"  {name} " in run.stdout for name in NAMES)
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_help_of_a_command_is_asked_for_in_either_way():
    assert kubewake("help", "scan").stdout == kubewake("scan", "--help").stdout


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_help_fits_eighty_columns(command):
    run = kubewake(command.name, "--help", COLUMNS="80", NO_COLOR="1")
    assert run.returncode == ExitCode.CLEAN
    assert "\x1b" not in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["scna"], ExitCode.USAGE, "did you mean 'scan'"),
        (["--nonsense"], ExitCode.USAGE, "--nonsense"),
        (["scan"], ExitCode.USAGE, "See `kubewake scan --help`"),
        (["scan", "LOG", "--min-severity", "hihg"], ExitCode.USAGE, 'Did you mean "high"'),
        (["scan", "LOG", "--outptu", "json"], ExitCode.USAGE, "did you mean --output?"),
        (["scan", "LOG", "--fail-on", "none"], ExitCode.USAGE, '"critical", "never"'),
        (["demo", "now"], ExitCode.USAGE, "'now' is more than the command takes"),
        (["settings", "--config", "nowhere.yml"], ExitCode.USAGE, "(No such file or directory)"),
        (["scan", "LOG", "--jobs", "-3"], ExitCode.USAGE, "--jobs is -3"),
        (["scan", "LOG", "--since", "yesterday"], ExitCode.USAGE, "6h or 2d"),
        (["scan", "LOG", "--rule", "pod-exce"], ExitCode.RULE, "did you mean 'pod-exec'"),
        (["scan", "LOG", "--out", f"{UNWRITABLE}/out.json"], ExitCode.USAGE, "cannot be written"),
        (["scan", "nowhere.log"], ExitCode.NO_INPUT, "nowhere.log: no such file"),
        (["demo", "--speed", "0"], ExitCode.USAGE, "--speed is 0"),
        (["connect", "kubeadm"], ExitCode.USAGE, "--url is missing"),
        (["rbac", "who-can", "get", "secrets"], ExitCode.USAGE, "--rbac DUMP"),
        (["rbac", "reach"], ExitCode.USAGE, "See `kubewake rbac reach --help`"),
        (["rules", "show", "pod-exce"], ExitCode.RULE, "did you mean 'pod-exec'"),
        (["incidents", "show", "i-x", "LOG"], ExitCode.USAGE, "no incident 'i-x'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_on_one_line(log, arguments, code, words):
    run = kubewake(*(log if word == "LOG" else word for word in arguments))
    assert run.returncode == code
    assert words in run.stderr
    assert run.stderr.startswith("kubewake: ")
    assert run.stderr.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_error(log):
    command = " ".join([*COMMAND, "scan", "-q", "-o", "jsonl", str(log)])
    run = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert run.stderr == ""
    assert json.loads(run.stdout)["type"]


def test_a_log_on_standard_input_of_which_the_end_never_comes_can_be_interrupted():
    process = subprocess.Popen(
        [*COMMAND, "scan", "-q", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not has_loaded_the_engine(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "kubewake: interrupted\n"
    assert out == ""


def has_loaded_the_engine(pid):
    return "re2" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def test_a_folder_of_all_sorts_is_read_and_the_rest_named(log, tmp_path):
    lines = log.read_bytes()
    (tmp_path / "plain.log").write_bytes(lines)
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "notes.log").write_text("nothing of ours\n")
    (tmp_path / "empty.log").touch()
    run = kubewake("scan", "-q", "-o", "json", "--fail-on", "never", tmp_path)
    assert run.returncode == ExitCode.CLEAN
    document = json.loads(run.stdout)
    assert document["input"]["duplicates"] > 0
    named = json.dumps(document["input"])
    assert "notes.log" in named
    assert "empty.log" in named
    assert kubewake("scan", "-q", "--strict", tmp_path).returncode == ExitCode.UNREADABLE_INPUT


def test_a_machine_without_home_cache_and_writable_folder(log):
    run = kubewake(
        "scan", "-q", "-o", "json", "--fail-on", "never", log, cwd=UNWRITABLE, drop=("HOME",), XDG_CACHE_HOME=UNWRITABLE
    )
    assert run.returncode == ExitCode.CLEAN
    assert json.loads(run.stdout)["findings"]


def test_the_exit_code_tells_whether_something_loud_was_found(log):
    assert kubewake("scan", "-q", log).returncode == ExitCode.FINDINGS
    assert kubewake("scan", "-q", "--fail-on", "never", log).returncode == ExitCode.CLEAN


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(tmp_path, shell):
    script = tmp_path / "completion"
    run = kubewake("--install-completion", "--shell", shell, "--output", script, HOME=str(tmp_path))
    assert run.returncode == ExitCode.CLEAN, run.stderr
    text = script.read_text()
    assert all(name in text for name in NAMES)
