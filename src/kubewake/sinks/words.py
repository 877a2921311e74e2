"""Findings in plain words, for people who know no Kubernetes: a title, what happened, what to do."""

import re

from msgspec import Struct

from kubewake.finding import Incident, Notice
from kubewake.sinks.change import Change

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
RAISED = " (now more severe)"
_WITHDRAWN = (
    "This was told as soon as it was seen. With the events that arrived since, and all of them in the order in which "
    "they happened, it does not hold."
)
_SHOWN_STEPS = 3
_SHOWN_IDS = 3


class Words(Struct, frozen=True):
    """`head` is a line; `story` and `steps` are sentences and commands; `foot` says where the evidence is.

    With `part_of`, the incident of that id tells the story, and the head is enough, with `who` acted. `incident` is the
    id of the incident that the words are the story of.
    """

    severity: str
    time: str
    head: str
    story: str
    steps: list[str]
    foot: str
    part_of: str = ""
    who: str = ""
    incident: str = ""


def plain(text: str) -> str:
    """Text that cannot move a terminal's cursor, change its colours or reverse its direction: names come from clients."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text).replace("\n", " ").replace("\t", " ")


def short_name(user: str) -> str:
    """The last part of what Kubernetes calls a program, a machine or itself; other names whole."""
    return user.rpartition(":")[2] if user.startswith("system:") else user


def words(change: Change) -> Words:
    """What to say of a change."""
    item = change.item
    if isinstance(item, Notice):
        return Words("notice", item.time, plain(item.title), plain(item.detail), [], item.id)
    if change.kind == "withdrawn":
        head, foot = f"Withdrawn: {plain(item.title)}", f"cluster {plain(item.cluster) or '(unnamed)'}; {item.id}"
        return Words("notice", item.last_time, head, _WITHDRAWN, [], foot)
    mark = RAISED if change.kind == "raised" else ""
    if isinstance(item, Incident):
        head = f"Incident: {plain(item.title)}{mark}"
        ids, total, time = item.audit_ids, len(item.audit_ids), item.last_time
        source = item.id
    else:
        head = plain(item.title) + mark
        ids, total, time = item.audit_ids, max(item.audit_ids_total, len(item.audit_ids)), item.time
        source = f"rule {item.rule}, {item.id}"
    shown = ", ".join(plain(audit_id)[:64] for audit_id in ids[:_SHOWN_IDS])
    more = f" and {total - _SHOWN_IDS:,} more" if total > _SHOWN_IDS else ""
    return Words(
        item.severity,
        time,
        head,
        plain(item.story),
        [plain(step) for step in item.remediation[:_SHOWN_STEPS]],
        f"cluster {plain(item.cluster) or '(unnamed)'}; {source}; audit ids {shown}{more}",
        part_of="" if isinstance(item, Incident) else item.incident or "",
        who="" if isinstance(item, Incident) else plain(short_name(item.actor.name)),
        incident=item.id if isinstance(item, Incident) else "",
    )


def paragraph(said: Words) -> str:
    """The words as plain text, wrapped by whoever shows it."""
    lines = [f"{said.severity.upper()}: {said.head}", said.story]
    if said.steps:
        lines += ["What to do:", *(f"  {step}" for step in said.steps)]
    lines.append(f"[{said.time[:19].replace('T', ' ')} UTC; {said.foot}]")
    return "\n".join(lines)
