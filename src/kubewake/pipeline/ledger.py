"""What people were told: finds out what is new about findings, and stores it together with the messages that tell it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from kubewake.finding import SEVERITY_RANK, Finding, Incident, Notice
from kubewake.metrics import Metrics
from kubewake.redact import redact_value
from kubewake.sinks import Change, Sink
from kubewake.sinks.change import Tellable, Told, change, kind_of, successor, told
from kubewake.store.state import Item, Message, State

_GROWTH_SECONDS = 1.0
"""What only grows is told so often: an incident of a thousand events is a page to write each time."""
_REMEMBERED = 20_000
"""Items whose last telling is kept in memory; older ones are looked up in the state."""

_TYPES: dict[str, type[Finding | Incident | Notice]] = {"finding": Finding, "incident": Incident, "notice": Notice}


class Ledger:
    """Tells each change once, over restarts too: what the state knows as told is not told again."""

    def __init__(
        self,
        state: State,
        sinks: Sequence[Sink],
        metrics: Metrics,
        on_told: Callable[[], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._state = state
        self._sinks = sinks
        self._metrics = metrics
        self._on_told = on_told
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._told_at: dict[str, float] = {}

    def is_pressing(self, item: Tellable) -> bool:
        """Whether to tell of an item now: it is new, more severe or in another state, or was not told of for a second."""
        before = self._told.get(item.id)
        if before is None or isinstance(item, Notice):
            return True
        if SEVERITY_RANK[item.severity] > SEVERITY_RANK[before.severity]:
            return True
        if isinstance(item, Incident) and item.state != before.state:
            return True
        return self._clock() - self._told_at.get(item.id, 0.0) >= _GROWTH_SECONDS

    def record(
        self,
        items: Iterable[Tellable],
        cursors: Mapping[str, bytes] | None = None,
        *,
        withdrawn: Iterable[Finding | Incident] = (),
    ) -> int:
        """Store what is new about the items, queue the messages and note the cursors; how many changes there were.

        Of `withdrawn` items, those that were told are taken back. Raises StoreError.
        """
        # The story first, then what belongs to it.
        latest = {item.id: item for item in sorted(items, key=lambda item: not isinstance(item, Incident))}
        gone = {item.id: item for item in withdrawn}
        self._recall([*latest, *gone])
        instead_of: dict[str, Finding | Incident] = {}
        changes: list[Change] = []
        for wrong in gone.values():
            if wrong.id in self._told:
                heir = successor(wrong, latest.values())
                changes.append(Change("withdrawn", wrong, replaced_by="" if heir is None else heir.id))
                if heir is not None:
                    instead_of[heir.id] = wrong
        unchanged: list[Tellable] = []
        for item in latest.values():
            found = change(item, self._told.get(item.id))
            if found is None:
                unchanged.append(item)
            else:
                changes.append(self._as_heir(found, instead_of.get(item.id)))
        now = self._clock()
        held = [_item(found.item, now) for found in changes if found.kind != "withdrawn"]
        held += self._rewritten(unchanged, now)
        if not (changes or held):
            return 0
        messages = [
            Message(sink.name, found.item.id, sink.render(found))
            for found in changes
            for sink in self._sinks
            if sink.wants(found)
        ]
        taken_back = [found.item.id for found in changes if found.kind == "withdrawn"]
        self._state.record(held, messages, cursors, gone=taken_back)
        for found in changes:
            self._note(found)
        while len(self._told) > _REMEMBERED:
            self._told_at.pop(self._told.popitem(last=False)[0], None)
        if messages:
            self._on_told()
        return len(changes)

    def _as_heir(self, found: Change, before: Finding | Incident | None) -> Change:
        """A new item that stands for a withdrawn one is no news to who heard of that, unless it is more severe."""
        item = found.item
        if before is None or found.kind != "new" or isinstance(item, Notice):
            return found
        if isinstance(item, Finding) and isinstance(before, Finding):
            heard = bool(before.incident), before.suppressed_by
            if heard != (bool(item.incident), item.suppressed_by):
                return found
        is_raised = SEVERITY_RANK[item.severity] > SEVERITY_RANK[self._told[before.id].severity]
        kind: Literal["raised", "grown"] = "raised" if is_raised else "grown"
        return replace(found, kind=kind, is_revised=True)

    def _rewritten(self, items: Sequence[Tellable], now: float) -> list[Item]:
        """Items whose change is too small to tell, as a word in a story, where the state does not have it yet."""
        known = self._state.items(item.id for item in items if not isinstance(item, Notice))
        fresh = [_item(item, now) for item in items if item.id in known]
        return [item for item in fresh if item.body != known[item.id].body]

    def _note(self, found: Change) -> None:
        """Remember what was told, and count it."""
        if found.kind == "withdrawn":
            self._told.pop(found.item.id, None)
            self._told_at.pop(found.item.id, None)
            self._metrics.withdrawn.labels(kind_of(found.item)).inc()
            return
        self._told[found.item.id] = told(found.item)
        self._told_at[found.item.id] = self._clock()
        self._told.move_to_end(found.item.id)
        if found.kind == "new":
            self._count(found.item)

    def told_from(self, time: str) -> list[Finding | Incident]:
        """The findings and incidents that people know of, with events at that time or later. Raises StoreError."""
        found: list[Finding | Incident] = []
        for item in self._state.items_from(time):
            try:
                if item.kind == "finding":
                    found.append(msgspec.json.decode(item.body, type=Finding))
                elif item.kind == "incident":
                    found.append(msgspec.json.decode(item.body, type=Incident))
            except msgspec.DecodeError:  # written by another version: it stands as it is
                continue
        return found

    def _recall(self, ids: Iterable[str]) -> None:
        unknown = [item_id for item_id in ids if item_id not in self._told]
        for item_id, item in self._state.items(unknown).items():
            try:
                self._told[item_id] = told(msgspec.json.decode(item.body, type=_TYPES[item.kind]))
            except msgspec.DecodeError:  # written by another version: telling once more beats not telling
                continue

    def _count(self, item: Tellable) -> None:
        if isinstance(item, Finding):
            self._metrics.findings.labels(item.rule, item.severity).inc()
        elif isinstance(item, Incident):
            self._metrics.incidents.labels(item.severity).inc()
        else:
            self._metrics.notices.inc()


def _item(item: Tellable, now: float) -> Item:
    body = msgspec.json.encode(redact_value(msgspec.to_builtins(item)))
    if isinstance(item, Notice):
        return Item(item.id, "notice", "", item.time, body, now)
    return Item(item.id, kind_of(item), item.severity, item.last_time, body, now)
