"""Why a piece of input is no audit event, in words for a person who has to do something about it."""

from typing import Any

from kubewake.formats.format import Record

_SHOWN_BYTES = 40
_LINES = ("finding", "incident", "notice", "malformed", "summary")
_LINE_KEYS = frozenset({"audit_ids", "detail", "reason", "input"})
"""What the lines of kubewake's own JSON Lines are, and what one of them has."""
TRUNCATED = b"[Truncated...]"
"""How CloudWatch ends what it cut off."""


def kind_of(value: Any) -> str:
    """What kind of JSON value it is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an array" if isinstance(value, list) else "an object"


def explain(data: bytes, reason: str) -> str:
    """Why bytes are no JSON object, in words that name what they look like."""
    if data[-64:].rstrip().endswith(TRUNCATED):
        return "an event cut off by CloudWatch ([Truncated...]): its message was longer than CloudWatch takes"
    head = data[:_SHOWN_BYTES]
    if b"\0" in data[:4096]:
        return "binary data (NUL bytes), no JSON"
    try:
        shown = ascii(head.decode())
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return f"not UTF-8 text, no JSON: {head!r}"
        shown = ascii(head.decode(errors="replace"))
    if "nested too deeply" in reason or "recursion" in reason:
        return "nested too deeply to be an audit event"
    if data[:1] not in (b"{", b"["):
        return f"text, no JSON: {shown}"
    if "truncated" in reason:
        return f"JSON that breaks off before its end: {shown}"
    return f"{reason.removeprefix('JSON is malformed: ')}, in {shown}"


def guess(record: Record) -> str:
    """What an object that no format knows looks like, and what to do with it."""
    kind, version = record.get("kind"), record.get("apiVersion")
    if str(record.get("schema", "")).startswith("kubewake.result/"):
        return "a result that kubewake saved: `kubewake incidents list FILE` reads it"
    if record.get("type") in _LINES and not _LINE_KEYS.isdisjoint(record):
        return "a line that kubewake printed: give it the audit log instead, or a result saved with -o json to `kubewake incidents`"
    if kind == "Policy":
        return "an audit policy: give it to the policy commands instead"
    if kind == "Event" or version == "events.k8s.io/v1":
        return "a Kubernetes event (kubectl get events), which says what happened to objects and not who asked for it"
    if isinstance(kind, str) and isinstance(version, str):
        return f"a Kubernetes object ({version[:40]} {kind[:40]}): is this a manifest?"
    keys = ", ".join(ascii(key[:30]) for key in list(record)[:6])
    return f"no format knows an object with the keys {keys}" if record else "an empty object"
