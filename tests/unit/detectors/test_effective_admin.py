"""Which policy rules make an administrator."""

from typing import Any

import pytest

from kubewake.detectors.effective_admin import EffectiveAdmin, powers_of
from kubewake.observation import Stub
from tests.unit.engine.stubs import stub

RBAC = "rbac.authorization.k8s.io"


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
        ([rule("*", "*", "*")], ("everything", "escalate", "grant", "secrets", "workloads")),
        ([rule("escalate", "clusterroles", RBAC)], ("escalate",)),
        ([rule("impersonate", "users")], ("impersonate",)),
        ([rule("get", "nodes/proxy")], ("node-proxy",)),
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


def written(number: int, resource: str, values: dict[str, Any]) -> Stub:
    return stub(
        number, "2026-05-04T10:00:00.000000Z", verb="create", resource=resource, api_group=RBAC, namespace="", name="x",
        outcome="allowed", values=values,
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
