"""Versions that a cluster runs, and what findings say of them."""

from typing import Any

import pytest

from kubewake.engine.versions import Versions
from kubewake.finding import Actor, Finding, Target
from kubewake.rules.model import RuleInfo
from tests.unit.engine.stubs import stub

MANAGER = "kube-controller-manager/v1.24.3 (linux/amd64) kubernetes/abc"


def finding() -> Finding:
    return Finding(
        id="f-1", rule="r", covers=[], title="t", severity="high", confidence="high", audience="everyone", time="",
        last_time="", count=1, cluster="", actor=Actor("human", "eve"), target=Target("get"), outcome="allowed", story="",
    )  # fmt: skip


def seen(**change: Any) -> Versions:
    versions = Versions()
    usual = {"client": "kube-controller-manager", "user_agent": MANAGER, "actor_kind": "control-plane",
             "user": "system:kube-controller-manager"}  # fmt: skip
    versions.observe(stub(1, "2026-05-04T10:00:00.000000Z", **{**usual, **change}))
    return versions


def explained(versions: Versions, affected: str) -> tuple[str, str]:
    found = finding()
    versions.explain(RuleInfo(id="r", title="t", affected=affected), found)
    return str(found.explain.get("vulnerable", "")).partition(":")[0], found.confidence


@pytest.mark.parametrize(
    ("affected", "expected"),
    [
        ("kube-apiserver 1.24.0-1.24.7", ("yes", "high")),
        ("kube-apiserver 1.23.0-1.23.9", ("no", "low")),
        ("ingress-nginx <1.2.1", ("unknown", "high")),
        ("kubelet all", ("unknown", "high")),
        ("", ("", "high")),
    ],
)
def test_a_finding_says_whether_the_cluster_is_vulnerable(affected: str, expected: tuple[str, str]) -> None:
    assert explained(seen(), affected) == expected


def test_the_story_says_once_that_the_cluster_is_safe() -> None:
    versions, found, info = seen(), finding(), RuleInfo(id="r", title="t", affected="kube-apiserver 1.23.0-1.23.9")
    found.story = "Eve tried."
    for _ in range(2):
        versions.explain(info, found)
    assert found.story == "Eve tried. The hole is closed here: kube-apiserver v1.24.3 is not affected."


@pytest.mark.parametrize(
    "change",
    [
        {"actor_kind": "human", "user": "eve"},
        {"user_agent": "kube-controller-manager"},
        {"client": "kubelet", "user_agent": "kubelet/v1.24.3 (linux/amd64)"},
    ],
)
def test_what_is_no_component_s_word_counts_for_nothing(change: dict[str, Any]) -> None:
    assert explained(seen(**change), "kube-apiserver 1.24.0-1.24.7")[0] == "unknown"


def test_nodes_tell_the_kubelets_version() -> None:
    kubelet = {
        "client": "kubelet",
        "user_agent": "kubelet/v1.28.0 (linux/amd64)",
        "actor_kind": "node",
        "user": "system:node:n",
    }
    assert explained(seen(**kubelet), "kubelet 1.28.0") == ("yes", "high")


def test_versions_survive_a_snapshot() -> None:
    again = Versions()
    again.restore(seen().snapshot())
    assert explained(again, "kube-apiserver 1.24.0-1.24.7")[0] == "yes"
