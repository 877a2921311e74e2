"""Records that carry Kubernetes' name and are no audit events: events of objects, other log lines of a cluster."""

from collections.abc import Iterable

from kubewake.formats.format import Inner, Outcome, Record, Skip, format_, text

_EVENT_KEYS = ("involvedObject", "regarding")


@format_
class ObjectEvent:
    """What `kubectl get events` shows: what happened to an object, not who asked for it."""

    name = "object-event"
    title = "Kubernetes events (no audit events)"
    order = 15

    def recognises(self, record: Record) -> bool:
        """By the object that it is about."""
        return any(key in record for key in _EVENT_KEYS) and "auditID" not in record

    def read(self, record: Record) -> Iterable[Outcome]:  # noqa: ARG002
        """Skipped."""
        yield Skip("Kubernetes event of an object")


_TEXT_KEYS = (
    "@message",
    "message",
    "log",
    "_raw",
    "MESSAGE",
    "msg",
    "line",
    "raw",
    "textPayload",
    "body",
    "Message",
    "event",
)
_HOLDER_KEYS = ("result", "_source", "content", "event", "log", "message", "body", "json", "data", "jsonPayload")


@format_
class Wrapped:
    """A line as a log shipper hands it on (Fluent Bit, Vector, Docker, journald, Splunk, webhook recorders)."""

    name = "shipped"
    title = "Kubernetes audit events in a log shipper's envelope"
    order = 90

    def recognises(self, record: Record) -> bool:
        """By a key that shippers put the line or the object under."""
        return self._content(record) is not None

    def _content(self, record: Record) -> str | Record | None:
        original = record.get("event")
        if isinstance(original, dict) and isinstance(original.get("original"), str):
            return text(original["original"])
        for key in _TEXT_KEYS:
            value = record.get(key)
            if isinstance(value, str):
                return value
        for key in _HOLDER_KEYS:
            value = record.get(key)
            if isinstance(value, dict) and value:
                return value
        return None

    def read(self, record: Record) -> Iterable[Outcome]:
        """The line; text that is no JSON is another log."""
        content = self._content(record)
        assert content is not None
        time = record.get("@timestamp") or record.get("time") or record.get("timestamp")
        yield Inner(content, cluster=text(record.get("cluster")) or "", time=time, text_means="text of another log")
