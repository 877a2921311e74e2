"""What patches of each kind set and remove."""

import pytest

from kubewake.facts.patch import MAX_PATHS, patch_type, read_patch

PRIVILEGED = {"privileged": True}


def _containers(view):
    return view["spec"]["template"]["spec"]["containers"]


def test_json_patch_into_a_list_element():
    patched = read_patch(
        [{"op": "add", "path": "/spec/template/spec/containers/0/securityContext", "value": PRIVILEGED}]
    )
    assert _containers(patched.view) == [{"securityContext": PRIVILEGED}]
    assert patched.changed == ("/spec/template/spec/containers/0/securityContext",)
    assert patched.operations == 1


def test_json_patch_leaf_by_leaf():
    path = "/spec/template/spec/containers/{}/securityContext/{}"
    patched = read_patch(
        [
            {"op": "add", "path": path.format(0, "privileged"), "value": True},
            {"op": "replace", "path": path.format(2, "runAsUser"), "value": 0},
        ]
    )
    assert _containers(patched.view) == [{"securityContext": PRIVILEGED}, {"securityContext": {"runAsUser": 0}}]


def test_json_patch_appends_are_separate_elements():
    patched = read_patch(
        [
            {"op": "add", "path": "/rules/-", "value": {"verbs": ["get"]}},
            {"op": "add", "path": "/rules/-", "value": {"verbs": ["*"]}},
        ]
    )
    assert patched.view == {"rules": [{"verbs": ["get"]}, {"verbs": ["*"]}]}


def test_json_patch_into_what_it_just_set():
    patched = read_patch(
        [
            {"op": "add", "path": "/spec", "value": {"containers": [{"name": "a"}]}},
            {"op": "add", "path": "/spec/containers/0/securityContext", "value": PRIVILEGED},
            {"op": "add", "path": "/spec/containers/-", "value": {"name": "b"}},
        ]
    )
    assert patched.view == {"spec": {"containers": [{"name": "a", "securityContext": PRIVILEGED}, {"name": "b"}]}}


def test_json_patch_escapes_and_digit_labels():
    patched = read_patch(
        [
            {"op": "add", "path": "/metadata/labels/example.com~1x~0y", "value": "1"},
            {"op": "add", "path": "/metadata/annotations/7", "value": "2"},
        ]
    )
    assert patched.view == {"metadata": {"labels": {"example.com/x~y": "1"}, "annotations": {"7": "2"}}}


def test_json_patch_removals_and_moves():
    after = {"spec": {"b": 7}}
    patched = read_patch(
        [
            {"op": "remove", "path": "/metadata/labels/app"},
            {"op": "move", "from": "/spec/a", "path": "/spec/b"},
            {"op": "test", "path": "/spec/c", "value": 1},
        ],
        lambda: after,
    )
    assert patched.view == {"spec": {"b": 7}}
    assert patched.removed == ("/metadata/labels/app", "/spec/a")
    assert patched.changed == ("/spec/b",)


def test_json_patch_copy_from_what_it_set():
    patched = read_patch([{"op": "add", "path": "/a", "value": {"x": 1}}, {"op": "copy", "from": "/a", "path": "/b"}])
    assert patched.view["b"] == {"x": 1}


def test_json_patch_of_the_whole_document():
    patched = read_patch([{"op": "replace", "path": "", "value": {"spec": {"hostPID": True}}}])
    assert patched.view == {"spec": {"hostPID": True}}


def test_later_operation_on_a_scalar_replaces_it():
    patched = read_patch([{"op": "add", "path": "/a", "value": 1}, {"op": "add", "path": "/a/b", "value": 2}])
    assert patched.view == {"a": {"b": 2}}


def test_merge_patch():
    patched = read_patch({"spec": {"replicas": 0, "paused": None}, "metadata": {"labels": {"a/b": None, "c": "1"}}})
    assert patched.view == {"spec": {"replicas": 0}, "metadata": {"labels": {"c": "1"}}}
    assert set(patched.changed) == {"/spec/replicas", "/metadata/labels/c"}
    assert set(patched.removed) == {"/spec/paused", "/metadata/labels/a/b"}


def test_strategic_merge_directives():
    body = {
        "spec": {
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "x"}, {"$patch": "delete", "name": "b"}],
            "$retainKeys": ["containers"],
        },
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["hold"]},
    }
    patched = read_patch(body)
    assert patched.view["spec"] == {"containers": [{"name": "a", "image": "x"}]}
    assert "/metadata/finalizers" in patched.removed
    assert "/spec/containers/1[b]" in patched.removed


@pytest.mark.parametrize("body", [None, 7, "text", [], {}, [1, None], [{"op": "add"}], [{"op": "add", "path": 7}]])
def test_odd_bodies_set_nothing(body):
    assert read_patch(body).view == {}


def test_bounds():
    many = [{"op": "add", "path": f"/spec/{index}x", "value": 1} for index in range(MAX_PATHS * 3)]
    patched = read_patch(many)
    assert len(patched.changed) == MAX_PATHS
    assert patched.operations == MAX_PATHS * 3
    assert read_patch([{"op": "add", "path": "/a" * 1000, "value": 1}]).view == {}


@pytest.mark.parametrize(
    ("body", "has_manager", "is_builtin", "expected"),
    [
        ([], False, True, "json"),
        ({"apiVersion": "v1", "kind": "Pod"}, True, True, "apply"),
        ({"apiVersion": "v1", "kind": "Pod"}, False, True, "unknown"),
        ({"spec": {"$setElementOrder/containers": []}}, False, True, "strategic"),
        ({"spec": {"a": None}}, False, True, "merge"),
        ({"spec": {"a": 1}}, False, False, "merge"),
        ({"spec": {"a": 1}}, False, True, "unknown"),
        ("text", False, True, "unknown"),
    ],
)
def test_types(body, has_manager, is_builtin, expected):
    assert patch_type(body, has_field_manager=has_manager, is_builtin=is_builtin) == expected
