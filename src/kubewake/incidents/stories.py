"""Lineage and incidents of one cluster, put together: what the engine calls for each stub."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from kubewake.detectors.failure import Failures, note, together
from kubewake.finding import Incident, Notice, Severity
from kubewake.incidents.builder import IncidentBuilder
from kubewake.incidents.document import Reach
from kubewake.incidents.signal import rule_signal
from kubewake.incidents.threshold import BAR_NATS
from kubewake.lineage import Coverage, Lineage
from kubewake.lineage.session import session_number
from kubewake.observation import Evidence, Signal, Stub
from kubewake.rules.model import RuleInfo
from kubewake.snapshot import decode_state

MAX_SIGNALS = 10_000
"""Signals of findings remembered to save work; the memory starts anew when full."""


class Accusation(Struct, frozen=True):
    """A finding opened or grew: its rule, its id, the stub that it speaks of and the earlier events that it counts."""

    rule: RuleInfo
    finding: str
    stub: Stub
    evidence: Sequence[Evidence] = ()
    suppressed: bool = False
    severity: Severity | None = None


class _Saved(Struct):
    lineage: bytes
    incidents: bytes


class Stories:
    """The stories of one cluster. Feed it every stub in event-time order, with the findings that the stub caused."""

    def __init__(
        self,
        rules: dict[str, RuleInfo],
        *,
        bar: float = BAR_NATS,
        reach: Reach | None = None,
        disabled_links: frozenset[str] = frozenset(),
    ) -> None:
        self._lineage = Lineage(disabled_links)
        self._builder = IncidentBuilder(rules, self._lineage, bar=bar, reach=reach)
        self._signals: dict[tuple[str, Severity | None, bool], Signal] = {}
        self._failures: Failures = {}

    def observe(self, stub: Stub, accusations: Iterable[Accusation] = (), surprises: Iterable[Signal] = ()) -> None:
        """Take in the next stub, what rules found in it (or only now in an earlier one), and what surprised in it.

        Raises nothing: `failures` counts the stubs that could not be followed.
        """
        try:
            links = self._lineage.observe(stub)
        except Exception as error:  # noqa: BLE001  # counted and told; what was found in the stub still counts
            note(self._failures, "lineage", error, stub)
            links = []
        try:
            signals: list[Signal] = list(surprises)
            late: list[tuple[Stub, Signal]] = []
            for item in accusations:
                signal = self._signal(item)
                if item.stub is stub:
                    signals.append(signal)
                else:
                    late.append((item.stub, signal))
            self._builder.observe(stub, signals, links)
            for earlier, signal in late:
                self._builder.accuse(earlier, signal)
        except Exception as error:  # noqa: BLE001  # counted and told; the findings are in the book
            note(self._failures, "incidents", error, stub)

    def _signal(self, item: Accusation) -> Signal:
        """What an accusation says; of a finding that only grows it is the same again and again."""
        told = (item.finding, item.severity, item.suppressed)
        signal = None if item.evidence else self._signals.get(told)
        if signal is None:
            signal = rule_signal(
                item.rule, item.finding, item.evidence, severity=item.severity, suppressed=item.suppressed
            )
            if not item.evidence:
                if len(self._signals) >= MAX_SIGNALS:
                    self._signals.clear()
                self._signals[told] = signal
        return signal

    def is_suspected(self, user: str, session: tuple[str, str, str], since: float) -> bool:
        """Whether a session (credential, source, user agent of a user) is, or was since then, in an incident."""
        return self._builder.is_suspected(session_number(user, *session), since)

    @property
    def failures(self) -> Failures:
        """What lineage and incidents failed on since the start."""
        return together([self._failures, self._builder.failures])

    def shift_bar(self, nats: float) -> None:
        """Move the bar for stories that would not reach it without statistics."""
        self._builder.book.bar_shift = nats

    @property
    def statistical(self) -> int:
        """Incidents so far that statistics helped over the bar."""
        return self._builder.book.statistical

    def digest(self, time: str) -> Notice | None:
        """What stayed below the bar until this time, strongest first."""
        return self._builder.digest(time)

    def current(self) -> list[Incident]:
        """Every incident, open and closed, oldest first."""
        return self._builder.current()

    def changed(self) -> list[Incident]:
        """Incidents that opened or grew since the last call."""
        return self._builder.changed()

    def merged(self) -> dict[str, str]:
        """Ids of incidents that turned out to be part of another, each with that one's id."""
        return dict(self._builder.merged)

    def coverage(self) -> dict[str, Coverage]:
        """For each link, how many requests or sessions could have carried its fields, and how many did."""
        return self._lineage.coverage()

    def evicted(self) -> dict[str, int]:
        """What was forgotten before its time because a memory was full, by memory."""
        return {**self._lineage.evicted(), "campaigns": self._builder.evicted}

    def snapshot(self) -> bytes:
        """All state, for `restore`."""
        return msgspec.msgpack.encode(_Saved(self._lineage.snapshot(), self._builder.snapshot()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        saved = decode_state(data, _Saved, "saved state of stories")
        self._lineage.restore(saved.lineage)
        self._builder.restore(saved.incidents)
