"""What the reader makes of like requests: one stub that counts them, and feeds that tell correlations when they came."""

import msgspec
import pytest

from kubewake.engine import Fold, Reader
from kubewake.facts import Context
from kubewake.formats import batches, head_batches
from kubewake.observation import MAX_MEMBERS, evidence_in
from kubewake.rules.pack import load_rules
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet

RESOURCES = ("pods", "configmaps", "serviceaccounts")


@pytest.fixture(scope="module")
def rules():
    return load_rules()


def line(number, resource="pods", moment="10:00:00", user="jane"):
    time = f"2026-05-04T{moment}.{number:06d}Z"
    return msgspec.json.encode(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": f"id-{resource}-{moment}-{number}",
            "stage": "ResponseComplete",
            "requestURI": f"/api/v1/namespaces/shop/{resource}",
            "verb": "list",
            "user": {"username": user, "groups": ["system:authenticated"]},
            "sourceIPs": ["10.0.0.9"],
            "userAgent": "kubectl/v1.34.0",
            "objectRef": {"resource": resource, "namespace": "shop", "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": time,
            "stageTimestamp": time,
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        },
    )


def read(rules, *lines):
    data = b"".join(item + b"\n" for item in lines)
    return Reader(rules, Context()).read(head_batches(data, file="log", cluster="c", hint="native"))


def test_like_requests_are_one_stub_and_one_feed_a_moment(rules):
    seen = read(rules, *(line(n) for n in range(20)), *(line(n, moment="10:00:10") for n in range(5)))
    plain = [stub for stub in seen.stubs if not stub.is_feed]
    feeds = [stub for stub in seen.stubs if stub.is_feed]
    assert [stub.count for stub in plain] == [25]
    assert not plain[0].hits
    assert [stub.count for stub in feeds] == [20, 5]
    assert all("multi-resource-discovery-base" in [hit.rule for hit in stub.hits] for stub in feeds)
    assert (plain[0].audit_id, plain[0].last_audit_id) == ("id-pods-10:00:00-0", "id-pods-10:00:10-4")


def test_the_first_and_last_event_are_those_by_time_whatever_came_first(rules):
    stub = read(rules, line(7), line(3), line(9), line(1), line(5)).stubs[0]
    assert (stub.audit_id, stub.line) == ("id-pods-10:00:00-1", 4)
    assert (stub.last_audit_id, stub.count) == ("id-pods-10:00:00-9", 5)


def test_a_stub_names_each_of_its_events_up_to_a_bound(rules):
    few = read(rules, line(7), line(3), line(9), line(1), line(5)).stubs
    assert [[member[2][-1] for member in stub.members] for stub in few] == [list("13579")] * 2

    many = read(rules, *(line(n) for n in range(200))).stubs[0]
    assert (many.count, len(many.members)) == (200, MAX_MEMBERS)
    assert [item.audit_id[-3:] for item in evidence_in(many)][-2:] == ["-63", "199"]


def test_what_a_component_does_within_its_job_is_only_counted(rules):
    event = msgspec.json.decode(line(0))
    event["user"] = {"username": "system:node:worker-1", "groups": ["system:nodes", "system:authenticated"]}
    event["userAgent"] = "kubelet/v1.34.0 (linux/amd64) kubernetes/0000000"
    event |= {
        "verb": "get",
        "objectRef": {"resource": "nodes", "name": "worker-1"},
        "requestURI": "/api/v1/nodes/worker-1",
    }
    events = [{**event, "auditID": str(number)} for number in range(5)]
    assert [(stub.count, stub.members) for stub in read(rules, *map(msgspec.json.encode, events)).stubs] == [(5, [])]


def test_hits_that_are_no_evidence_are_kept_apart_and_found_all_the_same(rules):
    event = msgspec.json.decode(line(0, "secrets"))
    denied = {"responseStatus": {"code": 403}, "annotations": {"authorization.k8s.io/decision": "forbid"}}
    seen = read(rules, line(1, "configmaps"), msgspec.json.encode(event | denied))
    by_name = {stub.audit_id: stub for stub in seen.stubs if not stub.is_feed}
    read_only, refused = by_name["id-configmaps-10:00:00-1"], by_name["id-secrets-10:00:00-0"]
    assert ([hit.rule for hit in read_only.hits], [hit.rule for hit in read_only.records]) == (
        [],
        ["sensitive-object-access"],
    )
    assert "request-denied" in [hit.rule for hit in refused.records]
    assert "user-denied-burst-base" in [hit.rule for hit in refused.hits]  # a correlation counts it
    fold = Fold(rules)
    fold.absorb(seen)
    found = [finding.rule for finding in fold.advance(flush=True) if finding.count]
    assert (found.count("sensitive-object-access"), found.count("request-denied")) == (2, 1)


def test_no_hit_of_which_a_story_can_be_made_is_kept_apart(rules):
    reader = Reader(rules, Context())
    assert {rules.infos[rule].audience for rule in reader.records} == {"pedantic", "auditor"}
    assert not {rule for rule in reader.records if rules.infos[rule].level in ("high", "critical")}
    assert not reader.records & {rule for correlation in rules.correlations for rule in correlation.rules}
    assert {rule for rule, info in rules.infos.items() if info.level == "informational"} <= reader.records


def test_repeats_are_taken_back_from_stub_and_feed(rules):
    fold = Fold(rules)
    seen = read(rules, *(line(n) for n in range(4)), line(2), line(3))
    fold.absorb(seen)
    assert [stub.count for stub in seen.stubs] == [4, 4]
    assert fold.input().duplicates == 2


def test_feeds_complete_a_correlation(rules):
    fold = Fold(rules)
    fold.absorb(read(rules, *(line(n, resource) for resource in RESOURCES for n in range(3))))
    found = [
        finding for finding in fold.advance(flush=True) if getattr(finding, "rule", "") == "multi-resource-discovery"
    ]
    assert len(found) == 1
    assert {audit_id.split("-")[1] for audit_id in found[0].audit_ids} == set(RESOURCES)
    assert (found[0].count, len(set(found[0].audit_ids))) == (9, 9)


def test_events_without_a_readable_time_are_counted_in_every_observation(rules):
    event = {**msgspec.json.decode(line(0)), "stageTimestamp": "", "requestReceivedTimestamp": None}
    data = msgspec.json.encode(event) + b"\n"
    reader = Reader(rules, Context())
    for _ in range(2):
        seen = reader.read(batches(data * 3, file="log", cluster="c", hint=None))
        assert [stub.count for stub in seen.stubs if not stub.is_feed] == [3]


def test_what_is_named_differently_is_fed_apart_even_at_one_uri(rules):
    named = [msgspec.json.decode(line(n)) for n in range(3)]
    for number, event in enumerate(named):
        event["objectRef"]["name"] = f"web-{number % 2}"
    seen = read(rules, *map(msgspec.json.encode, named))
    assert [(stub.name, stub.count) for stub in seen.stubs if stub.is_feed] == [("web-0", 2), ("web-1", 1)]


FILTERED = """title: Pods listed
name: pods-listed
logsource: {product: kubernetes, service: audit}
detection:
  selection: {objectRef.resource: pods}
  condition: selection
level: low
kubewake: {audience: auditor}
---
title: One of them
logsource: {product: kubernetes, service: audit}
filter:
  rules: [pods-listed]
  known: {auditID: id-pods-10:00:00-0}
  condition: not known
"""


def test_a_filter_that_tells_like_requests_apart_marks_each_by_itself():
    seen = read(RuleSet([compile_text(FILTERED, "pods-listed.yml")]), *(line(n) for n in range(3)))
    assert [(hit.suppressed_by, stub.count) for stub in seen.stubs for hit in (*stub.hits, *stub.records)] == [
        ("pods-listed", 1),
        (None, 1),
        (None, 1),
    ]
