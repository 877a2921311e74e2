"""The table of fields: names resolve, scopes hold, hints help, the page is current."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewake import fields
from kubewake.event import AuditEvent, EnvelopedEvent, ObjectRef, Status, User, decode_event
from kubewake.facts import Facts

EVENT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "id-1",
    "stage": "ResponseComplete",
    "requestURI": "/apis/apps/v1/namespaces/shop/deployments/web",
    "verb": "update",
    "user": {
        "username": "alice",
        "uid": "7",
        "groups": ["dev", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"], "scopes": ["a", "b"]},
    },
    "impersonatedUser": {"username": "bob"},
    "sourceIPs": ["10.0.0.1", "203.0.113.9"],
    "userAgent": "kubectl/v1.32.4",
    "objectRef": {
        "resource": "deployments",
        "namespace": "shop",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
    },
    "responseStatus": {"code": 200, "details": {"kind": "x"}},
    "requestObject": {
        "metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "labels": {"app": "web", "app.kubernetes.io/name": "n"},
        },
        "spec": {
            "template": {"spec": {"containers": [{"image": "a", "args": ["1", "2"]}, {"image": "b", "args": ["3"]}]}}
        },
    },
    "responseObject": {"kind": "Deployment", "items": [{"a": [{"b": 1}]}, {"a": [{"b": 2}]}]},
    "requestReceivedTimestamp": "2026-11-23T06:38:08.000000Z",
    "stageTimestamp": "2026-11-23T06:38:08.100000Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "r"},
}


@pytest.fixture(scope="module")
def facts():
    return Facts(decode_event(json.dumps(EVENT).encode()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "Event"),
        ("apiVersion", "audit.k8s.io/v1"),
        ("verb", "update"),
        ("auditID", "id-1"),
        ("user.username", "alice"),
        ("user.groups", ("dev", "system:authenticated")),
        ("user.extra.scopes", ["a", "b"]),
        ("user.extra.authentication.kubernetes.io/credential-id", ["JTI=1"]),
        ("user.extra.authentication\\.kubernetes\\.io/credential-id", ["JTI=1"]),
        ("user.extra.missing", None),
        ("impersonatedUser.username", "bob"),
        ("impersonatedUser.groups", None),
        ("sourceIPs", ("10.0.0.1", "203.0.113.9")),
        ("objectRef.resource", "deployments"),
        ("objectRef.subresource", None),
        ("objectRef.apiGroup", "apps"),
        ("responseStatus.code", 200),
        ("responseStatus.details.kind", "x"),
        ("annotations.authorization\\.k8s\\.io/decision", "allow"),
        ("annotations.authorization.k8s.io/decision", "allow"),
        ("annotations.missing", None),
        ("requestObject.metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration", "{}"),
        ("requestObject.metadata.annotations.kubectl.kubernetes.io/last-applied-configuration", "{}"),
        ("requestObject.metadata.labels.app", "web"),
        ("requestObject.metadata.labels.app.kubernetes.io/name", "n"),
        ("requestObject.spec.template.spec.containers.image", ["a", "b"]),
        ("requestObject.spec.template.spec.containers.args", ["1", "2", "3"]),
        ("requestObject.spec.template.spec.containers.1.image", "b"),
        ("requestObject.spec.template.spec.containers.7.image", None),
        ("requestObject.spec.missing.deeper", None),
        ("responseObject.items.a.b", [1, 2]),
        ("nonsense", None),
        ("nonsense.deeper", None),
    ],
)
def test_native_paths(facts, name, value):
    assert facts.value(name) == value


def test_whole_structures(facts):
    assert facts.value("objectRef") == {
        "resource": "deployments", "namespace": "shop", "name": "web", "apiGroup": "apps", "apiVersion": "v1",
    }  # fmt: skip
    assert facts.value("user")["username"] == "alice"
    assert Facts(AuditEvent()).value("objectRef") is None
    assert Facts(AuditEvent()).value("user.username") is None


def test_envelope_paths():
    event = EnvelopedEvent(envelope={"labels.command": "id", "p_enrichment": {"tor": [{"x": 1}]}})
    facts = Facts(event)
    assert facts.value("labels.command") == "id"
    assert facts.value("p_enrichment.tor.x") == [1]
    assert facts.value("p_enrichment.none") is None


def test_lists_nested_without_end_read_as_absent():
    body = {"spec": {"a": 1}}
    for _ in range(900):
        body = [body]
    facts = Facts(AuditEvent(request_object=msgspec.Raw(json.dumps(body).encode())))
    assert facts.value("requestObject.spec.a") is None


def test_readers_are_compiled_once():
    assert fields.reader("requestObject.spec.x") is fields.reader("requestObject.spec.x")


def test_element_parts():
    assert fields.element_of("workload.containers.privileged") == ("workload.containers", "privileged")
    assert fields.element_of("rbac.rules.verbs") == ("rbac.rules", "verbs")
    assert fields.element_of("object.labels.app") is None
    assert fields.element_of("user.username") is None


def test_known_names():
    for name in fields.names():
        assert fields.is_known(name), name
    for name in (
        "requestObject.spec.anything",
        "annotations.a\\.b",
        "user.extra.x",
        "object.labels.x",
        "workload.containers.env.X",
    ):
        assert fields.is_known(name), name
    for name in ("objectRef.subResource", "user.name", "workload.containers.img", "rbac.rules.verb", "made.up"):
        assert not fields.is_known(name), name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("objectRef.subResource", "objectRef.subresource"),
        ("objectref.apigroup", "objectRef.apiGroup"),
        ("user.name", "user.username"),
        ("sourceIP", "sourceIPs"),
        ("useragent", "userAgent"),
        ("workload.container.image", "workload.containers.image"),
        ("workload.hostnetwork", "workload.host_network"),
        ("hostPath", "workload.host_paths"),
        ("responseStatus.cod", "responseStatus.code"),
        ("capabilities", "workload.containers.capabilities_add"),
        ("zzzzqqqq", None),
    ],
)
def test_suggestions(wrong, right):
    assert fields.suggest(wrong) == right


@pytest.mark.parametrize(
    ("name", "scope", "level", "kind"),
    [
        ("verb", "behaviour", "Metadata", "text"),
        ("objectRef.name", "event", "Metadata", "text"),
        ("annotations.authorization\\.k8s\\.io/decision", "behaviour", "Metadata", None),
        ("requestObject.spec.x", "event", "Request", None),
        ("responseObject.spec.x", "event", "RequestResponse", None),
        ("actor.kind", "behaviour", "Metadata", "text"),
        ("actor.in_profile", "behaviour", "Metadata", "boolean"),
        ("workload.containers.privileged", "event", "Request", "boolean"),
        ("workload.containers.capabilities_add", "event", "Request", "list"),
        ("object.labels.app", "event", "Request", "text"),
        ("exec.command", "event", "Metadata", "text"),
    ],
)
def test_scopes_levels_kinds(name, scope, level, kind):
    assert fields.scope_of(name) == scope
    assert fields.level_of(name) == level
    assert fields.kind_of(name) == kind


def test_carried_fields_exist():
    assert len(set(fields.CARRIED)) == len(fields.CARRIED)
    for name in fields.CARRIED:
        assert fields.is_known(name), name


def test_every_field_is_described():
    for field in fields.FIELDS.values():
        assert field.doc.endswith("."), field.name
        assert field.example, field.name
        assert (field.kind == "elements") == bool(field.parts), field.name
        assert field.scope != "behaviour" or field.level == "Metadata" or field.name in KEYED_BY_BODY, field.name


def test_the_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "fields.md"
    assert page.read_text() == fields.document(), "run `make docs` to write docs/fields.md anew"


KEYED_BY_BODY = {"object.has_escape"}
"""Fields of the body that the key of behaviours has a bit for: see `engine.read`."""

KEYED_BY_URI = {"request.has_traversal"}
"""The behaviour key of the engine holds the URI where it has traversal in it."""
BEHAVIOUR = [
    name
    for name in (*fields.NATIVE, *fields.FIELDS)
    if fields.scope_of(name) == "behaviour" and name not in KEYED_BY_URI
]
_text = st.one_of(st.none(), st.text(max_size=8))
_raw = st.sampled_from([b"", b"{}", b'{"kind":"Pod","spec":{"hostPID":true}}', b"[]", b"nonsense"]).map(msgspec.Raw)
_users = st.sampled_from(
    ["alice", "system:serviceaccount:kube-system:job-controller", "system:node:n", "", "system:serviceaccount:a:b"]
)
_key = st.fixed_dictionaries(
    {
        "username": _users,
        "groups": st.sampled_from([None, ("system:unauthenticated",), ("dev",)]),
        "verb": st.sampled_from(["get", "list", "create", "patch", "watch"]),
        "ref": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "resource": st.sampled_from(["pods", "secrets", "nodes", "rollouts", None]),
                    "subresource": st.sampled_from([None, "exec", "proxy", "status"]),
                    "api_group": st.sampled_from([None, "apps", "argoproj.io"]),
                    "namespace": st.sampled_from([None, "shop", "kube-system"]),
                }
            ),
        ),
        "agent": st.sampled_from([None, "curl/8", "kubectl/v1 (a/b) kubernetes/x", "kube-controller-manager/v1", "kubelet/v1"]),
        "ips": st.sampled_from([None, (), ("10.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("8.8.8.8",)]),
        "code": st.sampled_from([None, 101, 200, 201, 401, 403, 404]),
        "stage": st.sampled_from(["ResponseComplete", "ResponseStarted"]),
        "decision": st.sampled_from([None, "allow", "forbid"]),
        "reason": st.sampled_from([None, "", 'RBAC: allowed by RoleBinding "a" of Role "b" to User "c"']),
        "assumed": st.one_of(st.none(), _users),
        "level": st.sampled_from(["Metadata", "Request"]),
        "credential": st.sampled_from([None, "JTI=1"]),
    }
)  # fmt: skip
_rest = st.fixed_dictionaries(
    {
        "uri": st.sampled_from(
            [None, "/api/v1/pods?dryRun=All", "/healthz", "/api/v1/namespaces/a/pods/../x", "/version"]
        ),
        "name": _text,
        "uid": _text,
        "request": _raw,
        "response": _raw,
        "annotations": st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=1),
        "extra": st.sampled_from([{}, {"authentication.kubernetes.io/pod-name": ["p"]}]),
        "message": _text,
    }
)


def _event(key, rest):
    annotations = dict(rest["annotations"])
    for name in ("decision", "reason"):
        if key[name] is not None:
            annotations[f"authorization.k8s.io/{name}"] = key[name]
    extra = dict(rest["extra"])
    if key["credential"]:
        extra["authentication.kubernetes.io/credential-id"] = [key["credential"]]
    return AuditEvent(
        level=key["level"],
        audit_id=rest["message"],
        stage=key["stage"],
        request_uri=rest["uri"],
        verb=key["verb"],
        user=User(username=key["username"], uid=rest["uid"], groups=key["groups"], extra=extra),
        impersonated_user=User(username=key["assumed"]) if key["assumed"] is not None else None,
        source_ips=key["ips"],
        user_agent=key["agent"],
        object_ref=ObjectRef(**key["ref"], name=rest["name"]) if key["ref"] is not None else None,
        response_status=Status(code=key["code"], message=rest["message"]),
        request_object=rest["request"],
        response_object=rest["response"],
        annotations=annotations,
    )


@settings(max_examples=200, deadline=None)
@given(_key, _rest, _rest)
def test_behaviour_fields_follow_from_the_behaviour_key(key, one, other):
    first, second = Facts(_event(key, one)), Facts(_event(key, other))
    for name in BEHAVIOUR:
        assert first.value(name) == second.value(name), name
