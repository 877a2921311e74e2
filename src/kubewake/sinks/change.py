"""What is new about a finding, incident or notice since it was last told, and who wants to hear of it."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from kubewake.finding import AUDIENCES, SEVERITY_RANK, Audience, Finding, Incident, Notice, Severity, growth_of

Tellable = Finding | Incident | Notice


class Told(Struct, frozen=True):
    """What was last told of an item, as far as it decides what is new."""

    severity: str
    evidence: int
    """How many audit ids of a finding were told; they only ever grow at the end."""
    audit_ids: frozenset[str] = frozenset()
    """Those of an incident, whose new ones stand anywhere between the old: they are in the order of time."""
    count: int = 0
    score: float = 0.0
    state: str = ""


class Change(Struct, frozen=True):
    """Something to tell. `raised`: the severity went up; `grown`: more of the same."""

    kind: Literal["new", "raised", "grown"]
    item: Tellable
    audit_ids_added: list[str] = []


class Filter(Struct, frozen=True):
    """Which changes a target wants. A repeat is growth, so without `growth` it alerts once.

    Without `joined`, findings that belong to an incident are left to it to tell.
    """

    min_severity: Severity = "informational"
    audience: Audience = "auditor"
    growth: bool = False
    suppressed: bool = False
    notices: bool = True
    joined: bool = True

    def wants(self, change: Change) -> bool:
        """Whether the change passes."""
        if change.kind == "grown" and not self.growth:
            return False
        item = change.item
        if isinstance(item, Notice):
            return self.notices
        if SEVERITY_RANK[item.severity] < SEVERITY_RANK[self.min_severity]:
            return False
        if isinstance(item, Finding):
            if (item.suppressed_by is not None and not self.suppressed) or (item.incident and not self.joined):
                return False
            return AUDIENCES.index(item.audience) <= AUDIENCES.index(self.audience)
        return True


def kind_of(item: Tellable) -> str:
    """finding, incident or notice: the `type` of its line."""
    return type(item).__name__.lower()


def told(item: Tellable) -> Told:
    """What telling this item tells."""
    if isinstance(item, Finding):
        return Told(item.severity, len(item.audit_ids), count=item.count)
    if isinstance(item, Incident):
        return Told(item.severity, 0, frozenset(item.audit_ids), score=item.score, state=item.state)
    return Told("", 0)


def change(item: Tellable, before: Told | None) -> Change | None:
    """What is new; None when nothing is, as when events are judged again after a crash."""
    if before is None:
        ids = [] if isinstance(item, Notice) else list(item.audit_ids)
        return Change("new", item, ids)
    if isinstance(item, Notice):
        return None
    now = told(item)
    if isinstance(item, Finding):
        added = item.audit_ids[before.evidence :]
    else:
        added = [audit_id for audit_id in item.audit_ids if audit_id not in before.audit_ids]
    if SEVERITY_RANK[now.severity] > SEVERITY_RANK[before.severity]:
        return Change("raised", item, added)
    if isinstance(item, Incident):
        grown = bool(added) or (now.score, now.state) != (before.score, before.state)
    else:
        grown = bool(added) or now.count > before.count
    return Change("grown", item, added) if grown else None


def line(change: Change) -> dict[str, Any]:
    """The change as one object of the JSON Lines output: whole when new, else the id and what was added."""
    item = change.item
    kind = kind_of(item)
    if change.kind == "new" or isinstance(item, Notice):
        return {"type": kind, **msgspec.to_builtins(item)}
    return {"type": kind, **growth_of(item, change.audit_ids_added)}
