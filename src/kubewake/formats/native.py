"""Kubernetes' own shape: `audit.k8s.io/v1` (and v1beta1, v1alpha1) events, an event a line, lists and bare arrays.

`decode_block` is the fast path that nearly every event takes; whatever it does not vouch for goes through `coerce`.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from kubewake.event import STAGES, AuditEvent
from kubewake.formats.coercion import coerce
from kubewake.formats.format import Inner, Outcome, Record, Reject, format_
from kubewake.formats.times import are_normal, is_normal

NATIVE = "native"

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on input that is not the JSON it expects."""

_decode_lines = msgspec.json.Decoder(AuditEvent).decode_lines
LINE_FEED = 10
_KNOWN_STAGES = frozenset(STAGES)
_KNOWN_LEVELS = frozenset(("Metadata", "Request", "RequestResponse", "None"))


class _EventList(Struct, gc=False):
    kind: str
    items: list[AuditEvent]


_decode_list = msgspec.json.Decoder(_EventList).decode
_decode_array = msgspec.json.Decoder(list[AuditEvent]).decode


def are_sound(events: Sequence[AuditEvent]) -> bool:
    """Whether every event has what an API server always writes, in the shape in which it writes it.

    Works column by column over the whole block, which costs a third of looking at each event.
    """
    if not (
        {event.stage for event in events} <= _KNOWN_STAGES
        and {event.level for event in events} <= _KNOWN_LEVELS
        and None not in [event.source_ips for event in events]
        and None not in [event.audit_id for event in events]
        and None not in [event.user for event in events]
        and None not in {event.verb for event in events}
    ):
        return False
    codes = {status.code for event in events if (status := event.response_status) is not None}
    codes.discard(None)
    if codes and not (min(codes) >= 0 and max(codes) < 1000):  # type: ignore[type-var,operator]
        return False
    return are_normal([event.stage_timestamp for event in events]) and are_normal(
        [event.request_received_timestamp for event in events]
    )


def is_sound(event: AuditEvent) -> bool:
    """As `are_sound` for one event whose head looked sound already."""
    status = event.response_status
    code = status.code if status is not None else None
    received = event.request_received_timestamp
    return (
        event.user is not None
        and event.source_ips is not None
        and (code is None or 0 <= code < 1000)
        and received is not None
        and is_normal(received)
    )


def line_starts(data: bytes, values: int) -> list[int] | None:
    """Where each line of a block begins, if `values` JSON objects stand one a line; else None.

    A raw line break cannot stand inside a JSON string, and `}` LF `{` not inside a value: so it stands only between two
    values. Looking up line breaks costs a seventh of counting them, because `bytes.find` of one byte is memchr.
    """
    find, starts, position = data.find, [0], 0
    add = starts.append
    while position := find(b"\n", position) + 1:
        if data[position - 2 : position + 1] != b"}\n{":
            break
        add(position)
    if position == 0 or position == len(data):
        return starts if len(starts) == values else None
    if data.count(b"}\r\n{") == values - 1 and data.count(b"\n") == values - (not data.endswith(b"\n")):
        return [0, *(index + 1 for index, byte in enumerate(data[:-1]) if byte == LINE_FEED)]
    return None


def decode_block(data: bytes) -> list[AuditEvent] | None:
    """The events of a block of whole lines, one a line; None unless each line is a sound native event."""
    try:
        events = _decode_lines(data)
    except UNDECODABLE:
        return None
    return events if events and line_starts(data, len(events)) and are_sound(events) else None


def decode_list(data: bytes) -> list[AuditEvent] | None:
    """The events of one EventList or bare array; None unless each of its items is a sound native event."""
    try:
        if data.lstrip()[:1] == b"[":
            events = _decode_array(data)
        else:
            document = _decode_list(data)
            events = document.items if document.kind == "EventList" else []
    except UNDECODABLE:
        return None
    return events if events and are_sound(events) else None


def is_event(record: Record) -> bool:
    """Whether the object has the shape of a native audit event, complete or not."""
    if record.get("kind") == "Event" and str(record.get("apiVersion", "")).startswith("audit.k8s.io/"):
        return True
    if "auditID" in record and ("stage" in record or "verb" in record or "level" in record):
        return True
    return "verb" in record and any(key in record for key in ("objectRef", "requestURI", "user", "sourceIPs"))


@format_
class Native:
    """One event object."""

    name = NATIVE
    title = "Kubernetes audit event"
    order = 50

    def recognises(self, record: Record) -> bool:
        """By kind and API version, or by the keys of an event (items of an EventList have neither)."""
        return is_event(record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event; one that says nothing but its kind is rejected."""
        if not record.keys() - {"kind", "apiVersion", "metadata"}:
            yield Reject("an audit event that holds nothing but its kind: the sender cut its fields off")
            return
        yield coerce(record)


@format_
class EventList:
    """A list of events, as the webhook backend posts them."""

    name = "eventlist"
    title = "Kubernetes audit EventList"
    order = 40

    def recognises(self, record: Record) -> bool:
        """By its kind."""
        return record.get("kind") == "EventList" and "items" in record

    def read(self, record: Record) -> Iterable[Outcome]:
        """Its items, recognised one by one."""
        items = record["items"]
        if isinstance(items, list) or items is None:
            yield Inner(items or [])
        else:
            yield Reject("an EventList whose items are no list")
