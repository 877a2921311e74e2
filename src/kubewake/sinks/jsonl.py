"""`jsonl`: every finding and incident, and their growth, appended to a file as JSON Lines."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kubewake.errors import SettingsError
from kubewake.redact import redact_value
from kubewake.sinks import Change, DeliveryError, Filter, sink
from kubewake.sinks.change import line

_TAIL_BYTES = 8 * 1024 * 1024
"""How far back in the file a line is looked for that may have been written just before a crash."""


class JsonLines:
    """Appends to one file. The file is opened anew when it was renamed or removed, so that logrotate needs no signal.

    What the outbox still holds at the first `send` may have been written just before a crash: lines that the end of
    the file already has are not written twice.
    """

    def __init__(self, path: Path, wanted: Filter, *, fsync: bool = False) -> None:
        self.name = "jsonl"
        self._path = path
        self._wanted = wanted
        self._fsync = fsync
        self._mark: tuple[int, int] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._number = self._open()
        except OSError as error:
            raise SettingsError(f"{path}: cannot be appended to ({error}); check --out") from error
        self._before_crash: frozenset[bytes] | None = self._tail()

    def wants(self, change: Change) -> bool:
        """By the filter."""
        return self._wanted.wants(change)

    def render(self, change: Change) -> bytes:
        """One line."""
        return msgspec.json.encode(redact_value(line(change))) + b"\n"

    def send(self, bodies: Sequence[bytes]) -> None:
        """Append; raises DeliveryError when the disk does not take it, with nothing half written left behind."""
        if self._before_crash is not None:
            bodies = [body for body in bodies if body.rstrip(b"\n") not in self._before_crash]
        self._before_crash = None
        if not bodies:
            return
        try:
            self._reopen()
            begin = os.fstat(self._number).st_size
            data = b"".join(bodies)
            written = os.write(self._number, data)
            if written != len(data):
                os.ftruncate(self._number, begin)
                raise OSError("disk full")
            if self._fsync:
                os.fsync(self._number)
        except OSError as error:
            raise DeliveryError(f"{self._path}: cannot be appended to ({error})") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._number)

    def _open(self) -> int:
        number = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        status = os.fstat(number)
        self._mark = (status.st_dev, status.st_ino)
        if status.st_size and os.pread(number, 1, status.st_size - 1) != b"\n":
            os.write(number, b"\n")
        return number

    def _reopen(self) -> None:
        try:
            status = self._path.stat()
            mark = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            mark = None
        if mark != self._mark:
            number = self._open()
            os.close(self._number)
            self._number = number

    def _tail(self) -> frozenset[bytes]:
        size = os.fstat(self._number).st_size
        begin = max(0, size - _TAIL_BYTES)
        return frozenset(os.pread(self._number, size - begin, begin).split(b"\n"))


@sink("jsonl")
def open_jsonl(target: str, wanted: Filter) -> JsonLines:
    """`target` is the path of the file."""
    return JsonLines(Path(target).expanduser(), wanted)
