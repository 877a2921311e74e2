"""Words of findings: names from the cluster in sentences, and in commands that are safe to paste."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewake.rules.model import fill, fill_step

NAMED = {"target.name": "web", "target.namespace": "shop"}


@pytest.mark.parametrize(("step", "words", "expected"), [
    ("kubectl -n {target.namespace} get pod {target.name}", NAMED, "kubectl -n shop get pod web"),
    ("kubectl -n '{target.namespace}' get pod x", NAMED, "kubectl -n 'shop' get pod x"),
    ("kubectl get role {target.name} -n '{target.namespace}' -o yaml", {"target.name": "web"},
     "kubectl get role web -o yaml"),
    ("kubectl --namespace={target.namespace} get x", {}, "kubectl get x"),
    ("kubectl get {target.name}", {}, ""),
    ("kubectl auth can-i --list --as={user.username}", {"user.username": ""}, ""),
    ("kubectl get x  # about {target.name}", {}, "kubectl get x  # about (unknown)"),
    ("Revoke {authorization.binding_kind} {authorization.binding}.",
     {"authorization.binding_kind": "RoleBinding", "authorization.binding": "b"}, "Revoke RoleBinding b."),
    ("Revoke {authorization.binding_kind} {authorization.binding}.", {}, "Revoke a grant that the log does not name."),
    ("kubectl get {target.name}", {"target.name": "a; rm -rf ~"}, "kubectl get 'a; rm -rf ~'"),
    ("kubectl get x  # about {target.name}", {"target.name": "a\nrm -rf ~"}, "kubectl get x  # about a rm -rf ~"),
    ("# Ask {actor.name} why.", {"actor.name": "o'neill\nrm x"}, "# Ask o'neill rm x why."),
    ("Ask {actor.name} why the pod's log ends.", {"actor.name": "o'neill"}, "Ask o'neill why the pod's log ends."),
    ("Ask {actor.name}.", {}, "Ask (unknown)."),
    ("kubectl get x -o jsonpath='{.spec}' {target.name}", NAMED, "kubectl get x -o jsonpath='{.spec}' web"),
])  # fmt: skip
def test_steps(step: str, words: dict[str, str], expected: str) -> None:
    assert fill_step(step, words) == expected


def test_double_quotes_let_nothing_run() -> None:
    assert fill_step('grep "{name}"', {"name": '$(rm x)`y`"\\'}) == r'''grep "\$(rm x)\`y\`\"\\"'''


@pytest.mark.parametrize("step", ["get {name} now", "get '{name}' now"])
@given(name=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_a_shell_reads_the_name_as_one_word(step: str, name: str) -> None:
    assert shlex.split(fill_step(step, {"name": name})) == ["get", name, "now"]


def test_sentences_name_what_is_unknown() -> None:
    assert fill("{a} did {b}.", {"a": ["x", "y", "x"], "b": None}) == "x, y did (unknown)."


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "eve deleted all clusterroles that match."), ("view", "eve deleted view.")],
)
def test_a_collection_is_told_as_all_that_match(name: str, told: str) -> None:
    words = {"target.verb": "deletecollection", "target.resource": "clusterroles", "target.name": name}
    assert fill("eve deleted {target.name}.", words) == told
    assert fill("eve deleted the cluster role {target.name}.", words) == told.replace("view", "the cluster role view")
    assert fill_step("Restore {target.name}.", words) == told.replace("eve deleted", "Restore")


@pytest.mark.parametrize(
    ("namespace", "told"),
    [
        ("shop", "all Secrets of namespace shop, in namespace shop (namespace shop)"),
        ("", "all Secrets of the whole cluster, in the whole cluster (the whole cluster)"),
    ],
)
def test_a_target_without_namespace_is_the_whole_cluster(namespace, told):
    text = "all Secrets of namespace {target.namespace}, in namespace {target.namespace} (namespace {target.namespace})"
    assert fill(text, {"target.namespace": namespace}) == told
