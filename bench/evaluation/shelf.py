"""Keeps what was computed, by the version of the code that computed it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

import kubewake

T = TypeVar("T")
KEPT_SUFFIXES = frozenset({".py", ".yml", ".json", ".csv", ".txt"})


def code_version(folder: Path = Path(kubewake.__file__).parent) -> str:
    """Hash of everything that decides, rules included."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in KEPT_SUFFIXES and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class NotKeptError(LookupError):
    """Nothing is kept under a name, and nothing new may be made."""


class Shelf:
    """Results in a folder, one file each; with `only_kept` nothing new is made."""

    def __init__(self, folder: Path, version: str, *, only_kept: bool = False) -> None:
        self.folder = folder / version
        self.version = version
        self.only_kept = only_kept

    def has(self, name: str) -> bool:
        """Whether something is kept under that name."""
        return self.path(name).exists()

    def path(self, name: str) -> Path:
        """File of a name."""
        return self.folder / f"{name.replace('/', '-').replace(' ', '_')}.json"

    def get(self, name: str, kind: type[T], make: Callable[[], T]) -> T:
        """What was kept under that name, or what `make` makes now."""
        path = self.path(name)
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=kind)
        if self.only_kept:
            raise NotKeptError(name)
        made = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(made))
        return made
