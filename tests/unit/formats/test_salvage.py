import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewake.formats.salvage import complete, object_of, prune, salvage

NESTED = st.recursive(
    st.integers() | st.sampled_from(["", '"', "\\", "}", "[{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", '"}', "["]), inner, max_size=3),
)


def clipped(value, levels):
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        return {key: clipped(item, levels - 1) for key, item in value.items()}
    return [clipped(item, levels - 1) for item in value]


@given(NESTED, st.integers(1, 4), st.sampled_from([None, 2]))
def test_prune_nulls_exactly_what_is_too_deep(value, levels, indent):
    assert json.loads(prune(json.dumps(value, indent=indent).encode(), levels)) == clipped(value, levels)


def test_prune_returns_shallow_data_itself():
    data = b'{"a":[1,2]}'
    assert prune(data) is data


def test_only_the_leaf_that_cannot_be_decoded_is_lost():
    record, unknown = salvage(b'{"protoPayload":{"request":{"n":1e400,"m":1},"methodName":"x"},"a":[1]}')
    assert record == {"protoPayload": {"request": {"m": 1}, "methodName": "x"}, "a": [1]}
    assert unknown == ("protoPayload.request.n",)


@pytest.mark.parametrize(
    ("escape", "expected"),
    [
        (b"\\ud83d\\ude00", "\U0001f600"),
        (b"\\ud83d", "�"),
        (b"\\ude00\\ud83d", "��"),
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\u0041", "A"),
    ],
)
def test_half_pairs_are_replaced_and_whole_ones_kept(escape, expected):
    record, _ = salvage(b'{"a":"' + escape + b'"}')
    assert record == {"a": expected}


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b'{"a":1', b"text", b'{"a":1}{"b":2}', b'"{}"', b"[" * 5000 + b"]" * 5000]
)
def test_what_has_not_the_outline_of_an_object_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        salvage(data)


@given(NESTED.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_complete_closes_what_breaks_off_at_any_byte(value, data):
    text = json.dumps(value).encode()
    cut = data.draw(st.integers(0, len(text)))
    repaired = complete(text[:cut])
    if cut == len(text):
        assert json.loads(repaired) == value
    elif repaired:
        assert isinstance(json.loads(repaired), dict | list)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":1,"b":{"c":[1,2', b'{"a":1,"b":{"c":[1]}}'),
        (b'{"a":1,"b":"x,y}', b'{"a":1}'),
        (b'{"a":{"b":1}', b'{"a":{"b":1}}'),
        (b'{"a"', b""),
        (b"", b""),
        (b'{"a":1]', b""),
    ],
)
def test_complete(text, expected):
    assert complete(text) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/api/v1/secrets?limit=500", {"apiVersion": "v1", "resource": "secrets"}),
        ("/api/v1/namespaces", {"apiVersion": "v1", "resource": "namespaces"}),
        ("/api/v1/namespaces/n", {"apiVersion": "v1", "resource": "namespaces", "namespace": "n", "name": "n"}),
        (
            "/api/v1/namespaces/n/finalize",
            {"apiVersion": "v1", "resource": "namespaces", "namespace": "n", "name": "n", "subresource": "finalize"},
        ),
        ("/api/v1/namespaces/n/pods/", {"apiVersion": "v1", "resource": "pods", "namespace": "n"}),
        (
            "/api/v1/namespaces/n/pods/p/exec?command=a/b",
            {"apiVersion": "v1", "resource": "pods", "namespace": "n", "name": "p", "subresource": "exec"},
        ),
        (
            "/api/v1/nodes/n/proxy/run/a/b",
            {"apiVersion": "v1", "resource": "nodes", "name": "n", "subresource": "proxy"},
        ),
        ("/api/v1/watch/secrets", {"apiVersion": "v1", "resource": "secrets"}),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab",
            {"apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1", "resource": "clusterroles", "name": "a:b"},
        ),
        ("/readyz", None),
        ("/api/v1", None),
        ("/apis/apps/v1", None),
        ("", None),
    ],
)
def test_object_of(uri, expected):
    assert object_of(uri) == expected
