"""Recordings and their altered copies."""

import json

import pytest
import zstandard

from bench.evaluation.recording import VARIANTS, load_recording, recordings_in

VICTIM = "kubectl/v1.32.4"


def event(audit, time, user, agent, **more):
    return {
        "auditID": audit,
        "stage": "ResponseComplete",
        "stageTimestamp": f"2026-01-01T00:00:{time}.000000Z",
        "level": "Request",
        "verb": "create",
        "user": {"username": user, "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}},
        "userAgent": agent,
        "sourceIPs": ["192.0.2.7"],
        "requestObject": {"kind": "Pod"},
        "annotations": {"authorization.k8s.io/reason": "because", "authorization.k8s.io/decision": "allow"},
        **more,
    }


@pytest.fixture
def recording(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    events = [event("a1", "20", "alice", "curl"), event("x1", "10", "alice", VICTIM), event("a2", "30", "bob", "curl")]
    data = "\n".join(map(json.dumps, events)).encode()
    (folder / "audit.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    attack = {"id": "A", "name": "n", "kind": "single", "start": "", "end": "", "audit_ids": ["a1", "a2"]}
    labels = {
        "recorded": {"start": "", "end": "", "attack_free_until": ""},
        "campaigns": [attack],
        "benign_lookalikes": [],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    assert recordings_in(tmp_path) == ["small"]
    return load_recording(folder)


def test_events_come_in_event_time_order(recording):
    assert [line.audit_id for line in recording.lines] == ["x1", "a1", "a2"]


def altered(recording, name):
    return {line.audit_id: json.loads(line.data) for line in VARIANTS[name][1](recording).lines}


def test_blanked(recording):
    for changed in altered(recording, "blanked").values():
        assert "userAgent" not in changed
        assert changed["sourceIPs"] == []


def test_at_metadata_there_are_no_bodies(recording):
    changed = altered(recording, "metadata")["a1"]
    assert changed["level"] == "Metadata"
    assert "requestObject" not in changed


def test_an_older_cluster_names_neither_credentials_nor_bindings(recording):
    changed = altered(recording, "older")["a1"]
    assert changed["user"]["extra"] == {}
    assert changed["annotations"] == {"authorization.k8s.io/decision": "allow"}


def test_an_intruder_copies_the_client_of_the_victim(recording):
    changed = altered(recording, "copied-agent")
    assert changed["a1"]["userAgent"] == VICTIM
    assert changed["a2"]["userAgent"] == "curl"
    assert changed["x1"]["userAgent"] == VICTIM
