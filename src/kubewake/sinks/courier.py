"""Carries messages from the outbox to one sink, in order, until they are taken."""

import threading
import time
from collections.abc import Callable

from kubewake.errors import StoreError
from kubewake.logs import logger
from kubewake.sinks import DeliveryError, Sink
from kubewake.store.state import State

_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0
_IDLE_SECONDS = 30.0
"""How often the outbox is looked at when nothing wakes the courier."""
_AT_ONCE = 100

Count = Callable[[str, str, int], None]
"""Told a sink, an outcome (delivered, failed) and a number of messages."""


class Courier:
    """One thread for one sink: a slow or broken target holds up no other."""

    def __init__(self, sink: Sink, state: State, count: Count, *, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._state = state
        self._count = count
        self._clock = clock
        self._log = logger("sinks").bind(sink=sink.name)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._failures = 0
        self.is_idle = threading.Event()
        """Set while everything that was due is delivered."""

    def start(self) -> None:
        """Begin; what an earlier run left is sent first."""
        self._thread.start()

    def wake(self) -> None:
        """Something new is in the outbox."""
        self.is_idle.clear()
        self._wake.set()

    def stop(self, patience_seconds: float) -> None:
        """Finish the messages in hand, for at most so long; the rest stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(patience_seconds)
        if not self._thread.is_alive():
            self._sink.close()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            delay = self._deliver()
            if delay is None:
                self.is_idle.set()
            if self._stopping.is_set():
                return
            if delay is None:
                self._wake.wait(_IDLE_SECONDS)
            else:
                # What is new queues behind what failed: order is kept, and a broken target is left alone for a while.
                self._stopping.wait(delay)

    def _deliver(self) -> float | None:
        """Send what is due. Seconds to wait after a failure, None when all was delivered."""
        while True:
            try:
                messages = self._state.due(self._sink.name, self._clock(), _AT_ONCE)
                if not messages:
                    return None
                sequences = [message.sequence for message in messages]
                try:
                    self._sink.send([message.body for message in messages])
                except DeliveryError as error:
                    delay = min(_FIRST_DELAY_SECONDS * 2.0 ** min(self._failures, 20), _LONGEST_DELAY_SECONDS)
                    self._failures += 1
                    self._count(self._sink.name, "failed", len(messages))
                    self._log.warning("not delivered, kept in the outbox", error=str(error), again_in_seconds=delay)
                    self._state.postpone(sequences[:1], self._clock(), str(error))
                    return delay
                self._failures = 0
                self._state.delivered(sequences)
                self._count(self._sink.name, "delivered", len(messages))
            except StoreError as error:
                self._log.error("the outbox cannot be read or written", error=str(error))
                return _FIRST_DELAY_SECONDS
