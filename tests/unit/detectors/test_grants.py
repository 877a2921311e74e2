"""Grants as the authorizer's reason names them, and as they are written."""

import pytest

from kubewake.detectors.grants import Grant, grant_of, reason_keys, written_grant

CLUSTER = 'RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "cluster-admin" to Group "admins"'
NAMESPACED = 'RBAC: allowed by RoleBinding "read/shop" of Role "reader" to ServiceAccount "web/shop"'


def test_a_reason_names_binding_role_and_subject() -> None:
    assert grant_of(CLUSTER) == Grant("ClusterRoleBinding", "ops", "ClusterRole", "cluster-admin", "Group", "admins")
    assert grant_of(NAMESPACED) == Grant("RoleBinding", "read/shop", "Role", "reader", "ServiceAccount", "web/shop")
    assert grant_of(CLUSTER).binding_path == "ops"
    assert grant_of(NAMESPACED).binding_path == "shop/read"


@pytest.mark.parametrize("reason", ["", "node authorizer", 'RBAC: allowed by "x"', 'RBAC: allowed by RoleBinding "'])
def test_other_reasons_name_no_grant(reason: str) -> None:
    assert grant_of(reason) is None
    assert reason_keys(reason) == ()


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        (CLUSTER, [("clusterrolebindings", "", "ops"), ("clusterroles", "", "cluster-admin")]),
        (NAMESPACED, [("rolebindings", "shop", "read"), ("roles", "shop", "reader")]),
    ],
)
def test_what_is_written_has_the_key_that_the_reason_gives(reason: str, written: list[tuple[str, str, str]]) -> None:
    assert reason_keys(reason) == tuple(written_grant(*item) for item in written)


def test_other_resources_are_no_grants() -> None:
    assert written_grant("pods", "shop", "web") == ""
