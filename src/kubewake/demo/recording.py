"""The bundled slice of a recording, in the EventLists that an API server would have sent."""

from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files

import msgspec
import zstandard
from msgspec import Struct

BATCH_EVENTS = 400
"""The API server's default for --audit-webhook-batch-max-size."""
BATCH_SECONDS = 5.0
"""Recorded seconds that one batch covers at most; the API server's default is 30, which would make the replay jerky."""


class Post(Struct, frozen=True):
    """One webhook body and when it is due: recorded seconds after the first event."""

    due_seconds: float
    events: int
    body: bytes


class _Stamp(Struct):
    stage_timestamp: str = msgspec.field(name="stageTimestamp", default="")


def lines() -> list[bytes]:
    """The events, one a line, in recorded order."""
    packed = (files("kubewake.demo") / "attacks.jsonl.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompress(packed).splitlines()


def posts(events: list[bytes]) -> Iterator[Post]:
    """Batch the events as the API server does: by number and by time."""
    stamps = [_seconds(event) for event in events]
    first = stamps[0]
    batch: list[bytes] = []
    begun = first
    for event, seconds in zip(events, stamps, strict=True):
        if batch and (len(batch) >= BATCH_EVENTS or seconds - begun >= BATCH_SECONDS):
            yield _post(batch, seconds - first)
            batch = []
        if not batch:
            begun = seconds
        batch.append(event)
    if batch:
        yield _post(batch, stamps[-1] - first)


def _post(batch: list[bytes], due_seconds: float) -> Post:
    head = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
    return Post(due_seconds, len(batch), head + b",".join(batch) + b"]}")


def _seconds(event: bytes) -> float:
    return datetime.fromisoformat(msgspec.json.decode(event, type=_Stamp).stage_timestamp).timestamp()
