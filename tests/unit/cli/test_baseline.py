"""`kubewake baseline`."""

import json

import pytest

from kubewake.__main__ import answer
from kubewake.demo.recording import lines
from kubewake.errors import ExitCode

EVENTS = 1_500


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baseline")
    log = folder / "audit.log"
    log.write_bytes(b"\n".join(lines()[:EVENTS]) + b"\n")
    assert not answer(["baseline", "train", str(log), "--out", str(folder / "a.kwb")])
    return folder


def test_shows_what_is_usual_for_an_identity(trained, capsys):
    from kubewake.pipeline.detection import load_archives

    [archive] = load_archives(trained / "a.kwb").values()
    user = max(archive.identities.values(), key=lambda item: len(item.keys)).user
    assert not answer(["baseline", "show", user, "--baseline", str(trained / "a.kwb"), "-o", "json"])
    profile = json.loads(capsys.readouterr().out)

    assert profile["identity"] == user
    assert profile["behaviours"] == len(archive.identities[user].keys)
    assert {custom["facet"] for custom in profile["customs"]} >= {"action"}


def test_merging_a_file_with_itself_keeps_its_behaviours(trained, capsys):
    from kubewake.pipeline.detection import load_archives

    path = str(trained / "a.kwb")
    assert not answer(["baseline", "merge", path, path, "--out", str(trained / "b.kwb")])
    [one], [two] = (load_archives(trained / name).values() for name in ("a.kwb", "b.kwb"))
    assert {user: item.keys for user, item in one.identities.items()} == {
        user: dict(item.keys) for user, item in two.identities.items()
    }


def test_unknown_identities_and_files_are_named(trained, capsys):
    assert answer(["baseline", "show", "nobody@nowhere", "--baseline", str(trained / "a.kwb")]) == 10
    assert answer(["baseline", "show", "x", "--baseline", str(trained / "none.kwb")]) == 2
    text = capsys.readouterr().err
    assert "nobody@nowhere was never seen here" in text
    assert "none.kwb" in text


def test_a_scan_starts_warm(trained, capsys):
    log = trained / "audit.log"
    assert answer(["scan", str(log), "--baseline", str(trained / "a.kwb"), "-o", "json", "--fail-on", "never"]) in (
        0,
        None,
    )
    assert json.loads(capsys.readouterr().out)["input"]["events"] == EVENTS


def test_a_file_that_knows_no_cluster_is_said_plainly(tmp_path, capsys):
    from kubewake.baseline import encode

    (tmp_path / "none.kwb").write_bytes(encode({}))
    assert answer(["baseline", "show", "alice", "--baseline", str(tmp_path / "none.kwb")]) == ExitCode.NO_INPUT
    assert "nothing is known of any cluster yet" in capsys.readouterr().err


def test_a_name_in_brief_is_answered_with_the_whole(trained, capsys):
    from kubewake.pipeline.detection import load_archives

    [archive] = load_archives(trained / "a.kwb").values()
    user = next(user for user in archive.identities if user.startswith("system:serviceaccount:"))
    assert answer(["baseline", "show", user.rpartition(":")[2], "--baseline", str(trained / "a.kwb")]) == 10
    assert f"did you mean {user}" in capsys.readouterr().err


def test_a_log_in_the_place_of_a_baseline_is_said(trained, capsys):
    log = str(trained / "audit.log")
    assert answer(["scan", log, "--baseline", log]) == ExitCode.STORE
    assert f"{log}: is no baseline file; to learn one" in capsys.readouterr().err
