"""Sends the recording to a running kubewake over its webhook, as an API server does."""

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from kubewake.demo.recording import Post
from kubewake.errors import InputError

_TRIES = 5
_HEADERS = {
    "Accept": "application/json, */*",
    "Content-Type": "application/json",
    "User-Agent": "Go-http-client/1.1",
}


def replay(
    posts: Iterable[Post],
    url: str,
    token: str,
    ca: Path,
    *,
    speed: float,
    stopping: threading.Event,
    sent: Callable[[Post], None] = lambda _post: None,
) -> int:
    """POST each batch when it is due, `speed` times faster than recorded; how many events were taken.

    Refused batches are sent again after what Retry-After says. Raises InputError when the server does not take them.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, context=ssl.create_default_context(cafile=str(ca)), timeout=30
    )
    begun = time.monotonic()
    taken = 0
    try:
        for post in posts:
            wait = post.due_seconds / speed - (time.monotonic() - begun)
            if stopping.wait(max(0.0, wait)):
                break
            _send(connection, f"{parts.path}?timeout=30s", token, post.body, stopping)
            taken += post.events
            sent(post)
    finally:
        connection.close()
    return taken


def _send(
    connection: http.client.HTTPSConnection, path: str, token: str, body: bytes, stopping: threading.Event
) -> None:
    code = 0
    for _ in range(_TRIES):
        connection.request("POST", path, body=body, headers={**_HEADERS, "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        code = answer.status
        if code == http.client.OK:
            return
        if code not in {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}:
            break
        stopping.wait(float(answer.getheader("Retry-After") or 1))
    raise InputError(f"{path}: the server answered {code} to the replay; its log on standard error says why")
