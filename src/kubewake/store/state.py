"""The state: the engine's snapshot with the cursors it covers, what people were told, and what is still to be sent."""

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct

from kubewake.errors import StoreError
from kubewake.store.database import open_database, transaction, translated

_APPLICATION = 0x6B775354  # "kwST"
_MIGRATIONS = (
    """
    CREATE TABLE snapshots (name TEXT PRIMARY KEY, body BLOB NOT NULL, saved REAL NOT NULL) STRICT;
    CREATE TABLE cursors (source TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE items (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        severity TEXT NOT NULL,
        last_time TEXT NOT NULL,
        body BLOB NOT NULL,
        told REAL NOT NULL
    ) STRICT;
    CREATE INDEX items_by_telling ON items (told);
    CREATE TABLE outbox (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        sink TEXT NOT NULL,
        item TEXT NOT NULL,
        body BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due REAL NOT NULL DEFAULT 0,
        failure TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX outbox_by_sink ON outbox (sink, sequence);
    """,
    """
    CREATE TABLE pieces (snapshot TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (snapshot, name)) STRICT;
    """,
)


class Item(Struct, frozen=True):
    """The last state of a finding, incident or notice, as it was told: `body` is its JSON.

    `last_time` is event time; `told` is when it was told, in seconds since 1970.
    """

    id: str
    kind: str
    severity: str
    last_time: str
    body: bytes
    told: float = 0.0


class Message(Struct, frozen=True):
    """Something for a sink. `sequence` is 0 until it is stored; `attempts` counts failures so far."""

    sink: str
    item: str
    body: bytes
    sequence: int = 0
    attempts: int = 0


class Snapshot(Struct, frozen=True):
    """The engine's state, the cursor of each source that it covers, and the pieces that were stored apart, by name."""

    body: bytes
    cursors: dict[str, bytes]
    pieces: dict[str, bytes] = {}


class State:
    """One SQLite file; every method is one transaction, safe to call from any thread. Methods raise StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection = open_database(path, _APPLICATION, _MIGRATIONS)
        with translated(path):
            verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            self._connection.close()
            raise StoreError(f"{path}: the database is damaged ({verdict}); move the file aside to start anew")

    def save(
        self,
        name: str,
        body: bytes,
        cursors: Mapping[str, bytes],
        now: float,
        *,
        pieces: Mapping[str, bytes] | None = None,
        held: Iterable[str] | None = None,
    ) -> None:
        """Replace the snapshot `name` and the cursors that it covers, and add pieces to it, together or not at all.

        Of its pieces only those with `held` names stay; all of them without.
        """
        packed = _packed(body)
        added = [(name, piece, _packed(data)) for piece, data in (pieces or {}).items()]
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (name, packed, now))
            connection.executemany("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)", added)
            if held is not None:
                known = {row[0] for row in connection.execute("SELECT name FROM pieces WHERE snapshot = ?", (name,))}
                gone = [(name, piece) for piece in known.difference(held)]
                connection.executemany("DELETE FROM pieces WHERE snapshot = ? AND name = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", cursors.items())

    def snapshot(self, name: str) -> Snapshot | None:
        """The last saved snapshot; None before the first."""
        with self._lock, translated(self._path):
            row = self._connection.execute("SELECT body FROM snapshots WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            cursors = dict(self._connection.execute("SELECT source, value FROM cursors"))
            pieces = dict(self._connection.execute("SELECT name, body FROM pieces WHERE snapshot = ?", (name,)))
        try:
            whole = _unpacked(row[0])
            return Snapshot(whole, cursors, {piece: _unpacked(data) for piece, data in pieces.items()})
        except zstandard.ZstdError as error:
            raise StoreError(
                f"{self._path}: the snapshot is damaged ({error}); move the file aside to start anew"
            ) from error

    def cursors(self) -> dict[str, bytes]:
        """Every cursor, by source."""
        with self._lock, translated(self._path):
            return dict(self._connection.execute("SELECT source, value FROM cursors"))

    def items(self, ids: Iterable[str]) -> dict[str, Item]:
        """What was last told about each of the ids that are known."""
        found: dict[str, Item] = {}
        with self._lock, translated(self._path):
            for item_id in ids:
                row = self._connection.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
                if row is not None:
                    found[item_id] = Item(*row)
        return found

    def all_items(self, kind: str) -> list[Item]:
        """Every stored item of a kind, by time."""
        with self._lock, translated(self._path):
            rows = self._connection.execute("SELECT * FROM items WHERE kind = ? ORDER BY last_time, id", (kind,))
            return [Item(*row) for row in rows]

    def items_from(self, time: str) -> list[Item]:
        """Items whose last event time is that or later, by time."""
        with self._lock, translated(self._path):
            rows = self._connection.execute("SELECT * FROM items WHERE last_time >= ? ORDER BY last_time, id", (time,))
            return [Item(*row) for row in rows]

    def record(
        self,
        items: Iterable[Item],
        messages: Iterable[Message],
        cursors: Mapping[str, bytes] | None = None,
        *,
        gone: Iterable[str] = (),
    ) -> None:
        """Store the new state of items with the messages that tell of it, and the cursors; forget those with `gone` ids."""
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.executemany("DELETE FROM items WHERE id = ?", [(item_id,) for item_id in gone])
            connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)", map(msgspec.structs.astuple, items)
            )
            connection.executemany(
                "INSERT INTO outbox (sink, item, body) VALUES (?, ?, ?)",
                [(message.sink, message.item, message.body) for message in messages],
            )
            connection.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (cursors or {}).items())

    def due(self, sink: str, now: float, limit: int = 100) -> list[Message]:
        """Messages for a sink whose time has come, oldest first."""
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT sink, item, body, sequence, attempts FROM outbox WHERE sink = ? AND due <= ? "
                "ORDER BY sequence LIMIT ?",
                (sink, now, limit),
            )
            return [Message(*row) for row in rows]

    def delivered(self, sequences: Iterable[int]) -> None:
        """Strike messages off: they were delivered."""
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.executemany("DELETE FROM outbox WHERE sequence = ?", [(sequence,) for sequence in sequences])

    def postpone(self, sequences: Iterable[int], due: float, failure: str) -> None:
        """Note a failed delivery and when to try again."""
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.executemany(
                "UPDATE outbox SET attempts = attempts + 1, due = ?, failure = ? WHERE sequence = ?",
                [(due, failure[:500], sequence) for sequence in sequences],
            )

    def waiting(self) -> dict[str, int]:
        """How many messages wait, by sink."""
        with self._lock, translated(self._path):
            return dict(self._connection.execute("SELECT sink, count(*) FROM outbox GROUP BY sink"))

    def forget_sinks(self, known: Iterable[str]) -> dict[str, int]:
        """Drop messages for sinks that are configured no more; how many, by sink."""
        keep = set(known)
        gone = {sink: count for sink, count in self.waiting().items() if sink not in keep}
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            connection.executemany("DELETE FROM outbox WHERE sink = ?", [(sink,) for sink in gone])
        return gone

    def prune(self, told_before: float) -> int:
        """Forget items that were told of for the last time before then (seconds since 1970); how many."""
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            return connection.execute("DELETE FROM items WHERE told < ?", (told_before,)).rowcount

    def trim(self, most_messages: int) -> dict[str, int]:
        """Drop the oldest messages of sinks that have more than so many waiting; how many, by sink."""
        dropped: dict[str, int] = {}
        for sink, count in self.waiting().items():
            if count <= most_messages:
                continue
            with self._lock, translated(self._path), transaction(self._connection) as connection:
                dropped[sink] = connection.execute(
                    "DELETE FROM outbox WHERE sequence IN "
                    "(SELECT sequence FROM outbox WHERE sink = ? ORDER BY sequence LIMIT ?)",
                    (sink, count - most_messages),
                ).rowcount
        return dropped

    def close(self) -> None:
        """Fold the write-ahead log back and close."""
        with self._lock:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: could not be closed cleanly ({error})") from error
            finally:
                self._connection.close()


def _packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def _unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)
