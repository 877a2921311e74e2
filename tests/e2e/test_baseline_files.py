"""`kubewake baseline export`, `import` and `merge` on what real serves have learnt."""

import json
import resource
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from kubewake.__main__ import answer
from kubewake.baseline import Archive
from kubewake.errors import ExitCode
from kubewake.pipeline.detection import load_archives
from kubewake.store.folder import Folder
from kubewake.store.state import State
from tests.e2e.server import Server
from tests.e2e.shop import Shop, write_log

CLUSTER = "prod"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    """A folder with the states of two serves that saw different days, one of a cluster, one of two."""
    folder = tmp_path_factory.mktemp("served")
    shop = Shop()
    for name, days in (("one", range(2)), ("two", range(2, 5))):
        (folder / name).mkdir()
        server = Server(folder / name, "--output", "none")
        try:
            sent = 0
            for day in days:
                events = [*shop.day(day), *(shop.migration(day) if name == "two" else ())]
                events.sort(key=lambda event: event["requestReceivedTimestamp"])
                assert server.post(events, cluster=CLUSTER).status_code == 200
                sent += len(events)
            if name == "two":
                assert server.post(list(shop.migration(1)), cluster="lab").status_code == 200
                sent += 6
            server.wait_until_judged(sent)
            assert server.stop() == 0
        finally:
            if server.process.poll() is None:
                server.kill()
    return folder


@pytest.fixture
def states(served, tmp_path, monkeypatch) -> Path:
    """Copies of both states, and the folder that the test works in."""
    for name in ("one", "two"):
        shutil.copytree(served / name / "state", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return int(answer(["baseline", *words]) or 0)


def plain(path: str) -> object:
    return msgspec.to_builtins(load_archives(Path(path)))


def test_what_serve_has_learnt_is_exported_whole(states, capsys):
    assert run("export", "--state-dir", "two", "--out", "two.kwb") == ExitCode.CLEAN
    said = capsys.readouterr().err
    archives = load_archives(Path("two.kwb"))

    assert set(archives) == {CLUSTER, "lab"}
    house = archives[CLUSTER]
    assert {"anna", "carla", "system:serviceaccount:shop:web"} <= set(house.identities)
    assert house.identities["anna"].requests_in() == 3 * 4 * 6 * 4
    assert house.identities["anna"].days_known() == 3
    behaviours = sum(len(identity.keys) for identity in house.identities.values())
    assert f"two.kwb: cluster prod: {len(house.identities):,} identities, {behaviours:,} known behaviours" in said
    assert run("show", "anna", "--baseline", "two.kwb", "--cluster", CLUSTER, "-o", "json") == ExitCode.CLEAN
    from_file = json.loads(capsys.readouterr().out)
    assert run("show", "anna", "--state-dir", "two", "--cluster", CLUSTER, "-o", "json") == ExitCode.CLEAN
    assert json.loads(capsys.readouterr().out) == from_file


def test_import_gives_what_merge_gives(states, capsys):
    assert run("export", "--state-dir", "one", "--out", "one.kwb") == ExitCode.CLEAN
    assert run("export", "--state-dir", "two", "--out", "two.kwb") == ExitCode.CLEAN
    assert run("merge", "one.kwb", "two.kwb", "--out", "both.kwb") == ExitCode.CLEAN
    assert run("merge", "two.kwb", "one.kwb", "--out", "other-way.kwb") == ExitCode.CLEAN
    capsys.readouterr()
    assert run("import", "one.kwb", "--state-dir", "two") == ExitCode.CLEAN
    said = capsys.readouterr().err
    assert run("export", "--state-dir", "two", "--out", "imported.kwb") == ExitCode.CLEAN

    merged = load_archives(Path("both.kwb"))[CLUSTER]
    assert f"two: cluster prod: {len(merged.identities)} identities" in said
    assert merged.identities["anna"].days_known() == 5
    assert plain("imported.kwb") == plain("both.kwb") == plain("other-way.kwb") != plain("two.kwb")


def test_import_keeps_the_rest_of_the_state_and_serve_goes_on_with_it(states):
    assert run("export", "--state-dir", "one", "--out", "one.kwb") == ExitCode.CLEAN
    before = saved("two")
    assert run("import", "one.kwb", "--state-dir", "two") == ExitCode.CLEAN
    after = saved("two")

    assert after["cursors"] == before["cursors"]
    assert {key: value for key, value in after["engine"].items() if key != "clusters"} == {
        key: value for key, value in before["engine"].items() if key != "clusters"
    }
    changed = {
        (cluster, part)
        for cluster, parts in after["engine"]["clusters"].items()
        for part, body in parts.items()
        if body != before["engine"]["clusters"][cluster][part]
    }
    assert changed == {(CLUSTER, "baseline")}

    (states / "again").mkdir()
    shutil.move(states / "two", states / "again" / "state")
    server = Server(states / "again", "--output", "none")
    try:
        events = list(Shop().day(5))
        assert server.post(events, cluster=CLUSTER).status_code == 200
        server.wait_until_judged(len(events))
        # Reading is possible while serve runs, changing is not.
        assert run("export", "--state-dir", "again/state", "--out", "running.kwb") == ExitCode.CLEAN
        assert run("import", "one.kwb", "--state-dir", "again/state") == ExitCode.STORE
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()
    assert run("export", "--state-dir", "again/state", "--out", "later.kwb") == ExitCode.CLEAN
    assert load_archives(Path("later.kwb"))[CLUSTER].identities["anna"].days_known() == 6


def test_import_names_the_clusters_that_it_leaves_out(states, capsys):
    assert run("export", "--state-dir", "two", "--out", "two.kwb") == ExitCode.CLEAN
    capsys.readouterr()
    assert run("import", "two.kwb", "--state-dir", "one") == ExitCode.CLEAN
    said = capsys.readouterr().err

    assert "one: cluster lab left out, serve has seen nothing of it" in said
    assert run("export", "--state-dir", "one", "--out", "one.kwb") == ExitCode.CLEAN
    assert set(load_archives(Path("one.kwb"))) == {CLUSTER}


def test_a_file_is_replaced_where_it_is_or_left_as_it_was(states):
    assert run("export", "--state-dir", "one", "--out", "kept.kwb") == ExitCode.CLEAN
    Path("kept.kwb").chmod(0o600)
    Path("link.kwb").symlink_to("kept.kwb")
    assert run("export", "--state-dir", "two", "--out", "link.kwb") == ExitCode.CLEAN
    assert Path("link.kwb").is_symlink()
    assert Path("kept.kwb").stat().st_mode & 0o777 == 0o600
    assert set(load_archives(Path("kept.kwb"))) == {CLUSTER, "lab"}
    before = contents(states)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as on a full disk
    try:
        assert run("merge", "kept.kwb", "--out", "kept.kwb") == ExitCode.USAGE
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(states) == before


@pytest.fixture
def spoilt(states) -> Path:
    """Files and states that are no good, beside a good file and a good state."""
    assert run("export", "--state-dir", "two", "--out", "good.kwb") == ExitCode.CLEAN
    data = (states / "good.kwb").read_bytes()
    (states / "cut.kwb").write_bytes(data[: len(data) // 2])
    (states / "longer.kwb").write_bytes(data + b"\0")
    (states / "empty.kwb").write_bytes(b"")
    (states / "newer.kwb").write_bytes(msgspec.msgpack.encode({CLUSTER: Archive(version=99)}))
    (states / "foreign.kwb").write_bytes(msgspec.msgpack.encode({"moon": Archive()}))
    write_log(states / "audit.log", Shop().migration(0))
    (states / "folder.kwb").mkdir()
    with Folder(states / "fresh") as folder:
        State(folder.state).close()
    (states / "junk").mkdir()
    (states / "junk" / "state.db").write_bytes(b"no database at all\n" * 100)
    shutil.copytree(states / "one", states / "torn")
    with sqlite3.connect(states / "torn" / "state.db") as database:
        database.execute("UPDATE snapshots SET body = x'00112233'")
    database.close()
    return states


BAD_FILES = [
    ("cut.kwb", ExitCode.STORE, "cut.kwb: the baseline cannot be read"),
    ("longer.kwb", ExitCode.STORE, "longer.kwb: the baseline cannot be read"),
    ("empty.kwb", ExitCode.STORE, "empty.kwb: is empty"),
    ("audit.log", ExitCode.STORE, "audit.log: is no baseline file"),
    ("newer.kwb", ExitCode.STORE, "version 99"),
    ("none.kwb", ExitCode.USAGE, "none.kwb: the baseline cannot be read"),
    ("folder.kwb", ExitCode.USAGE, "folder.kwb: the baseline cannot be read"),
]
BAD_STATES = [
    ("none", ExitCode.USAGE, "none: serve has kept no state there"),
    ("fresh", ExitCode.STORE, "fresh: serve has saved nothing yet"),
    ("junk", ExitCode.STORE, "state.db"),
    ("torn", ExitCode.STORE, "the snapshot is damaged"),
]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        *((["import", file, "--state-dir", "one"], code, text) for file, code, text in BAD_FILES),
        *((["merge", "good.kwb", file, "--out", "good.kwb"], code, text) for file, code, text in BAD_FILES),
        *((["import", "good.kwb", "--state-dir", state], code, text) for state, code, text in BAD_STATES),
        *((["export", "--state-dir", state, "--out", "good.kwb"], code, text) for state, code, text in BAD_STATES),
        (["import", "foreign.kwb", "--state-dir", "one"], ExitCode.NO_INPUT, "known are: prod"),
        (["merge", "good.kwb", "--out", "nowhere/x.kwb"], ExitCode.USAGE, "nowhere/x.kwb: cannot be written"),
        (["export", "--state-dir", "one", "--out", "folder.kwb"], ExitCode.USAGE, "folder.kwb: cannot be written"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_and_nothing_changed(spoilt, capsys, words, code, text):
    before = contents(spoilt)
    capsys.readouterr()

    assert run(*words) == code
    said = capsys.readouterr().err
    assert text in said
    assert said.startswith("kubewake: ")
    assert "Traceback" not in said
    assert contents(spoilt) == before


def saved(folder: str) -> dict:
    """The snapshot in a state folder, opened up."""
    state = State(Path(folder) / "state.db")
    try:
        snapshot = state.snapshot("engine")
    finally:
        state.close()
    assert snapshot is not None
    return {"engine": msgspec.msgpack.decode(snapshot.body), "cursors": snapshot.cursors}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without locks."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
