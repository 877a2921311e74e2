"""Getting a list from a server over HTTP(S), in a time and a size that are bounded whatever the server does."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

TIMEOUT_SECONDS = 20.0
"""How long a server may be silent."""
DEADLINE_SECONDS = 30.0
"""How long an answer may take as a whole, however little of it comes at a time."""
_END_SECONDS = 1.0
"""How long the end of a fetch is waited for that was given up: only a name server can take longer."""

Fetch = Callable[[str, Mapping[str, str], int], "Answer"]
"""Get a URL with request headers, reading at most so many bytes."""


class Answer(Struct, frozen=True):
    """What a server said: status, lower-case headers, and the body unless it was not modified."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(url: str, headers: Mapping[str, str], max_bytes: int) -> Answer:
    """Get a URL over HTTP(S), following redirects; OSError for anything that goes wrong, is too large or takes too long."""
    exchange = _Exchange(url, headers, max_bytes)
    thread = threading.Thread(target=exchange.run, name="fetch", daemon=True)
    thread.start()
    try:
        outcome = exchange.outcome.get(timeout=DEADLINE_SECONDS)
    except queue.Empty:
        outcome = exchange.too_slow()
    finally:
        exchange.give_up()
        thread.join(_END_SECONDS)
    if isinstance(outcome, OSError):
        raise outcome
    return outcome


class _Exchange:
    """One request and its answer, in a thread of its own, as looking up a name and reading a head have no deadline."""

    def __init__(self, url: str, headers: Mapping[str, str], max_bytes: int) -> None:
        self._url = url
        self._headers = dict(headers)
        self._max_bytes = max_bytes
        self._end = time.monotonic() + DEADLINE_SECONDS
        self._given_up = False
        self._connection: socket.socket | None = None
        self.outcome: queue.SimpleQueue[Answer | OSError] = queue.SimpleQueue()

    def run(self) -> None:
        try:
            self.outcome.put(self._answer())
        except OSError as error:
            self.outcome.put(error)
        except Exception as error:  # noqa: BLE001  # a fetch that fails without a word would be waited for
            self.outcome.put(OSError(str(error) or type(error).__name__))

    def give_up(self) -> None:
        """End what is under way. The connection is shut down, not closed: its number must not be taken by another file."""
        self._given_up = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def too_slow(self) -> OSError:
        return OSError(f"it took longer than {DEADLINE_SECONDS:.0f} seconds")

    def _answer(self) -> Answer:
        import httpx  # noqa: PLC0415  # only where a list comes from a server

        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True) as client,
            client.stream("GET", self._url, headers=self._headers, extensions={"trace": self._trace}) as response,
        ):
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self._max_bytes:
                    raise OSError(f"more than max_bytes ({self._max_bytes})")
                self._check()
            found = {key.lower(): value for key, value in response.headers.items()}
            return Answer(response.status_code, found, bytes(body))

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx at each step: keeps the connection, and begins none where it is too late."""
        if event.endswith("connect_tcp.started"):
            self._check()
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connection = info["return_value"].get_extra_info("socket")

    def _check(self) -> None:
        if self._given_up or time.monotonic() > self._end:
            raise self.too_slow()
