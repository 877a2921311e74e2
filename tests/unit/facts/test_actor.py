"""What kind of identity a name stands for."""

import pytest


@pytest.mark.parametrize(
    ("username", "groups", "kind", "name", "is_system"),
    [
        ("alice", [], "human", "alice", False),
        ("kubernetes-admin", ["system:masters"], "human", "kubernetes-admin", False),
        ("system:admin", ["system:masters"], "human", "system:admin", False),
        ("system:serviceaccount:shop:web", [], "serviceaccount", "web", False),
        ("system:serviceaccount:kube-system:job-controller", [], "serviceaccount", "job-controller", True),
        ("system:serviceaccount:openshift-ingress:router", [], "serviceaccount", "router", True),
        ("system:serviceaccount:broken", [], "serviceaccount", "system:serviceaccount:broken", False),
        ("system:node:ip-10-0-0-1", ["system:nodes"], "node", "ip-10-0-0-1", True),
        ("system:bootstrap:abcdef", ["system:bootstrappers"], "node", "system:bootstrap:abcdef", True),
        ("system:kube-scheduler", [], "control-plane", "system:kube-scheduler", True),
        ("eks:addon-manager", [], "cloud", "eks:addon-manager", True),
        ("aksService", ["system:masters"], "cloud", "aksService", True),
        ("system:made-up", [], "human", "system:made-up", False),
        ("system:anonymous", ["system:unauthenticated"], "anonymous", "system:anonymous", False),
        ("mallory", ["system:unauthenticated"], "anonymous", "mallory", False),
        ("", ["system:unauthenticated"], "anonymous", "", False),
    ],
)
def test_kinds(make, username, groups, kind, name, is_system):
    facts = make(user={"username": username, "groups": groups})
    assert facts.value("actor.kind") == facts.actor_kind == kind
    assert facts.value("actor.name") == name
    assert facts.value("actor.is_system") is is_system


def test_failed_login_is_anonymous(make):
    assert make(user={}, responseStatus={"code": 401}).actor_kind == "anonymous"


@pytest.mark.parametrize("change", [{"user": {}}, {"user": {}, "responseStatus": None}, {"user": {"username": ""}}])
def test_whom_the_log_does_not_name_is_unknown_and_not_anonymous(make, change):
    assert make(**change).actor_kind == "unknown"


def test_namespace_of_service_accounts_only(make):
    assert make(user={"username": "system:serviceaccount:shop:web"}).value("actor.namespace") == "shop"
    assert make().value("actor.namespace") is None
