"""Heads must tell the same as whole events: they decide what is decoded at all."""

import random

import pytest

from kubewake import formats
from kubewake.head import head_of
from tests.fuzz.formats import Generator
from tests.unit.formats import test_gke
from tests.unit.formats.samples import lines, native, read, text


def through_heads(data, **options):
    """Every event loaded through its head, with its line; what is malformed or at fault."""
    found, malformed, faults, skipped = [], [], [], 0
    for batch in formats.head_batches(data, file="log", **options):
        assert len(batch.heads) == len(batch.lines)
        for index, line in enumerate(batch.lines):
            event = batch.load(index)
            if event is not None:
                found.append((event, line))
        malformed += batch.malformed
        faults += batch.faults
        skipped += batch.skipped
    return found, malformed, faults, skipped


def shown(event):
    return (event.audit_id, event.verb, event.time, event.unknown, event.cluster, bytes(event.request_object))


@pytest.mark.parametrize("block_bytes", [500, 4000, formats.BLOCK_BYTES])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sourceIPs": ...},
        {"user": "alice"},
        {"responseStatus": {"code": "403"}},
        {"stageTimestamp": "2026-03-01T10:00:00Z"},
        {"auditID": None},
        {"annotations": {"authorization.k8s.io/decision": 5}},
        {"userAgent": "\ud800"},
    ],
)
def test_a_log_reads_the_same_through_heads(change, block_bytes):
    data = lines(*(native(auditID=str(number)) for number in range(9)), native(**change), native(verb="get"))
    data += b"garbage\n" + lines(native(verb="delete"))
    whole = formats.decode(data, file="log")
    found, malformed, faults, skipped = through_heads(data, block_bytes=block_bytes)
    assert [(shown(event), line) for event, line in found] == [
        (shown(event), line) for event, line in zip(whole.events, whole.lines, strict=True)
    ]
    assert malformed == whole.malformed
    assert faults == whole.faults
    assert skipped == whole.skipped


def test_a_head_says_what_the_event_says():
    (batch,) = formats.head_batches(lines(native()), file="log")
    event = batch.load(0)
    head, made = batch.heads[0], head_of(event)
    for name in ("audit_id", "stage", "level", "verb", "request_uri", "user_agent", "stage_timestamp", "annotations"):
        assert getattr(head, name) == getattr(made, name)
    assert head.object_ref == made.object_ref
    assert head.response_status == made.response_status


def test_envelopes_have_heads_too():
    found, malformed, _, _ = through_heads(lines(test_gke.entry(), test_gke.entry()))
    assert [line for _, line in found] == [1, 2]
    assert found[0][0].cluster == "acme/europe-west1/shop"
    assert not malformed


@pytest.mark.parametrize("seed", range(300))
def test_hostile_lines_read_the_same_through_heads(seed):
    generator = Generator(seed)
    parts = [text(native(auditID=str(number))) for number in range(3)]
    parts.insert(generator.random.randrange(4), generator.input().replace(b"\n", b" "))
    data = b"\n".join(parts) + b"\n"
    whole = read(data, hint="native") if random.Random(seed).random() < 0.5 else read(data)
    found, malformed, _, skipped = through_heads(data, hint="native")
    assert [shown(event)[:2] for event, _ in found] == [shown(event)[:2] for event in whole.events]
    assert bool(malformed) == bool(whole.malformed)
    assert skipped == whole.skipped
