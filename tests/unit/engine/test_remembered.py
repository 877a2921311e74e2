"""What is remembered of parts of bodies that repeat shows in nothing that is made of them."""

from pathlib import Path

import msgspec
import pytest

from kubewake.engine import Reader, carried
from kubewake.event import Batch, decode_event
from kubewake.facts import Context, Facts, specification
from kubewake.formats import decode
from kubewake.observation import Hit
from kubewake.rules.pack import load_rules
from kubewake.workbench.example import complete
from kubewake.workbench.testing import read_cases

TESTS = Path(__file__).parents[2] / "rules"


class Forgetful(dict):
    """A memory that keeps nothing."""

    def __setitem__(self, key, value):
        pass


def events():
    for path in sorted(TESTS.glob("*.yml")):
        for case in read_cases(path):
            if not case.raw:
                for document in case.documents[:3]:
                    yield from decode(msgspec.json.encode(document) + b"\n", file=path.name).events


def read(rules, found):
    """The stubs, each with its own values and hits."""
    observation = Reader(rules, Context()).read([Batch(file="log", events=found, lines=range(len(found)))])
    return [msgspec.to_builtins(stub) for stub in observation.stubs]


def test_events_whose_parts_were_met_before_are_read_as_if_they_were_new(monkeypatch):
    rules, found = load_rules(), list(events())
    with monkeypatch.context() as nothing:
        nothing.setattr(specification, "_met", Forgetful())
        nothing.setattr(specification.NO_SPECIFICATION, "is_repeated", False)
        nothing.setattr(specification.NO_SPECIFICATION, "derived", Forgetful())
        nothing.setattr(carried, "_made_alike", Forgetful())
        new = read(rules, found)
    monkeypatch.setattr(specification, "LEAST_BYTES", 0)
    monkeypatch.setattr(specification, "_met", {})
    monkeypatch.setattr(carried, "_made_alike", {})
    read(rules, found)
    assert specification._met
    assert carried._made_alike
    assert read(rules, found) == new


POD = {"spec": {"containers": [{"name": "main", "image": "nginx"}], "volumes": [{"name": "x" * 400}]}}


def answered(metadata, request=POD):
    change = {
        "verb": "update",
        "objectRef": {"resource": "pods", "name": "web"},
        "requestObject": request,
        "responseObject": {"kind": "Pod", "metadata": metadata},
    }
    return Facts(decode_event(msgspec.json.encode(complete(change))), "")


OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (answered(OWNED), answered({"ownerReferences": [{**OWNED["ownerReferences"][0], "name": "web-2"}]})),
        (answered({"labels": {"app": "web"}}), answered({"labels": {"app": "shop"}})),
        (answered({"labels": {"app": "web"}}), answered({"ownerReferences": {"app": "web"}})),
        (answered(OWNED), answered(OWNED, request=None)),
    ],
)
def test_what_is_told_apart_stays_apart(one, other):
    first, second = carried.event_values(one), carried.event_values(other)
    assert first != second
    assert carried.event_values(one) == first
    one.cache.clear()
    assert carried.event_values(one) == first


def test_only_so_many_labels_are_remembered(monkeypatch):
    monkeypatch.setattr(carried, "MAX_MADE_ALIKE", 5)
    monkeypatch.setattr(carried, "_made_alike", {})
    for number in range(20):
        values = carried.event_values(answered({"labels": {"app": f"web-{number}"}}))
        assert values["object.labels.app"] == f"web-{number}"
        assert len(carried._made_alike) <= 5


def test_hits_are_shared_where_their_words_are_the_behaviour_s():
    rules = load_rules()
    reader = Reader(rules, Context())
    found = [
        decode_event(
            msgspec.json.encode(
                complete(
                    {
                        "auditID": f"id-{number}",
                        "verb": "create",
                        "requestURI": f"/api/v1/namespaces/shop/pods/web-{number}/exec?command=id",
                        "objectRef": {"resource": "pods", "subresource": "exec", "name": f"web-{number}"},
                    },
                ),
            ),
        )
        for number in (1, 2)
    ]
    one, other = reader.read([Batch(file="log", events=found, lines=range(2))]).stubs
    hits = [{hit.rule: hit for hit in stub.hits} for stub in (one, other)]
    shared = {rule for rule in hits[0] if hits[0][rule] is hits[1][rule]}
    assert shared == {rule for rule in hits[0] if rules.is_told(rule, asked=False)}
    assert shared
    for event, own in zip(found, hits, strict=True):
        facts = Facts(event, "")
        assert own == {rule: Hit(rule, rules.suppressor(rule, facts), rules.words(rule, facts)) for rule in own}


KEYWORDS = """
title: A word anywhere
id: 5f0c5f6e-8f0a-4f6f-9d6b-000000000001
logsource: {product: kubernetes, service: audit}
detection:
  selection: {verb: update, objectRef.resource: leases}
  words: [evilword]
  condition: selection and words
level: high
"""


@pytest.mark.parametrize("place", [0, 3])
def test_words_in_bodies_are_looked_for_in_each_event(tmp_path, place):
    path = tmp_path / "word.yml"
    path.write_text(KEYWORDS)
    rules = load_rules([path], builtin=False)
    documents = [
        {
            "auditID": f"id-{number}",
            "verb": "update",
            "requestURI": "/apis/coordination.k8s.io/v1/namespaces/shop/leases/l",
            "objectRef": {"resource": "leases", "apiGroup": "coordination.k8s.io", "name": "l"},
            "requestObject": {"metadata": {"name": "evilword" if number == place else "l"}},
        }
        for number in range(5)
    ]
    found = [decode_event(msgspec.json.encode(complete(document))) for document in documents]
    hits = [stub.audit_id for stub in Reader(rules, Context()).read([Batch(file="log", events=found, lines=range(5))]).stubs
            if stub.hits]  # fmt: skip
    assert hits == [f"id-{place}"]
