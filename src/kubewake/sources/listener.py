"""A TLS or plain HTTP/1.1 listener in a thread of its own, around an ASGI application."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kubewake.errors import KubewakeError, SettingsError
from kubewake.sources.binding import url_of

_START_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 120
"""Longer than the 90 s after which Go's HTTP client gives an idle connection up, so that it is the one to close."""
_CONNECTIONS = 1000


class _Certified(HttpToolsProtocol):
    """Puts the client's verified certificate into the connection's state, as `client_certificate`."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "client_certificate": transport.get_extra_info("peercert")}


class Listener:
    """Serves `app` on a listening socket from `start` to `stop`.

    With `client_ca`, certificates of that CA are asked for and verified, and their absence is left to `app` to judge,
    so that health checks need none. Raises SettingsError for unusable certificates.
    """

    def __init__(
        self, app: Any, listening: socket.socket, *, cert: str = "", key: str = "", client_ca: str = ""
    ) -> None:
        for path in filter(None, (cert, key, client_ca)):
            try:
                Path(path).read_bytes()
            except OSError as error:
                raise SettingsError(
                    f"{path}: cannot be read ({error}); check --tls-cert, --tls-key, --client-ca"
                ) from error
        self._cert, self._key = cert, key
        config = uvicorn.Config(
            app,
            http=_Certified,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,
            limit_concurrency=_CONNECTIONS,
            ssl_certfile=cert or None,
            ssl_keyfile=key or None,
            ssl_ca_certs=client_ca or None,
            ssl_cert_reqs=ssl.CERT_OPTIONAL if client_ca else ssl.CERT_NONE,
        )
        try:
            config.load()
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(
                f"{cert}: TLS cannot be set up with this certificate, key and CA ({error}); "
                "they must be PEM files, and the key must belong to the certificate"
            ) from error
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        self._config = config
        self._server = uvicorn.Server(config)
        self._socket = listening
        self.url = url_of(listening, tls=bool(cert))
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._failure: BaseException | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it still takes requests."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to listen; returns when requests are taken."""
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS / 0.01)):
            if self._server.started or not self._thread.is_alive():
                break
            waited.wait(0.01)
        if not self._server.started:
            raise KubewakeError(f"{self.url}: the listener did not start ({self._failure or 'timed out'})")

    def reload(self) -> None:
        """Take exchanged certificate files for new connections; raises SettingsError and keeps the old ones."""
        if self._config.ssl is not None:
            try:
                self._config.ssl.load_cert_chain(self._cert, self._key)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(f"{self._cert}: cannot be loaded ({error}); the old certificate stays") from error

    def stop(self) -> None:
        """Take no more requests, finish those in hand."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_START_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets=[self._socket]))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # told by start(), or seen as a dead thread
            self._failure = error
