"""What derived fields are said to imply is true of every event of every rule test."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import fields, replace

from kubewake.event import NO_BODY, decode_event
from kubewake.facts import Facts, specification
from kubewake.facts.template import TOLD_BY_SPECIFICATION, specification_of
from kubewake.fields import (
    FIELDS,
    NAMED_WITHOUT_BODIES,
    TOLD_BY_ANNOTATIONS,
    TOLD_BY_QUESTION,
    is_gone_without_bodies,
    is_told_by_question,
    is_told_by_specification,
    level_of,
    scope_of,
)
from kubewake.formats import decode
from kubewake.head import HeadAnnotations
from kubewake.rules.condition import Each, Match, Not, all_of, any_of
from kubewake.rules.guards import GUARDS, guard_of, guarded
from kubewake.rules.predicate import compile_condition, is_empty
from kubewake.rules.routing import required_atoms
from kubewake.workbench.example import complete
from kubewake.workbench.testing import read_cases

TESTS = Path(__file__).parents[2] / "rules"
GUARDED = {name: compile_condition(guard) for name in FIELDS if (guard := guard_of(name)) is not None}


OTHERS = [
    {"verb": "update", "objectRef": {"resource": "serviceaccounts"}, "requestObject": {"secrets": [{"name": "x"}]}},
    {
        "verb": "update",
        "annotations": {
            "mutation.webhook.admission.k8s.io/round_0_index_0": '{"configuration":"c","webhook":"w","mutated":true}',
        },
    },
    {
        "verb": "create",
        "objectRef": {"resource": "pods"},
        "requestObject": {
            "spec": {
                "automountServiceAccountToken": True,
                "runtimeClassName": "gvisor",
                "priorityClassName": "system-node-critical",
                "volumes": [
                    {"name": "a", "secret": {"secretName": "db"}},
                    {"name": "b", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
                ],
            },
        },
    },
]
"""Events for fields that no rule names."""


def events():
    for change in OTHERS:
        yield decode_event(msgspec.json.encode(complete(change)))
    for path in sorted(TESTS.glob("*.yml")):
        for case in read_cases(path):
            documents = case.documents if case.raw else case.documents[:3]
            for document in documents:
                data = msgspec.json.encode(document)
                if case.raw:
                    yield from decode(data + b"\n", file=path.name).events
                    continue
                try:
                    yield decode_event(data)
                except msgspec.ValidationError:
                    yield from decode(data + b"\n", file=path.name).events


def test_guards_hold_wherever_a_field_has_a_value():
    spoken = set()
    for event in events():
        facts = Facts(event, "")
        for name, holds in GUARDED.items():
            if not is_empty(facts.value(name)):
                spoken.add(name)
                assert holds(facts), f"{name} has the value {facts.value(name)!r} outside of what it implies: {event}"
    assert {name.partition(".")[0] for name in spoken} >= {name.partition(".")[0] for name in GUARDS}


SERVICE = Match("service.type", "eq", ("loadbalancer",))
CASES = [
    (SERVICE, "services"),
    (all_of([Match("outcome", "eq", ("allowed",)), SERVICE]), "services"),
    (Each("rbac.rules", Match("verbs", "eq", ("*",))), "roles"),
    (Not(SERVICE), None),
    (Match("service.type", "null"), None),
    (Match("service.is_internal", "eq", (False,)), "services"),
    (Match("service.type", "exists"), "services"),
    (Match("workload.is_write", "eq", (True,)), None),
    (Match("objectRef.name", "eq", ("service",)), None),
    (any_of([SERVICE, Match("verb", "eq", ("get",))]), None),
]


@pytest.mark.parametrize(("tree", "resource"), CASES)
def test_only_what_must_have_a_value_is_guarded(tree, resource):
    resources = required_atoms(guarded(tree)).get("objectRef.resource", frozenset())
    assert (resource in resources) if resource else not resources


def test_what_the_question_tells_needs_nothing_else_of_the_event():
    spoken = set()
    for event in events():
        bare = replace(
            event,
            audit_id="another",
            stage_timestamp="2026-01-01T00:00:00.000000Z",
            request_received_timestamp="2026-01-01T00:00:00.000000Z",
            request_object=NO_BODY,
            response_object=NO_BODY,
        )
        facts, others = Facts(event, ""), Facts(bare, "")
        for name in TOLD_BY_QUESTION:
            value = facts.value(name)
            assert others.value(name) == value, f"{name} depends on more than the question: {event}"
            if not is_empty(value):
                spoken.add(name)
    assert spoken >= TOLD_BY_QUESTION - {"request.field_selector", "request.label_selector"}
    assert is_told_by_question("request.params.resourceVersion")
    assert not is_told_by_question("audit.truncated")
    assert not is_told_by_question("workload.images")


def test_without_bodies_only_what_takes_the_object_s_name_differs_within_a_behaviour():
    differing = set()
    for event in events():
        if event.object_ref is None:
            continue
        bare = replace(event, request_object=NO_BODY, response_object=NO_BODY)
        other = replace(
            bare,
            audit_id="another",
            object_ref=replace(bare.object_ref, name="other"),
            request_uri="/elsewhere?fieldManager=z&command=a&dryRun=All",
        )
        facts, others = Facts(bare, ""), Facts(other, "")
        for name in FIELDS:
            if scope_of(name) == "event" and level_of(name) != "Metadata" and facts.value(name) != others.value(name):
                differing.add(name)
    assert differing == NAMED_WITHOUT_BODIES
    assert not any(map(is_gone_without_bodies, differing))


def test_what_a_specification_tells_needs_nothing_else_of_the_event(monkeypatch):
    monkeypatch.setattr(specification, "LEAST_BYTES", 0)
    spoken = set()
    for event in events():
        facts = Facts(event, "")
        if specification_of(facts) is None or not isinstance(facts.request_body, dict):
            continue
        sent = {"metadata": {"name": "other", "labels": {"a": "b"}}, "status": {"phase": "x"}}
        sent |= {key: value for key, value in facts.request_body.items() if key in {"spec", "template"}}
        other = replace(
            event,
            request_uri="/elsewhere",
            object_ref=replace(event.object_ref, name="other", namespace="elsewhere"),
            request_object=msgspec.Raw(msgspec.json.encode(sent)),
            response_object=NO_BODY,
        )
        for name in TOLD_BY_SPECIFICATION:
            value = facts.value(name)
            assert Facts(other, "").value(name) == value, f"{name} depends on more than the specification: {event}"
            if not is_empty(value):
                spoken.add(name)
    assert spoken == TOLD_BY_SPECIFICATION
    assert is_told_by_specification("workload.containers.image")
    assert not is_told_by_specification("workload.owner_kind")


def test_only_bodies_and_annotations_tell_what_is_told_by_them():
    behaviour, spoken = {field.encode_name for field in fields(HeadAnnotations)}, set()
    for event in events():
        annotations = {key: value for key, value in (event.annotations or {}).items() if key in behaviour}
        plain = Facts(replace(event, annotations=annotations, request_object=NO_BODY, response_object=NO_BODY), "")
        for name in TOLD_BY_ANNOTATIONS:
            assert is_told_by_question(name, plain=True)
            assert not plain.value(name), f"{name} is told by more than bodies and annotations: {event}"
            if Facts(event, "").value(name):
                spoken.add(name)
    assert spoken == TOLD_BY_ANNOTATIONS
