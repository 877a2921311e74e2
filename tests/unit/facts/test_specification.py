"""A specification that was met before is understood as if it were new."""

import json

import msgspec
import pytest
from msgspec.structs import replace

from kubewake.event import AuditEvent, decode_event
from kubewake.facts import Facts, patch, specification
from kubewake.facts.patch import read_patch
from kubewake.facts.specification import LEAST_BYTES, Specification, decode_object, decode_patch, remembered

POD = {
    "containers": [
        {
            "name": "main",
            "image": "registry.example.com/shop/web:1.27",
            "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
            "env": [{"name": f"SETTING_{number}", "value": "x" * 20} for number in range(20)],
        },
    ],
    "hostPID": True,
}


def raw(value):
    return msgspec.Raw(json.dumps(value).encode())


def event(resource, spec, name, **changes) -> AuditEvent:
    record = {
        "verb": "create",
        "user": {"username": "alice"},
        "sourceIPs": ["10.0.0.1"],
        "objectRef": {"resource": resource, "namespace": "shop", "apiGroup": "apps" if resource != "pods" else ""},
        "responseStatus": {"code": 201},
        "requestObject": {"metadata": {"name": name}, "spec": spec},
        **changes,
    }
    return decode_event(json.dumps(record).encode())


def test_pods_of_one_template_share_their_specification_and_nothing_else():
    one, other = (Facts(event("pods", POD, name)) for name in ("one", "other"))
    assert one.written["spec"] is other.written["spec"]
    assert one.value("workload.containers") is other.value("workload.containers")
    assert one.value("workload.risks") == ["privileged", "host-pid", "dangerous-capability"]
    assert [facts.value("workload.name") for facts in (one, other)] == ["one", "other"]


def test_a_specification_means_something_else_in_another_kind():
    """A Deployment whose own `spec` has containers, where none belong, runs none of them."""
    pod, deployment, custom = (
        Facts(event("pods", POD, "x")),
        Facts(event("deployments", POD, "x")),
        Facts(event("pods", POD, "x", objectRef={"resource": "pods", "apiGroup": "metrics.example.com"})),
    )
    assert [item["name"] for item in pod.value("workload.containers")] == ["main"]
    assert not deployment.value("workload.containers")
    assert not custom.value("workload.containers")


def test_one_byte_more_is_another_specification():
    plain = {**POD, "hostPID": False}
    assert Facts(event("pods", POD, "x")).value("workload.host_pid") is True
    assert Facts(event("pods", plain, "x")).value("workload.risks") == ["privileged", "dangerous-capability"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [{"spec": POD}],
        {"spec": None},
        {"spec": [POD] * 2},
        {"spec": "x" * 2 * LEAST_BYTES},
        {"spec": POD, "metadata": {"spec": POD}, "é": 1},
        {"status": {"spec": POD}, "padding": "x" * LEAST_BYTES},
    ],
)
def test_any_body_decodes_to_what_it_says(value):
    for decode in (decode_object, decode_object, decode_patch, decode_patch):
        assert decode(raw(value)) == value


@pytest.mark.parametrize("broken", [b"{", b'{"spec":{"a":' + b"[" * 5000, b'{"spec":{"a":"\xff"}}', b'{"spec":1,}'])
def test_what_is_broken_raises_as_ever(broken):
    broken += b" " * LEAST_BYTES
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        decode_object(msgspec.Raw(broken))


def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(specification, "MAX_REMEMBERED", 5)
    for number in range(20):
        assert isinstance(decode_object(raw({"spec": {**POD, "nodeName": f"n{number}"}}))["spec"], Specification)
        assert len(specification._met) <= 5


def test_what_fails_is_not_remembered():
    spec = Specification({})
    with pytest.raises(LookupError):
        remembered(spec, "a", lambda: {}["missing"])
    assert remembered(spec, "a", lambda: 1) == 1
    assert remembered(spec, "a", lambda: 2) == 1
    assert remembered({}, "a", lambda: 2) == 2


def test_pods_of_one_template_share_it_whatever_else_the_specification_says():
    one, other = (
        Facts(event("deployments", {"replicas": number, "template": {"spec": POD}}, "web")) for number in (1, 2)
    )
    assert one.written["spec"] is not other.written["spec"]
    assert one.value("workload.containers") is other.value("workload.containers")
    assert [facts.value("workload.replicas") for facts in (one, other)] == [1, 2]


def test_only_so_much_is_derived(monkeypatch):
    monkeypatch.setattr(specification, "MAX_DERIVED", 3)
    spec = Specification({})
    for number in range(10):
        assert remembered(spec, number, lambda number=number: number) == number
        assert len(spec.derived) <= 3


@pytest.mark.parametrize("path_limit", [2000, 3])
def test_a_patch_with_a_specification_met_before_says_the_same(monkeypatch, path_limit):
    monkeypatch.setattr(patch, "MAX_PATHS", path_limit)
    body = {"spec": {"paused": None, "template": {"spec": POD}}, "metadata": {"labels": {"a": "b"}}}
    new = read_patch(body)
    for _ in range(3):
        met = read_patch(decode_patch(raw(body)))
        assert met == new
    assert isinstance(met.view["spec"], Specification) == (path_limit == 2000)


def test_metadata_of_an_answer_is_told_even_where_the_rest_is_broken():
    answer = b'{"metadata":{"name":"web","labels":{"app":"\xff"},"managedFields":[{"x":1}]},"spec":{"a":"\xff"}}'
    facts = Facts(replace(event("pods", POD, "sent"), response_object=msgspec.Raw(answer)))
    assert facts.metadata == {"name": "web", "labels": None}
    assert facts.unknown == ("responseObject",)


def test_what_nests_deep_or_is_long_takes_no_place(monkeypatch):
    monkeypatch.setattr(specification, "_met", {})
    deep = {"a": "x" * specification.LEAST_BYTES}
    for _ in range(100):
        deep = {"template": {"spec": deep}}
    long = {"spec": {"a": "x" * specification.MOST_BYTES}}
    for content in ({"spec": deep}, long):
        raw = msgspec.Raw(msgspec.json.encode(content))
        assert specification.decode_object(raw) == content
        assert specification.decode_patch(raw) == content
    assert 0 < len(specification._met) <= specification.DEEPEST
