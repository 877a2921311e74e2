"""Agreement with peers, on cases made by hand."""

import json

import pytest
import yaml

from bench.peers import LISTS, TRUSTED_IMAGES, Case, main, scanned, translated
from kubewake.rules.lint import lint_text
from kubewake.rules.pack import load_rules

TRUSTED = "registry.example/agent"
ROWS = {
    "privileged_images": "privileged-container",
    "sensitive_mount_images": "sensitive-hostpath",
    "hostnetwork_images": "host-network-pod",
}
"""What each list of trusted images is an exception from."""


def pod(*images, privileged=False, **spec):
    context = {"securityContext": {"privileged": True}} if privileged else {}
    containers = [{"name": f"c{number}", "image": image, **context} for number, image in enumerate(images)]
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request",
        "auditID": "pod-1",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods",
        "verb": "create",
        "user": {"username": "ann@shop.example", "groups": ["system:authenticated"]},
        "sourceIPs": ["10.20.0.9"],
        "userAgent": "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"code": 201},
        "requestObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"containers": containers, **spec},
        },
        "requestReceivedTimestamp": "2026-03-02T09:00:00.000000Z",
        "stageTimestamp": "2026-03-02T09:00:00.010000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


RISKY = {
    "privileged_images": {"privileged": True},
    "sensitive_mount_images": {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]},
    "hostnetwork_images": {"hostNetwork": True},
}


def case(row, expect, event, **more):
    return {"events": [event], "catalog_id": row, "expect": expect, "verdict_by": "peer", **more}


@pytest.fixture
def score(tmp_path, capsys):
    def run(**cases):
        for name, content in cases.items():
            path = tmp_path / "peer" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        code = main([str(tmp_path)])
        return code, capsys.readouterr().out.splitlines()

    return run


def figures(lines):
    """Cases that agree without and with their set-up."""
    return tuple(line.split(" = ")[0].removeprefix("agreement ") for line in lines if line.startswith("agreement "))


def test_an_allow_list_becomes_a_list_of_ours(score):
    config = {"allowed_images": ["registry.example/shop"]}
    code, lines = score(
        stranger=case("disallowed-image", True, pod("registry.example/other:2"), config=config),
        listed=case("disallowed-image", False, pod("registry.example/shop"), config=config),
    )
    assert code == 0
    assert figures(lines) == ("without set-up 1/2", "with set-up 2/2")
    assert lines[0].startswith("peer/stranger.json: agrees with its set-up; without: expected True")


def test_trust_in_an_image_becomes_a_filter(score):
    trusted = {
        key: case(ROWS[key], False, pod(f"{TRUSTED}:2", **risk), config={f"{key}+": [TRUSTED]})
        for key, risk in RISKY.items()
    }
    config = {"privileged_images": [TRUSTED]}
    code, lines = score(
        **trusted,
        beside_another=case("privileged-container", True, pod(TRUSTED, "b", privileged=True), config=config),
        another_registry=case("privileged-container", True, pod("b.example/agent", privileged=True), config=config),
    )
    assert code == 0
    assert figures(lines) == ("without set-up 2/5", "with set-up 5/5")
    assert [line.split(";")[0] for line in lines[:-2]] == [
        f"peer/{key}.json: agrees with its set-up" for key in sorted(RISKY)
    ]


def test_trust_for_one_detection_is_none_for_another(score):
    risk = {"privileged": True, "hostNetwork": True}
    config = {"hostnetwork_images": [TRUSTED]}
    _, lines = score(one=case("privileged-container", False, pod(TRUSTED, **risk), config=config))
    assert lines[0].startswith("peer/one.json: expected False for ['privileged-container'], found [")
    assert "host-network-pod" not in lines[0]
    assert figures(lines) == ("without set-up 0/1", "with set-up 0/1")


def test_what_remains_and_what_is_unknown_is_named(score):
    quiet = pod("registry.example/shop")
    code, lines = score(
        nothing=case("privileged-container", True, quiet, config={"maximum_pods": 3, "allowed_images": "a text"}),
        either=case("host-ipc-pod", True, pod("a", privileged=True), also_catalog_ids=["privileged-container"]),
        switched=case("host-ipc-pod", False, quiet, config={"informational_activity_rules": False}),
        ours=case(None, True, quiet),
        derived={**case("host-ipc-pod", True, quiet), "verdict_by": "derived"},
        undecided=case("host-ipc-pod", None, quiet),
    )
    assert code == 0
    assert lines[:2] == [
        "peer/nothing.json: set-up not translated: maximum_pods: 3",
        'peer/nothing.json: set-up not translated: allowed_images: "a text"',
    ]
    assert [line.split(", found")[0] for line in lines[2:-2]] == [
        "peer/nothing.json: expected True for ['privileged-container']",
        "peer/ours.json: expected True for no detection of ours",
    ]
    assert lines[-2:] == [
        "agreement without set-up 2/4 = 0.500 (peer 2/4)",
        "agreement with set-up 2/4 = 0.500 (peer 2/4)",
    ]


def test_what_cannot_be_read_is_named_and_fails(score):
    code, lines = score(cut='{"events": [', whole=case("host-ipc-pod", False, pod("registry.example/shop")))
    assert code == 1
    assert lines[0].startswith("peer/cut.json: cannot be read: ")
    assert figures(lines) == ("without set-up 1/1", "with set-up 1/1")
    assert lines[-1] == "could not be read: peer/cut.json"


def test_a_scan_that_fails_says_why(tmp_path):
    outcome = scanned(Case([pod("a")], "host-ipc-pod", False, "peer"), [{"title": "no rule"}], tmp_path)
    assert outcome.unread
    assert not outcome.agrees
    assert "unreadable output, exit 12: " in outcome.why
    assert "rules.yml:1: neither a rule" in outcome.why


@pytest.mark.parametrize("folder", ["absent", "."])
def test_without_cases_there_is_nothing_to_score(tmp_path, capsys, folder):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / folder)])
    assert ended.value.code == 2
    assert str(tmp_path / folder) in capsys.readouterr().err


def test_set_ups_read_as_a_careful_user_writes_them():
    documents, unknown = translated({key: ["registry.example/agent", "other"] for key in (*LISTS, *TRUSTED_IMAGES)})
    assert unknown == []
    assert len(documents) == len(LISTS) + len(TRUSTED_IMAGES)
    assert lint_text(yaml.safe_dump_all(documents), "rules.yml") == []


@pytest.mark.parametrize(("key", "row"), ROWS.items())
def test_trust_reaches_every_rule_about_started_workloads_and_no_other(key, row):
    infos = load_rules().infos
    assert sorted(TRUSTED_IMAGES[key]) == sorted(name for name, info in infos.items() if list(info.covers) == [row])
