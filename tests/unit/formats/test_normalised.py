"""Events that Panther, Elastic, Datadog and log shippers have passed on, and what is not supported."""

import json

import pytest

from kubewake.formats.elastic import dotted
from tests.unit.formats.samples import TIME, body, native, only, read, text

MESSAGE = text(native()).decode()


def test_panther_adds_fields_that_go_to_the_envelope():
    enrichment = {"tor_exit_nodes": ["203.0.113.9"]}
    event = only(
        {**native(), "p_log_type": "Amazon.EKS.Audit", "p_enrichment": enrichment, "p_any_ip_addresses": ["x"]}
    )
    assert event.envelope == {"p_enrichment": enrichment}
    assert event.audit_id == native()["auditID"]


def test_panther_keeps_the_time_where_the_event_has_lost_it():
    record = native(stageTimestamp=None, requestReceivedTimestamp=None)
    event = only({**record, "p_log_type": "Amazon.EKS.Audit", "p_event_time": "2026-03-01 10:00:00.5"})
    assert event.time == "2026-03-01T10:00:00.500000Z"


def test_panther_around_other_envelopes():
    record = {"category": "kube-audit", "operationName": "x/diagnosticLogs/Read", "properties": {"log": MESSAGE}}
    assert only({**record, "p_log_type": "Azure.MonitorActivity", "p_enrichment": {"a": 1}}).envelope == {
        "p_enrichment": {"a": 1}
    }


def test_panther_fixtures_may_hold_little():
    event = only(
        {"kind": "Event", "verb": "list", "objectRef": {"resource": "secrets"}, "p_log_type": "Amazon.EKS.Audit"}
    )
    assert (event.verb, event.object_ref.resource) == ("list", "secrets")
    assert {"auditID", "stage", "stageTimestamp"} <= set(event.unknown)


UNDERSCORED = {"authorization_k8s_io/decision": "allow", "mutation_webhook_admission_k8s_io/round_0_index_1": "x"}
DOTTED = {"authorization.k8s.io/decision": "allow", "mutation.webhook.admission.k8s.io/round_0_index_1": "x"}


@pytest.mark.parametrize("wrap", [lambda e: {"kubernetes": {"audit": e}}, lambda e: {"aws": {"eks": {"audit": e}}}])
def test_elastic_documents_give_their_annotations_their_dots_back(wrap):
    user = {"username": "alice", "extra": {"authentication_kubernetes_io/pod-name": ["p"]}}
    event = only({**wrap(native(annotations=UNDERSCORED, user=user)), "@timestamp": TIME, "event": {"kind": "event"}})
    assert event.annotations == DOTTED
    assert event.user.extra == {"authentication.kubernetes.io/pod-name": ["p"]}
    assert event.time == TIME


def test_an_elastic_hit_with_flat_keys_and_a_cluster():
    flat = {f"kubernetes.audit.{key}": value for key, value in native(annotations=None).items()}
    flat["kubernetes.audit.annotations.authorization_k8s_io/decision"] = "forbid"
    flat["orchestrator"] = {"cluster": {"name": "shop"}}
    event = only({"_index": "logs", "_id": "1", "_source": flat})
    assert event.annotations == {"authorization.k8s.io/decision": "forbid"}
    assert event.cluster == "shop"


def test_an_answer_of_elasticsearch_is_its_hits():
    hits = [
        {"_id": "1", "_source": {"kubernetes": {"audit": native()}}},
        {"_source": {"aws.eks.audit.verb": "get", "aws.eks.audit.auditID": "2"}},
    ]
    batch = read({"took": 3, "hits": {"total": {"value": 2}, "hits": hits}})
    assert [event.verb for event in batch.events] == ["create", "get"]


def test_elastic_keeps_the_address_where_the_event_has_lost_it():
    event = only({"kubernetes": {"audit": native(sourceIPs=None)}, "source": {"ip": "10.0.0.9"}})
    assert event.source_ips == ("10.0.0.9",)


def test_elastic_documents_of_google_entries():
    audit = {
        "service_name": "k8s.io",
        "method_name": "io.k8s.core.v1.secrets.list",
        "resource_name": "core/v1/namespaces/n/secrets",
        "authentication_info": {"principal_email": "a@example.com", "authority_selector": "system:admin"},
        "request_metadata": {"caller_ip": "10.0.0.9", "caller_supplied_user_agent": "kubectl"},
        "status": {"code": 7},
    }
    event = only({"gcp": {"audit": audit}, "@timestamp": TIME})
    assert (event.verb, event.object_ref.resource, event.response_status.code) == ("list", "secrets", 403)
    assert (event.user.username, event.impersonated_user.username) == ("a@example.com", "system:admin")
    assert event.source_ips == ("10.0.0.9",)


def google(**changes):
    audit = {
        "service_name": "k8s.io",
        "method_name": "io.k8s.core.v1.secrets.list",
        "resource_name": "core/v1/secrets",
        "logentry_operation": {"id": "operation-1", "first": True, "last": True, "producer": "k8s.io"},
    }
    return {"gcp": {"audit": audit | changes}, "@timestamp": TIME}


@pytest.mark.parametrize(
    "beside",
    [
        {
            "source": {"ip": "10.0.0.9"},
            "user_agent": {"original": "curl/8.1"},
            "client": {"user": {"email": "a@example.com"}},
        },
        {"source.ip": "10.0.0.9", "user_agent.original": "curl/8.1", "client.user.email": "a@example.com"},
    ],
)
def test_elastic_says_beside_a_google_entry_who_asked_and_with_what(beside):
    event = only(google() | beside)
    assert (event.source_ips, event.user_agent) == (("10.0.0.9",), "curl/8.1")
    assert (event.user.username, event.audit_id) == ("a@example.com", "operation-1")
    stated = google(request_metadata={"caller_supplied_user_agent": "kubectl"})
    assert only(stated | beside).user_agent == "kubectl"
    assert only({"kubernetes": {"audit": native(userAgent=None)}} | beside).user_agent == "curl/8.1"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda log: {"azure": {"platformlogs": {"category": "kube-audit", "properties": {"log": log}}}},
        lambda log: {"azure.platformlogs.properties.log": log},
    ],
)
def test_elastic_documents_of_azure_hold_the_event_as_object_or_text(wrap):
    resource = "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/X/MANAGEDCLUSTERS/SHOP"
    for log in (native(), MESSAGE):
        event = only({**wrap(log), "azure.resource.id": resource, "@timestamp": TIME})
        assert (event.audit_id, event.cluster) == (native()["auditID"], "rg/shop")
    assert read(wrap("I0301 klog")).skipped_reasons == {"Elastic document without an audit event": 1}
    assert read(wrap(MESSAGE[:300])).malformed


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a_b/c_d", "a.b/c_d"),
        ("a.b_c/d", "a.b_c/d"),
        ("plain_key", "plain_key"),
        ("failed-open_x/y", "failed-open.x/y"),
    ],
)
def test_dotted(key, expected):
    assert dotted(key) == expected


HTTP = {
    "http": {"method": "create", "status_code": 403, "url_details": {"path": "/api/v1/pods", "queryString": {"a": "1"}}}
}


def test_datadog_attributes_stand_in_for_what_is_missing():
    record = native(responseStatus=None, requestURI=None, verb=None, user=None, sourceIPs=None)
    event = only({**record, **HTTP, "usr": {"id": "alice"}, "network": {"client": {"ip": "10.0.0.9"}}})
    assert (event.verb, event.request_uri, event.response_status.code) == ("create", "/api/v1/pods?a=1", 403)
    assert (event.user.username, event.source_ips) == ("alice", ("10.0.0.9",))


def test_datadog_attributes_never_replace_what_the_event_says():
    event = only({**native(), **HTTP, "usr": {"id": "mallory"}})
    assert (event.verb, event.response_status.code, event.user.username) == ("create", 201, "alice")


def test_an_http_method_is_no_verb():
    event = only({**native(verb=None), "http": {"method": "POST"}})
    assert event.verb is None


def test_datadog_makes_objects_of_annotations_at_each_dot():
    nested = {"authorization": {"k8s": {"io/decision": "forbid", "io/reason": ""}}, "plain": "x"}
    event = only({**native(annotations=nested), **HTTP})
    assert event.annotations == {
        "authorization.k8s.io/decision": "forbid",
        "authorization.k8s.io/reason": "",
        "plain": "x",
    }


def test_datadog_logs_nest_their_attributes():
    log = {
        "id": "1",
        "type": "log",
        "attributes": {"attributes": {**native(), **HTTP}, "tags": ["kube_cluster_name:shop"]},
    }
    assert only(log).cluster == "shop"
    assert read({"data": [log]}).malformed


def test_gelf_of_ovh_is_json_in_json_in_json():
    gelf = {"_appID": "kube", "short_message": MESSAGE, "timestamp": 1772359200.5, "version": "1.1", "host": "h"}
    assert only({"message": json.dumps(gelf)}).audit_id == native()["auditID"]
    assert only({**gelf, "full_message": ""}).audit_id == native()["auditID"]
    batch = read({"message": json.dumps({**gelf, "short_message": "I0301 up"})})
    assert batch.skipped_reasons == {"GELF message of another log": 1}


@pytest.mark.parametrize(
    "record",
    [
        {"log": MESSAGE + "\n", "stream": "stdout", "time": TIME},
        {"MESSAGE": MESSAGE, "_SYSTEMD_UNIT": "kubelet.service"},
        {"preview": False, "result": {"_raw": MESSAGE, "_time": TIME}},
        {"message": "ip-10-0-0-1 " + MESSAGE},
        {"event": {"original": MESSAGE}, "@timestamp": TIME},
        {"received": 1.5, "method": "POST", "headers": [], "body": MESSAGE},
        {"event": native(), "sourcetype": "kube:audit"},
    ],
)
def test_what_log_shippers_wrap_is_unwrapped(record):
    assert only(record).audit_id == native()["auditID"]


@pytest.mark.parametrize("message", ["I0301 10:00:00.0 klog", "", "plain {text}", '{"level":"info"'])
def test_other_lines_of_a_log_shipper_are_skipped(message):
    batch = read({"log": message, "stream": "stderr"})
    assert batch.skipped_reasons == {"text of another log": 1}
    assert not batch.malformed


def test_a_cut_event_of_a_log_shipper_is_a_fault():
    batch = read({"log": MESSAGE[:400], "stream": "stdout"})
    assert len(batch.malformed) == 1


def test_events_of_objects_are_skipped():
    record = {"kind": "Event", "apiVersion": "v1", "involvedObject": {"kind": "Pod"}, "reason": "Started"}
    assert read(record).skipped_reasons == {"Kubernetes event of an object": 1}
    batch = read({"kind": "EventList", "apiVersion": "v1", "items": [record, record]})
    assert batch.skipped_reasons == {"Kubernetes event of an object": 2}


@pytest.mark.parametrize(
    "record",
    [
        {"auditID": "1", "requestURI": "/v3/users", "user": {"name": "u-1", "group": ["a"]}, "method": "PUT",
         "remoteAddr": "10.0.0.1:1", "requestTimestamp": "2026-03-01T10:00:00Z", "requestBody": {}},
        {"auditID": "1", "responseCode": 200, "responseTimestamp": "2026-03-01T10:00:00Z", "responseStatus": "200"},
        {"auditID": "1", "requestURI": "/v3/schemas", "sourceIPs": ["::1"], "user": {"name": "u-1", "group": ["a"]},
         "verb": "GET", "stage": "RequestReceived", "stageTimestamp": "2018-07-20 10:22:43 +0800"},
        {"auditID": "1", "requestURI": "/v3-public/localProviders/local?action=login", "verb": "POST",
         "stage": "RequestReceived", "stageTimestamp": "2018-07-20 10:22:43 +0800"},
        {"auditID": "1", "responseStatus": "200", "stage": "ResponseComplete", "responseBody": {},
         "stageTimestamp": "2018-07-20 10:22:43 +0800"},
    ],
)  # fmt: skip
def test_the_log_of_rancher_is_named_as_not_supported(record):
    batch = read(record)
    assert not batch.events
    assert "Rancher" in batch.malformed[0].reason
    assert "not supported" in batch.malformed[0].reason


@pytest.mark.parametrize("change", [{"verb": "GET"}, {"user": {"name": "u-1"}}, {"responseStatus": "200"}])
def test_no_event_is_taken_for_an_entry_of_rancher_by_one_odd_field(change):
    for record in (native(**change), native(kind=None, apiVersion=None, **change)):
        assert only(record).audit_id == native()["auditID"]


def test_events_of_openshift_and_distributed_cloud_are_native():
    login = native(
        requestURI="/oauth/authorize?client_id=console",
        user={"username": "system:anonymous"},
        annotations={"authentication.openshift.io/decision": "deny", "authentication.openshift.io/username": "alice"},
    )
    assert only(b"master-0.example.com " + text(login)).annotations["authentication.openshift.io/username"] == "alice"
    event = only({**native(), "hostname": "node-1", "_gdch_service_name": "x"})
    assert body(event) == native()["requestObject"]
