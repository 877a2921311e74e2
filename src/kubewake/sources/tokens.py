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
        tokens, self._mark = _read(self._path)
        self._digests = tuple((owner, _digest(token)) for owner, token in tokens)


def token_of(path: Path, cluster: str) -> str:
    """The token in the file with which a cluster is let in; empty if there is none. Raises SettingsError."""
    tokens, _ = _read(path)
    return next((token for owner, token in sorted(tokens, reverse=True) if owner in {cluster, ""}), "")


def _read(path: Path) -> tuple[list[tuple[str, str]], tuple[int, int]]:
    """Clusters and tokens, and a mark by which the file's exchange is noticed."""
    try:
        status = path.stat()
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the tokens ({error}); check --token-file") from error
    tokens: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) > 2:
            raise SettingsError(f"{path}:{number}: expected `TOKEN` or `CLUSTER TOKEN`")
        if len(parts[-1]) < _LEAST_CHARACTERS:
            raise SettingsError(
                f"{path}:{number}: a token of less than {_LEAST_CHARACTERS} characters can be guessed; "
                "make one with `openssl rand -hex 32`"
            )
        tokens.append((parts[0] if len(parts) == 2 else "", parts[-1]))
    if not tokens:
        raise SettingsError(f"{path}: holds no token; write one line `CLUSTER TOKEN` for each cluster")
    return tokens, (status.st_mtime_ns, status.st_ino)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
