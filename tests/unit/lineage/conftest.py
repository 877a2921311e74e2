"""Stubs for lineage: recorded slices (tests/data/lineage, tokens removed) and hand-made ones."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import xxhash

from kubewake.engine.stub import make_stub
from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.lineage import Lineage
from kubewake.observation import Stub

DATA = Path(__file__).parents[2] / "data" / "lineage"
START = datetime.fromisoformat("2026-03-01T08:00:00+00:00")


def later(seconds):
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def handmade(seconds=0.0, **fields):
    """A hand-made stub: an allowed request of a person with kubectl, `seconds` after the start."""
    time = later(seconds)
    text = repr([time, sorted((name, str(value)) for name, value in fields.items())])
    key = xxhash.xxh3_64_intdigest(text.encode()) >> 4 << 2
    base = {
        "time": time, "key": key, "cluster": "c", "audit_id": f"id-{seconds}-{key}", "stage": "ResponseComplete",
        "level": "Metadata", "verb": "get", "resource": "configmaps", "subresource": "", "api_group": "",
        "namespace": "shop", "name": "x", "uri": "/api", "user": "ann", "groups": (), "actor_kind": "human",
        "impersonated": "", "source": "198.51.100.1", "source_ips": ("198.51.100.1",), "user_agent": "kubectl/v1.32.1",
        "client": "kubectl", "code": 200, "outcome": "allowed", "reason": "", "credential": "", "issued_credential": "",
        "pod": "", "pod_uid": "", "node": "", "secret_token": "", "file": "f", "line": 1,
    }  # fmt: skip
    base.update(fields)
    if base["user"].startswith("system:serviceaccount:") and "actor_kind" not in fields:
        base["actor_kind"] = "serviceaccount"
    return Stub(last_time=time, last_key=key, last_audit_id=base["audit_id"], **base)


def recorded(name):
    """The stubs of a recorded slice, in event-time order."""
    events = [decode_event(line) for line in (DATA / f"{name}.jsonl").read_bytes().splitlines()]
    events.sort(key=lambda event: event.time)
    return [make_stub(event, Facts(event, "c"), name, line) for line, event in enumerate(events, 1)]


def follow(stubs, *, warm=True, disabled=frozenset()):
    """The lineage after the stubs, and all their links; `warm` lets the stream begin ten minutes before."""
    lineage = Lineage(disabled)
    if warm:
        first = datetime.fromisoformat(stubs[0].time)
        for user in ["someone.else", *dict.fromkeys(stub.user for stub in stubs)]:
            early = handmade(user=user, user_agent="other/1", client="other", source="192.0.2.200", count=9)
            early.time = early.last_time = (first - timedelta(seconds=600)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            lineage.observe(early)
    return lineage, [link for stub in stubs for link in lineage.observe(stub)]


@pytest.fixture
def make():
    return handmade


@pytest.fixture
def slice_of():
    return recorded


@pytest.fixture
def run():
    return follow
