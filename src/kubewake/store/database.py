"""One SQLite file with a versioned schema, opened so that a commit is on the disk when it returns."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from kubewake.errors import StoreError

_LOCK_WAIT_SECONDS = 10.0
_DISK_FULL = frozenset({sqlite3.SQLITE_FULL})


class DiskFullError(StoreError):
    """The disk, or the room allowed to the file, is full. Nothing was stored; trying again later can work."""


def open_database(path: Path, application: int, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open or create the SQLite file at `path` and bring its schema up to date.

    `migrations[i]` brings version i to i + 1. `application` is the file's application id, so that no other kind of
    database is taken for ours. WAL, synchronous=FULL, autocommit; usable from any thread, one at a time.
    Raises StoreError for a file that is corrupt, locked, unwritable, foreign or newer than this program.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot create the state folder ({error}); check --state-dir") from error
    with translated(path):
        connection = sqlite3.connect(path, timeout=_LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, application, migrations)
        except BaseException:
            connection.close()
            raise
        path.chmod(0o600)
        return connection


def _prepare(connection: sqlite3.Connection, path: Path, application: int, migrations: Sequence[str]) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and found != application:
        raise StoreError(f"{path}: is a database of another program; give another --state-dir")
    if version > len(migrations):
        raise StoreError(
            f"{path}: written by a newer kubewake (schema {version}, this one knows {len(migrations)}); "
            "upgrade kubewake or give another --state-dir"
        )
    if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise StoreError(f"{path}: this file system does not support SQLite's WAL; put --state-dir on a local disk")
    connection.execute("PRAGMA synchronous=FULL")
    for number in range(version, len(migrations)):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migrations[number]}\n"
            f"PRAGMA application_id={application};\nPRAGMA user_version={number + 1};\nCOMMIT;"
        )


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One write transaction: committed to the disk at the end, undone when the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into StoreError with the file and the next step."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None
        if primary in _DISK_FULL:
            raise DiskFullError(f"{path}: disk full; free some room, senders are told to try again") from error
        if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise StoreError(
                f"{path}: the database is damaged ({error}); move the file aside to start anew, or restore a backup"
            ) from error
        if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise StoreError(
                f"{path}: locked by another program; is another kubewake using this --state-dir?"
            ) from error
        raise StoreError(f"{path}: cannot be read or written ({error}); check the disk and permissions") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened ({error}); check the disk and permissions") from error
