import json

import pytest

from tests.unit.formats.samples import TIME, body, native, only, read, text

RESOURCE = "/SUBSCRIPTIONS/0000/RESOURCEGROUPS/SHOP-RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/SHOP"


def diagnostic(log, category="kube-audit", **changes):
    return {
        "category": category,
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"log": log, "pod": "kube-apiserver-1", "stream": "stdout", "containerID": "c"},
        "resourceId": RESOURCE,
        "time": "2026-03-01T10:00:07.5Z",
        **changes,
    }


MESSAGE = text(native()).decode()


@pytest.mark.parametrize("log", [MESSAGE, MESSAGE + "\n", native()])
@pytest.mark.parametrize("category", ["kube-audit", "kube-audit-admin"])
def test_the_log_is_text_or_an_object(log, category):
    for record in (diagnostic(log, category), {"records": [diagnostic(log, category)]}):
        event = only(record)
        assert event.cluster == "shop-rg/shop"
        assert event.time == TIME
        assert event.unknown == ()


def test_properties_may_be_text_too():
    assert only(diagnostic(None, properties=json.dumps({"log": MESSAGE}))).verb == "create"


def test_many_records_on_many_lines():
    batch = read(
        text({"records": [diagnostic(MESSAGE), diagnostic("I0301 up", "guard")]}) + b"\n" + text(diagnostic(MESSAGE))
    )
    assert list(batch.lines) == [1, 2]
    assert batch.skipped_reasons == {"another Azure log category": 1}


@pytest.mark.parametrize("category", ["kube-apiserver", "guard", "cluster-autoscaler", "kube-scheduler"])
def test_other_categories_are_skipped(category):
    batch = read(diagnostic("I0301 10:00:00 klog", category))
    assert batch.skipped_reasons == {"another Azure log category": 1}


def test_the_activity_log_is_skipped_by_its_name():
    batch = read(
        {
            "category": "Administrative",
            "operationName": "MICROSOFT.KUBERNETES/CONNECTEDCLUSTERS/PODS/WRITE",
            "resourceId": "/x",
        }
    )
    assert list(batch.skipped_reasons) == ["Azure activity log, which has no Kubernetes requests"]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (None, "without properties.log"),
        (5, "without properties.log"),
        (MESSAGE[:120], "breaks off"),
        ('{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', "nothing but its kind"),
    ],
)
def test_an_audit_record_without_its_event_is_named(log, reason):
    batch = read(diagnostic(log))
    assert not batch.events
    assert reason in batch.malformed[0].reason


def test_an_audit_record_with_a_cut_event_is_judged_at_its_own_time():
    event = only(diagnostic(MESSAGE[:300]))
    assert (event.verb, event.user.username) == ("create", "alice")
    assert "truncated" in event.unknown


def test_the_time_of_the_record_stands_in():
    event = only(diagnostic(native(stageTimestamp=None, requestReceivedTimestamp=None)))
    assert event.time == "2026-03-01T10:00:07.500000Z"


def test_a_row_of_azure_diagnostics():
    event = only(
        {"Category": "kube-audit", "log_s": MESSAGE, "ResourceId": RESOURCE, "TimeGenerated": "2026-03-01T10:00:00Z"}
    )
    assert event.cluster == "shop-rg/shop"
    batch = read({"Category": "guard", "log_s": "klog", "ResourceId": RESOURCE})
    assert batch.skipped == 1


ROW = {
    "TimeGenerated": "2026-03-01T10:00:09Z",
    "AuditId": "audit-1",
    "Level": "Request",
    "Stage": "ResponseComplete",
    "RequestUri": "/api/v1/namespaces/shop/pods",
    "Verb": "create",
    "User": {"username": "alice", "groups": ["a"]},
    "ImpersonatedUser": "",
    "SourceIps": ["10.0.3.7"],
    "UserAgent": "kubectl",
    "ObjectRef": {"resource": "pods", "namespace": "shop"},
    "ResponseStatus": {"code": 201},
    "RequestObject": {"kind": "Pod"},
    "RequestReceivedTime": "2026-03-01T10:00:01.5Z",
    "StageReceivedTime": "2026-03-01T10:00:02.5Z",
    "Annotations": {"a": "b"},
    "PodName": "kube-apiserver-1",
    "_ResourceId": RESOURCE,
    "Type": "AKSAudit",
}


@pytest.mark.parametrize("dynamic_as_text", [False, True])
def test_a_row_of_aks_audit(dynamic_as_text):
    row = {
        key: json.dumps(value) if dynamic_as_text and isinstance(value, dict | list) else value
        for key, value in ROW.items()
    }
    event = only(row)
    assert (event.audit_id, event.verb, event.user.username, event.source_ips) == (
        "audit-1",
        "create",
        "alice",
        ("10.0.3.7",),
    )
    assert event.time == "2026-03-01T10:00:02.500000Z"
    assert event.request_received_timestamp == "2026-03-01T10:00:01.500000Z"
    assert event.impersonated_user is None
    assert body(event) == {"kind": "Pod"}
    assert event.annotations == {"a": "b"}
    assert event.cluster == "shop-rg/shop"


def test_an_answer_of_the_query_api():
    table = {"name": "PrimaryResult", "columns": [{"name": key} for key in ROW], "rows": [list(ROW.values())] * 2}
    batch = read({"tables": [table]})
    assert [event.audit_id for event in batch.events] == ["audit-1", "audit-1"]
