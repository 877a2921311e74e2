"""`-o jsonl`: one JSON object a line, each with a `type`, as things happen; also the view of a finished document."""

from typing import IO, Any

import msgspec

from kubewake.event import Malformed
from kubewake.finding import Finding, Incident, InputSummary, Notice, ResultDocument, Summary, growth_of
from kubewake.reports import Style, report


class LineWriter:
    """Writes findings, incidents, notices and malformed input as lines.

    What was printed before is printed again only as its growth: the same id, `audit_ids_added`, and what changed.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._printed: dict[str, int] = {}
        """Audit ids of each finding that are printed."""
        self._told: dict[str, frozenset[str]] = {}
        """Those of each incident: its new ones stand anywhere between the old, in the order of time."""

    def write(self, item: Finding | Incident | Notice | Malformed) -> None:
        """One line for what is new or has grown."""
        if isinstance(item, Malformed):
            self._line("malformed", msgspec.to_builtins(item))
            return
        if isinstance(item, Notice):
            self._line("notice", msgspec.to_builtins(item))
            return
        kind = "finding" if isinstance(item, Finding) else "incident"
        added = self._added(item)
        if added is None:
            self._line(kind, msgspec.to_builtins(item))
            return
        self._line(kind, growth_of(item, added))

    def _added(self, item: Finding | Incident) -> list[str] | None:
        """The audit ids that were not printed yet; None where nothing of the item was."""
        if isinstance(item, Finding):
            printed = self._printed.get(item.id)
            self._printed[item.id] = len(item.audit_ids)
            return None if printed is None else item.audit_ids[printed:]
        known = self._told.get(item.id)
        self._told[item.id] = frozenset(item.audit_ids)
        return None if known is None else [audit_id for audit_id in item.audit_ids if audit_id not in known]

    def forget(self, finding_id: str) -> None:
        """A closed finding grows no more."""
        self._printed.pop(finding_id, None)

    def summary(self, source: InputSummary, summary: Summary) -> None:
        """The last line."""
        self._line("summary", {"input": msgspec.to_builtins(source), **msgspec.to_builtins(summary)})

    def _line(self, kind: str, values: dict[str, Any]) -> None:
        self._out.write(msgspec.json.encode({"type": kind, **values}).decode() + "\n")


@report("jsonl", "one JSON object a line, as findings happen")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write a finished document as lines."""
    writer = LineWriter(out)
    for malformed in document.input.malformed:
        writer.write(malformed)
    for finding in document.findings:
        writer.write(finding)
    for incident in document.incidents:
        writer.write(incident)
    for notice in document.notices:
        writer.write(notice)
    writer.summary(document.input, document.summary)
