import base64
import json

import pytest

from kubewake.event import event_key
from kubewake.formats.gke import read_call
from kubewake.head import head_of
from tests.unit.formats.samples import body, only, read, text

EXEC = ("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec")
LACKS = {"level", "user.groups", "requestURI"}


def entry(method="io.k8s.core.v1.pods.create", name="core/v1/namespaces/shop/pods/web-0", **changes):
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "k8s.io",
        "methodName": method,
        "resourceName": name,
        "authenticationInfo": {"principalEmail": "alice@example.com"},
        "authorizationInfo": [{"granted": True, "permission": method, "resource": name}],
        "requestMetadata": {"callerIp": "203.0.113.9", "callerSuppliedUserAgent": "kubectl/v1.34.0"},
        "status": {},
    }
    record = {
        "insertId": "insert-1",
        "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"id": "operation-1", "producer": "k8s.io", "first": True, "last": True},
        "protoPayload": payload,
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "resource": {
            "type": "k8s_cluster",
            "labels": {"project_id": "acme", "location": "europe-west1", "cluster_name": "shop"},
        },
        "timestamp": "2026-03-01T10:00:00.123456789Z",
        "receiveTimestamp": "2026-03-01T10:00:05Z",
    }
    for key, value in changes.items():
        holder = record if key in record else payload
        if value is None:
            holder.pop(key, None)
        else:
            holder[key] = value
    return record


def test_an_entry_becomes_an_event_that_marks_what_google_leaves_out():
    event = only(entry())
    assert event.cluster == "acme/europe-west1/shop"
    assert (event.audit_id, event.stage, event.verb) == ("operation-1", "ResponseComplete", "create")
    assert event.time == "2026-03-01T10:00:00.123456Z"
    assert event.user.username == "alice@example.com"
    assert event.user.groups is None
    assert event.source_ips == ("203.0.113.9",)
    assert event.annotations["authorization.k8s.io/decision"] == "allow"
    assert set(event.unknown) == LACKS | {"responseStatus.code"}
    assert event.envelope == {}


@pytest.mark.parametrize(
    ("method", "name", "expected"),
    [
        ("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec",
         ("create", "pods", "exec", None, "v1", "n", "p")),
        ("io.k8s.core.v1.pods.exec.get", "core/v1/namespaces/n/pods/p/exec",
         ("get", "pods", "exec", None, "v1", "n", "p")),
        ("io.k8s.core.v1.secrets.list", "core/v1/namespaces/n/secrets",
         ("list", "secrets", None, None, "v1", "n", None)),
        ("io.k8s.core.v1.secrets.list", "core/v1/secrets", ("list", "secrets", None, None, "v1", None, None)),
        ("io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/n",
         ("delete", "namespaces", None, None, "v1", "n", "n")),
        ("io.k8s.core.v1.namespaces.finalize.update", "core/v1/namespaces/n/finalize",
         ("update", "namespaces", "finalize", None, "v1", "n", "n")),
        ("io.k8s.core.v1.namespaces.list", "core/v1/namespaces",
         ("list", "namespaces", None, None, "v1", None, None)),
        ("io.k8s.core.v1.nodes.proxy.get", "core/v1/nodes/n1/proxy/pods",
         ("get", "nodes", "proxy", None, "v1", None, "n1")),
        ("io.k8s.apps.v1.daemonsets.deletecollection", "apps/v1/namespaces/n/daemonsets",
         ("deletecollection", "daemonsets", None, "apps", "v1", "n", None)),
        ("io.k8s.authorization.rbac.v1.clusterrolebindings.patch",
         "rbac.authorization.k8s.io/v1/clusterrolebindings/b",
         ("patch", "clusterrolebindings", None, "rbac.authorization.k8s.io", "v1", None, "b")),
        ("io.k8s.authorization.rbac.v1.clusterroles.create", "",
         ("create", "clusterroles", None, "rbac.authorization.k8s.io", "v1", None, None)),
        ("io.k8s.rbac.v1.clusterroles.create", "",
         ("create", "clusterroles", None, "rbac.authorization.k8s.io", "v1", None, None)),
        ("io.k8s.batch.v1.cronjobs.update", "", ("update", "cronjobs", None, "batch", "v1", None, None)),
        ("io.k8s.core.v1.serviceaccounts.token.create", "core/v1/namespaces/n/serviceaccounts/s/token",
         ("create", "serviceaccounts", "token", None, "v1", "n", "s")),
        ("com.example.stable.v1beta1.crontabs.update", "stable.example.com/v1beta1/namespaces/n/crontabs/c",
         ("update", "crontabs", None, "stable.example.com", "v1beta1", "n", "c")),
        ("com.example.stable.v1beta1.crontabs.update", "",
         ("update", "crontabs", None, "stable.example.com", "v1beta1", None, None)),
    ],
)  # fmt: skip
def test_method_and_name_are_translated_back(method, name, expected):
    call = read_call(method, name)
    ref = call.object_ref
    assert (
        call.verb, ref.resource, ref.subresource, ref.api_group, ref.api_version, ref.namespace, ref.name,
    ) == expected  # fmt: skip


@pytest.mark.parametrize(
    ("method", "name", "path"),
    [
        ("io.k8s.core.v1.nodes.proxy.get", "core/v1/nodes/n1/proxy/run/n/p/c", "/api/v1/nodes/n1/proxy/run/n/p/c"),
        ("io.k8s.core.v1.pods.create", "core/v1/namespaces/n/pods/p", "/api/v1/namespaces/n/pods"),
        ("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec", "/api/v1/namespaces/n/pods/p/exec"),
        (
            "io.k8s.apps.v1.deployments.get",
            "apps/v1/namespaces/n/deployments/d",
            "/apis/apps/v1/namespaces/n/deployments/d",
        ),
        ("io.k8s.core.v1.namespaces.create", "core/v1/namespaces/n", "/api/v1/namespaces"),
        ("io.k8s.core.v1.pods.list", "", None),
    ],
)
def test_the_path_of_the_uri_is_known_and_its_query_is_not(method, name, path):
    event = only(entry(method, name))
    assert event.request_uri == path
    assert "requestURI" in event.unknown


def test_a_path_that_is_no_resource_becomes_the_uri():
    event = only(entry("io.k8s.get", "readyz"))
    assert (event.verb, event.request_uri, event.object_ref) == ("get", "/readyz", None)
    assert "requestURI" not in event.unknown


@pytest.mark.parametrize("method", ["", "garbage", "io.k8s", "v1", "io.k8s.core.v1.", "...", "io.k8s.core.v1.pods"])
@pytest.mark.parametrize("name", ["", "/", "core/v1", "core", "a/b/c/d/e/f", "core/v1/namespaces"])
def test_odd_methods_never_fail(method, name):
    assert only(entry(method, name)).stage == "ResponseComplete"


@pytest.mark.parametrize(
    ("status", "verb", "code", "is_marked"),
    [
        ({"code": 7, "message": "Forbidden"}, "create", 403, False),
        ({"code": 16}, "get", 401, False),
        ({"code": 5}, "get", 404, False),
        ({"code": 6}, "create", 409, False),
        ({"code": 3}, "create", 400, False),
        ({"code": 404}, "get", 404, False),
        ({"code": 99}, "get", 500, False),
        ({}, "create", 201, True),
        ({}, "get", 200, True),
        ({"code": 0}, "list", 200, True),
    ],
)
def test_grpc_codes_become_http_codes_and_success_is_marked(status, verb, code, is_marked):
    event = only(entry(f"io.k8s.core.v1.pods.{verb}", status=status))
    assert event.response_status.code == code
    assert ("responseStatus.code" in event.unknown) is is_marked


def test_without_status_a_grant_means_success_and_no_grant_means_unknown():
    assert only(entry(status=None)).response_status.code == 201
    event = only(entry(status=None, authorizationInfo=[{"permission": "io.k8s.core.v1.pods.create"}]))
    assert event.response_status is None
    assert "responseStatus.code" in event.unknown


def test_an_entry_without_status_and_permissions_is_shortened_and_tells_of_a_success():
    event = only(entry(status=None, authorizationInfo=None))
    assert event.response_status.code == 201
    assert "responseStatus.code" in event.unknown


@pytest.mark.parametrize(
    ("info", "user", "impersonated"),
    [
        ({"principalEmail": "a@example.com", "authoritySelector": "system:admin"}, "a@example.com", "system:admin"),
        ({"principalEmail": "a@example.com"}, "a@example.com", None),
        ({"authoritySelector": "system:anonymous"}, "system:anonymous", None),
        ({"principalEmail": "a@example.com", "authoritySelector": "a@example.com"}, "a@example.com", None),
    ],
)
def test_the_authority_selector_is_whom_the_principal_impersonates(info, user, impersonated):
    event = only(entry(authenticationInfo=info))
    assert event.user.username == user
    assert (event.impersonated_user.username if event.impersonated_user else None) == impersonated


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"callerIp": "203.0.113.9"}, ("203.0.113.9",)),
        ({"callerIP": "2001:db8::1"}, ("2001:db8::1",)),
        ({"callerIp": "private"}, None),
        ({"callerIp": "gce-internal-ip"}, None),
        ({"callerIp": 5}, None),
        ({}, None),
    ],
)
def test_only_an_address_is_taken_for_the_source(metadata, expected):
    event = only(entry(requestMetadata=metadata))
    assert event.source_ips == expected
    assert ("sourceIPs" in event.unknown) is (expected is None)


def test_the_command_label_goes_to_the_envelope_and_labels_to_annotations():
    event = only(entry(labels={"command.gke.io/command": "sh -c id", "x": 5}))
    assert event.envelope == {"command.gke.io/command": "sh -c id"}
    assert event.annotations == {"command.gke.io/command": "sh -c id"}


def test_bodies_lose_the_type_mark_and_gain_its_kind():
    event = only(entry(request={"@type": "apps.k8s.io/v1.DaemonSet", "metadata": {"name": "d"}}))
    assert body(event) == {"metadata": {"name": "d"}, "kind": "DaemonSet", "apiVersion": "apps/v1"}
    event = only(entry(request={"@type": "core.k8s.io/v1.Pod", "kind": "Pod", "apiVersion": "v1", "spec": {}}))
    assert body(event) == {"kind": "Pod", "apiVersion": "v1", "spec": {}}
    event = only(entry(response={"@type": "rbac.authorization.k8s.io/v1.Role", "rules": []}))
    assert json.loads(bytes(event.response_object))["apiVersion"] == "rbac.authorization.k8s.io/v1"


@pytest.mark.parametrize(
    ("operation", "stage"),
    [
        ({"id": "1", "first": True, "last": True}, "ResponseComplete"),
        ({"id": "1", "first": True}, "ResponseStarted"),
        ({"id": "1", "last": True}, "ResponseComplete"),
        ({"id": "1"}, "ResponseComplete"),
    ],
)
def test_the_first_entry_of_a_long_operation_is_its_start(operation, stage):
    assert only(entry(*EXEC, operation=operation)).stage == stage


def part(time, command="sh", **place):
    """One entry of an operation that has two."""
    labels = {"command.gke.io/command": command} if command else {}
    return only(entry(*EXEC, operation={"id": "1", "producer": "k8s.io", **place}, timestamp=time, labels=labels))


@pytest.mark.parametrize("command", ["sh", ""])
def test_the_entries_of_an_operation_are_stages_of_one_request(command):
    start = part("2026-03-01T10:00:00Z", command, first=True)
    end = part("2026-03-01T10:05:00Z", command, last=True)
    assert event_key(start, "c") >> 2 == event_key(end, "c") >> 2
    assert head_of(start).request_received_timestamp == head_of(end).request_received_timestamp
    assert (end.time, end.request_received_timestamp) == ("2026-03-01T10:05:00.000000Z", None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (part("2026-03-01T10:00:00Z", "id", first=True), part("2026-03-01T10:00:01Z", "sh", first=True)),
        (
            part("2026-03-01T10:00:00Z", first=True, last=True),
            part("2026-03-01T10:00:01Z", first=True, last=True),
        ),
    ],
)
def test_an_id_that_the_client_uses_again_does_not_make_two_requests_one(one, other):
    assert event_key(one, "c") >> 2 != event_key(other, "c") >> 2


def test_the_first_entry_of_a_short_request_is_judged_too():
    assert only(entry(operation={"id": "1", "first": True, "last": False})).stage == "ResponseComplete"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (entry("google.container.v1.ClusterManager.GetCluster", serviceName="container.googleapis.com",
               authorizationInfo=None), "Google Cloud audit log of another service"),
        ({"logName": "projects/p/logs/events", "jsonPayload": {"involvedObject": {}}, "resource": {}},
         "Kubernetes events in Cloud Logging"),
        ({"logName": "projects/p/logs/stdout", "textPayload": "hello", "resource": {}},
         "another log of Google Cloud"),
    ],
)  # fmt: skip
def test_entries_of_other_logs_are_skipped(record, reason):
    batch = read(record)
    assert (batch.events, batch.malformed) == ([], [])
    assert batch.skipped_reasons == {reason: 1}


def test_a_permission_tells_the_method_where_another_service_logs_it():
    record = entry("v2.deploymentmanager.deployments.insert", serviceName="deploymentmanager.googleapis.com")
    record["protoPayload"]["authorizationInfo"] = [{"granted": True, "permission": "io.k8s.batch.v1.cronjobs.update"}]
    event = only(record)
    assert (event.verb, event.object_ref.resource) == ("update", "cronjobs")


def test_an_array_of_entries_as_gcloud_prints_it():
    batch = read(json.dumps([entry(), entry()], indent=2).encode())
    assert len(batch.events) == 2


@pytest.mark.parametrize("key", sorted(entry()["protoPayload"]))
@pytest.mark.parametrize("value", [5, "x", [], [5], {"code": "x"}, True])
def test_wrong_types_inside_leave_an_event(key, value):
    batch = read(entry(**{key: value}))
    assert not batch.malformed
    assert len(batch.events) + batch.skipped == 1


def test_an_answer_of_cloud_logging_is_its_entries():
    assert len(read({"entries": [entry(), entry()], "nextPageToken": "x"}).events) == 2


def test_a_row_of_bigquery_has_the_payload_in_a_column_and_bodies_as_text():
    row = entry(timestamp="2026-03-01 10:00:00.5 UTC")
    payload = row.pop("protoPayload")
    pod = {"@type": "core.k8s.io/v1.Pod", "spec": {"hostPID": True}}
    event = only(row | {"protopayload_auditlog": payload | {"requestJson": json.dumps(pod), "responseJson": "{"}})
    assert (event.verb, event.user.username, event.time) == (
        "create",
        "alice@example.com",
        "2026-03-01T10:00:00.500000Z",
    )
    assert body(event) == {"spec": {"hostPID": True}, "kind": "Pod", "apiVersion": "v1"}


def pubsub(data):
    packed = base64.b64encode(data if isinstance(data, bytes) else text(data)).decode()
    attributes = {"logging.googleapis.com/timestamp": "2026-03-01T10:00:00.123456789Z"}
    return {"data": packed, "attributes": attributes, "messageId": "1", "publishTime": "2026-03-01T10:00:06Z"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda message: {"message": message, "subscription": "projects/acme/subscriptions/audit"},
        lambda message: {"ackId": "x", "message": message},
        lambda message: {"receivedMessages": [{"ackId": "x", "message": message}]},
        lambda message: [{"ackId": "x", "message": message}],
        lambda message: message,
        lambda message: {"message": {key: message[key] for key in ("data", "messageId")}},
        lambda message: {"message": {**message, "data": json.dumps(entry())}},
    ],
)
def test_entries_that_come_through_pubsub_are_unwrapped(wrap):
    event = only(wrap(pubsub(entry())))
    assert (event.cluster, event.audit_id) == ("acme/europe-west1/shop", "operation-1")
    assert event.time == "2026-03-01T10:00:00.123456Z"


def test_pubsub_messages_without_an_entry_are_skipped_or_named():
    assert read({"message": pubsub(b"hello")}).skipped_reasons == {"Pub/Sub message of another log": 1}
    assert read({"message": pubsub(b"")}).skipped_reasons == {"Pub/Sub message without data": 1}
    for data in ("%%%%", "é", 5, [1]):
        assert "Pub/Sub message whose data" in read({"message": pubsub(b"") | {"data": data}}).malformed[0].reason
    assert "breaks off" in read({"message": pubsub(text(entry())[:300])}).malformed[0].reason
