import gzip
import os
import shutil
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewake.errors import InputError
from kubewake.sources.follow import DRAIN_SECONDS, Follower


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Bench:
    """A folder with a log that grows, a follower that may be killed, and what it gave."""

    def __init__(self, folder, pattern=None, **options):
        self.folder = folder
        self.log = folder / "audit.log"
        self.pattern = pattern or str(self.log)
        self.options = options
        self.clock = Clock()
        self.cursor = None
        self.got = []
        self.places = []
        self.troubles = []
        self.written = []
        self.follower = None
        self.start()

    def start(self):
        self.follower = Follower(
            [self.pattern], self.cursor, clock=self.clock, trouble=lambda *a: self.troubles.append(a), **self.options
        )

    def restart(self):
        self.follower.close()
        self.start()

    def line(self):
        n = len(self.written)
        line = f'{{"auditID":"{n:06d}-{os.urandom(16).hex()}"}}'
        self.written.append(line)
        return line

    def write(self, count=1, path=None):
        with (path or self.log).open("a") as file:
            for _ in range(count):
                file.write(self.line() + "\n")

    def poll(self, limit=None):
        for n, piece in enumerate(self.follower.poll()):
            if limit is not None and n >= limit:
                break
            self.cursor = piece.cursor
            lines = piece.data.decode().splitlines()
            self.got += lines
            self.places += [(Path(piece.file).name, piece.line + k) for k in range(len(lines))]

    def drain(self):
        self.poll()
        self.clock.now += DRAIN_SECONDS + 1
        self.poll()
        self.poll()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.follower.close()


def test_lines_come_once_with_their_numbers(bench):
    bench.write(3)
    bench.poll()
    bench.poll()
    bench.write(2)
    bench.poll()
    assert bench.got == bench.written
    assert bench.places == [("audit.log", n) for n in range(1, 6)]


def test_a_partial_line_waits(bench):
    bench.write()
    with bench.log.open("a") as file:
        file.write('{"half":')
    bench.poll()
    assert bench.got == bench.written
    with bench.log.open("a") as file:
        file.write("1}\n")
    bench.poll()
    assert bench.got == [*bench.written, '{"half":1}']


def test_a_file_may_appear_later(bench):
    bench.poll()
    assert bench.got == []
    bench.log.touch()
    bench.poll()
    bench.write(2)
    bench.poll()
    assert bench.got == bench.written


def test_rename_and_create(bench):
    bench.write(3)
    bench.poll()
    bench.write(1)
    bench.log.rename(bench.folder / "audit.log.1")
    bench.write(1, bench.folder / "audit.log.1")
    bench.write(2)
    bench.poll()
    bench.write(1, bench.folder / "audit.log.1")
    bench.drain()
    assert sorted(bench.got) == bench.written
    assert bench.troubles == []
    bench.write(1)
    bench.drain()
    assert sorted(bench.got) == bench.written


def test_an_unterminated_end_of_a_rotated_file_is_a_line(bench):
    bench.write(1)
    bench.poll()
    with bench.log.open("a") as file:
        file.write(bench.line())
    bench.log.rename(bench.folder / "audit.log.1")
    bench.write(1)
    bench.drain()
    assert sorted(bench.got) == bench.written


def test_copy_and_truncate(bench):
    bench.write(3)
    bench.poll()
    bench.write(2)
    shutil.copy(bench.log, bench.folder / "audit.log.1")
    os.truncate(bench.log, 0)
    bench.write(1)
    bench.drain()
    assert sorted(bench.got) == bench.written
    assert bench.troubles == []


def test_copy_truncate_and_growth_beyond_the_old_offset(bench):
    bench.write(2)
    bench.poll()
    bench.write(1)
    shutil.copy(bench.log, bench.folder / "audit.log.1")
    os.truncate(bench.log, 0)
    bench.write(50)
    bench.drain()
    assert sorted(bench.got) == bench.written


def test_truncation_without_a_copy_is_told(bench):
    bench.write(2)
    bench.poll()
    os.truncate(bench.log, 0)
    bench.write(1)
    bench.drain()
    assert bench.got == bench.written
    assert [trouble[0] for trouble in bench.troubles] == ["rotated_away"]


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("killed", [True, False])
def test_compressed_after_rotation(bench, packed, killed):
    bench.write(3)
    bench.poll()
    bench.write(2)
    rotated = bench.folder / "audit.log.1"
    bench.log.rename(rotated)
    content = rotated.read_bytes()
    (bench.folder / f"audit.log.1.{packed}").write_bytes(
        gzip.compress(content) if packed == "gz" else zstandard.compress(content)
    )
    rotated.unlink()
    bench.write(2)
    if killed:
        bench.restart()
    bench.drain()
    assert sorted(bench.got) == bench.written
    assert bench.troubles == []


def test_several_rotations_while_away(bench):
    bench.write(3)
    bench.poll()
    bench.follower.close()
    bench.write(1)
    for n, name in enumerate(("2026-01-01T00-00-00.000", "2026-01-01T01-00-00.000", "2026-01-01T02-00-00.000")):
        path = bench.folder / f"audit-{name}.log"
        bench.log.rename(path)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + n))
        bench.write(3)
    middle = bench.folder / "audit-2026-01-01T01-00-00.000.log"
    status = middle.stat()
    (bench.folder / f"{middle.name}.gz").write_bytes(gzip.compress(middle.read_bytes()))
    os.utime(f"{middle}.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
    middle.unlink()
    bench.start()
    bench.drain()
    assert bench.got == bench.written
    assert bench.troubles == []


def test_old_rotated_files_are_left_alone(bench):
    old = bench.folder / "audit.log.1"
    old.write_text('{"old":1}\n')
    os.utime(old, (0, 0))
    bench.write(1)
    bench.poll()
    bench.restart()
    bench.write(1)
    bench.log.rename(bench.folder / "audit.log.2")
    bench.write(1)
    bench.drain()
    assert sorted(bench.got) == bench.written


@pytest.mark.parametrize("pattern", ["{}", "{}/*.log*", "{}/audit*"])
def test_folders_and_globs_that_match_rotated_files_too(tmp_path, pattern):
    bench = Bench(tmp_path, pattern.format(tmp_path))
    bench.write(3)
    bench.poll()
    shutil.copy(bench.log, tmp_path / "audit.log.1")
    bench.poll()
    os.truncate(bench.log, 0)
    bench.write(2)
    bench.drain()
    bench.log.rename(tmp_path / "audit.log.2")
    bench.write(2)
    bench.drain()
    (tmp_path / "audit.log.2.gz").write_bytes(gzip.compress((tmp_path / "audit.log.2").read_bytes()))
    (tmp_path / "audit.log.2").unlink()
    bench.drain()
    bench.write(2, tmp_path / "audit-other.log")
    bench.drain()
    bench.restart()
    bench.drain()
    assert sorted(bench.got) == bench.written
    assert bench.troubles == []
    bench.follower.close()


def test_beginning_at_the_end(tmp_path):
    bench = Bench(tmp_path, start="end")
    bench.write(3)
    bench.written.clear()
    bench.poll()
    bench.write(2)
    bench.poll()
    assert bench.got == bench.written
    assert bench.places == [("audit.log", 4), ("audit.log", 5)]
    bench.follower.close()


def test_a_line_that_is_too_long_is_told_and_passed_over(tmp_path):
    bench = Bench(tmp_path, line_max_bytes=2_000_000)
    bench.write(1)
    with bench.log.open("a") as file:
        file.write("x" * 5_000_000 + "\n")
    bench.write(1)
    bench.poll()
    assert bench.got == bench.written
    assert bench.troubles == [("line_too_long", str(bench.log), 2)]
    assert bench.places == [("audit.log", 1), ("audit.log", 3)]
    bench.follower.close()


def test_big_files_come_in_pieces_and_go_on_in_the_middle(bench):
    bench.write(60_000)
    bench.poll(limit=1)
    assert 0 < len(bench.got) < 60_000
    bench.restart()
    bench.poll()
    assert bench.got == bench.written
    assert bench.places[-1] == ("audit.log", 60_000)


def test_an_unreadable_cursor_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        Follower([str(tmp_path)], b"{broken")


STEPS = st.lists(
    st.sampled_from(["write", "write", "poll", "rename", "copytruncate", "compress", "restart", "wait"]),
    min_size=3,
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_is_lost_or_doubled_in_any_order(tmp_path_factory, steps):
    bench = Bench(tmp_path_factory.mktemp("follow"))
    rotation = 0
    try:
        bench.write()
        bench.poll()
        for step in steps:
            if step == "write":
                bench.write(2)
            elif step == "poll":
                bench.poll()
            elif step == "restart":
                bench.restart()
            elif step == "wait":
                bench.clock.now += DRAIN_SECONDS + 1
            elif step == "compress":
                for path in bench.folder.glob("audit.log.*"):
                    if path.suffix != ".gz":
                        status = path.stat()
                        packed = path.with_name(path.name + ".gz")
                        packed.write_bytes(gzip.compress(path.read_bytes()))
                        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
                        path.unlink()
            elif bench.log.stat().st_size:
                rotation += 1
                target = bench.folder / f"audit.log.{rotation}"
                if step == "rename":
                    bench.log.rename(target)
                else:
                    shutil.copy(bench.log, target)
                    os.truncate(bench.log, 0)
                bench.write()
        bench.drain()
        assert sorted(bench.got) == bench.written
        assert bench.troubles == []
    finally:
        bench.follower.close()
