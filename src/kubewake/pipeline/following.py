"""The thread in `serve` that moves lines of followed files into the spool."""

import threading
from collections.abc import Callable

from watchfiles import watch

from kubewake.errors import StoreError
from kubewake.logs import logger
from kubewake.metrics import Metrics
from kubewake.sources.follow import Follower, Piece
from kubewake.store.spool import Spool

SOURCE = "follow"
_AHEAD_PIECES = 16
"""Pieces that may wait for the engine: reading old logs must not fill the spool that the webhook needs."""
_PAUSE_SECONDS = 0.05
_RETRY_SECONDS = 1.0


class Following:
    """Stores each piece with its cursor, then asks for the next; waits for the kernel to report changes between passes."""

    def __init__(
        self,
        follower: Follower,
        spool: Spool,
        metrics: Metrics,
        *,
        cluster: str,
        poll_seconds: float,
        judged: Callable[[], int],
    ) -> None:
        self._follower = follower
        self._spool = spool
        self._metrics = metrics
        self._cluster = cluster
        self._poll_milliseconds = max(10, int(poll_seconds * 1000))
        self._judged = judged
        self._waiting: list[int] = []
        self._log = logger("follow")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self.failure = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop between two pieces."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._follower.close()

    @property
    def is_alive(self) -> bool:
        """Whether it follows."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._pass()
                self._watch()
        except Exception as error:  # noqa: BLE001  # shown by /readyz and the log: a dead thread would be silent
            self.failure = f"following files stopped: {error!r}"
            self._log.exception("following files stopped")

    def _pass(self) -> None:
        for piece in self._follower.poll():
            if not self._store(piece):
                return

    def _watch(self) -> None:
        """Make a pass at every change, and now and then without one; returns when other folders have to be watched."""
        folders = self._follower.folders()
        if not folders:
            self._stopping.wait(self._poll_milliseconds / 1000)
            return
        for _ in watch(
            *folders,
            watch_filter=None,
            debounce=100,
            step=20,
            rust_timeout=self._poll_milliseconds,
            yield_on_timeout=True,
            stop_event=self._stopping,
            raise_interrupt=False,
            recursive=False,
        ):
            self._pass()
            if self._stopping.is_set() or self._follower.folders() != folders:
                return

    def _store(self, piece: Piece) -> bool:
        """Put a piece into the spool, however long that takes; False when told to stop first."""
        while not self._stopping.is_set():
            judged = self._judged()
            self._waiting = [sequence for sequence in self._waiting if sequence > judged]
            if len(self._waiting) >= _AHEAD_PIECES:
                self._stopping.wait(_PAUSE_SECONDS)
                continue
            try:
                sequence = self._spool.append(
                    SOURCE, self._cluster, piece.data, file=piece.file, line=piece.line, cursor=piece.cursor
                ).result()
            except StoreError as error:
                self._log.warning("the spool takes nothing now; will try again", error=str(error))
                self._stopping.wait(_RETRY_SECONDS)
                continue
            if sequence:
                self._waiting.append(sequence)
                self._metrics.events.labels(SOURCE, "received").inc(piece.data.count(b"\n"))
            return True
        return False
