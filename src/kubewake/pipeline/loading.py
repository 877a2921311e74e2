"""Rules, lists and baselines on their way into `serve`, read in a thread of their own: nobody waits for a slow server."""

import threading
from collections.abc import Callable, Mapping

from msgspec import Struct

from kubewake.baseline import Archive
from kubewake.facts import Context
from kubewake.pipeline.detection import Knowledge
from kubewake.rules.ruleset import RuleSet

_WATCH_SECONDS = 0.1
_END_SECONDS = 2.0
"""Longer than compiling rules takes: what is still not read then waits for a server, and can be left at any moment."""


class Loaded(Struct, frozen=True):
    """What an engine is made of."""

    rules: RuleSet
    context: Context
    baselines: Mapping[str, Archive]


def load(knowledge: Knowledge, *, copies_first: bool = False) -> Loaded:
    """Read everything, and with `copies_first` no list from a server of which there is a copy; raises KubewakeError."""
    rules, context = knowledge.load(copies_first=copies_first)
    return Loaded(rules, context, knowledge.baselines())


class Loading:
    """One reading, from when it is made. Its thread is left to itself when the process ends."""

    def __init__(
        self, knowledge: Knowledge, *, copies_first: bool = False, ended: Callable[[], None] = lambda: None
    ) -> None:
        """`ended` is called by the thread once there is a result."""
        self._knowledge = knowledge
        self._copies_first = copies_first
        self._ended = ended
        self._outcome: Loaded | Exception | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="loading", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._done.is_set()

    def wait(self, is_stopping: Callable[[], bool]) -> bool:
        """Wait until it is done; False where it is time to stop before."""
        while not self._done.wait(_WATCH_SECONDS):
            if is_stopping():
                self.leave()
                return False
        return True

    def leave(self) -> None:
        """Nobody needs it any more: the process is about to end."""
        self._done.wait(_END_SECONDS)

    def result(self) -> Loaded:
        """What was read; raises what reading raised."""
        self._done.wait()
        if isinstance(self._outcome, Loaded):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def _run(self) -> None:
        try:
            self._outcome = load(self._knowledge, copies_first=self._copies_first)
        except Exception as error:  # noqa: BLE001  # handed over to whoever asks for the result
            self._outcome = error
        self._done.set()
        self._ended()
