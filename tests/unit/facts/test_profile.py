"""Known components are recognised by their job, client and origin together."""

import pytest

from kubewake.facts import AddressSet, Context
from kubewake.facts.profile_table import ANY, COMPONENTS
from kubewake.facts.profiles import NEVER, parse_right, profile_of

CONTROLLER = {
    "user": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
    "userAgent": "kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/98b3519",
    "verb": "create",
    "objectRef": {"resource": "pods", "namespace": "shop"},
    "sourceIPs": ["10.0.0.10"],
}
KUBELET = {
    "user": {"username": "system:node:n1", "groups": ["system:nodes"]},
    "userAgent": "kubelet/v1.36.2 (linux/amd64) kubernetes/98b3519",
    "verb": "patch",
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "x", "subresource": "status"},
    "sourceIPs": ["10.0.1.14"],
}
ARGO = {
    "user": {"username": "system:serviceaccount:argocd:argocd-application-controller"},
    "userAgent": "argocd-application-controller/v2.13.2 (linux/amd64)",
    "verb": "patch",
    "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "shop", "name": "web"},
    "sourceIPs": ["10.244.1.3"],
}


@pytest.mark.parametrize("event", [CONTROLLER, KUBELET, ARGO])
def test_own_job(make, event):
    assert make(**event).value("actor.in_profile") is True


@pytest.mark.parametrize(
    ("event", "change"),
    [
        (CONTROLLER, {"userAgent": "curl/8.5.0"}),
        (CONTROLLER, {"userAgent": "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd"}),
        (CONTROLLER, {"userAgent": ""}),
        (CONTROLLER, {"sourceIPs": ["203.0.113.9"]}),
        (CONTROLLER, {"sourceIPs": ["10.0.0.10", "203.0.113.9"]}),
        (CONTROLLER, {"sourceIPs": []}),
        (CONTROLLER, {"verb": "get", "objectRef": {"resource": "secrets", "namespace": "shop"}}),
        (CONTROLLER, {"verb": "create", "objectRef": {"resource": "pods", "namespace": "shop", "subresource": "exec"}}),
        (CONTROLLER, {"user": {"username": "system:serviceaccount:shop:replicaset-controller"}}),
        (CONTROLLER, {"impersonatedUser": {"username": "system:admin"}}),
        (KUBELET, {"verb": "list", "objectRef": {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"}}),
        (KUBELET, {"userAgent": "curl/8.5.0"}),
        (ARGO, {"verb": "create", "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop"}}),
        (
            ARGO,
            {
                "verb": "create",
                "objectRef": {"resource": "serviceaccounts", "subresource": "token", "namespace": "kube-system"},
            },
        ),
        (ARGO, {"verb": "impersonate", "objectRef": {"resource": "users"}}),
        (ARGO, {"userAgent": "argocd-application-controller/kube-hunter"}),
    ],
)
def test_identity_client_and_origin_must_fit(make, event, change):
    facts = make(**{**event, **change})
    assert facts.value("actor.in_profile") is False


def test_where_the_log_has_neither_client_nor_source(make):
    assert make(**{**CONTROLLER, "userAgent": "", "sourceIPs": []}).value("actor.in_profile") is True


def test_old_servers_do_not_log_clients(make):
    assert make(**{**CONTROLLER, "userAgent": "", "sourceIPs": ["::1"]}).value("actor.in_profile") is True


def test_names_of_releases(make):
    named = "system:serviceaccount:cert-manager:my-cert-manager-cainjector"
    assert make(user={"username": named}).value("actor.component") == "cert-manager"
    elsewhere = "system:serviceaccount:shop:my-cert-manager-cainjector"
    assert make(user={"username": elsewhere}).value("actor.component") is None


def test_operators_of_openshift(make):
    event = {
        "user": {"username": "system:serviceaccount:openshift-etcd-operator:etcd-operator"},
        "userAgent": "cluster-etcd-operator/v0.0.0 (linux/amd64) kubernetes/$Format",
        "verb": "update",
        "objectRef": {"resource": "configmaps", "namespace": "openshift-etcd", "name": "x"},
    }
    assert make(**event).value("actor.in_profile") is True
    for client in (
        "oc/4.15.0 (linux/amd64) kubernetes/x",
        "curl/8",
        "app/v1",
        "app/v1 (linux/amd64) kubernetes/$Format",
    ):
        assert make(**event | {"userAgent": client}).value("actor.in_profile") is False
    elsewhere = {"username": "system:serviceaccount:openshift-made-up:etcd-operator"}
    assert make(**event | {"user": elsewhere}).value("actor.component") is None


@pytest.mark.parametrize(
    ("verb", "ref", "daily"),
    [
        ("list", {"resource": "secrets", "namespace": "openshift-etcd"}, True),
        ("create", {"resource": "pods", "namespace": "openshift-etcd"}, True),
        ("update", {"resource": "daemonsets", "apiGroup": "apps", "namespace": "openshift-dns"}, True),
        ("update", {"resource": "clusteroperators", "apiGroup": "config.openshift.io", "subresource": "status"}, True),
        ("list", {"resource": "secrets"}, False),
        ("create", {"resource": "pods", "namespace": "shop"}, False),
        ("create", {"resource": "daemonsets", "apiGroup": "apps", "namespace": "shop"}, False),
        ("create", {"resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io"}, False),
        ("create", {"resource": "serviceaccounts", "subresource": "token", "namespace": "openshift-etcd"}, False),
    ],
)
def test_daily_work_of_openshift(make, verb, ref, daily):
    event = {
        "user": {"username": "system:serviceaccount:openshift-etcd-operator:etcd-operator"},
        "userAgent": "cluster-etcd-operator/v0.0.0 (linux/amd64) kubernetes/$Format",
        "verb": verb,
        "objectRef": ref,
    }
    assert make(**event).value("actor.in_profile") is daily
    if ref["resource"] == "pods":
        router = {"username": "system:serviceaccount:openshift-dns-operator:dns-operator"}
        assert make(**event | {"user": router}).value("actor.in_profile") is False


def test_loopback_only(make):
    event = {
        **CONTROLLER,
        "user": {"username": "system:apiserver"},
        "userAgent": "kube-apiserver/v1.36.2 (linux/amd64) kubernetes/9",
    }
    assert make(**{**event, "sourceIPs": ["::1"]}).value("actor.in_profile") is True
    assert make(**{**event, "sourceIPs": ["10.0.0.10"]}).value("actor.in_profile") is False


def test_trusted_public_sources(make):
    context = Context(trusted_sources=AddressSet(["203.0.113.0/24"]))
    event = {**KUBELET, "sourceIPs": ["203.0.113.9"]}
    assert make(**event).value("actor.in_profile") is False
    assert make(context, **event).value("actor.in_profile") is True


def test_what_does_not_fit_is_told_apart(make):
    stolen = make(**{**ARGO, "userAgent": "curl/8.5.0", "sourceIPs": ["203.0.113.9"]})
    assert stolen.value("actor.client_fits") is False
    assert stolen.value("actor.origin_fits") is False
    assert make(**ARGO).value("actor.client_fits") is True
    assert make(**ARGO).value("actor.origin_fits") is True
    assert make(**ARGO).value("actor.job_fits") is True
    assert make(**{**ARGO, "objectRef": {"resource": "pods", "subresource": "exec"}}).value("actor.job_fits") is False
    assert make().value("actor.job_fits") is None
    assert make().value("actor.client_fits") is None


def test_people_have_no_profile(make):
    assert make().value("actor.component") is None
    assert make().value("actor.in_profile") is False


def test_rights():
    right = parse_right("rw,delete core/secrets apps/* */*/scale @own")
    assert right.covers("patch", ("", "secrets", ""), "a", "a")
    assert not right.covers("patch", ("", "secrets", ""), "b", "a")
    assert right.covers("delete", ("apps", "deployments", ""), "a", "a")
    assert not right.covers("delete", ("apps", "deployments", "status"), "a", "a")
    assert right.covers("update", ("x.example", "widgets", "scale"), "a", "a")
    assert not right.covers("deletecollection", ("", "secrets", ""), "a", "a")
    with pytest.raises(ValueError, match="names no resource"):
        parse_right("get")


def test_wildcards_never_cover_what_takes_over():
    everything = parse_right("* */*/*")
    for resource, subresource in NEVER:
        assert not everything.covers("create", ("", resource, subresource), "", "")
        assert parse_right(f"create core/{resource}/{subresource}").covers(
            "create", ("", resource, subresource), "", ""
        )
    assert everything.covers("create", ("apps", "deployments", ""), "", "")


def test_every_row_is_well_formed():
    accounts = [(namespace, account) for row in COMPONENTS for account in row.accounts for namespace in row.namespaces]
    assert len(accounts) == len(set(accounts)), "one account, one row"
    for row in COMPONENTS:
        if ANY in row.accounts:
            assert row.clients, row.component
            assert profile_of(f"system:serviceaccount:{row.namespaces[0]}:anything").component == row.component
            continue
        assert row.users or (row.accounts and row.namespaces), row.component
        assert row.clients, row.component
        for user in (*row.users, *(f"system:serviceaccount:{row.namespaces[0]}:{name}" for name in row.accounts)):
            found = profile_of(user if user != "system:node:" else "system:node:n1")
            assert found is not None, user
            assert found.component == row.component
