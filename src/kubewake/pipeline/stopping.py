"""Signals in `serve`: noted from the first moment, acted upon by the main thread where it can."""

import contextlib
import os
import select
import signal

_FORCED = 130
"""Exit code after a second Ctrl-C, as shells expect: 128 plus the signal's number."""
_FORCED_TEXT = b"kubewake: forced to stop; what was received is stored and judged at the next start\n"
_STDERR = 2


class Signals:
    """SIGTERM and Ctrl-C ask to stop, a second one forces the end; SIGHUP asks to read rules and certificates again.

    Made in the main thread, once a process. The handlers take no lock, as they may interrupt whoever holds it.
    """

    def __init__(self) -> None:
        self._heard, self._tell = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._tell, False)
        self._reload = False
        self.stop_signal: signal.Signals | None = None
        """What asked to stop; None while nothing did."""
        self._ending = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)

    @property
    def is_stopping(self) -> bool:
        """Whether it is time to stop."""
        return self._ending

    def begin_to_end(self) -> None:
        """It ends for another reason: the next signal forces it."""
        self._ending = True

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, at most so long; whether it is time to stop."""
        if not self._ending:
            select.select([self._heard], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                os.read(self._heard, 64)
        return self._ending

    def take_reload(self) -> bool:
        """Whether SIGHUP came since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def _stop(self, number: int, _frame: object) -> None:
        if self._ending:
            os.write(_STDERR, _FORCED_TEXT)
            os._exit(_FORCED)
        self._ending = True
        self.stop_signal = signal.Signals(number)
        self._wake()

    def _hang_up(self, _number: int, _frame: object) -> None:
        self._reload = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._tell, b".")
