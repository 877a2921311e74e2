import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kubewake.errors import StoreError
from kubewake.store.database import DiskFullError
from kubewake.store.spool import Spool, SpoolFullError

BODY = b'{"kind":"EventList","items":[]}'


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    yield spool
    spool.close()


def test_what_was_appended_comes_back_in_order(spool):
    sequences = [spool.append("webhook", f"c{n}", BODY + b" " * n, file="webhook").result(5) for n in range(5)]
    assert sequences == sorted(sequences)
    found = spool.read(0)
    assert [(item.cluster, item.body) for item in found] == [(f"c{n}", BODY + b" " * n) for n in range(5)]
    assert [item.place for item in found] == [f"webhook#{sequence}" for sequence in sequences]
    assert spool.read(sequences[3])[0].sequence == sequences[4]
    assert spool.read(sequences[4]) == []


def test_a_read_stops_at_its_limits_but_yields_one(spool):
    for _ in range(3):
        spool.append("webhook", "c", BODY * 100).result(5)
    assert len(spool.read(0, max_bodies=2)) == 2
    assert len(spool.read(0, max_bytes=1)) == 1


def test_sequence_numbers_are_not_used_twice(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    first = spool.append("webhook", "c", BODY).result(5)
    spool.release(first)
    spool.close()
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    assert (spool.bodies, spool.last_sequence()) == (0, first)
    assert spool.append("webhook", "c", BODY).result(5) > first
    spool.close()


def test_a_full_spool_refuses_and_takes_again_after_release(tmp_path):
    spool = Spool(tmp_path / "spool.db", 2_000_000)
    last = 0
    with pytest.raises(SpoolFullError, match="spool_max_bytes"):
        for _ in range(50):
            last = spool.append("webhook", "c", os.urandom(500_000)).result(5)
    spool.release(last)
    deadline = time.monotonic() + 5
    while spool.bodies and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert spool.append("webhook", "c", BODY).result(5) > last
    spool.close()


def test_many_bodies_are_released_and_later_ones_stay(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10**8)
    sequences = [spool.append("webhook", "c", BODY).result(5) for _ in range(50)]
    spool.release(sequences[39])
    spool.close()
    spool = Spool(tmp_path / "spool.db", 10**8)
    assert [item.sequence for item in spool.read(0, 99)] == sequences[40:]
    spool.close()


def test_cursor_is_stored_with_its_body(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    assert spool.cursor("follow") is None
    spool.append("follow", "c", BODY, file="a.log", line=7, cursor=b"one").result(5)
    assert spool.append("follow", "c", b"", cursor=b"two").result(5) == 0
    spool.close()
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    assert spool.cursor("follow") == b"two"
    assert [(item.file, item.line) for item in spool.read(0)] == [("a.log", 7)]
    spool.close()


def test_concurrent_appends_all_land(spool):
    def send(n):
        for m in range(20):
            spool.append("webhook", f"{n}", f"{n}-{m}".encode()).result(5)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bodies = {item.body for item in spool.read(0, max_bodies=1000)}
    assert bodies == {f"{n}-{m}".encode() for n in range(8) for m in range(20)}
    assert spool.bodies == 160


def test_disk_full_is_refused_and_nothing_half_stored(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10**9)
    spool._writer.execute("PRAGMA max_page_count=64")
    with pytest.raises(DiskFullError, match="disk full"):
        for _ in range(100):
            spool.append("webhook", "c", os.urandom(100_000)).result(5)
    assert "disk full" in spool.failure
    kept = spool.bodies
    spool._writer.execute("PRAGMA max_page_count=100000")
    spool.append("webhook", "c", BODY).result(5)
    assert spool.failure == ""
    assert len(spool.read(0, max_bodies=1000)) == kept + 1
    spool.close()


def test_refused_after_close(tmp_path):
    spool = Spool(tmp_path / "spool.db", 10**9)
    spool.close()
    with pytest.raises(SpoolFullError, match="closing"):
        spool.append("webhook", "c", BODY)


def test_engine_failures_are_kept(spool):
    spool.append("webhook", "c", BODY).result(5)
    for number in range(105):
        spool.reject(spool.read(0)[0], f"it broke {number}")
    kept = spool._reader.execute("SELECT sequence, file, reason FROM rejected ORDER BY number").fetchall()
    assert (len(kept), kept[-1]) == (100, (1, "#1", "it broke 104"))


@pytest.mark.parametrize(
    ("content", "words"), [(b"not a database at all" * 300, "damaged"), (None, "cannot be")], ids=["text", "folder"]
)
def test_a_file_that_is_no_spool_is_named(tmp_path, content, words):
    path = tmp_path / "spool.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StoreError, match=words) as error:
        Spool(path, 10**6)
    assert "spool.db" in str(error.value)


def test_foreign_and_newer_databases_are_refused(tmp_path):
    import sqlite3

    path = tmp_path / "spool.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        Spool(path, 10**6)
    newer = tmp_path / "newer.db"
    Spool(newer, 10**6).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="newer kubewake"):
        Spool(newer, 10**6)


KILLED = """
import os, sys, threading
from pathlib import Path
from kubewake.store.spool import Spool
spool = Spool(Path(sys.argv[1]), 10**9)
n = 0
while True:
    n += 1
    print(spool.append("webhook", "c", str(n).encode() * 500).result(5), n, flush=True)
"""


def test_what_was_acknowledged_survives_kill(tmp_path):
    path = tmp_path / "spool.db"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged = [tuple(map(int, process.stdout.readline().split())) for _ in range(30)]
    process.kill()
    rest = process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    acknowledged += [tuple(map(int, line.split())) for line in rest if line.count(" ") == 1]
    spool = Spool(Path(path), 10**9)
    stored = {item.sequence: item.body for item in spool.read(0, max_bodies=10**6, max_bytes=10**9)}
    spool.close()
    for sequence, n in acknowledged:
        assert stored[sequence] == str(n).encode() * 500
