"""Nodes, namespaces, configuration, events and the stream."""

import msgspec
import pytest

from kubewake.event import AuditEvent, ObjectRef
from kubewake.facts import Facts


def test_nodes(write):
    body = {
        "metadata": {"ownerReferences": [{"kind": "Pod", "name": "x"}]},
        "spec": {"unschedulable": True, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.36.2"},
        },
    }
    facts = write("nodes", body, verb="patch", sub="status")
    assert facts.value("node.addresses.address") == ["127.0.0.1"]
    assert facts.value("node.unschedulable") is True
    assert facts.value("node.taints") == ["a=b:NoSchedule"]
    assert facts.value("node.owner_set") is True
    assert facts.value("server.version") == "v1.36.2"
    assert write("pods", body).value("node.owner_set") is None


def test_a_node_is_looked_at_where_its_body_can_say_what_is_asked():
    def node(body):
        ref = ObjectRef(resource="nodes", subresource="status", name="n1")
        return Facts(AuditEvent(verb="update", object_ref=ref, request_object=msgspec.Raw(body)))

    escaped = node(b'{"status": {"\\u0061ddresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}')
    assert escaped.value("node.addresses.address") == ["127.0.0.1"]
    assert not escaped.value("node.owner_set")
    assert not node(b'{"status": {"conditions": []}}').value("node.addresses")


ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.mark.parametrize(
    ("labels", "enforce", "lowered"),
    [
        ({ENFORCE: "privileged"}, "privileged", True),
        ({ENFORCE: "baseline", "pod-security.kubernetes.io/warn": "restricted"}, "baseline", True),
        ({ENFORCE: "restricted", "pod-security.kubernetes.io/warn": "restricted"}, "restricted", False),
        ({ENFORCE: "baseline"}, "baseline", False),
        ({"a": "b"}, None, False),
    ],
)
def test_pod_security(write, labels, enforce, lowered):
    facts = write("namespaces", {"metadata": {"labels": labels}}, verb="patch")
    assert facts.value("namespace.pod_security_enforce") == enforce
    assert facts.value("namespace.pod_security_lowered") is lowered
    assert facts.value("namespace.pod_security_removed") is False


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"labels": {ENFORCE: None}}},
        [{"op": "remove", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce"}],
        [{"op": "remove", "path": "/metadata/labels"}],
    ],
)
def test_pod_security_removed(write, body):
    facts = write("namespaces", body, verb="patch")
    assert facts.value("namespace.pod_security_removed") is True
    assert facts.value("namespace.pod_security_lowered") is True


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"db_password": "x"}, True),
        ({"app.conf": "user=a\npassword = hunter2"}, True),
        ({"app.conf": "AKIAIOSFODNN7EXAMPLE"}, True),
        ({"app.yml": "aws_access_key_id: x"}, True),
        ({"app.yml": "aws-access-key-id = x"}, True),
        ({"app.yml": "aws_s3_access_key_id = x"}, True),
        ({"app.yml": "aws-s3-access-key-id = x"}, True),
        ({"app.yml": "AWS_SECRET_ACCESS_KEY=x"}, True),
        ({"AWS_ACCESS_KEY_ID": "x"}, True),
        ({"access-key-identity": "x"}, False),
        ({"key.pem": "-----BEGIN RSA PRIVATE KEY-----"}, True),
        ({"LOG_LEVEL": "info"}, False),
        ({"password": ""}, False),
        ({"notes": "ask for the password at the desk"}, False),
    ],
)
def test_credentials_in_configmaps(write, data, expected):
    facts = write("configmaps", {"data": data})
    assert facts.value("configmap.has_credentials") is expected
    assert facts.value("configmap.keys") == list(data)


def test_scale(write):
    assert (
        write("deployments", {"spec": {"replicas": 0}}, verb="patch", sub="scale", group="apps").value("scale.replicas")
        == 0
    )
    assert write("deployments", {"spec": {"replicas": 0}}, verb="patch", group="apps").value("scale.replicas") is None
    assert write("deployments", {"spec": {"replicas": 0}}, verb="patch", group="apps").value("workload.replicas") == 0


def test_events(write):
    facts = write("events", {"message": 'Pulling image "x"', "reason": "Pulling"})
    assert facts.value("event.message") == 'Pulling image "x"'
    assert facts.value("event.reason") == "Pulling"
    assert write("events", {"note": "n"}, group="events.k8s.io").value("event.message") == "n"


def test_truncation(make):
    assert make(annotations={"audit.k8s.io/truncated": "true"}).value("audit.truncated") is True
    cut = make(requestObject="skipped-too-big-size-object")
    assert cut.value("audit.truncated") is True
    assert cut.request_body is None
    assert make().value("audit.truncated") is False


def test_versions(make):
    facts = make(verb="get", requestURI="/version", objectRef=None, responseObject={"gitVersion": "v1.36.2"})
    assert facts.value("server.version") == "v1.36.2"


def test_service_account_secrets(write):
    body = {"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "b"}]}
    assert write("serviceaccounts", body, verb="patch").value("serviceaccount.secrets") == ["a", "b"]
