"""The state folder: one kubewake at a time may use it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from kubewake.errors import StoreError


class Folder:
    """Exclusive use of a state folder, until closed or the process ends. Raises StoreError if it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lock = path / "lock"
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = lock.open("a+", encoding="ascii")
        except OSError as error:
            raise StoreError(f"{path}: cannot be used as state folder ({error}); check --state-dir") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise StoreError(
                f"{path}: in use by another kubewake (process {owner}); stop it or give another --state-dir"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    @property
    def spool(self) -> Path:
        """The spool's file."""
        return self.path / "spool.db"

    @property
    def state(self) -> Path:
        """The state's file."""
        return self.path / "state.db"

    def close(self) -> None:
        """Let others use it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
