"""`kubewake rbac` on a dump."""

import json

import msgspec
import pytest

from kubewake.__main__ import answer
from kubewake.errors import ExitCode
from kubewake.workbench.example import complete

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "lister"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "lister"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lister"},
    "subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}],
}


@pytest.fixture
def dump(tmp_path):
    file = tmp_path / "rbac.json"
    file.write_text(json.dumps({"kind": "List", "items": [ROLE, BINDING]}), encoding="utf-8")
    return str(file)


def test_who_can_is_tab_separated_in_a_pipe(dump, capsys):
    answer(["rbac", "who-can", "list", "configmaps", "--rbac", dump])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["ServiceAccount", "system:serviceaccount:shop:web"] in [row[:2] for row in rows]
    assert all(len(row) == 3 for row in rows)


@pytest.mark.parametrize(
    ("identity", "warned"), [("system:serviceaccount:shop:web", False), ("system:serviceaccount:shop:wbe", True)]
)
def test_reach_says_when_an_identity_was_never_met(dump, capsys, identity, warned):
    assert answer(["rbac", "reach", identity, "--rbac", dump]) == ExitCode.CLEAN
    shown = capsys.readouterr()
    assert "nothing dangerous" in shown.out
    assert ("no binding names" in shown.err) is warned


def test_a_dump_that_is_not_there_is_said_plainly(tmp_path, capsys):
    assert answer(["rbac", "reach", "alice", "--rbac", str(tmp_path / "none.yaml")]) == ExitCode.NO_INPUT
    said = capsys.readouterr().err
    assert "No such file or directory" in said
    assert "Errno" not in said


def test_who_can_warns_of_what_is_not_known_and_answers_all_the_same(dump, capsys):
    assert answer(["rbac", "who-can", "lsit", "configmap", "--rbac", dump]) == ExitCode.CLEAN
    shown = capsys.readouterr()
    assert "system:masters" in shown.out
    assert "did you mean 'list'?" in shown.err
    assert "did you mean 'configmaps'?" in shown.err
    answer(["rbac", "who-can", "list", "configmaps", "--rbac", dump])
    assert not capsys.readouterr().err


WRITE = {
    "level": "Request",
    "verb": "create",
    "objectRef": {"resource": "clusterroles", "name": "lister", "apiGroup": "rbac.authorization.k8s.io"},
    "requestObject": ROLE,
}


@pytest.mark.parametrize(
    ("event", "said"),
    [({}, "say nothing of roles and bindings"), (WRITE, "known are only the 1 roles and 0 bindings")],
)
@pytest.mark.parametrize("question", [["who-can", "get", "secrets"], ["reach", "alice"]], ids=["who-can", "reach"])
def test_it_is_said_how_little_logs_alone_tell_of_rights(tmp_path, capsys, event, said, question):
    log = tmp_path / "audit.log"
    log.write_bytes(msgspec.json.encode(complete(event)) + b"\n")
    assert answer(["rbac", *question, "--log", str(log)]) == ExitCode.CLEAN
    assert said in capsys.readouterr().err


def test_a_log_without_events_is_said(tmp_path, capsys):
    log = tmp_path / "audit.log"
    log.write_text("")
    assert answer(["rbac", "unused", "--log", str(log)]) == ExitCode.NO_INPUT
    assert "no audit events in there" in capsys.readouterr().err
