"""The engine on a stream that is watched: judged as it comes, and once more in order.

An attack must be told of while it runs, when events from before may still be on their way. So there are two folds.
`_settled` sees everything in order, as `scan` does, up to ten minutes and the lateness later. `_ahead` goes on from it,
and takes each event as it comes: what it finds is provisional. Whenever the settled fold has moved on by ten minutes, which
it does in many small steps, the fold ahead begins anew from there with what waits, now in order; what it told in between
and no longer finds is withdrawn. So the final state is the same as that of `scan`.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy

from msgspec import Struct
from msgspec.structs import replace

from kubewake.detectors.failure import Failure, Failures, together
from kubewake.engine.fold import Fold
from kubewake.engine.saved import Savings
from kubewake.finding import Finding, Incident, InputSummary, Notice
from kubewake.observation import Observation
from kubewake.rules.model import RuleInfo

STUBS_A_STEP = 100
"""What the settled fold goes through at least with each batch, besides twice what the batch brings."""


class News(Struct):
    """What is new: items that opened or grew, the latest state last; and told ones that do not hold."""

    changed: list[Finding | Incident | Notice] = []
    withdrawn: list[Finding | Incident] = []


class LiveFold:
    """Two folds made alike. Use it as a `Fold`: `absorb`, then `advance`, for each batch that arrives."""

    def __init__(self, make: Callable[[], Fold]) -> None:
        self._make = make
        self._settled = make()
        self._ahead = make()
        self._provisional: dict[str, Finding | Incident] = {}
        """What was told since the settled fold last moved on, by id."""
        self._failures: Failures = {}
        """What folds ahead failed on that are no more."""
        self._again: dict[tuple[str, str], int] = {}
        """How often the present one failed on the same events again."""
        self._step = STUBS_A_STEP
        self.is_settled = True
        """Whether everything so far was judged in order, except for what may still come late."""

    def absorb(self, observation: Observation) -> None:
        """Take in what `read` made of one batch."""
        self._step = STUBS_A_STEP + 2 * len(observation.stubs)
        self._settled.absorb(replace(observation, stubs=[copy(stub) for stub in observation.stubs]))
        self._ahead.absorb(observation)

    def advance(self) -> News:
        """Judge what was absorbed, and some of what is in order by now."""
        self.is_settled = False
        news = News(list(self._ahead.advance(at_once=True)))
        self._remember(news.changed)
        if self._settled.is_ready and not self._settled.step(self._step):
            anew = self._begin_anew(ended=False)
            return News([*news.changed, *anew.changed], anew.withdrawn)
        return news

    def settle(self) -> News:
        """Judge in order what waits, as if nothing earlier could come any more."""
        while self._settled.is_ready:
            self._settled.step(self._step)
        news = self._begin_anew(ended=True)
        self.is_settled = True
        return news

    @property
    def is_between(self) -> bool:
        """Whether the settled fold is on its way through ten minutes: its state cannot be saved."""
        return self._settled.is_between

    def _begin_anew(self, *, ended: bool) -> News:
        """Let the fold ahead go on from the settled one; what turns out otherwise than it was told is news."""
        changed: dict[str, Finding | Incident | Notice] = {item.id: item for item in self._settled.changed()}
        handed_over = set(self._settled.final)
        final = self._settled.closed()
        self._failures = self._failed(self._ahead)
        self._ahead = self._make()  # and forget the one before: there is no room for three
        self._ahead.restore(self._settled.snapshot())
        waiting = self._ahead.advance(flush=ended, at_once=not ended)
        self._again = {key: failure.count for key, failure in _by_kind(self._ahead).items() if key in self._failures}
        found: list[Finding | Incident] = [
            *final,
            *self._ahead.closed(),
            *self._ahead.findings(),
            *self._ahead.incidents(),
        ]
        standing = {item.id: item for item in found}
        changed.update((item.id, item) for item in (*final, *waiting))
        told, self._provisional = self._provisional, {}
        merged = self._ahead.merged()
        withdrawn = []
        for id_, item in told.items():
            is_joined = id_ in merged and isinstance(item, Incident) and item.state == "closed"
            if id_ in standing:
                changed.setdefault(id_, standing[id_])
            elif id_ not in changed and id_ not in handed_over and not is_joined:
                withdrawn.append(item)
        self._remember(waiting)
        return News([item for id_, item in changed.items() if told.get(id_) != item], withdrawn)

    def _remember(self, told: Iterable[Finding | Incident | Notice]) -> None:
        self._provisional.update((item.id, item) for item in told if not isinstance(item, Notice))

    def _failed(self, ahead: Fold) -> Failures:
        """What the folds ahead failed on up to this one, each event once."""
        fresh = {
            key: replace(failure, count=failure.count - self._again.get(key, 0))
            for key, failure in _by_kind(ahead).items()
            if failure.count > self._again.get(key, 0)
        }
        return together([self._failures, fresh])

    def failures(self) -> list[Failure]:
        """What parts failed on, by part and type of exception; each event once, though two folds see it."""
        whole = self._failed(self._ahead)
        for key, failure in _by_kind(self._settled).items():
            if key not in whole or failure.count > whole[key].count:
                whole[key] = failure
        return [failure for _, failure in sorted(whole.items())]

    def failure_notices(self) -> list[Notice]:
        """What failed in a way that is not told yet."""
        return [*self._ahead.failure_notices(), *self._settled.failure_notices()]

    def standing_notices(self) -> list[Notice]:
        """What holds of the rules and of the stream so far, each under the same id every time."""
        return self._settled.standing_notices()

    def input(self) -> InputSummary:
        """What was read so far."""
        return self._settled.input()

    @property
    def infos(self) -> dict[str, RuleInfo]:
        """Every rule and detector that can report, by id."""
        return self._settled.infos

    @property
    def settled_from(self) -> str:
        """What was told of events from this time on is provisional, or was until a moment ago; "" for everything."""
        return self._settled.settled_from

    def forget_closed(self) -> None:
        """Findings that can grow no more are with whoever was told of them."""
        self._ahead.closed()

    def snapshot(self) -> bytes:
        """All state, to go on from after a restart: that of the settled fold, with what waits in it."""
        return self._settled.snapshot()

    def save_anew(self) -> Savings:
        """The same as it is saved time and again: what waits is stored once, in pieces."""
        return self._settled.save_anew()

    def note_saved(self, savings: Savings) -> None:
        """These are stored now, and nothing was absorbed since."""
        self._settled.note_saved(savings)

    def restore(self, data: bytes, pieces: Mapping[str, bytes] | None = None) -> None:
        """Go on from a snapshot with its pieces; raises StoreError where they cannot be read."""
        self._settled.restore(data, pieces)
        self._begin_anew(ended=False)
        self._provisional = {}
        self.is_settled = False

    def expect(self, told: Iterable[Finding | Incident]) -> None:
        """Take what people know of `settled_from` and later for provisional, as before a restart."""
        self._remember(told)

    def succeed(self, other: "LiveFold", snapshot: bytes) -> None:
        """Go on where another is, with other rules; `snapshot` is that one's. Raises StoreError."""
        self.restore(snapshot)
        self._failures = {(failure.part, failure.error): failure for failure in other.failures()}
        self._again = {key: failure.count for key, failure in _by_kind(self._ahead).items()}
        self._remember(other._provisional.values())


def _by_kind(fold: Fold) -> Failures:
    return {(failure.part, failure.error): failure for failure in fold.failures()}
