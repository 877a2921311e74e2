"""GELF, as OVHcloud's Logs Data Platform streams the audit log of its Managed Kubernetes Service: JSON in JSON in JSON."""

from collections.abc import Iterable

from kubewake.formats.format import Inner, Outcome, Record, format_, text


@format_
class Gelf:
    """One GELF message; the event is the text of `short_message` or `full_message`."""

    name = "gelf"
    title = "OVHcloud (GELF) Kubernetes audit event"
    order = 60

    def recognises(self, record: Record) -> bool:
        """By its message keys."""
        return isinstance(record.get("full_message") or record.get("short_message"), str)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The message."""
        content = text(record.get("full_message")) or text(record.get("short_message")) or ""
        means = "GELF message of another log"
        yield Inner(content, time=record.get("timestamp"), text_means=means)
