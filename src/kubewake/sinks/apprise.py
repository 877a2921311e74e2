"""`apprise`: alerts in plain words to any of Apprise's services (https://github.com/caronc/apprise/wiki)."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import stamina
from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.redact import redact_value
from kubewake.sinks import Change, DeliveryError, Filter, sink
from kubewake.sinks.words import paragraph, words

_TRIES = 3
_PATIENCE_SECONDS = 20.0
_TYPES = {"critical": "failure", "high": "failure", "medium": "warning", "low": "info", "notice": "info"}


class _Message(Struct):
    title: str
    body: str
    kind: str


class Apprise:
    """One Apprise URL. Short troubles are retried at once; the outbox retries long ones."""

    def __init__(self, url: str, wanted: Filter) -> None:
        from apprise import Apprise as Client  # noqa: PLC0415  # slow to import: only where alerts are sent

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages show URLs, and these hold secrets
        self._client: Any = Client()
        scheme = url.partition(":")[0]
        if not self._client.add(url):
            raise SettingsError(
                f"notify: Apprise does not understand the URL {scheme}://… ; "
                "see https://github.com/caronc/apprise/wiki for the form of each service"
            )
        self.name = f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"
        self._wanted = wanted

    def wants(self, change: Change) -> bool:
        """By the filter."""
        return self._wanted.wants(change)

    def render(self, change: Change) -> bytes:
        """Title and body."""
        said = words(change)
        message = _Message(f"[{said.severity.upper()}] {said.head}", paragraph(said), _TYPES.get(said.severity, "info"))
        return msgspec.json.encode(redact_value(msgspec.to_builtins(message)))

    def send(self, bodies: Sequence[bytes]) -> None:
        """Notify, one after the other."""
        for body in bodies:
            message = msgspec.json.decode(body, type=_Message)
            for attempt in stamina.retry_context(on=DeliveryError, attempts=_TRIES, timeout=_PATIENCE_SECONDS):
                with attempt:
                    self._notify(message)

    def close(self) -> None:
        """Apprise keeps no connection open."""

    def _notify(self, message: _Message) -> None:
        try:
            taken = self._client.notify(
                title=message.title,
                body=message.body,
                notify_type=message.kind,
                body_format="text",
                interpret_escapes=False,
            )
        except (OSError, TypeError, ValueError) as error:
            raise DeliveryError(f"{self.name}: {type(error).__name__}") from error
        if not taken:
            raise DeliveryError(f"{self.name}: the service did not take the message")


@sink("apprise")
def open_apprise(target: str, wanted: Filter) -> Apprise:
    """`target` is an Apprise URL; it may hold secrets and is never shown."""
    return Apprise(target, wanted)
