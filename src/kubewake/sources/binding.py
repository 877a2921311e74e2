"""Taking an address and port, before anything is served there."""

import errno
import socket
import threading
import time

from kubewake.errors import KubewakeError

_PATIENCE_SECONDS = 3.0
"""How long a port may be taken: the process that served it before a crash needs a moment to end."""
_PAUSE_SECONDS = 0.05


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to host and port (0: any free one), listening; KubewakeError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
            bound.listen(1024)
        except OSError as error:
            bound.close()
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                threading.Event().wait(_PAUSE_SECONDS)
                continue
            raise KubewakeError(
                f"{host}:{port}: cannot listen there ({error.strerror}); is another program using the port? "
                "Give another with --listen"
            ) from error
        return bound


def url_of(bound: socket.socket, *, tls: bool) -> str:
    """Where a bound socket is reached, as far as this machine knows."""
    host, port = bound.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
