import sqlite3

import pytest

from kubewake.errors import StoreError
from kubewake.store.folder import Folder
from kubewake.store.state import Item, Message, State


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_snapshot_and_cursors_return_together(tmp_path):
    state = State(tmp_path / "state.db")
    assert state.snapshot("engine") is None
    state.save("engine", b"one" * 1000, {"spool": b"7"}, 1.0)
    state.save("engine", b"two" * 1000, {"spool": b"9"}, 2.0)
    state.close()
    state = State(tmp_path / "state.db")
    saved = state.snapshot("engine")
    assert (saved.body, saved.cursors) == (b"two" * 1000, {"spool": b"9"})
    state.close()


def test_pieces_are_stored_once_and_stay_while_they_are_held(state):
    state.save("engine", b"one", {}, 1.0, pieces={"a": b"1", "b": b"2"}, held=["a", "b"])
    state.save("engine", b"two", {}, 2.0, pieces={"c": b"3"}, held=["b", "c"])
    assert state.snapshot("engine").pieces == {"b": b"2", "c": b"3"}
    state.save("engine", b"three", {}, 3.0)
    assert state.snapshot("engine").pieces == {"b": b"2", "c": b"3"}


def test_what_was_told_from_a_time_on(state):
    early, late = (Item(f"f-{day}", "finding", "low", f"2026-01-0{day}", b"{}") for day in (1, 3))
    state.record([early, late], [])
    assert [item.id for item in state.items_from("2026-01-02")] == ["f-3"]
    state.record([], [], gone=["f-3"])
    assert state.items_from("") == [early]


def test_items_are_upserted_by_id(state):
    state.record([Item("f-1", "finding", "low", "2026-01-01", b"a")], [])
    state.record([Item("f-1", "finding", "high", "2026-01-02", b"b")], [])
    assert state.items(["f-1", "f-2"]) == {"f-1": Item("f-1", "finding", "high", "2026-01-02", b"b")}
    assert [item.id for item in state.all_items("finding")] == ["f-1"]
    assert state.all_items("incident") == []


def test_messages_wait_until_delivered(state):
    state.record([], [Message("chat", "f-1", b"x"), Message("chat", "f-2", b"y"), Message("jsonl", "f-1", b"z")])
    first, second = state.due("chat", 10.0)
    assert (first.body, second.body, first.attempts) == (b"x", b"y", 0)
    state.postpone([first.sequence], 100.0, "no route")
    assert [message.body for message in state.due("chat", 10.0)] == [b"y"]
    state.delivered([second.sequence])
    assert state.due("chat", 99.0) == []
    again = state.due("chat", 100.0)
    assert [(message.body, message.attempts) for message in again] == [(b"x", 1)]
    assert state.waiting() == {"chat": 1, "jsonl": 1}
    assert state.forget_sinks({"jsonl"}) == {"chat": 1}
    assert state.waiting() == {"jsonl": 1}


def test_messages_and_items_are_stored_together_or_not_at_all(state):
    with pytest.raises(StoreError):
        state.record([Item("f-1", "finding", "low", "", b"a")], [Message("chat", None, b"x")])
    assert state.items(["f-1"]) == {}
    assert state.waiting() == {}


def test_old_items_are_pruned(state):
    state.record([Item(f"f-{n}", "finding", "low", "2026", b"", float(n)) for n in range(1, 4)], [])
    assert state.prune(3.0) == 2
    assert [item.id for item in state.all_items("finding")] == ["f-3"]


def test_a_target_that_is_down_for_long_costs_its_oldest_messages(state):
    state.record([], [Message("chat", "x", b"%d" % n) for n in range(5)] + [Message("mail", "x", b"")])
    assert state.trim(2) == {"chat": 3}
    assert [message.body for message in state.due("chat", 0.0)] == [b"3", b"4"]
    assert state.trim(2) == {}


def test_a_damaged_snapshot_is_named(tmp_path):
    state = State(tmp_path / "state.db")
    state.save("engine", b"x", {}, 0.0)
    state._connection.execute("UPDATE snapshots SET body = x'00112233'")
    with pytest.raises(StoreError, match="snapshot is damaged"):
        state.snapshot("engine")
    state.close()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "state.db"
    state = State(path)
    state.record([Item(f"f-{n}", "finding", "low", "", b"x" * 3000) for n in range(50)], [])
    state.close()
    content = bytearray(path.read_bytes())
    content[4096:40960] = b"\xff" * (40960 - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        State(path)


def test_a_locked_file_is_named(tmp_path, monkeypatch):
    import kubewake.store.database as database

    monkeypatch.setattr(database, "_LOCK_WAIT_SECONDS", 0.05)
    state = State(tmp_path / "state.db")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another program"):
        state.record([Item("f-1", "finding", "low", "", b"")], [])
    other.execute("ROLLBACK")
    other.close()
    state.close()


def test_one_kubewake_a_folder(tmp_path):
    with Folder(tmp_path / "state") as folder:
        assert folder.spool.parent == tmp_path / "state"
        with pytest.raises(StoreError, match="in use by another kubewake"):
            Folder(tmp_path / "state")
    Folder(tmp_path / "state").close()


def test_an_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--state-dir"):
        Folder(tmp_path / "file")
