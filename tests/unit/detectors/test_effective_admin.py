"""Which policy rules make an administrator."""

from typing import Any

import pytest

from kubewake.detectors.effective_admin import EffectiveAdmin, powers_of
from kubewake.observation import Stub
from tests.unit.engine.stubs import stub

RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "certificates.k8s.io"


def rule(verbs: str, resources: str, groups: str = "", **more: Any) -> dict[str, Any]:
    return {
        "verbs": verbs.split(),
        "resources": resources.split(),
        "api_groups": groups.split(",") if groups else [""],
        **more,
    }


@pytest.mark.parametrize(
    ("rules", "powers"),
    [
        ([rule("*", "*", "*")], ("everything", "escalate", "certificates", "grant", "secrets", "workloads")),
        ([rule("escalate", "clusterroles", RBAC)], ("escalate",)),
        ([rule("impersonate", "users")], ("impersonate",)),
        ([rule("*", "users groups")], ("impersonate",)),
        ([rule("*", "serviceaccounts")], ()),
        ([rule("get", "nodes/proxy")], ("node-proxy",)),
        ([rule("*", "*", CERTIFICATES)], ("certificates",)),
        (
            [
                rule("create get", "certificatesigningrequests", CERTIFICATES),
                rule("update", "certificatesigningrequests/approval", CERTIFICATES),
                rule("approve", "signers", CERTIFICATES, resource_names=["kubernetes.io/kube-apiserver-client"]),
            ],
            ("certificates",),
        ),
        (
            [
                rule("create get", "certificatesigningrequests", CERTIFICATES),
                rule("update", "certificatesigningrequests/approval", CERTIFICATES),
                rule("approve", "signers", CERTIFICATES, resource_names=["kubernetes.io/kubelet-serving"]),
            ],
            (),
        ),
        ([rule("update", "certificatesigningrequests/approval", CERTIFICATES)], ()),
        ([rule("create", "serviceaccounts/token")], ("tokens",)),
        ([rule("patch", "clusterrolebindings", RBAC)], ("grant",)),
        ([rule("list", "secrets")], ("secrets",)),
        ([rule("create", "jobs", "batch")], ("workloads",)),
        ([rule("get", "pods"), rule("create", "events")], ()),
        ([rule("get", "secrets", resource_names=["tls"])], ()),
        ([rule("*", "widgets", "example.com")], ()),
        ([], ()),
    ],
)
def test_powers(rules: list[dict[str, Any]], powers: tuple[str, ...]) -> None:
    assert powers_of(rules) == powers


def written(number: int, resource: str, values: dict[str, Any], **changes: Any) -> Stub:
    return stub(
        number, **{"verb": "create", "resource": resource, "api_group": RBAC, "namespace": "", "name": "x",
        "outcome": "allowed", "values": values, **changes},
    )  # fmt: skip


def test_the_severity_is_that_of_the_strongest_power_and_each_is_told_once() -> None:
    detector = EffectiveAdmin()
    role = written(
        1, "clusterroles", {"rbac.rules": [rule("list", "secrets"), rule("create", "serviceaccounts/token")]}
    )
    binding = written(2, "clusterrolebindings", {"rbac.role_name": "x", "rbac.subjects.full": ["eve"]})
    assert list(detector.observe(role)) == []
    (found,) = detector.observe(binding)
    assert (found.severity, found.values["grant.subjects"]) == ("high", "eve")
    assert list(detector.observe(binding)) == []


ALL = {"rbac.rules": [rule("*", "*", "*")]}
READING = {"rbac.rules": [rule("get", "pods")]}
TO_EVE = {"rbac.role_kind": "ClusterRole", "rbac.role_name": "x", "rbac.subjects.full": ["eve"]}
IN_SYSTEM = {"namespace": "kube-system"}


def told(*stubs: Stub) -> list[tuple[str | None, str]]:
    detector = EffectiveAdmin()
    return [(found.severity, found.values["grant.power"]) for item in stubs for found in detector.observe(item)]


@pytest.mark.parametrize(
    "role",
    [written(1, "roles", READING, name="cluster-admin", **IN_SYSTEM), written(1, "clusterroles", READING)],
)
def test_a_role_of_a_namespace_is_not_the_cluster_role_of_that_name(role: Stub) -> None:
    values = {"rbac.role_kind": "Role", "rbac.role_name": "cluster-admin", "rbac.subjects.full": ["bob"]}
    assert told(role, written(2, "rolebindings", values, **IN_SYSTEM)) == []


def test_in_kube_system_roles_count_and_words_name_the_namespace() -> None:
    tokens = {"rbac.rules": [rule("create", "serviceaccounts/token")]}
    to_role = TO_EVE | {"rbac.role_kind": "Role"}
    role, binding = written(1, "roles", tokens, **IN_SYSTEM), written(2, "rolebindings", to_role, **IN_SYSTEM)
    expected = [("high", "can make tokens of every program identity of the namespace kube-system")]
    assert told(role, binding) == told(binding, role) == expected
    other = {"namespace": "shop"}
    assert told(written(1, "roles", tokens, **other), written(2, "rolebindings", to_role, **other)) == []
    admin = written(1, "rolebindings", TO_EVE | {"rbac.role_name": "admin"}, **IN_SYSTEM)
    assert told(admin) == [("medium", "can read every secret of the namespace kube-system")]


def test_a_deleted_binding_and_a_deleted_role_give_nothing() -> None:
    role, binding = written(1, "clusterroles", READING), written(2, "clusterrolebindings", TO_EVE)
    widened = written(4, "clusterroles", ALL, verb="update")
    everything = [("critical", "can do anything in the cluster")]
    assert told(role, binding, widened) == everything
    assert told(role, binding, written(3, "clusterrolebindings", {}, verb="delete"), widened) == []
    tried = written(3, "clusterrolebindings", {"request.dry_run": True}, verb="delete")
    assert told(role, binding, tried, widened) == everything
    gone = written(5, "clusterroles", {}, verb="delete")
    assert told(widened, gone, binding) == []
    assert told(binding, gone, widened) == everything


def test_who_is_bound_anew_is_told_anew_and_who_left_a_binding_is_not_told() -> None:
    role, binding = written(1, "clusterroles", ALL), written(2, "clusterrolebindings", TO_EVE)
    gone = written(3, "clusterrolebindings", {}, verb="delete")
    assert len(told(role, binding, gone, binding)) == 2
    replaced = written(4, "clusterrolebindings", TO_EVE | {"rbac.subjects.full": []}, verb="update")
    assert told(binding, replaced, role) == []


def test_a_snapshot_keeps_who_holds_what() -> None:
    detector, restored = EffectiveAdmin(), EffectiveAdmin()
    assert list(detector.observe(written(2, "clusterrolebindings", TO_EVE))) == []
    restored.restore(detector.snapshot())
    assert len(list(restored.observe(written(3, "clusterroles", ALL)))) == 1
