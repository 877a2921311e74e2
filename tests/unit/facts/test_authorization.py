"""Outcome, grant and impersonation."""

import pytest

REASON = 'RBAC: allowed by RoleBinding "edit-team/shop" of ClusterRole "edit" to Group "team"'


@pytest.mark.parametrize(
    ("code", "decision", "outcome"),
    [
        (200, "allow", "allowed"),
        (101, "allow", "allowed"),
        (302, "allow", "allowed"),
        (401, None, "denied"),
        (403, "forbid", "denied"),
        (403, "allow", "denied"),
        (404, "allow", "failed"),
        (500, "allow", "failed"),
        (None, "allow", "allowed"),
        (None, "forbid", "denied"),
        (None, None, "allowed"),
        (404, "forbid", "failed"),
    ],
)
def test_outcomes(make, code, decision, outcome):
    status = {"code": code} if code is not None else {}
    annotations = {"authorization.k8s.io/decision": decision} if decision else {}
    assert make(responseStatus=status, annotations=annotations).outcome == outcome


def test_grants(make):
    facts = make(annotations={"authorization.k8s.io/reason": REASON})
    assert facts.value("authorization.binding_kind") == "RoleBinding"
    assert facts.value("authorization.binding") == "edit-team/shop"
    assert facts.value("authorization.role_kind") == "ClusterRole"
    assert facts.value("authorization.role") == "edit"
    for reason in ("", "no relationship found between node and object", "RBAC: broken"):
        assert make(annotations={"authorization.k8s.io/reason": reason}).value("authorization.role") is None


def test_effective_identity(make):
    plain = make()
    assert plain.value("effective.user") == "alice"
    assert plain.value("impersonation.user") is None
    assert plain.value("impersonation.is_privileged") is None
    assumed = make(impersonatedUser={"username": "bob", "uid": "7", "groups": ["dev"], "extra": {"scopes": ["a"]}})
    assert assumed.value("effective.user") == "bob"
    assert assumed.value("effective.groups") == ["dev"]
    assert assumed.value("impersonation.uid") == "7"
    assert assumed.value("impersonation.extra.scopes") == ["a"]


@pytest.mark.parametrize(
    ("username", "groups", "expected"),
    [
        ("bob", ["dev"], False),
        ("bob", ["system:masters"], True),
        ("system:admin", [], True),
        ("system:kube-controller-manager", [], True),
        ("system:node:n1", [], True),
        ("system:serviceaccount:kube-system:anything", [], True),
        ("system:serviceaccount:shop:web", [], False),
    ],
)
def test_privileged_impersonation(make, username, groups, expected):
    facts = make(impersonatedUser={"username": username, "groups": groups})
    assert facts.value("impersonation.is_privileged") is expected
