"""The audit event, as the API server wrote it, and what could not be read as one.

Field names follow `audit.k8s.io/v1` (https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/),
in snake_case. Bodies stay raw bytes until someone asks for them (see `facts`).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import xxhash
from msgspec import Raw, Struct, field

NO_BODY = Raw(b"")

STAGES = ("ResponseComplete", "ResponseStarted", "RequestReceived", "Panic")
"""Stages in the order of their codes in an event key (its two lowest bits)."""
_STAGE_CODES = {stage: code for code, stage in enumerate(STAGES)}


class User(Struct, frozen=True, rename="camel", gc=False):
    """Who sent the request, as authenticated. A failed login has an empty user."""

    username: str | None = None
    uid: str | None = None
    groups: tuple[str, ...] | None = None
    extra: dict[str, list[str]] | None = None


class ObjectRef(Struct, frozen=True, rename="camel", gc=False):
    """The object that a resource request is about; absent for non-resource requests."""

    resource: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    api_group: str | None = None
    api_version: str | None = None
    resource_version: str | None = None
    subresource: str | None = None


class Status(Struct, frozen=True, rename="camel", gc=False):
    """The answer's status; `code` is an HTTP status code."""

    code: int | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    details: Any = None


class AuditEvent(Struct, frozen=True, gc=False):
    """One audit event.

    `None` means that the event does not say. Times are RFC 3339 text as the server wrote it, normalised by the
    format to UTC with microseconds and `Z` (27 characters), so that text order is time order.
    """

    level: str | None = None
    audit_id: str | None = field(name="auditID", default=None)
    stage: str | None = None
    request_uri: str | None = field(name="requestURI", default=None)
    verb: str | None = None
    user: User | None = None
    impersonated_user: User | None = field(name="impersonatedUser", default=None)
    source_ips: tuple[str, ...] | None = field(name="sourceIPs", default=None)
    user_agent: str | None = field(name="userAgent", default=None)
    object_ref: ObjectRef | None = field(name="objectRef", default=None)
    response_status: Status | None = field(name="responseStatus", default=None)
    request_object: Raw = field(name="requestObject", default=NO_BODY)
    response_object: Raw = field(name="responseObject", default=NO_BODY)
    request_received_timestamp: str | None = field(name="requestReceivedTimestamp", default=None)
    stage_timestamp: str | None = field(name="stageTimestamp", default=None)
    annotations: dict[str, str] | None = None
    cluster: ClassVar[str] = ""
    unknown: ClassVar[tuple[str, ...]] = ()
    envelope: ClassVar[dict[str, Any]] = {}
    operation: ClassVar[str] = ""

    @property
    def time(self) -> str:
        """Event time: the stage's timestamp, else the request's; empty where the event has neither."""
        return self.stage_timestamp or self.request_received_timestamp or ""


class EnvelopedEvent(AuditEvent, frozen=True, gc=False):
    """An event with what only its format can tell; never decoded from JSON, so that no sender can forge it."""

    cluster: str = ""  # type: ignore[misc]  # shadows the class constant of plain events on purpose
    """The cluster that the envelope names; empty where the source's own name for it applies."""
    unknown: tuple[str, ...] = ()  # type: ignore[misc]
    """Fields that were null, of a wrong kind, or that the envelope lacks: judged as unknown, and counted."""
    envelope: dict[str, Any] = {}  # type: ignore[misc]
    """Facts that only the envelope carries (labels, enrichment), by dotted name; read by derived fields."""
    operation: str = ""  # type: ignore[misc]
    """What all stages of the request have in common where only some say when it was received: in its key for that time."""


class Malformed(Struct, frozen=True):
    """A piece of input that is no audit event: where it stands and why. `line` counts from 1; 0 is the whole file."""

    file: str
    line: int
    reason: str


class Batch(Struct):
    """Decoded events of one piece of input, in input order, each with its place.

    `lines[i]` is the line of `events[i]` in `file`. `cursor` is whatever the source needs to go on behind this batch.
    """

    file: str
    events: list[AuditEvent]
    lines: Sequence[int]
    malformed: list[Malformed] = []
    faults: list[Malformed] = []
    """Where `events` holds an event that is judged in part because fields of it are missing, null or of a wrong kind.
    What an envelope lacks by design (see `EnvelopedEvent.unknown`) is not listed."""
    size_bytes: int = 0
    skipped: int = 0
    """Well-formed records that are no Kubernetes audit events (other log categories): counted, not malformed."""
    skipped_reasons: dict[str, int] = {}
    """`skipped` by reason (a small fixed set of constants)."""
    cluster: str = ""
    """The cluster of events whose envelope names none."""
    cursor: Any = None


def event_key(event: AuditEvent, cluster: str) -> int:
    """Identity of one stage of one request: 62 bits of request identity, then two bits of stage.

    The Audit-ID is the client's word and may be re-used, so the key also covers the time, user and URI.
    `event_key(...) >> 2` is the same for all stages of a request.
    """
    user = event.user
    text = (
        f"{cluster}\0{event.audit_id}"
        f"\0{event.operation or event.request_received_timestamp or event.stage_timestamp or ''}"
        f"\0{event.request_uri}\0{(user.username if user is not None else None) or ''}"
    )
    return (xxhash.xxh3_64_intdigest(text.encode()) & ~3) | _STAGE_CODES.get(event.stage or "", 0)


def key_text(key: int) -> str:
    """The printed form of an event key, as in `event_keys` of findings and incidents."""
    return key.to_bytes(8).hex()


decode_event = msgspec.json.Decoder(AuditEvent).decode
"""Decode one native event from JSON bytes; raises msgspec.ValidationError or msgspec.DecodeError."""
