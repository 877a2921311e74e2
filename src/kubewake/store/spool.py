"""The spool: received bodies, on the disk before anyone is told so, until the engine's state covers them."""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import zstandard
from msgspec import Struct

from kubewake.errors import StoreError
from kubewake.store.database import open_database, transaction, translated

_APPLICATION = 0x6B775350  # "kwSP"
_MIGRATIONS = (
    """
    CREATE TABLE bodies (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        cluster TEXT NOT NULL,
        file TEXT NOT NULL,
        line INTEGER NOT NULL,
        received REAL NOT NULL,
        size INTEGER NOT NULL,
        stored INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX bodies_by_stored ON bodies (stored);
    CREATE TABLE cursors (source TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE rejected (
        number INTEGER PRIMARY KEY,
        sequence INTEGER NOT NULL,
        cluster TEXT NOT NULL,
        file TEXT NOT NULL,
        received REAL NOT NULL,
        reason TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    """,
)
_COMPRESSION_LEVEL = 1
_GROUP_BODIES = 64
"""Appends that share one commit at most, so that the first of them does not wait long."""
_IN_HAND_BYTES = 128 * 1024 * 1024
"""Bodies accepted into memory and not yet written; beyond, senders are told to wait."""
_LEAST_RATIO = 4
"""Audit events compress at least so much; what is in hand counts with it against the room."""
_KEEPER_SECONDS = 0.5
_KEEPER_WAIT_SECONDS = 10.0
_DELETED_AT_ONCE = 8
"""Bodies deleted in one transaction: appends wait for it."""
_DELETE_PAUSE_SECONDS = 0.005
_REJECTED_KEPT = 100
"""Bodies that the engine failed on are kept for study, the newest so many."""


class SpoolFullError(StoreError):
    """The spool has no room now. Nothing was stored; the sender should try again later."""


class Stored(Struct, frozen=True):
    """One body of the spool. `received` is seconds since 1970; `sequence` grows and is never used twice.

    `file` and `line` say where its first line stood; a body without a line (a webhook's) is a place of its own.
    """

    sequence: int
    source: str
    cluster: str
    file: str
    line: int
    received: float
    body: bytes

    @property
    def place(self) -> str:
        """The file's name in locations; bodies that are no part of a file are told apart by their number."""
        return self.file if self.line else f"{self.file}#{self.sequence}"


class _Append(Struct):
    source: str
    cluster: str
    file: str
    line: int
    received: float
    body: bytes
    cursor: bytes | None
    done: Future[int]


_INSERT = (
    "INSERT INTO bodies (source, cluster, file, line, received, size, stored, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def _place(item: _Append) -> tuple[str, str, str, int, float]:
    return item.source, item.cluster, item.file, item.line, item.received


_DELETE = (
    "DELETE FROM bodies WHERE sequence IN (SELECT sequence FROM bodies WHERE sequence <= ? ORDER BY sequence LIMIT ?)"
)


class Spool:
    """A bounded queue on disk. Several processes may share it, one of them reads; `append` suits any thread.

    Concurrent appends share a commit (and its fsync). The write-ahead log is folded back by a thread of its own, so
    that no append waits for it.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        *,
        on_append: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._on_append = on_append
        self._clock = clock
        self._writer = open_database(path, _APPLICATION, _MIGRATIONS)
        self._lock = threading.Lock()
        self._in_hand_bytes = 0
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._released = 0
        self._keeping = threading.Event()
        self._stopping = threading.Event()
        self.failure = ""
        """Why the last write failed; empty while writing works."""
        with translated(path):
            self._writer.execute("PRAGMA wal_autocheckpoint=0")
            self._reader = open_database(path, _APPLICATION, _MIGRATIONS)
            row = self._writer.execute("SELECT count(*), coalesce(sum(stored), 0) FROM bodies").fetchone()
        self.bodies, self.bytes = int(row[0]), int(row[1])
        self._threads = [
            threading.Thread(target=self._write, name="spool-writer", daemon=True),
            threading.Thread(target=self._keep, name="spool-keeper", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def append(
        self, source: str, cluster: str, body: bytes, *, file: str = "", line: int = 0, cursor: bytes | None = None
    ) -> Future[int]:
        """Store a body; the future yields its sequence number once it is on the disk.

        `cursor` is where `source` goes on behind this body; it is stored with it or not at all. An empty body stores
        the cursor alone. Raises SpoolFullError at once when there is no room; the future raises StoreError when
        writing fails.
        """
        with self._lock:
            if self._stopping.is_set():
                raise SpoolFullError(f"{self._path}: closing; send again later")
            if body and self.bytes + self._in_hand_bytes // _LEAST_RATIO >= self._max_bytes:
                raise SpoolFullError(
                    f"{self._path}: holds {self.bytes:,} bytes, the most that spool_max_bytes allows; send again later"
                )
            if self._in_hand_bytes and self._in_hand_bytes + len(body) > _IN_HAND_BYTES:
                raise SpoolFullError(f"{self._path}: the disk is too slow for what arrives; send again later")
            self._in_hand_bytes += len(body)
        item = _Append(source, cluster, file, line, self._clock(), body, cursor, Future())
        self._queue.put(item)
        return item.done

    def read(self, after: int, max_bodies: int = 16, max_bytes: int = 32 * 1024 * 1024) -> list[Stored]:
        """The next bodies behind sequence number `after`, in order; stops at either limit, but yields at least one."""
        found: list[Stored] = []
        total = 0
        with translated(self._path):
            cursor = self._reader.execute(
                "SELECT sequence, source, cluster, file, line, received, size, body FROM bodies WHERE sequence > ? "
                "ORDER BY sequence LIMIT ?",
                (after, max_bodies),
            )
            for sequence, source, cluster, file, line, received, size, packed in cursor:
                try:
                    body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
                except zstandard.ZstdError as error:
                    raise StoreError(
                        f"{self._path}: body {sequence} is damaged ({error}); move the file aside to start anew"
                    ) from error
                found.append(Stored(sequence, source, cluster, file, line, received, body))
                total += size
                if total >= max_bytes:
                    break
            cursor.close()
        return found

    def last_sequence(self) -> int:
        """The highest sequence number ever given; 0 before the first."""
        with translated(self._path):
            row = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'bodies'").fetchone()
        return int(row[0]) if row else 0

    def cursor(self, source: str) -> bytes | None:
        """Where `source` goes on behind what was stored of it; None before the first."""
        with translated(self._path):
            row = self._reader.execute("SELECT value FROM cursors WHERE source = ?", (source,)).fetchone()
        return row[0] if row else None

    def release(self, through: int) -> None:
        """Give up the bodies up to sequence number `through`; done in the background."""
        self._released = max(self._released, through)
        self._keeping.set()

    def reject(self, stored: Stored, reason: str) -> None:
        """Keep an event or a body that the engine failed on, for study; the newest 100 are kept."""
        packed = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(stored.body)
        with translated(self._path), transaction(self._reader) as connection:
            connection.execute(
                "INSERT INTO rejected (sequence, cluster, file, received, reason, body) VALUES (?, ?, ?, ?, ?, ?)",
                (stored.sequence, stored.cluster, stored.place, stored.received, reason, packed),
            )
            connection.execute(
                "DELETE FROM rejected WHERE number NOT IN (SELECT number FROM rejected ORDER BY number DESC LIMIT ?)",
                (_REJECTED_KEPT,),
            )

    def close(self) -> None:
        """Write what was accepted, then close. What is appended later is refused."""
        with self._lock:
            self._stopping.set()
        self._queue.put(None)
        self._keeping.set()
        for thread in self._threads:
            thread.join()
        self._reader.close()
        self._writer.close()

    def _write(self) -> None:
        running = True
        compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
        while running:
            appends: list[_Append] = []
            item = self._queue.get()
            while True:
                if item is None:
                    running = False
                else:
                    appends.append(item)
                if not running or len(appends) >= _GROUP_BODIES or self._queue.empty():
                    break
                item = self._queue.get()
            if appends:
                self._store(appends, compressor)

    def _store(self, appends: list[_Append], compressor: zstandard.ZstdCompressor) -> None:
        sequences: list[int] = []
        stored = 0
        failure: StoreError | None = None
        try:
            with translated(self._path), transaction(self._writer) as connection:
                for item in appends:
                    if item.cursor is not None:
                        connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (item.source, item.cursor))
                    if not item.body:
                        sequences.append(0)
                        continue
                    packed = compressor.compress(item.body)
                    row = connection.execute(_INSERT, (*_place(item), len(item.body), len(packed), packed))
                    sequences.append(row.lastrowid or 0)
                    stored += len(packed)
        except StoreError as error:
            failure = error
        with self._lock:
            self._in_hand_bytes -= sum(len(item.body) for item in appends)
            if failure is None:
                self.bodies += len(appends) - sequences.count(0)
                self.bytes += stored
        self.failure = str(failure) if failure else ""
        if failure is not None:
            for item in appends:
                item.done.set_exception(failure)
            return
        for item, sequence in zip(appends, sequences, strict=True):
            item.done.set_result(sequence)
        self._on_append()

    def _recount(self, connection: sqlite3.Connection) -> None:
        """Take in what another process stored and released."""
        with self._lock:
            row = connection.execute("SELECT count(*), coalesce(sum(stored), 0) FROM bodies").fetchone()
            self.bodies, self.bytes = int(row[0]), int(row[1])

    def _keep(self) -> None:
        """Delete what was released, fold the write-ahead log back, count: all that an append must not wait for."""
        try:
            connection = sqlite3.connect(self._path, timeout=_KEEPER_WAIT_SECONDS, isolation_level=None)
            # A deletion that a power cut undoes is made again by the next release.
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error as error:
            self.failure = f"{self._path}: {error}"
            return
        done = 0
        failed = False
        while True:
            self._keeping.wait(_KEEPER_SECONDS)
            self._keeping.clear()
            stopping = self._stopping.is_set()
            try:
                while done < self._released:
                    through = self._released
                    row = connection.execute(_DELETE, (through, _DELETED_AT_ONCE))
                    if row.rowcount < _DELETED_AT_ONCE:
                        done = through
                    elif not stopping:
                        self._stopping.wait(_DELETE_PAUSE_SECONDS)
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._recount(connection)
            except sqlite3.Error as error:
                self.failure, failed = f"{self._path}: {error}", True
            else:
                self.failure = "" if failed else self.failure
                failed = False
            if stopping:
                break
        connection.close()
