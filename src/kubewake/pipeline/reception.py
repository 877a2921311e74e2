"""The webhook in a process of its own, so that POSTs are answered while the engine is busy.

The child takes bodies, appends them to the spool and answers; the parent judges. They talk over a pipe, and the child
ends when the parent does. The parent keeps the listening socket: when the child dies, senders wait for the next one.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from msgspec import Struct

from kubewake.errors import KubewakeError, SettingsError, StoreError
from kubewake.logs import configure, logger
from kubewake.settings import Settings, address
from kubewake.sources.binding import bind, url_of

SOURCE = "webhook"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ASK_SECONDS = 2.0
"""How long the engine's process may take to say how it is."""
_REPORT_SECONDS = 0.1
_RESTART_SECONDS = 1.0
_GONE = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The parent's business: a terminal or a service manager sends them to the child too."""


class Answered(Struct, frozen=True, array_like=True):
    """One answered POST; `reason` is empty when its events were stored."""

    code: int
    seconds: float
    events: int
    reason: str


class Reception:
    """The parent's side: starts the child, hears of its POSTs, and starts it again if it dies.

    `appended` is called when bodies were stored, `answered` with what was answered, `problems` and `metrics_text` when
    someone asks. Raises SettingsError and KubewakeError when the child cannot start.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Path,
        *,
        appended: Callable[[], None],
        answered: Callable[[Answered], None],
        problems: Callable[[], list[str]],
        metrics_text: Callable[[], bytes],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._appended = appended
        self._answered = answered
        self._questions: dict[str, Callable[[], Any]] = {"problems": problems, "metrics": metrics_text}
        self._log = logger("reception")
        self._stopping = threading.Event()
        self._socket = bind(*address(settings.listen))
        self.url = url_of(self._socket, tls=bool(settings.tls_cert))
        self._lock = threading.Lock()
        self._process: Any = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._hear, name="reception", daemon=True)

    def start(self) -> None:
        """Begin to take requests; returns when they are taken."""
        self._begin()
        self._thread.start()

    def reload(self) -> None:
        """Let the child read its certificate files again."""
        self._send(("reload",))

    def stop(self) -> None:
        """Take no more requests, finish those in hand."""
        self._stopping.set()
        self._send(("stop",))
        if self._process is not None:
            self._process.join(_STOP_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    @property
    def is_alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.is_alive()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_receive, args=(self._settings, self._spool, self._socket, theirs), name="reception", daemon=True
        )
        resource_tracker.ensure_running()  # else `start` would start it, and let the signals through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()  # with the signals blocked until it can ignore them
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        message: tuple[Any, ...] = ("failed", "KubewakeError", "the webhook's process did not start")
        early = []
        # Senders that waited are served, and told of, before the child has said that it is ready.
        with contextlib.suppress(EOFError, OSError):
            while ours.poll(_START_SECONDS):
                heard = ours.recv()
                if heard[0] in {"ready", "failed"}:
                    message = heard
                    break
                early.append(heard)
        if message[0] != "ready":
            process.kill()
            process.join()
            ours.close()
            error = {"SettingsError": SettingsError, "StoreError": StoreError}.get(message[1], KubewakeError)
            raise error(message[2])
        with self._lock:
            self._process, self._connection = process, ours
        for heard in early:
            self._take(heard)

    def _send(self, message: tuple[Any, ...]) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._connection is not None:
                self._connection.send(message)

    def _hear(self) -> None:
        while True:
            connection = self._connection
            assert connection is not None
            try:
                message = connection.recv()
            except (EOFError, OSError):
                connection.close()
                if self._stopping.is_set():
                    return
                self._log.error("the webhook's process ended; starting another")
                while not self._stopping.wait(_RESTART_SECONDS):
                    try:
                        self._begin()
                        break
                    except KubewakeError as error:
                        self._log.error("the webhook's process does not start", error=str(error))
                if self._stopping.is_set():
                    self._send(("stop",))
                continue
            self._take(message)

    def _take(self, message: tuple[Any, ...]) -> None:
        if message[0] == "appended":
            self._appended()
        elif message[0] == "answered":
            for item in message[1]:
                self._answered(item)
        elif message[0] == "ask":
            self._send(("reply", message[1], self._questions[message[2]]()))


class _Door:
    """The child's side of the pipe, and what the receiver needs (`sources.webhook.Door`)."""

    def __init__(self, settings: Settings, spool: Path, connection: Connection) -> None:
        from kubewake.store.spool import Spool

        self._connection = connection
        self._lock = threading.Lock()
        self._reports: list[Answered] = []
        self._replies: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()
        self._settings = settings
        self.spool = Spool(spool, settings.spool_max_bytes, on_append=lambda: self.tell(("appended",)))

    def tell(self, message: tuple[Any, ...]) -> None:
        """Send to the parent; without a parent there is nothing left to do."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            os._exit(_GONE)

    def store(self, cluster: str, lines: bytes) -> Future[int]:
        return self.spool.append(SOURCE, cluster, lines, file=f"{SOURCE}:{cluster}")

    def answered(self, code: int, seconds: float, events: int, reason: str) -> None:
        self._reports.append(Answered(code, seconds, events, reason))

    def report(self) -> None:
        """Tell what was answered since the last report."""
        reports, self._reports = self._reports, []
        if reports:
            self.tell(("answered", reports))

    def problems(self) -> list[str]:
        own = [self.spool.failure] if self.spool.failure else []
        if self.spool.bytes >= self._settings.spool_max_bytes:
            own.append("the spool is full (setting spool_max_bytes)")
        try:
            theirs = self._ask("problems")
        except TimeoutError:
            theirs = ["the engine's process does not answer"]
        return list(dict.fromkeys([*own, *theirs]))

    def metrics_text(self) -> bytes:
        self.report()
        try:
            text: bytes = self._ask("metrics")
        except TimeoutError:
            return b""
        return text

    def _ask(self, question: str) -> Any:
        number = next(self._numbers)
        reply = self._replies[number] = Future()
        try:
            self.tell(("ask", number, question))
            return reply.result(_ASK_SECONDS)
        finally:
            self._replies.pop(number, None)

    def replied(self, number: int, content: Any) -> None:
        """Hand a reply to whoever asked."""
        reply = self._replies.get(number)
        if reply is not None:
            reply.set_result(content)


def _receive(settings: Settings, spool: Path, listening: socket.socket, connection: Connection) -> None:
    """The child: serve until the parent says stop or is gone."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    configure(settings.log_level, settings.log_format)
    try:
        door = _Door(settings, spool, connection)
        listener = _listener(settings, door, listening)
        listener.start()
    except KubewakeError as error:
        connection.send(("failed", type(error).__name__, str(error)))
        return
    door.tell(("ready",))
    while True:
        try:
            message: tuple[Any, ...] = connection.recv() if connection.poll(_REPORT_SECONDS) else ("report",)
        except (EOFError, OSError):
            os._exit(_GONE)
        if message[0] == "reply":
            door.replied(message[1], message[2])
        elif message[0] == "reload":
            try:
                listener.reload()
            except SettingsError as error:
                logger("reception").error("the certificate was not taken", error=str(error))
        elif message[0] == "stop" or not listener.is_alive:
            break
        door.report()
    listener.stop()
    door.report()
    door.spool.close()
    connection.close()


def _listener(settings: Settings, door: _Door, listening: socket.socket) -> Any:
    from kubewake.sources.listener import Listener
    from kubewake.sources.tokens import Tokens
    from kubewake.sources.webhook import Terms, receiver

    terms = Terms(
        settings.body_max_bytes,
        settings.retry_after_seconds,
        tokens=Tokens(Path(settings.token_file).expanduser()) if settings.token_file else None,
        needs_certificate=bool(settings.client_ca),
        clusters=frozenset(settings.clusters),
    )
    return Listener(
        receiver(door, terms),
        listening,
        cert=settings.tls_cert,
        key=settings.tls_key,
        client_ca=settings.client_ca,
    )
