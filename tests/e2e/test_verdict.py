"""Verdicts that teach: `kubewake incidents verdict` on real incidents, and what later scans and serves make of them."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from kubewake.__main__ import answer
from kubewake.baseline import encode
from kubewake.errors import ExitCode
from kubewake.pipeline.detection import load_archives
from kubewake.store.folder import Folder
from kubewake.store.state import State
from tests.e2e.server import Server
from tests.e2e.shop import HISTORY_DAYS, Shop, write_log

ODD_DAY = HISTORY_DAYS
LATER_DAY = HISTORY_DAYS + 2
CLUSTER = "prod"
TRAITS = ("program other", "origin 10.44.0.0/24", "action get secrets")


class Place(NamedTuple):
    """A trained baseline, the log of an odd day with its result, and the same oddity two days later."""

    folder: Path
    baseline: Path
    odd: Path
    result: Path
    later: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("verdict")
    shop = Shop()
    history = write_log(folder / "history.log", shop.history())
    place = Place(
        folder,
        folder / "house.kwb",
        write_log(folder / "odd.log", [*shop.day(ODD_DAY), *shop.migration(ODD_DAY)]),
        folder / "odd.json",
        write_log(folder / "later.log", [*shop.day(LATER_DAY), *shop.migration(LATER_DAY)]),
    )
    assert not answer(["baseline", "train", str(history), "--cluster", CLUSTER, "--out", str(place.baseline)])
    return place


@pytest.fixture
def place(made, tmp_path, capsys) -> Place:
    """A copy for one test, with the odd day judged."""
    copied = Place(tmp_path, *(shutil.copy(path, tmp_path) and tmp_path / path.name for path in (made.baseline, made.odd)),
                   tmp_path / "odd.json", tmp_path / made.later.name)  # fmt: skip
    shutil.copy(made.later, copied.later)
    copied.result.write_text(json.dumps(scan(copied.odd, copied.baseline, capsys)))
    return copied


def scan(log: Path, baseline: Path, capsys) -> dict:
    flags = ["--baseline", str(baseline), "--cluster", CLUSTER, "-o", "json", "--fail-on", "never"]
    assert not answer(["scan", str(log), *flags])
    return json.loads(capsys.readouterr().out)


def scores(result: dict) -> list[float]:
    return [incident["score"] for incident in result["incidents"]]


def test_without_a_verdict_the_repetition_is_the_same_incident_again(place, capsys):
    [first] = scores(json.loads(place.result.read_text()))
    assert scores(scan(place.later, place.baseline, capsys)) == [pytest.approx(first, abs=0.3)]


@pytest.mark.parametrize("source", ["result", "odd"])
def test_benign_into_a_file_makes_the_next_scan_quiet(place, capsys, source):
    before = place.baseline.read_bytes()
    out = place.folder / "taught.kwb"
    flags = ["--benign", "--baseline", str(place.baseline), "--out", str(out), "--cluster", CLUSTER]
    assert answer(["incidents", "verdict", "1", str(getattr(place, source)), *flags]) == ExitCode.CLEAN
    text = capsys.readouterr().out

    assert "carla: 6 behaviours learnt, with " in text
    assert all(trait in text for trait in TRAITS)
    assert "rest on what was unusual" in text
    assert place.baseline.read_bytes() == before
    assert scores(scan(place.later, out, capsys)) == []


def test_benign_teaches_that_thing_and_no_look_alike(place, capsys):
    assert not answer(["incidents", "verdict", "1", str(place.result), "--benign", "--baseline", str(place.baseline)])
    capsys.readouterr()
    shop = Shop()
    thief = {"source": "203.0.113.9", "agent": "curl/8.1"}
    for who in ("carla", "dirk"):
        steps = shop.migration(LATER_DAY, **thief)
        for step in steps:
            step["user"]["username"] = who
        log = write_log(place.folder / f"{who}.log", [*shop.day(LATER_DAY), *steps])
        assert len(scores(scan(log, place.baseline, capsys))) == 1, who
    assert scores(scan(place.later, place.baseline, capsys)) == []


def test_malicious_stays_surprising_and_is_never_learnt(place, capsys):
    out = place.folder / "warned.kwb"
    flags = ["--malicious", "--baseline", str(place.baseline), "--out", str(out), "-o", "json"]
    assert answer(["incidents", "verdict", "1", str(place.result), *flags]) == ExitCode.CLEAN
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["place"]) == ("malicious", str(out))
    [lesson] = said["lessons"]
    assert (lesson["identity"], lesson["behaviours"]) == ("carla", 6)
    assert set(TRAITS) <= set(lesson["traits"])

    shop = Shop()
    # Twice in different weeks, one harmless looking step at a time, so that no incident holds it back.
    steps = [[shop.migration(day)[0]] for day in (LATER_DAY, LATER_DAY + 2)]
    days = [*shop.history(4, first=LATER_DAY), *(event for step in steps for event in step)]
    log = write_log(place.folder / "creeping.log", days)
    for start, name in ((out, "refusing"), (place.baseline, "learning")):
        after = place.folder / f"{name}.kwb"
        assert not answer(
            ["baseline", "train", str(log), "--cluster", CLUSTER, "--baseline", str(start), "--out", str(after)]
        )
        capsys.readouterr()
        assert not answer(["baseline", "show", "carla", "--baseline", str(after), "-o", "json"])
        values = {custom["value"] for custom in json.loads(capsys.readouterr().out)["customs"]}
        assert ("get secrets" in values) == (name == "learning")
    [first] = scores(json.loads(place.result.read_text()))
    assert scores(scan(place.later, place.folder / "refusing.kwb", capsys)) == [pytest.approx(first, abs=1)]


def test_serve_learns_from_a_verdict_and_goes_on_quieter(place, capsys):
    flags = ["--output", "none", "--baseline", str(place.baseline)]
    server = Server(place.folder, *flags)
    try:
        send(server, place.odd)
        server.wait_for(lambda: told(server))
        [incident] = told(server)
        state = str(place.folder / "state")
        judge = ["incidents", "verdict", incident, "--benign", "--state-dir", state]
        assert answer(judge) == ExitCode.STORE
        assert "in use by another kubewake" in capsys.readouterr().err
        assert server.stop() == 0
        asleep = shutil.copytree(state, place.folder / "asleep" / "state").parent

        assert answer(["incidents", "list", "--state-dir", state]) == ExitCode.CLEAN
        assert capsys.readouterr().out.startswith(f"{incident}\t")
        assert answer(["incidents", "show", "1", "--state-dir", state]) == ExitCode.CLEAN
        assert "Timeline" in capsys.readouterr().out
        assert answer(judge) == ExitCode.CLEAN
        text = capsys.readouterr().out
        assert f"{incident} is benign" in text
        assert "carla: 6 behaviours learnt" in text
        assert answer(judge) == ExitCode.CLEAN
        assert "carla: nothing is changed" in capsys.readouterr().out

        server = Server(place.folder, *flags)
        send(server, place.later)
        assert server.stop() == 0
        assert told(server) == [incident]

        # The same state without the verdict tells the repetition.
        server = Server(asleep, *flags)
        send(server, place.later)
        assert server.stop() == 0
        assert [name for name in told(server) if name != incident]
    finally:
        if server.process.poll() is None:
            server.kill()


def test_serve_never_learns_what_was_called_malicious(place, capsys):
    server = Server(place.folder, "--output", "none", "--baseline", str(place.baseline))
    try:
        send(server, place.odd)
        server.wait_for(lambda: told(server))
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()
    state = str(place.folder / "state")
    assert not answer(["incidents", "verdict", "1", str(place.result), "--malicious", "--state-dir", state])
    assert "carla: 6 behaviours never to be learnt" in capsys.readouterr().out
    out = place.folder / "now.kwb"
    assert not answer(["baseline", "export", "--state-dir", state, "--out", str(out)])
    capsys.readouterr()
    [first] = scores(json.loads(place.result.read_text()))
    assert scores(scan(place.later, out, capsys)) == [pytest.approx(first, abs=0.5)]


def send(server: Server, log: Path) -> None:
    """Post a log and wait until it is judged."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert server.post(events, cluster=CLUSTER).status_code == 200
    server.wait_until_judged(len(events))


def told(server: Server) -> list[str]:
    return list(dict.fromkeys(line["id"] for line in server.lines() if line["type"] == "incident"))


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["1"], ExitCode.USAGE, "--benign or --malicious"),
        (["1", "--benign", "--malicious"], ExitCode.USAGE, "--benign or --malicious"),
        (["1", "--benign", "--out", "x.kwb"], ExitCode.USAGE, "--baseline FILE"),
        (["99", "--benign"], ExitCode.USAGE, "there is no incident '99'"),
        (["1", "--benign", "--baseline", "none.kwb"], ExitCode.USAGE, "none.kwb"),
        (["1", "--benign", "--baseline", "odd.json"], ExitCode.STORE, "is no baseline file"),
        (["1", "--benign", "--baseline", "house.kwb", "--log", "gone.log"], ExitCode.NO_INPUT, "gone.log"),
        (["1", "--benign", "--baseline", "house.kwb", "--log", "before.log"], ExitCode.NO_INPUT, "cluster prod"),
        (["1", "--benign", "--baseline", "elsewhere.kwb"], ExitCode.NO_INPUT, "known are: dev"),
        (["1", "--benign", "--state-dir", "none"], ExitCode.USAGE, "serve has kept no state there"),
        (["1", "--benign", "--state-dir", "empty"], ExitCode.STORE, "saved nothing yet"),
        (["1", "--benign", "--state-dir", "junk"], ExitCode.STORE, "junk"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changed(place, capsys, monkeypatch, flags, code, words):
    monkeypatch.chdir(place.folder)
    write_log(place.folder / "before.log", Shop().migration(LATER_DAY))
    train = ["baseline", "train", "before.log", "--cluster", "dev", "--out", "elsewhere.kwb"]
    assert not answer(train)
    capsys.readouterr()
    with Folder(place.folder / "empty") as folder:
        State(folder.state).close()
    (place.folder / "junk").mkdir()
    (place.folder / "junk" / "state.db").write_bytes(b"no database at all" * 100)
    before = contents(place.folder)

    assert answer(["incidents", "verdict", flags[0], "odd.json", *flags[1:]]) == code
    text = capsys.readouterr().err
    assert words in text
    assert contents(place.folder) == before


def test_a_result_without_a_cluster_can_be_given_one(place, capsys):
    flags = ["--baseline", str(place.baseline), "-o", "json", "--fail-on", "never"]
    known = load_archives(place.baseline)
    (place.folder / "nameless.kwb").write_bytes(encode({"": known[CLUSTER]}))
    flags[1] = str(place.folder / "nameless.kwb")
    assert not answer(["scan", str(place.odd), *flags])
    place.result.write_text(capsys.readouterr().out)

    judge = ["incidents", "verdict", "1", str(place.result), "--benign", "--baseline", str(place.baseline)]
    assert answer(judge) == ExitCode.NO_INPUT
    assert "nothing is known of cluster (no name); known are: prod" in capsys.readouterr().err
    assert answer([*judge, "--cluster", CLUSTER]) == ExitCode.CLEAN
    assert "carla: 6 behaviours learnt" in capsys.readouterr().out


def test_a_log_that_was_moved_can_be_named(place, capsys):
    moved = place.odd.rename(place.folder / "moved.log")
    judge = ["incidents", "verdict", "1", str(place.result), "--benign", "--baseline", str(place.baseline)]
    assert answer(judge) == ExitCode.NO_INPUT
    assert f"{place.odd}: the log of this result is not there any more; say with --log" in capsys.readouterr().err
    assert answer([*judge, "--log", str(moved.parent / "moved*.log")]) == ExitCode.CLEAN
    assert "carla: 6 behaviours learnt" in capsys.readouterr().out


def test_without_a_result_and_a_state_it_says_what_to_give(place, capsys):
    for words in (["list"], ["show", "1"], ["verdict", "1", "--benign"]):
        assert answer(["incidents", *words, "--state-dir", str(place.folder / "none")]) == ExitCode.USAGE
        said = capsys.readouterr().err
        assert "serve has kept no state there" in said
        assert "a saved result or a log" in said
    assert not (place.folder / "none").exists()


def test_an_unknown_id_gets_the_nearest(place, capsys):
    [incident] = json.loads(place.result.read_text())["incidents"]
    wrong = incident["id"][:-1] + ("0" if incident["id"][-1] != "0" else "1")

    assert answer(["incidents", "verdict", wrong, str(place.result), "--benign"]) == ExitCode.USAGE
    assert f"(did you mean '{incident['id']}'?)" in capsys.readouterr().err


def contents(folder: Path) -> dict[str, bytes]:
    """What is in a folder, without locks."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
