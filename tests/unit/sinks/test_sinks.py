import io
import json
import os
import re
import threading
import time

import apprise
import pytest
from msgspec.structs import replace

from kubewake.errors import SettingsError
from kubewake.finding import Notice
from kubewake.sinks import DeliveryError, Filter, open_sink
from kubewake.sinks.change import Change
from kubewake.sinks.courier import Courier
from kubewake.sinks.jsonl import JsonLines
from kubewake.sinks.stdout import Stdout
from kubewake.sinks.words import paragraph, plain, words
from kubewake.store.state import Message, State
from tests.unit.sinks.test_change import finding, incident

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of an Apprise plugin

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
NEW = Change("new", finding(remediation=["kubectl get pod"]), ["a"])


def test_words_are_plain_and_say_what_to_do():
    said = words(NEW)
    text = paragraph(said)
    assert text.splitlines()[0] == "MEDIUM: Shell"
    assert "alice opened a shell." in text
    assert "  kubectl get pod" in text
    assert "cluster prod; rule pod-exec, f-1; audit ids a" in text
    assert words(Change("raised", finding(severity="high"))).head == "Shell (now more severe)"
    assert words(Change("new", incident())).head == "Incident: Theft"
    assert words(Change("new", Notice("n", "t", "Gap", "why"))).severity == "notice"
    many = words(Change("new", finding(audit_ids=[str(n) for n in range(9)], audit_ids_total=900)))
    assert many.foot.endswith("audit ids 0, 1, 2 and 897 more")


def test_hostile_names_cannot_drive_the_terminal():
    hostile = "a\x1b[2Jb\rc\u202ed\nE"
    assert plain(hostile) == "a\\x1b[2Jb\\x0dc\\x202ed E"
    out = io.StringIO()
    sink = Stdout("text", Filter(), out)
    sink.send([sink.render(Change("new", finding(story=hostile, audit_ids=[hostile])))])
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_stdout_prints_each_form_without_credentials(form):
    out = io.StringIO()
    sink = open_sink("stdout", form, Filter())
    sink._out = out
    body = sink.render(Change("new", finding(story=f"used token {JWT}"), ["a"]))
    assert JWT.encode() not in body
    sink.send([body])
    text = out.getvalue()
    assert JWT not in text
    if form == "jsonl":
        assert json.loads(text)["id"] == "f-1"
    else:
        assert text.startswith("\n[MEDIUM] Shell\n")


def test_what_an_incident_tells_is_one_line():
    out = io.StringIO()
    sink = Stdout("text", Filter(), out)
    sink.send([sink.render(Change("new", finding(incident="i-1")))])
    assert out.getvalue().splitlines()[-1] == "  + MEDIUM Shell: alice (2026-01-01 00:00:00 UTC; part of i-1)"


def test_what_belongs_to_an_incident_stands_below_its_name():
    out = io.StringIO()
    sink = Stdout("text", Filter(), out)
    one, two = incident(id="incident-1"), incident(id="incident-2", title="Another story")
    part_one, part_two = finding(incident=one.id), finding(incident=two.id)
    for item in (one, part_one, two, part_two, part_two, part_one, finding(), part_one, finding(incident="incident-3")):
        sink.send([sink.render(Change("new", item))])
    heads = [row for row in out.getvalue().splitlines() if (row and not row.startswith("  ")) or row.startswith("  + ")]
    assert [re.sub(r" \(.*", "", row) for row in heads] == [
        f"[HIGH] Incident: {one.title}",
        "  + MEDIUM Shell: alice",
        "[HIGH] Incident: Another story",
        "  + MEDIUM Shell: alice",
        "  + MEDIUM Shell: alice",
        f"More on {one.id[:17]}: {one.title}",
        "  + MEDIUM Shell: alice",
        "[MEDIUM] Shell",
        f"More on {one.id[:17]}: {one.title}",
        "  + MEDIUM Shell: alice",
        "Part of incident-3",
        "  + MEDIUM Shell: alice",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_narrow_terminal_keeps_names_and_commands_whole(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    command = "kubectl -n payments delete pod report-exporter-545fd867f6-wgpjv --wait=false"
    item = finding(
        title="Shell in a pod that belongs to a namespace with a long name",
        story=f"{'a-name-with-hyphens ' * 8}did it.",
        remediation=[
            f"{command}  # ends every program in it, whatever that was doing",
            "Ask the owner of the login first.",
            "# Look at it.",
        ],
    )
    out = Terminal()
    sink = Stdout("text", Filter(), out)
    sink.send([sink.render(Change("new", item)), sink.render(Change("new", replace(item, incident="i-1")))])
    rows = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert [row for row in rows if len(row) > 60] == [f"  → {command}"]
    assert not any(row.endswith("-") for row in rows)
    assert "    # ends every program in it, whatever that was doing" in rows
    assert "  → Ask the owner of the login first." in rows
    assert "  → Look at it." in rows
    assert all(row.startswith(" ") for row in rows if row and not row.startswith("Part of"))


def test_stdout_tells_when_nobody_reads():
    out = io.StringIO()
    sink = Stdout("text", Filter(), out)
    body = sink.render(NEW)
    out.close()
    with pytest.raises(DeliveryError, match="standard output"):
        sink.send([body])


def test_colour_on_terminals_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    sink = Stdout("text", Filter(), out)
    sink.send([sink.render(NEW)])
    sink.send([sink.render(Change("new", finding(incident="incident-0123456789abcdef")))])
    assert "\x1b[" in out.getvalue()
    assert "Part of incident-01234567\x1b" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    sink = Stdout("text", Filter(), out)
    sink.send([sink.render(NEW)])
    assert "\x1b[" not in out.getvalue()


def test_jsonl_appends_and_follows_rotation(tmp_path):
    path = tmp_path / "logs" / "findings.jsonl"
    sink = JsonLines(path, Filter(growth=True), fsync=True)
    sink.send([sink.render(NEW)])
    path.rename(tmp_path / "old.jsonl")
    sink.send([sink.render(Change("grown", finding(count=2), ["b"]))])
    path.unlink()
    sink.send([sink.render(NEW)])
    sink.close()
    assert json.loads((tmp_path / "old.jsonl").read_text())["type"] == "finding"
    assert json.loads(path.read_text())["audit_ids"] == ["a"]
    assert path.stat().st_mode & 0o077 == 0


def test_jsonl_does_not_repeat_what_was_written_before_a_crash(tmp_path):
    path = tmp_path / "findings.jsonl"
    sink = JsonLines(path, Filter())
    lines = [sink.render(Change("new", finding(id=f"f-{n}"))) for n in range(3)]
    sink.send(lines[:2])
    sink.close()
    with path.open("ab") as file:
        file.write(lines[2][:20])
    sink = JsonLines(path, Filter())
    sink.send(lines)
    sink.send(lines[:1])
    sink.close()
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line in lines]
    assert whole == [lines[0], lines[1], lines[2], lines[0]]


def test_jsonl_tells_a_full_disk(monkeypatch, tmp_path):
    sink = JsonLines(tmp_path / "findings.jsonl", Filter())
    monkeypatch.setattr(os, "write", lambda number, data: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DeliveryError, match="No space left"):
        sink.send([b"x\n"])
    sink.close()


def test_unusable_targets_are_named(tmp_path):
    with pytest.raises(SettingsError, match="no kind of sink"):
        open_sink("pigeon", "", Filter())
    with pytest.raises(SettingsError, match="check --out"):
        open_sink("jsonl", str(tmp_path), Filter())
    with pytest.raises(SettingsError, match="text or jsonl"):
        open_sink("stdout", "html", Filter())
    with pytest.raises(SettingsError, match="Apprise does not understand") as error:
        open_sink("apprise", "pigeon://secret-token", Filter())
    assert "secret-token" not in str(error.value)


def test_apprise_sends_plain_words(monkeypatch):
    sent = []
    monkeypatch.setattr(apprise.Apprise, "notify", lambda self, **values: sent.append(values) or True)
    sink = open_sink("apprise", "json://localhost/secret", Filter())
    assert sink.name.startswith("json-")
    assert "secret" not in sink.name
    sink.send([sink.render(Change("new", finding(story=f"used {JWT}", severity="high")))])
    assert sent[0]["title"] == "[HIGH] Shell"
    assert sent[0]["notify_type"] == "failure"
    assert "alice" not in sent[0]["title"]
    assert JWT not in sent[0]["body"]


def test_apprise_reports_refusals(monkeypatch):
    import stamina

    monkeypatch.setattr(apprise.Apprise, "notify", lambda self, **values: False)
    sink = open_sink("apprise", "json://localhost", Filter())
    stamina.set_testing(True, attempts=1)
    try:
        with pytest.raises(DeliveryError, match="did not take"):
            sink.send([sink.render(NEW)])
    finally:
        stamina.set_testing(False)


class Target:
    """A sink that fails as often as told."""

    def __init__(self, failures=0):
        self.name = "target"
        self.failures = failures
        self.got = []
        self.closed = False

    def wants(self, change):
        return True

    def render(self, change):
        return change.item.id.encode()

    def send(self, bodies):
        if self.failures:
            self.failures -= 1
            raise DeliveryError("down")
        self.got += bodies

    def close(self):
        self.closed = True


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_a_courier_delivers_in_order_and_again_after_failures(state, monkeypatch):
    import kubewake.sinks.courier as module

    monkeypatch.setattr(module, "_FIRST_DELAY_SECONDS", 0.02)
    counted = []
    target = Target(failures=2)
    courier = Courier(target, state, lambda *a: counted.append(a))
    state.record([], [Message("target", "x", b"%d" % n) for n in range(250)])
    courier.start()
    assert courier.is_idle.wait(5)
    state.record([], [Message("target", "x", b"last")])
    courier.wake()
    deadline = time.monotonic() + 5
    while b"last" not in target.got and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    courier.stop(5)
    assert target.got == [b"%d" % n for n in range(250)] + [b"last"]
    assert state.waiting() == {}
    assert counted[:3] == [("target", "failed", 100), ("target", "failed", 100), ("target", "delivered", 100)]
    assert target.closed


def test_what_a_down_target_did_not_take_is_sent_by_the_next_run(state):
    state.record([], [Message("target", "x", b"1")])
    courier = Courier(Target(failures=99), state, lambda *a: None)
    courier.start()
    threading.Event().wait(0.1)
    courier.stop(5)
    assert state.waiting() == {"target": 1}
    target = Target()
    courier = Courier(target, state, lambda *a: None)
    courier.start()
    assert courier.is_idle.wait(5)
    courier.stop(5)
    assert target.got == [b"1"]
