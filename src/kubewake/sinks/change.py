"""What is new about a finding, incident or notice since it was last told, and who wants to hear of it."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import xxhash
from msgspec import Struct

from kubewake.finding import AUDIENCES, SEVERITY_RANK, Audience, Finding, Incident, Notice, Severity, growth_of

Tellable = Finding | Incident | Notice


class Told(Struct, frozen=True):
    """What was last told of an item, as far as it decides what is new."""

    severity: str
    evidence: int
    """How many audit ids of a finding were told; while it grows, new ones stand at the end."""
    evidence_digest: int = 0
    """Of those audit ids: where they differ, events turned out to stand in another order."""
    audit_ids: frozenset[str] = frozenset()
    """Those of an incident, whose new ones stand anywhere between the old: they are in the order of time."""
    count: int = 0
    score: float = 0.0
    state: str = ""


class Change(Struct, frozen=True):
    """Something to tell. `raised`: the severity went up; `grown`: more of the same; `withdrawn`: it does not hold.

    An item is told whole when it is new, and again where what was told of it is not what it is (`is_revised`).
    `replaced_by` is the id of the item that stands for this withdrawn one, if there is one.
    """

    kind: Literal["new", "raised", "grown", "withdrawn"]
    item: Tellable
    audit_ids_added: list[str] = []
    is_revised: bool = False
    replaced_by: str = ""


class Filter(Struct, frozen=True):
    """Which changes a target wants. A repeat is growth, so without `growth` it alerts once.

    Who heard of something hears that it does not hold, unless it only has another id now, or an incident tells the rest
    of its story. Without `joined`, findings that belong to an incident are left to it to tell.
    """

    min_severity: Severity = "informational"
    audience: Audience = "auditor"
    growth: bool = False
    suppressed: bool = False
    notices: bool = True
    joined: bool = True

    def wants(self, change: Change) -> bool:
        """Whether the change passes."""
        item = change.item
        is_detail = change.kind == "withdrawn" and isinstance(item, Finding) and bool(item.incident)
        if not self.growth and (change.kind == "grown" or change.replaced_by or is_detail):
            return False
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
        return Told(item.severity, len(item.audit_ids), _digest(item.audit_ids), count=item.count)
    if isinstance(item, Incident):
        return Told(item.severity, 0, audit_ids=frozenset(item.audit_ids), score=item.score, state=item.state)
    return Told("", 0)


def _digest(audit_ids: Iterable[str]) -> int:
    return xxhash.xxh3_64_intdigest("\0".join(audit_ids).encode())


def change(item: Tellable, before: Told | None) -> Change | None:
    """What is new; None when nothing is, as when events are judged again after a crash."""
    if before is None:
        ids = [] if isinstance(item, Notice) else list(item.audit_ids)
        return Change("new", item, ids)
    if isinstance(item, Notice):
        return None
    now = told(item)
    ranks = SEVERITY_RANK[now.severity], SEVERITY_RANK[before.severity]
    if isinstance(item, Finding):
        added = item.audit_ids[before.evidence :]
        known = item.audit_ids[: before.evidence]
        is_revised = _digest(known) != before.evidence_digest or now.count < before.count
        is_grown = bool(added) or now.count > before.count
    else:
        added = [audit_id for audit_id in item.audit_ids if audit_id not in before.audit_ids]
        is_revised = not before.audit_ids <= now.audit_ids
        is_grown = bool(added) or (now.score, now.state) != (before.score, before.state)
    is_revised = is_revised or ranks[0] < ranks[1]
    if ranks[0] > ranks[1]:
        return Change("raised", item, added, is_revised)
    return Change("grown", item, added, is_revised) if is_grown or is_revised else None


def successor(withdrawn: Finding | Incident, items: Iterable[Tellable]) -> Finding | Incident | None:
    """Of the items, the one that tells of the same matter under another id: of what happened first, the id is made.

    A finding of the same rule and group, or the incident that shares the most events.
    """
    if isinstance(withdrawn, Finding):
        matter = (withdrawn.rule, withdrawn.cluster, withdrawn.explain.get("group"))
        same = (
            item
            for item in items
            if isinstance(item, Finding) and (item.rule, item.cluster, item.explain.get("group")) == matter
        )
        return min(same, key=lambda item: item.time, default=None)
    events = set(withdrawn.event_keys)
    shared = {
        item.id: (len(events.intersection(item.event_keys)), item) for item in items if isinstance(item, Incident)
    }
    number, best = max(shared.values(), key=lambda pair: pair[0], default=(0, None))
    return best if number else None


def line(change: Change) -> dict[str, Any]:
    """The change as one object of the JSON Lines output: whole when new or revised, else the id and what was added."""
    item = change.item
    kind = kind_of(item)
    if change.kind == "withdrawn":
        return {"type": kind, "id": item.id, "withdrawn": True, "replaced_by": change.replaced_by or None}
    if change.kind == "new" or change.is_revised or isinstance(item, Notice):
        return {"type": kind, **msgspec.to_builtins(item)}
    return {"type": kind, **growth_of(item, change.audit_ids_added)}
