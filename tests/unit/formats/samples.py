"""Events that the tests of formats are built from."""

import json
from typing import Any

from kubewake import formats
from kubewake.event import AuditEvent, Batch

TIME = "2026-03-01T10:00:00.000001Z"


def native(**changes: Any) -> dict[str, Any]:
    """A complete native event; None deletes a key, `...` sets null."""
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request",
        "auditID": "1f0c9d4e-0000-4000-8000-000000000001",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods",
        "verb": "create",
        "user": {"username": "alice", "uid": "7", "groups": ["system:authenticated"]},
        "sourceIPs": ["10.0.3.7"],
        "userAgent": "kubectl/v1.34.0 (linux/amd64) kubernetes/abc",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"kind": "Pod", "spec": {"hostPID": True}},
        "requestReceivedTimestamp": TIME,
        "stageTimestamp": TIME,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }
    for key, value in changes.items():
        if value is None:
            event.pop(key, None)
        else:
            event[key] = None if value is ... else value
    return event


def text(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def lines(*records: Any) -> bytes:
    return b"".join(text(record) + b"\n" for record in records)


def read(data: Any, **options: Any) -> Batch:
    return formats.decode(data if isinstance(data, bytes) else text(data), file="log", **options)


def only(data: Any, **options: Any) -> AuditEvent:
    """The one event of the data, of which nothing is malformed or skipped."""
    batch = read(data, **options)
    assert not batch.malformed
    assert not batch.skipped
    assert len(batch.events) == 1
    return batch.events[0]


def body(event: AuditEvent) -> Any:
    return json.loads(bytes(event.request_object))
