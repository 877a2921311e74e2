"""Stubs for tests of the engine."""

from typing import Any

from kubewake.observation import Observation, Stub

START = "2026-05-04T10:00:00.000000Z"


def stub(key: int, time: str = START, **changes: Any) -> Stub:
    values: dict[str, Any] = {
        "time": time,
        "key": key << 2,
        "cluster": "c",
        "audit_id": f"a{key}",
        "stage": "ResponseComplete",
        "level": "Metadata",
        "verb": "get",
        "resource": "pods",
        "subresource": "",
        "api_group": "",
        "namespace": "shop",
        "name": "web",
        "uri": "/api/v1/namespaces/shop/pods/web",
        "user": "alice",
        "groups": ("system:authenticated",),
        "actor_kind": "human",
        "impersonated": "",
        "source": "10.0.0.1",
        "source_ips": ("10.0.0.1",),
        "user_agent": "kubectl/v1.32.0",
        "client": "kubectl",
        "code": 200,
        "outcome": "allowed",
        "reason": "",
        "credential": "",
        "issued_credential": "",
        "pod": "",
        "pod_uid": "",
        "node": "",
        "secret_token": "",
        "file": "audit.log",
        "line": key,
        "last_time": time,
        "last_key": key << 2,
        "last_audit_id": f"a{key}",
    }
    values.update(changes)
    return Stub(**values)


def second(number: float) -> str:
    minutes, seconds = divmod(number, 60)
    return f"2026-05-04T10:{int(minutes):02d}:{seconds:09.6f}Z"


def observation(*stubs: Stub) -> Observation:
    from array import array

    times = [item.time for item in stubs]
    return Observation(
        file="audit.log",
        stubs=list(stubs),
        keys=array("Q", [item.key for item in stubs]).tobytes(),
        owners=array("I", range(len(stubs))).tobytes(),
        events=len(stubs),
        first_time=min(times, default=""),
        last_time=max(times, default=""),
        clusters=("c",),
    )
