"""Facts of an event that a test spells in Kubernetes' own words."""

import json
from typing import Any

import pytest

from kubewake.event import EnvelopedEvent, decode_event
from kubewake.facts import EMPTY, Context, Facts

DEFAULT = {
    "level": "RequestResponse",
    "auditID": "a",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods",
    "verb": "create",
    "user": {"username": "alice", "groups": ["system:authenticated"]},
    "sourceIPs": ["10.0.0.1"],
    "userAgent": "kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd",
    "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
    "responseStatus": {"code": 201},
}


def build(context: Context = EMPTY, envelope: dict[str, Any] | None = None, **changes: Any) -> Facts:
    event = decode_event(json.dumps({**DEFAULT, **changes}).encode())
    if envelope is not None:
        event = EnvelopedEvent(
            **{name: getattr(event, name) for name in event.__struct_fields__}, envelope=envelope, cluster="c"
        )
    return Facts(event, "c", context)


@pytest.fixture
def make():
    return build


@pytest.fixture
def write():
    """Facts of a write to a resource of the core or another group."""

    def of(
        resource: str,
        body: Any,
        *,
        verb: str = "create",
        group: str = "",
        sub: str = "",
        after: Any = None,
        **more: Any,
    ) -> Facts:
        ref = {"resource": resource, "namespace": "shop", "name": "web", "apiGroup": group, "subresource": sub}
        changes = {"verb": verb, "objectRef": ref, "requestObject": body, **more}
        if after is not None:
            changes["responseObject"] = after
        return build(**changes)

    return of
