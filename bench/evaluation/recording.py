"""A labelled recording: its events in event-time order, and altered copies of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard
from msgspec import Struct

from bench.evaluation.labels import Labels, load_labels

EVENTS_FILE = "audit.jsonl.zst"
LABELS_FILE = "labels.json"
WINDOW_BYTES = 1 << 27


class Line(NamedTuple):
    """One event as logged. `time` is its stage timestamp."""

    time: str
    audit_id: str
    data: bytes


class _Head(Struct, rename="camel"):
    stage_timestamp: str
    audit_id: str = msgspec.field(name="auditID")


class Recording(Struct):
    """Events and ground truth. `variant` says how the events differ from what was recorded."""

    name: str
    variant: str
    lines: list[Line]
    labels: Labels

    @property
    def times(self) -> dict[str, str]:
        """When each request first shows in the log, by audit id."""
        first: dict[str, str] = {}
        for line in self.lines:
            first.setdefault(line.audit_id, line.time)
        return first

    def with_lines(self, variant: str, lines: list[Line]) -> "Recording":
        """The same ground truth with other events."""
        return Recording(self.name, variant, lines, self.labels)


def recordings_in(folder: Path) -> list[str]:
    """Names of the labelled recordings in a folder, largest first."""
    found = [path.parent for path in folder.glob(f"*/{LABELS_FILE}") if (path.parent / EVENTS_FILE).exists()]
    return [path.name for path in sorted(found, key=lambda path: (-(path / EVENTS_FILE).stat().st_size, path.name))]


def load_recording(folder: Path) -> Recording:
    """Read one recording, decompressed in memory and sorted by event time as an API server would have sent it."""
    decode = msgspec.json.Decoder(_Head).decode
    lines = []
    with (folder / EVENTS_FILE).open("rb") as file:
        text = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(file).read()
    for data in text.splitlines():
        head = decode(data)
        lines.append(Line(head.stage_timestamp, head.audit_id, data))
    lines.sort(key=lambda line: line.time)
    return Recording(folder.name, "recorded", lines, load_labels(folder / LABELS_FILE))


Event = dict[str, Any]
CREDENTIAL_EXTRA = "authentication.kubernetes.io/credential-id"
ISSUED_CREDENTIAL = "authentication.kubernetes.io/issued-credential-id"
AUTHORIZATION_REASON = "authorization.k8s.io/reason"


def _blanked(event: Event) -> bool:
    event.pop("userAgent", None)
    event["sourceIPs"] = []
    return True


def _at_metadata(event: Event) -> bool:
    if event.get("level") in ("Request", "RequestResponse"):
        event["level"] = "Metadata"
        event.pop("requestObject", None)
        event.pop("responseObject", None)
        return True
    return False


def _of_older_cluster(event: Event) -> bool:
    (event.get("user", {}).get("extra") or {}).pop(CREDENTIAL_EXTRA, None)
    for name in (ISSUED_CREDENTIAL, AUTHORIZATION_REASON):
        (event.get("annotations") or {}).pop(name, None)
    return True


def _rewritten(recording: Recording, variant: str, edit: Callable[[Event], bool]) -> Recording:
    lines = []
    for line in recording.lines:
        event = msgspec.json.decode(line.data)
        lines.append(line._replace(data=msgspec.json.encode(event)) if edit(event) else line)
    return recording.with_lines(variant, lines)


def _with_copied_agents(recording: Recording) -> Recording:
    """Each intruder sends the client string that the victim identity itself uses most; identities never seen otherwise
    keep theirs."""
    used: dict[str, Counter[str]] = {}
    attacks = recording.labels.campaign_of
    for line in recording.lines:
        if line.audit_id not in attacks:
            event = msgspec.json.decode(line.data)
            user = event.get("user", {}).get("username", "")
            used.setdefault(user, Counter())[event.get("userAgent", "")] += 1
    lines = []
    for line in recording.lines:
        if line.audit_id in attacks:
            event = msgspec.json.decode(line.data)
            own = used.get(event.get("user", {}).get("username", ""))
            if own:
                event["userAgent"] = own.most_common(1)[0][0]
                line = line._replace(data=msgspec.json.encode(event))
        lines.append(line)
    return recording.with_lines("copied-agent", lines)


VARIANTS: dict[str, tuple[str, Callable[[Recording], Recording]]] = {
    "recorded": ("as recorded", lambda recording: recording),
    "blanked": ("user agent and address blanked", lambda it: _rewritten(it, "blanked", _blanked)),
    "metadata": ("nothing above level Metadata", lambda it: _rewritten(it, "metadata", _at_metadata)),
    "older": ("without the fields of L1 and L4", lambda it: _rewritten(it, "older", _of_older_cluster)),
    "copied-agent": ("the intruder copies the victim's user agent", _with_copied_agents),
}


def variants(recording: Recording, names: list[str]) -> Iterator[Recording]:
    """The recording in each of these variants."""
    for name in names:
        yield VARIANTS[name][1](recording)
