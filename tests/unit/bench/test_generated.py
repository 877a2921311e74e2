"""Days without attacks, made from recorded ones."""

import msgspec

from bench.evaluation.generated import day_of
from bench.evaluation.labels import Labels, Recorded
from kubewake.engine.read import Reader
from kubewake.formats import head_batches
from kubewake.pipeline.detection import Knowledge

PEOPLE = [
    {"name": "ann", "role": "dev"},
    {"name": "bob", "role": "dev"},
    {"name": "kim", "role": "dev", "new_employee": True},
]
LABELS = Labels(Recorded("", "", ""), [], [], PEOPLE)


def encoded():
    rules, context = Knowledge(only_rules=("pod-exec",)).load()
    lines = []
    for number, (user, verb, resource, name) in enumerate(
        [
            ("ann", "get", "pods", ""),
            ("bob", "list", "pods", ""),
            ("kim", "list", "pods", ""),
            ("ann", "create", "namespaces", "preview"),
            ("system:serviceaccount:shop:web", "list", "pods", ""),
        ]
    ):
        time = f"2026-01-01T10:00:0{number}.000000Z"
        event = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": f"id-{number}",
            "stage": "ResponseComplete",
            "requestURI": "/api/v1",
            "verb": verb,
            "user": {"username": user, "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}},
            "sourceIPs": [f"10.0.0.{number}"],
            "userAgent": "kubectl/v1.32.4",
            "objectRef": {"resource": resource, "name": name, "namespace": name or "shop"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": time,
            "stageTimestamp": time,
        }
        lines.append(msgspec.json.encode(event))
    observation = Reader(rules, context).read(head_batches(b"\n".join(lines) + b"\n", file="x"))
    return msgspec.msgpack.encode(observation.stubs)


def test_a_day_is_the_same_for_the_same_seed_and_another_for_another_day():
    data = encoded()
    assert day_of(data, LABELS, 1, 5) == day_of(data, LABELS, 1, 5)
    assert {stub.time[:10] for stub in day_of(data, LABELS, 3, 5)} == {"2026-01-04"}


def test_newcomers_namespaces_and_credentials_are_new_and_machines_stay():
    days = [day_of(encoded(), LABELS, day, 5) for day in (1, 2)]
    users = [{stub.user for stub in stubs} for stubs in days]
    assert users[0] & users[1] == {"ann", "bob", "system:serviceaccount:shop:web"}
    assert {"kim1"} <= users[0]
    made = [{stub.name for stub in stubs if stub.resource == "namespaces"} for stubs in days]
    assert made == [{"preview-1"}, {"preview-2"}]
    credentials = [{stub.credential for stub in stubs} for stubs in days]
    assert credentials[0].isdisjoint(credentials[1])


def test_events_of_two_days_are_never_taken_for_duplicates():
    keys = [{stub.key for stub in day_of(encoded(), LABELS, day, 5)} for day in (1, 2)]
    assert keys[0].isdisjoint(keys[1])
    assert {key & 3 for key in keys[0]} == {0}
