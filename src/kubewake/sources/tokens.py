"""Bearer tokens of API servers, read from a file that may be exchanged while kubewake runs."""

import hashlib
import hmac
from enum import Enum
from pathlib import Path

from kubewake.errors import SettingsError

_LEAST_CHARACTERS = 16


class Verdict(Enum):
    """What a token is worth for a cluster."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    """Missing, or nobody's: 401."""
    FOREIGN = "foreign"
    """Another cluster's: 403."""


class Tokens:
    """Tokens by cluster; kept as digests, compared in constant time.

    The file holds one token alone, for every cluster, or lines of `CLUSTER TOKEN`; `#` begins a comment line.
    It is read again when it changes; while the new content cannot be read, the old tokens stay valid.
    Raises SettingsError when it cannot be read at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int] = (0, 0)
        self._digests: tuple[tuple[str, bytes], ...] = ()
        self._load()

    def check(self, header: str, cluster: str) -> Verdict:
        """Judge the value of an Authorization header."""
        self._refresh()
        scheme, _, token = header.partition(" ")
        digest = _digest(token.strip())
        verdict = Verdict.UNKNOWN
        for owner, known in self._digests:
            if hmac.compare_digest(known, digest) and scheme.lower() == "bearer":
                if owner in {"", cluster}:
                    verdict = Verdict.ACCEPTED
                elif verdict is Verdict.UNKNOWN:
                    verdict = Verdict.FOREIGN
        return verdict

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            if (status.st_mtime_ns, status.st_ino) != self._mark:
                self._load()
        except (OSError, SettingsError):
            return

    def _load(self) -> None:
        try:
            status = self._path.stat()
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self._path}: cannot read the tokens ({error}); check --token-file") from error
        digests: list[tuple[str, bytes]] = []
        for number, line in enumerate(lines, 1):
            parts = line.split()
            if not parts or parts[0].startswith("#"):
                continue
            if len(parts) > 2:
                raise SettingsError(f"{self._path}:{number}: expected `TOKEN` or `CLUSTER TOKEN`")
            if len(parts[-1]) < _LEAST_CHARACTERS:
                raise SettingsError(
                    f"{self._path}:{number}: a token of less than {_LEAST_CHARACTERS} characters can be guessed; "
                    "make one with `openssl rand -hex 32`"
                )
            digests.append((parts[0] if len(parts) == 2 else "", _digest(parts[-1])))
        if not digests:
            raise SettingsError(f"{self._path}: holds no token; write one line `CLUSTER TOKEN` for each cluster")
        self._mark = (status.st_mtime_ns, status.st_ino)
        self._digests = tuple(digests)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
