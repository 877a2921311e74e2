import json
import threading
import time

import pytest

from kubewake.baseline import Baseline
from kubewake.detectors.effective_admin import EffectiveAdmin
from kubewake.engine import News, Reader
from kubewake.errors import StoreError
from kubewake.finding import Notice
from kubewake.metrics import Metrics
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.following import Following
from kubewake.pipeline.judge import Judge
from kubewake.pipeline.ledger import Ledger
from kubewake.pipeline.serve import Service
from kubewake.settings import Settings
from kubewake.sinks.change import Filter
from kubewake.sinks.jsonl import JsonLines
from kubewake.sources.follow import Follower
from kubewake.store.spool import Spool
from kubewake.store.state import State
from tests.e2e.server import exec_event
from tests.unit.sinks.test_change import finding, incident

RULE = """
title: Shell
id: 7f0c6d8e-9d7b-4a58-b1a4-0a5ad7f4a001
name: shell
status: test
description: A shell.
author: test
date: 2026-01-01
logsource: {product: kubernetes, service: audit}
detection:
  selection: {objectRef.subresource: exec}
  condition: selection
falsepositives: [none]
level: high
tags: [attack.execution, attack.t1609]
kubewake:
  covers: [pod-exec]
  confidence: high
  audience: everyone
  needs: Metadata
  story: "{actor} opened a shell."
  remediation: ["ask {actor}"]
"""


class Room:
    """A judge with its spool, state and one sink, on disk, that can be left and entered again."""

    def __init__(self, folder, **options):
        self.folder = folder
        rules = folder / "rules" / "execution"
        rules.mkdir(parents=True, exist_ok=True)
        (rules / "shell.yml").write_text(RULE)
        self.metrics = Metrics("test")
        self.state = State(folder / "state.db")
        self.spool = Spool(folder / "spool.db", 10**8)
        self.sink = JsonLines(folder / "out.jsonl", Filter(growth=True))
        self.told = 0
        self.ledger = Ledger(self.state, [self.sink], self.metrics, self._told)
        self.judge = Judge(
            self.spool, self.state, Knowledge(rule_paths=(folder / "rules",), builtin=False), self.ledger, self.metrics,
            **{"lateness_seconds": 30, "snapshot_seconds": 1000.0, "spool_max_bytes": 10**8, **options},
        )  # fmt: skip

    def _told(self):
        self.told += 1

    def add(self, *events):
        body = b"\n".join(json.dumps(event).encode() for event in events)
        self.spool.append("webhook", "prod", body, file="webhook:prod").result(5)

    def step(self):
        assert self.judge._step()

    def reload(self):
        """What was read is taken with the next step."""
        self.judge.reload()
        self.step()
        assert self.judge._loading.wait(lambda: False)

    def everything(self):
        return [json.loads(message.body) for message in self.state.due("jsonl", time.time(), 1000)]

    def messages(self):
        """Without incidents, whose own tests are elsewhere."""
        return [message for message in self.everything() if message["type"] != "incident"]

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels)

    def leave(self):
        """As kill -9 does: nothing is saved."""
        self.spool.close()
        self.state.close()
        self.sink.close()


@pytest.fixture
def enter(tmp_path, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.ledger._GROWTH_SECONDS", 0.0)
    rooms = []

    def make(**options):
        rooms.append(Room(tmp_path, **options))
        return rooms[-1]

    yield make
    rooms[-1].leave()


def test_findings_are_recorded_with_their_messages(enter):
    room = enter()
    room.add(exec_event(1), exec_event(2, "bob"), 5)
    room.step()
    assert [(m["rule"], m["actor"]["name"], m["count"]) for m in room.messages()] == [
        ("shell", "alice", 1),
        ("shell", "bob", 1),
    ]
    assert {item.kind for item in room.state.all_items("finding")} == {"finding"}
    assert room.value("kubewake_findings_total", rule="shell", severity="high") == 2
    assert room.value("kubewake_events_dropped_total", reason="malformed") == 1
    assert room.value("kubewake_events_total", source="webhook", stage="judged") == 2


def test_after_a_crash_nothing_is_told_twice_and_growth_goes_on(enter):
    room = enter()
    room.add(exec_event(1))
    room.step()
    room.judge.save()
    room.add(exec_event(2))
    room.add(exec_event(3, "bob"))
    room.step()
    before = room.messages()
    everything = room.everything()
    assert [message["type"] for message in before] == ["finding"] * 3
    room.leave()
    room = enter()
    assert room.spool.read(0, 99)[0].sequence > 1  # what the snapshot covers was released
    room.step()
    assert room.everything() == everything
    room.add(exec_event(4))
    room.add(exec_event(1), exec_event(2))
    room.step()
    added = room.messages()[len(before) :]
    assert [message["audit_ids_added"] for message in added] == [[exec_event(4)["auditID"]]]
    assert added[0]["count"] == 3
    assert room.value("kubewake_events_dropped_total", reason="duplicate") == 2


def test_after_a_crash_an_incident_is_not_told_again_on_its_way_to_what_it_was(enter, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.judge._GROUP_BODIES", 1)
    grown = [
        incident(score=5.0, audit_ids=["a"]),
        incident(score=9.0, audit_ids=["0", "a"], severity="critical"),
        incident(score=9.5, audit_ids=["0", "a", "b"], severity="critical"),
    ]

    def judge(room, states):
        for state in states:
            monkeypatch.setattr(room.judge._fold, "advance", lambda state=state: News([state]))
            room.step()

    room = enter()
    for number in (1, 2):
        room.add(exec_event(number))
    judge(room, grown[:2])
    assert [line.get("audit_ids_added", line.get("audit_ids")) for line in room.everything()] == [["a"], ["0"]]
    room.leave()
    room = enter()
    monkeypatch.setattr(room.judge._fold, "settle", News)
    room.add(exec_event(3))
    judge(room, grown[:2])
    assert len(room.everything()) == 2
    judge(room, grown[2:])
    assert room.everything()[2]["audit_ids_added"] == ["b"]


def test_an_event_that_breaks_read_is_kept_and_the_rest_judged(enter, monkeypatch):
    room = enter()
    read = Reader.read

    def broken(self, batches):
        found = list(batches)
        if any(event.user and event.user.username == "breaker" for batch in found for event in batch.events):
            raise ZeroDivisionError("boom")
        return read(self, found)

    monkeypatch.setattr(Reader, "read", broken)
    room.add(exec_event(1), exec_event(2, "bob"), exec_event(3, "breaker"), exec_event(4, "carol"))
    room.step()
    assert {message["actor"]["name"] for message in room.messages()} == {"alice", "bob", "carol"}
    assert {message["locations"][0]["line"] for message in room.messages()} == {1, 2, 4}
    assert room.value("kubewake_events_dropped_total", reason="engine_error") == 1
    assert room.spool._reader.execute("SELECT reason FROM rejected").fetchall() == [("ZeroDivisionError: boom",)]


def test_a_body_that_breaks_fold_does_not_stop_the_next(enter, monkeypatch):
    room = enter()
    advance = room.judge._fold.advance
    failures = [ZeroDivisionError("boom")]

    def broken():
        found = advance()
        if failures:
            raise failures.pop()
        return found

    monkeypatch.setattr(room.judge._fold, "advance", broken)
    room.add(exec_event(1))
    room.add(exec_event(2, "bob"))
    room.step()
    assert [message["actor"]["name"] for message in room.messages()] == ["bob"]
    assert room.judge.failed_bodies == 1


def test_a_detector_that_fails_costs_no_event_and_is_told_once(enter, monkeypatch):
    observe = EffectiveAdmin.observe

    def broken(self, stub):
        if stub.user == "alice":
            raise LookupError("secret of the log")
        return observe(self, stub)

    monkeypatch.setattr(EffectiveAdmin, "observe", broken)
    monkeypatch.setattr(EffectiveAdmin, "wants", None)
    monkeypatch.setattr(EffectiveAdmin, "resources", None)
    room = enter()
    room.add(exec_event(1), exec_event(2, "bob"))
    room.add(exec_event(3), exec_event(4, "carol"))
    room.step()
    opened = [message for message in room.messages() if "actor" in message]
    assert {message["actor"]["name"] for message in opened} == {"alice", "bob", "carol"}
    [notice] = [message for message in room.messages() if message["type"] == "notice"]
    name = EffectiveAdmin.infos[0].id
    assert name in notice["title"]
    assert "LookupError" in notice["detail"]
    assert "secret of the log" not in str(room.everything())
    assert room.value("kubewake_part_failures_total", part=name, error="LookupError") == 2
    assert room.judge.failed_bodies == 0
    room.reload()
    room.add(exec_event(5))
    room.step()
    assert room.value("kubewake_part_failures_total", part=name, error="LookupError") == 3
    assert len([message for message in room.messages() if message["type"] == "notice"]) == 1


@pytest.mark.parametrize("way", ["save", "reload"])
def test_a_part_that_cannot_be_saved_is_told_and_the_rest_is_saved(enter, monkeypatch, way):
    def broken(self):
        raise LookupError("secret of the log")

    room = enter()
    room.add(exec_event(1))
    room.step()
    monkeypatch.setattr(Baseline, "snapshot", broken)
    {"save": room.judge.save, "reload": room.reload}[way]()
    room.add(exec_event(2))
    room.step()
    [notice] = [message for message in room.messages() if message["type"] == "notice"]
    assert "baseline" in notice["title"]
    assert room.value("kubewake_part_failures_total", part="baseline", error="LookupError") == 1
    assert room.messages()[-1]["count"] == 2


def test_a_snapshot_that_does_not_fit_starts_windows_anew_and_says_so(enter):
    room = enter()
    room.add(exec_event(1))
    room.step()
    room.judge.save()
    room.state.save("engine", b"from another version", {"spool": b"1"}, 0.0)
    room.leave()
    room = enter()
    room.add(exec_event(2))
    room.step()
    assert [message["type"] for message in room.messages()][-2:] == ["notice", "finding"]


def test_a_spool_that_was_replaced_is_judged_from_its_beginning(enter):
    room = enter()
    for number in range(3):
        room.add(exec_event(number))
    room.step()
    room.judge.save()
    room.leave()
    for path in room.folder.glob("spool.db*"):
        path.unlink()
    room = enter()
    room.add(exec_event(7, "bob"))
    room.step()
    assert room.messages()[-1]["actor"]["name"] == "bob"


def test_a_full_disk_makes_judging_wait_and_loses_nothing(enter, monkeypatch):
    room = enter()
    record = room.state.record
    failures = [StoreError("disk full")] * 2

    def failing(*arguments, **named):
        if failures:
            raise failures.pop()
        record(*arguments, **named)

    monkeypatch.setattr(room.state, "record", failing)
    monkeypatch.setattr("kubewake.pipeline.judge._RETRY_SECONDS", 0.01)
    room.add(exec_event(1))
    room.step()
    assert len(room.messages()) == 1
    assert room.judge.progress.failure == ""


def test_a_failure_to_judge_in_order_does_not_end_judging(enter, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.judge._RETRY_SECONDS", 0.01)
    room = enter(lateness_seconds=0)
    room.add(exec_event(1))
    room.step()
    with monkeypatch.context() as broken:
        broken.setattr(room.judge._fold, "settle", lambda: 1 / 0)
        room.step()
    assert room.value("kubewake_part_failures_total", part="order", error="ZeroDivisionError") == 1
    room.add(exec_event(2, "bob"))
    room.step()
    room.step()

    assert {message["actor"]["name"] for message in room.messages()} == {"alice", "bob"}
    assert room.judge.is_settled


def test_what_could_not_be_told_before_the_end_is_judged_again(enter, monkeypatch):
    room = enter()

    def failing(*_arguments, **_named):
        raise StoreError("disk full")

    room.add(exec_event(1))
    with monkeypatch.context() as full:
        full.setattr(room.state, "record", failing)
        full.setattr("kubewake.pipeline.judge._RETRY_SECONDS", 0.01)
        room.judge.start()
        room.judge.stop(0.1)
    assert room.state.snapshot("engine") is None
    room.leave()

    room = enter()
    room.step()

    assert [message["actor"]["name"] for message in room.messages()] == ["alice"]


def test_run_saves_at_the_end_and_reports_lag(enter):
    room = enter()
    room.add(*[exec_event(n) for n in range(50)])
    room.judge.start()
    room.judge.wake()
    room.judge.stop(10)
    assert room.state.snapshot("engine").cursors["spool"] == b"1"
    assert room.judge.lag_seconds == 0.0
    assert not room.judge.is_alive


def test_snapshots_come_by_time(enter):
    room = enter(snapshot_seconds=0.0001)
    room.add(exec_event(1))
    time.sleep(0.001)
    room.step()
    assert room.state.snapshot("engine") is not None


def test_wrong_rules_at_reload_keep_the_old_ones(enter):
    room = enter()
    (room.folder / "rules" / "execution" / "shell.yml").write_text("title: broken\n")
    room.reload()
    room.add(exec_event(1))
    room.step()
    assert len(room.messages()) == 1
    (room.folder / "rules" / "execution" / "shell.yml").write_text(RULE)


def test_judging_goes_on_while_rules_and_lists_are_read(enter, monkeypatch):
    room = enter()
    may_end = threading.Event()
    load = Knowledge.load

    def slow(self, **options):
        may_end.wait(10)
        return load(self, **options)

    monkeypatch.setattr(Knowledge, "load", slow)
    room.judge.reload()
    room.step()
    old = room.judge._fold
    room.add(exec_event(1))
    room.step()
    assert len(room.messages()) == 1
    assert room.judge._fold is old
    may_end.set()
    assert room.judge._loading.wait(lambda: False)
    room.step()
    assert room.judge._fold is not old


def test_what_does_not_hold_is_taken_back_and_its_heir_is_no_news(enter):
    room = enter()
    gone, alone = incident(event_keys=["1", "2"]), incident(id="i-9", event_keys=["7"])
    heir = incident(id="i-2", event_keys=["2", "3"])
    room.ledger.record([gone, alone])
    begun = len(room.everything())

    room.ledger.record([heir], withdrawn=[gone, alone, incident(id="never-told")])

    assert [(m["id"], m.get("withdrawn"), m.get("replaced_by"), "story" in m) for m in room.everything()[begun:]] == [
        ("i-1", True, "i-2", False),
        ("i-9", True, None, False),
        ("i-2", None, None, True),
    ]
    assert [item.id for item in room.state.all_items("incident")] == ["i-2"]
    assert room.value("kubewake_withdrawn_total", kind="incident") == 2
    assert room.value("kubewake_incidents_total", severity="high") == 2


@pytest.mark.parametrize("way", ["save", "kill", "replaced spool", "foreign state"])
def test_a_restart_takes_nothing_back_that_holds(enter, monkeypatch, way):
    """One finding is final since a minute ago, one still open, when kubewake ends."""
    monkeypatch.setattr("kubewake.pipeline.judge._GROUP_BODIES", 1)
    room = enter(lateness_seconds=0)
    for seconds, user in ((300, "alice"), (3_800, "alice"), (3_950, "bob"), (4_300, "carol"), (4_310, "dora")):
        room.add(exec_event(100 * seconds, user))
        room.step()
        if seconds == 4_300 and way != "kill":
            room.judge.save()
    if way == "foreign state":
        room.state.save("engine", b"from another version", {"spool": b"4"}, 0.0)
    told = {message["id"] for message in room.messages()}
    room.leave()
    if way == "replaced spool":
        for path in room.folder.glob("spool.db*"):
            path.unlink()

    room = enter(lateness_seconds=0)
    room.add(exec_event(100 * 5_000, "eve"))
    for _ in range(7):
        room.step()

    assert room.judge.is_settled
    assert not [message for message in room.messages() if message.get("withdrawn")]
    assert told < {item.id for item in room.state.all_items("finding")} | {
        message["id"] for message in room.messages() if message["type"] == "notice"
    }


def test_what_was_never_heard_of_is_news_though_it_stands_for_something_withdrawn(enter):
    room = enter()
    quiet = finding(id="f-1", incident="i-1", explain={"group": ["x"]})
    room.ledger.record([quiet])

    room.ledger.record([finding(id="f-2", explain={"group": ["x"]})], withdrawn=[quiet])

    assert room.value("kubewake_findings_total", rule="pod-exec", severity="medium") == 2


def test_what_only_grows_is_told_once_in_a_while(enter, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.ledger._GROWTH_SECONDS", 1000.0)
    room = enter()
    monkeypatch.setattr("kubewake.pipeline.ledger._GROWTH_SECONDS", 1000.0)
    for number, user in enumerate(["alice", "alice", "bob"]):
        room.add(exec_event(number, user))
        room.step()
    assert [message["actor"]["name"] for message in room.messages()] == ["alice", "bob"]
    assert room.ledger.is_pressing(incident())
    room.ledger.record([incident()])
    assert not room.ledger.is_pressing(incident(score=9.0))
    assert room.ledger.is_pressing(incident(severity="critical"))
    assert room.ledger.is_pressing(incident(state="closed"))

    room.step()  # nothing more came: all that waits is told

    assert [message.get("count") for message in room.messages()] == [1, 1, 2]


def test_a_change_too_small_to_tell_is_kept(enter):
    room = enter()
    room.ledger.record([incident()])
    begun = len(room.everything())

    assert room.ledger.record([incident(story="better words")]) == 0

    assert len(room.everything()) == begun
    assert b"better words" in room.state.all_items("incident")[0].body


def test_what_waits_is_judged_in_order_when_nothing_more_comes(enter, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.judge._GROUP_BODIES", 1)
    room = enter(lateness_seconds=0)
    for number in (2, 1):
        room.add(exec_event(number))
        room.step()
    assert not room.judge.is_settled
    first = room.messages()[0]["id"]

    room.step()

    assert room.judge.is_settled
    gone, heir = room.messages()[-2:]
    assert (gone["id"], gone["withdrawn"], gone["replaced_by"]) == (first, True, heir["id"])
    assert heir["audit_ids"] == [exec_event(number)["auditID"] for number in (1, 2)]


def test_notices_are_told_once(enter):
    room = enter()
    notice = Notice("n-1", "2026-01-01T00:00:00.000000Z", "Gap", "why")
    assert room.ledger.record([notice]) == 1
    assert room.ledger.record([notice]) == 0
    room.leave()
    room = enter()
    assert room.ledger.record([notice]) == 0


EXPIRED = """
title: Shells of last year
name: old-shells
logsource: {product: kubernetes, service: audit}
filter:
  rules: [shell]
  mine: {user.username|cased: alice}
  condition: not mine
kubewake: {owner: ann, reason: migration, expires: 2020-01-31}
"""


def test_what_is_known_of_rules_and_stream_is_told_once(enter, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "old.yml").write_text(EXPIRED)
    (tmp_path / "rules" / "body.yml").write_text(RULE.replace("needs: Metadata", "needs: Request"))
    room = enter()
    room.judge._take_notice()
    room.add(exec_event(1))
    room.step()
    [expired] = [message for message in room.messages() if message["type"] == "notice"]
    assert "'old-shells' expired on 2020-01-31" in expired["detail"]
    assert expired["time"]
    room.judge._take_notice()  # what is missing in one second of a stream says nothing of the audit policy
    room.add(exec_event(370_000))
    room.step()
    room.judge._take_notice()
    room.step()
    notices = [message for message in room.messages() if message["type"] == "notice"]
    assert len(notices) == 2
    assert notices[1]["title"].endswith("blind")
    told = room.everything()
    room.leave()
    room = enter()
    room.judge._take_notice()
    room.step()
    room.judge._take_notice()
    room.step()
    assert room.everything() == told


@pytest.mark.parametrize(("rules", "expected"), [(["rules"], 2), ([], 0)])
def test_rules_are_read_again_once_in_a_while(tmp_path, monkeypatch, rules, expected):
    """Exceptions expire and lists are published anew while serve runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    times = iter(range(0, 10_000, 300))
    settings = Settings(listen="127.0.0.1:0", state_dir=str(tmp_path / "state"), output="none", rules=rules)
    service = Service(settings)
    reloads = []
    monkeypatch.setattr(service._judge, "reload", lambda: reloads.append(1))
    monkeypatch.setattr(service, "_refresh_at", 3_600)
    monkeypatch.setattr(service, "_clock", lambda: next(times))
    for _ in range(25):
        service.refresh()
    assert len(reloads) == expected
    monkeypatch.undo()
    service.stop()


def test_following_moves_lines_into_the_spool_and_waits_for_the_engine(tmp_path, monkeypatch):
    monkeypatch.setattr("kubewake.pipeline.following._AHEAD_PIECES", 1)
    monkeypatch.setattr("kubewake.sources.follow.CHUNK_BYTES", 4096)
    log = tmp_path / "audit.log"
    log.write_text("".join(json.dumps(exec_event(n)) + "\n" for n in range(20)))
    spool = Spool(tmp_path / "spool.db", 10**8)
    judged = 0
    following = Following(
        Follower([str(log)]), spool, Metrics("test"), cluster="edge", poll_seconds=0.05, judged=lambda: judged
    )
    following.start()
    lines = []
    deadline = time.monotonic() + 20
    while len(lines) < 21 and time.monotonic() < deadline:
        bodies = spool.read(judged, 99)
        assert len(bodies) <= 1
        for stored in bodies:
            lines += stored.body.splitlines()
            assert (stored.source, stored.cluster, stored.file) == ("follow", "edge", str(log))
            judged = stored.sequence
        if len(lines) == 20:
            with log.open("a") as file:
                file.write(json.dumps(exec_event(20)) + "\n")
        threading.Event().wait(0.01)
    following.stop()
    assert [json.loads(line)["auditID"] for line in lines[:21]] == [exec_event(n)["auditID"] for n in range(21)]
    assert following.failure == ""
    spool.close()
