"""The object, its owners, and what a patch changed."""

import pytest


def test_names(make):
    assert make(objectRef={"resource": "pods", "name": "web"}).value("object.name") == "web"
    generated = make(responseObject={"kind": "Pod", "metadata": {"name": "web-x1", "generateName": "web-"}})
    assert generated.value("object.name") == "web-x1"
    assert generated.value("object.generate_name") == "web-"
    assert make(verb="list").value("object.name") is None


def test_metadata_comes_from_the_answer_where_it_is_the_object(make):
    sent = {"metadata": {"labels": {"a": "1"}, "annotations": {"k": "v"}}}
    answer = {
        "kind": "Pod",
        "metadata": {"labels": {"a": "1", "b": "2"}, "ownerReferences": [{"kind": "Job", "name": "j"}]},
    }
    facts = make(requestObject=sent, responseObject=answer)
    assert facts.value("object.labels") == {"a": "1", "b": "2"}
    assert facts.value("object.labels.b") == "2"
    assert facts.value("object.labels_sent") == {"a": "1"}
    assert facts.value("object.annotation_values") == ["v"]
    assert facts.value("object.owner_kinds") == ["Job"]
    assert facts.value("object.owner_names") == ["j"]
    refused = make(requestObject=sent, responseObject={"kind": "Status", "metadata": {}})
    assert refused.value("object.labels") == {"a": "1"}


def test_labels_with_dots(make):
    facts = make(requestObject={"metadata": {"labels": {"app.kubernetes.io/name": "web"}}})
    assert facts.value("object.labels.app.kubernetes.io/name") == "web"
    assert facts.value("object.labels.app\\.kubernetes\\.io/name") == "web"


def test_lists_are_no_object(make):
    facts = make(verb="list", responseObject={"kind": "PodList", "items": [], "metadata": {"labels": {"a": "b"}}})
    assert facts.object is None
    assert facts.value("object.labels") == {}


@pytest.mark.parametrize(
    ("resource", "group", "body", "kind"),
    [("pods", "", {}, "Pod"), ("deployments", "apps", {}, "Deployment"), ("widgets", "example.com", {"kind": "Widget"}, "Widget"),
     ("widgets", "example.com", {}, None), ("services", "serving.knative.dev", {"kind": "Service"}, "Service")],
)  # fmt: skip
def test_kinds(write, resource, group, body, kind):
    assert write(resource, body, group=group).value("object.kind") == kind


def test_patches(write):
    facts = write("configmaps", {"data": {"a": "1", "b": None}, "metadata": {"finalizers": ["x"]}}, verb="patch")
    assert facts.value("object.changed_paths") == ["/data/a", "/metadata/finalizers"]
    assert facts.value("object.removed_paths") == ["/data/b"]
    assert facts.value("object.finalizers") == ["x"]
    assert facts.value("patch.type") == "merge"
    assert write("configmaps", {}).value("patch.type") is None
    assert write("configmaps", {}).value("object.changed_paths") is None


def test_text_and_escapes(write, make):
    facts = write("configmaps", {"data": {"a": "\x1b[2J"}})
    assert facts.value("object.has_escape") is True
    assert '"data"' in facts.value("object.text")
    assert make().value("object.text") is None
    assert make().value("object.has_escape") is False
