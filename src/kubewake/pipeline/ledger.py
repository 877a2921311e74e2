"""What people were told: finds out what is new about findings, and stores it together with the messages that tell it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from kubewake.finding import Finding, Incident, Notice
from kubewake.metrics import Metrics
from kubewake.redact import redact_value
from kubewake.sinks import Change, Sink
from kubewake.sinks.change import Tellable, Told, change, kind_of, told
from kubewake.store.state import Item, Message, State

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

    def record(self, items: Iterable[Tellable], cursors: Mapping[str, bytes] | None = None) -> int:
        """Store what is new about the items, queue the messages and note the cursors; how many changes there were.

        Raises StoreError.
        """
        # The story first, then what belongs to it.
        latest = {item.id: item for item in sorted(items, key=lambda item: not isinstance(item, Incident))}
        self._recall(latest)
        changes: list[Change] = []
        for item in latest.values():
            found = change(item, self._told.get(item.id))
            if found is not None:
                changes.append(found)
        if not changes:
            return 0
        messages = [
            Message(sink.name, found.item.id, sink.render(found))
            for found in changes
            for sink in self._sinks
            if sink.wants(found)
        ]
        now = self._clock()
        self._state.record([_item(found.item, now) for found in changes], messages, cursors)
        for found in changes:
            self._told[found.item.id] = told(found.item)
            self._told.move_to_end(found.item.id)
            if found.kind == "new":
                self._count(found.item)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        if messages:
            self._on_told()
        return len(changes)

    def _recall(self, latest: dict[str, Tellable]) -> None:
        unknown = [item_id for item_id in latest if item_id not in self._told]
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
