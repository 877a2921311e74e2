"""A JSON object of native shape to an event, field by field: what is of a wrong kind becomes unknown, never an error."""

from typing import Any

import msgspec
from msgspec import Raw

from kubewake.event import NO_BODY, STAGES, AuditEvent, EnvelopedEvent, ObjectRef, Status, User
from kubewake.formats.format import Record
from kubewake.formats.times import normalise

ALWAYS_WRITTEN = ("auditID", "stage", "verb", "requestURI", "user", "sourceIPs", "level")
"""Keys that an API server writes in every event: null here is a fault, elsewhere it means the same as absent."""

_LEVELS = frozenset(("None", "Metadata", "Request", "RequestResponse"))


class Reader:
    """Reads fields of one record and remembers which were null or of a wrong kind."""

    def __init__(self, record: Record) -> None:
        """`record` is an object of native shape."""
        self.record = record
        self.unknown: list[str] = []

    def text(self, key: str, inside: Record | None = None, path: str = "") -> str | None:
        """Text at `key`; null is a fault only for keys that are always written."""
        record = self.record if inside is None else inside
        value = record.get(key)
        if isinstance(value, str):
            return value
        if value is not None or (key in record and not path and key in ALWAYS_WRITTEN):
            self.unknown.append(path + key)
        return None

    def texts(self, value: Any, path: str) -> tuple[str, ...] | None:
        """A list of text; wrong elements are left out and noted."""
        if value is None:
            return None
        if not isinstance(value, list):
            self.unknown.append(path)
            return (value,) if isinstance(value, str) else None
        kept = tuple(item for item in value if isinstance(item, str))
        if len(kept) != len(value):
            self.unknown.append(path)
        return kept

    def object(self, key: str) -> Record | None:
        """An object at `key`."""
        value = self.record.get(key)
        if isinstance(value, dict):
            return value
        if value is not None or (key in self.record and key in ALWAYS_WRITTEN):
            self.unknown.append(key)
        return None

    def user(self, key: str) -> User | None:
        """A user at `key`."""
        record = self.object(key)
        if record is None:
            return None
        path = f"{key}."
        extra = record.get("extra")
        values: dict[str, list[str]] | None = None
        if isinstance(extra, dict):
            values = {}
            for name, value in extra.items():
                kept = self.texts(value, f"{path}extra.{name}")
                if kept is not None:
                    values[name] = list(kept)
        elif extra is not None:
            self.unknown.append(f"{path}extra")
        return User(
            username=self.text("username", record, path),
            uid=self.text("uid", record, path),
            groups=self.texts(record.get("groups"), f"{path}groups"),
            extra=values,
        )

    def object_ref(self) -> ObjectRef | None:
        """The object reference."""
        record = self.object("objectRef")
        if record is None:
            return None
        keys = ("resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource")
        values = {key: self.text(key, record, "objectRef.") for key in keys}
        group, slash, version = (values["apiVersion"] or "").rpartition("/")
        if slash and not values["apiGroup"]:
            values["apiGroup"], values["apiVersion"] = group, version
        return ObjectRef(*values.values())

    def status(self) -> Status | None:
        """The response status; a code in text is taken."""
        record = self.object("responseStatus")
        if record is None:
            return None
        code = record.get("code")
        if (isinstance(code, float) and code.is_integer()) or (
            isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 3
        ):
            code = int(code)
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code < 1000:
            if code is not None:
                self.unknown.append("responseStatus.code")
            code = None
        path = "responseStatus."
        return Status(
            code=code,
            status=self.text("status", record, path),
            reason=self.text("reason", record, path),
            message=self.text("message", record, path),
            details=record.get("details"),
        )

    def body(self, key: str) -> Raw:
        """A request or response body as raw JSON; any JSON value may be one."""
        value = self.record.get(key)
        if isinstance(value, Raw):
            return value
        return NO_BODY if value is None else Raw(msgspec.json.encode(value))

    def time(self, *keys: str) -> str | None:
        """The first of `keys` that holds a time; one that holds something else is noted."""
        for key in keys:
            value = self.record.get(key)
            if value is None:
                continue
            normal = normalise(value)
            if normal is not None:
                return normal
            self.unknown.append(key)
        return None

    def annotations(self) -> dict[str, str] | None:
        """Annotations; values that are no text are left out and noted."""
        record = self.object("annotations")
        if record is None:
            return None
        kept = {key: value for key, value in record.items() if isinstance(value, str)}
        self.unknown.extend(f"annotations.{key}" for key in record if key not in kept)
        return kept


def coerce(record: Record) -> AuditEvent | EnvelopedEvent:
    """An event from an object of native shape, v1 or v1beta1; enveloped when something in it is unknown."""
    reader = Reader(record)
    received = reader.time("requestReceivedTimestamp")
    staged = reader.time("stageTimestamp")
    if received is None or staged is None:
        metadata = record.get("metadata")
        created = normalise(metadata.get("creationTimestamp")) if isinstance(metadata, dict) else None
        old = created or reader.time("timestamp")
        received, staged = received or old or staged, staged or old or received
    if staged is None and "stageTimestamp" not in reader.unknown:
        reader.unknown.append("stageTimestamp")
    stage = reader.text("stage")
    if stage is not None and stage not in STAGES:
        reader.unknown.append("stage")
        stage = None
    level = reader.text("level")
    if level is not None and level not in _LEVELS:
        reader.unknown.append("level")
        level = None
    native = AuditEvent(
        level=level,
        audit_id=reader.text("auditID"),
        stage=stage,
        request_uri=reader.text("requestURI"),
        verb=reader.text("verb"),
        user=reader.user("user"),
        impersonated_user=reader.user("impersonatedUser"),
        source_ips=reader.texts(record.get("sourceIPs"), "sourceIPs"),
        user_agent=reader.text("userAgent"),
        object_ref=reader.object_ref(),
        response_status=reader.status(),
        request_object=reader.body("requestObject"),
        response_object=reader.body("responseObject"),
        request_received_timestamp=received,
        stage_timestamp=staged,
        annotations=reader.annotations(),
    )
    named = (("auditID", native.audit_id), ("stage", native.stage), ("verb", native.verb), ("user", native.user))
    for key, value in named:
        if value is None and key not in reader.unknown:
            reader.unknown.append(key)
    if "sourceIPs" in record and native.source_ips is None and "sourceIPs" not in reader.unknown:
        reader.unknown.append("sourceIPs")
    return enveloped(native, unknown=tuple(reader.unknown)) if reader.unknown else native


def enveloped(
    event: AuditEvent | EnvelopedEvent,
    *,
    cluster: str = "",
    time: Any = None,
    unknown: tuple[str, ...] = (),
    envelope: dict[str, Any] | None = None,
    operation: str = "",
) -> AuditEvent | EnvelopedEvent:
    """The event with what its envelope adds; the event itself where that is nothing.

    What the event says itself wins: its cluster, its time, its facts. `time` is in any shape that `normalise` takes.
    """
    cluster = event.cluster or cluster
    unknown = event.unknown + tuple(name for name in unknown if name not in event.unknown)
    facts = {**(envelope or {}), **event.envelope}
    operation = event.operation or operation
    outer_time = None if time is None or event.stage_timestamp else normalise(time)
    own = (event.cluster, event.unknown, event.envelope, event.operation)
    if outer_time is None and (cluster, unknown, facts, operation) == own:
        return event
    fields = {name: getattr(event, name) for name in AuditEvent.__struct_fields__}
    if outer_time is not None:
        fields["stage_timestamp"] = outer_time
        fields["request_received_timestamp"] = event.request_received_timestamp or outer_time
    return EnvelopedEvent(**fields, cluster=cluster, unknown=unknown, envelope=facts, operation=operation)
