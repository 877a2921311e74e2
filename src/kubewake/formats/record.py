"""One record of input to its outcomes: recognises the format, walks into what lies inside, explains what fails."""

from collections import Counter
from typing import Any

import msgspec
from msgspec import Struct, field

from kubewake.event import AuditEvent, Batch, Malformed
from kubewake.formats.coercion import enveloped
from kubewake.formats.documents import recut
from kubewake.formats.explanation import TRUNCATED, explain, guess, kind_of
from kubewake.formats.format import Inner, Outcome, Record, Reject, Skip, parse, recognise
from kubewake.formats.native import NATIVE, decode_block
from kubewake.formats.packed import is_packed, unpack
from kubewake.formats.salvage import complete, object_of, salvage
from kubewake.formats.times import normalise

_DEEPEST_NESTING = 6
"""Envelopes inside envelopes (Firehose in Kinesis in CloudWatch in EKS is four)."""
_LONGEST_PREFIX_BYTES = 512
"""A log prefix (node name, syslog header, container runtime stamp) before the JSON of a line."""
_SHOWN = 200

_MOST_NEEDED = frozenset(("auditID", "stage", "verb", "user"))
"""What must stand in an event that breaks off for it to be judged: who asked for what. What is behind the cut is lost."""
_RECEIVED = "requestReceivedTimestamp"
_MAY_BE_CUT = ("sourceIPs", "objectRef", "responseStatus")
"""What judging an event builds on, of what stands behind that."""

_NO_ENVELOPE = Inner(None)


class Reading(Struct):
    """What came out of a piece of input so far."""

    file: str
    fast: bool = False
    """Records are known to be native: typed decoding first."""
    events: list[AuditEvent] = []
    lines: list[int] = []
    malformed: list[Malformed] = []
    faults: list[Malformed] = []
    skipped: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)

    def batch(self, size_bytes: int, cluster: str) -> Batch:
        """As a batch."""
        return Batch(
            file=self.file,
            events=self.events,
            lines=self.lines,
            malformed=self.malformed,
            faults=self.faults,
            size_bytes=size_bytes,
            skipped=self.skipped.total(),
            skipped_reasons=dict(self.skipped),
            cluster=cluster,
        )

    def reject(self, line: int, reason: str) -> None:
        """Note a malformed record."""
        self.malformed.append(Malformed(self.file, line, reason))

    def read_line(self, data: bytes, line: int) -> None:
        """Read one line of text, or one document, that starts at `line`."""
        data = data.strip()
        if not data:
            return
        sound = decode_block(data) if self.fast and data[:1] == b"{" else None
        if sound is not None:
            self.events += sound
            self.lines.append(line)
            self.formats[NATIVE] += 1
            return
        reason = self._read_text(data, line, _NO_ENVELOPE, 0)
        if reason is not None and not self._read_prefixed(data, line):
            self.reject(line, explain(data, reason))

    def _read_text(self, data: bytes, line: int, outer: Inner, depth: int) -> str | None:
        """Read JSON text, or its sound parts where its whole is none; the reason where nothing of it is JSON."""
        reason = self._read_value(data, line, outer, depth)
        if reason is None or data[:1] not in (b"{", b"["):
            return reason
        parts, malformed = recut(data, self.file, line)
        if not parts or parts == [data]:
            return reason
        self.malformed += malformed
        for part in parts:
            reason = self._read_value(part, line, outer, depth)
            if reason is not None:
                self.reject(line, explain(part, reason))
        return None

    def _read_value(self, data: bytes, line: int, outer: Inner, depth: int) -> str | None:
        """Read one JSON value, or what can be saved of it; the reason where that is nothing."""
        try:
            content = parse(data)
        except ValueError as error:
            try:
                content, unknown = salvage(data)
            except ValueError:
                is_timed = normalise(outer.time) is not None
                if not is_cut_event(data) or not (is_timed or data.endswith(TRUNCATED)):
                    return str(error)
                try:
                    content, unknown = salvage(complete(data.removesuffix(TRUNCATED)))
                except ValueError:
                    return str(error)
                if not content.keys() >= _MOST_NEEDED or not (is_timed or _RECEIVED in content):
                    return str(error)
                unknown += ("truncated", *(key for key in _MAY_BE_CUT if key not in content))
                content.setdefault("objectRef", object_of(str(content.get("requestURI"))))
            outer = msgspec.structs.replace(outer, unknown=outer.unknown + unknown)
        self.read_content(content, line, outer, depth)
        return None

    def _read_prefixed(self, data: bytes, line: int) -> bool:
        """A line that is no JSON from its start: packed, or behind a prefix, as `oc adm node-logs` writes it."""
        if is_packed(data):
            self._read_inner(Inner(data), line, _NO_ENVELOPE, 0)
            return True
        start = data.find(b"{", 1, _LONGEST_PREFIX_BYTES)
        if (
            start <= 0
            or data[:1] in (b"{", b"[")
            or not data[:start].replace(b"\t", b" ").decode(errors="replace").isprintable()
        ):
            return False
        time = normalise(data[:start].decode(errors="replace").split(maxsplit=1)[0])
        return self._read_text(data[start:], line, Inner(None, time=time), 0) is None

    def read_content(self, content: Any, line: int, outer: Inner = _NO_ENVELOPE, depth: int = 0) -> None:
        """Read decoded JSON: an object, or a list of them."""
        if depth > _DEEPEST_NESTING:
            self.reject(line, f"more than {_DEEPEST_NESTING} envelopes inside each other")
        elif isinstance(content, dict):
            self._read_record(content, line, outer, depth)
        elif isinstance(content, list):
            if not content:
                self.skipped["a list without items"] += 1
            wrong = 0
            for item in content:
                if isinstance(item, dict):
                    self._read_record(item, line, outer, depth)
                elif isinstance(item, str) and item.lstrip()[:1] == "{":
                    self._read_inner(Inner(item), line, outer, depth)
                else:
                    wrong += 1
            if wrong:
                self.reject(line, f"a JSON array with {wrong} items that are no objects ({kind_of(content[0])} first)")
        else:
            self.reject(line, f"JSON, but {kind_of(content)} and not an object")

    def _read_record(self, record: Record, line: int, outer: Inner, depth: int) -> None:
        known = recognise(record)
        if known is None:
            self.reject(line, f"a JSON object that is no audit event: {guess(record)}")
            return
        self.formats[known.name] += 1
        nothing = True
        for outcome in known.read(record):
            nothing = False
            self._take(outcome, line, outer, depth, known.name)
        if nothing:
            self.reject(line, f"{known.title}: a record that holds none")

    def _take(self, outcome: Outcome, line: int, outer: Inner, depth: int, known: str) -> None:
        if isinstance(outcome, Inner):
            self._read_inner(outcome, line, outer, depth)
        elif isinstance(outcome, Skip):
            self.skipped[outcome.reason] += 1
        elif isinstance(outcome, Reject):
            self.reject(line, outcome.reason)
        else:
            event = enveloped(
                outcome, cluster=outer.cluster, time=outer.time, unknown=outer.unknown, envelope=outer.envelope
            )
            self.events.append(event)
            self.lines.append(line)
            wrong = outer.unknown + outcome.unknown
            if wrong and known == NATIVE:
                self.faults.append(Malformed(self.file, line, f"judged in part, without {', '.join(wrong)[:_SHOWN]}"))

    def _read_inner(self, inner: Inner, line: int, outer: Inner, depth: int) -> None:
        merged = Inner(
            None,
            cluster=inner.cluster or outer.cluster,
            time=outer.time if inner.time is None else inner.time,
            envelope={**outer.envelope, **inner.envelope},
            unknown=outer.unknown,
        )
        content, means = inner.content, inner.text_means
        if not isinstance(content, str | bytes):
            self.read_content(content, line, merged, depth + 1)
            return
        data = content.encode(errors="replace") if isinstance(content, str) else content
        data = data.strip()
        if is_packed(data):
            try:
                data = unpack(data)
            except ValueError as error:
                self.reject(line, str(error))
                return
        sound = decode_block(data)
        if sound is not None:
            for event in sound:
                self._take(event, line, merged, depth, NATIVE)
            return
        if means is not None and data[:1] not in (b"{", b"["):
            start = data.find(b"{", 0, _LONGEST_PREFIX_BYTES)
            if start < 0 or self._read_text(data[start:], line, merged, depth + 1) is not None:
                self.skipped[means] += 1
            return
        reason = self._read_text(data, line, merged, depth + 1)
        if reason is None:
            return
        if means is not None and not is_cut_event(data):
            self.skipped[means] += 1
        else:
            self.reject(line, explain(data, reason))


def is_cut_event(data: bytes) -> bool:
    """Whether text that is no JSON began as an audit event: losing one is a fault, a log line of another kind is not."""
    start = data[:200]
    return start.lstrip()[:1] == b"{" and (b"audit.k8s.io" in start or b"auditID" in start)


def read_lines(data: bytes, file: str, first_line: int, *, fast: bool) -> Reading:
    """Read a block of whole lines one by one; `fast` when they are known to be native."""
    reading = Reading(file, fast=fast)
    for offset, line in enumerate(data.split(b"\n")):
        if line:
            reading.read_line(line, first_line + offset)
    return reading
