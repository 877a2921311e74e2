"""Reading in several processes. What is read comes back in the order of the input."""

import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from kubewake.engine import Reader
from kubewake.errors import StoreError
from kubewake.observation import Observation
from kubewake.pipeline.memory import look_rarely
from kubewake.pipeline.reading import grouped, read_chunks
from kubewake.sources.chunk import Chunk

try:
    from kubewake.pipeline.parcel import Receiver, Sender
except ImportError:  # built without a C compiler

    class Sender:  # type: ignore[no-redef]
        """As `parcel.Sender`."""

        def __init__(self, name: int) -> None:
            pass

        def pack(self, observation: Observation) -> bytes:
            return msgspec.msgpack.encode(observation)

    class Receiver:  # type: ignore[no-redef]
        """As `parcel.Receiver`."""

        def unpack(self, data: bytes) -> Observation:
            return msgspec.msgpack.decode(data, type=Observation)


GROUPS_PER_WORKER = 2
"""Groups of chunks under way per worker: enough to keep it busy."""

GROUPS_IN_STORE = 4
"""Groups under way besides, as what is read is put together in bursts."""

CHUNKS_AT_ONCE = 2
"""Read here before it is asked again whether what is next has come."""

CLEANING_ATTEMPTS = 100
"""Files may come in between, as the worker reads on while its folder is removed."""

STEP_BACK = 10
"""How much nicer the workers are than the process that puts together what they read, for which everybody waits."""

PARALLEL_FROM_BYTES = 48 * 1024 * 1024
"""Smaller inputs are done before a second process is of use."""


def default_workers(size_bytes: int) -> int:
    """How many processes pay off for that much input on this machine."""
    return 1 if size_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def read_parallel(chunks: Iterable[Chunk], reader: Reader, processes: int) -> Iterator[Observation]:
    """Observations in the order of the chunks, read by so many processes: by this one, with its reader, when it would wait.

    The others are forked from this one, in which no other thread should be at work then.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="kubewake-read-")
    except OSError as error:
        raise _no_room(error) from error
    workers = processes - 1
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _start_worker, (reader, Path(folder.name)))
    receiver = Receiver()
    under_way: deque[_Group] = deque()
    try:
        for number, group in enumerate(grouped(chunks)):
            under_way.append(_Group(group, number, Path(folder.name), pool))
            if len(under_way) >= workers * GROUPS_PER_WORKER + GROUPS_IN_STORE:
                yield from _next(under_way, reader, receiver)
        while under_way:
            yield from _next(under_way, reader, receiver)
    finally:
        pool.shutdown(cancel_futures=True)
        folder.cleanup()


class _Group:
    """Chunks on their way to what is read from them: by a worker, or here, if that begins with them first."""

    def __init__(self, chunks: Iterable[Chunk], number: int, folder: Path, pool: ProcessPoolExecutor) -> None:
        """Send chunks to the next free worker. What stands in no plain file is put into one for it."""
        self._waiting, self._begun = folder / f"{number}.waiting", folder / f"{number}.begun"
        try:
            with self._begun.open("wb") as store:
                self._chunks = deque(chunk.light(store) for chunk in chunks)
            self._begun.rename(self._waiting)
        except OSError as error:
            raise _no_room(error) from error
        self._is_read_here = False
        self._read: list[Observation] = []
        with _interrupts_held():
            try:
                self._file = pool.submit(_read_in_worker, number, list(self._chunks))
            except BrokenProcessPool:
                self._is_read_here = True

    @property
    def is_waited_for(self) -> bool:
        """Whether a worker has it, and has not read it yet."""
        return not self._is_read_here and not self._file.done()

    def read_some(self, reader: Reader) -> bool:
        """Read a few chunks with this reader; False where there are none, or a worker has begun with them."""
        if not self._is_read_here:
            self._is_read_here = _begin(self._waiting)
        if not self._is_read_here or not self._chunks:
            return False
        few = [self._chunks.popleft() for _ in range(min(CHUNKS_AT_ONCE, len(self._chunks)))]
        self._read.append(read_chunks(reader, few))
        return True

    def observations(self, reader: Reader, receiver: Receiver) -> Iterator[Observation]:
        """All that was read, once it is there. What was begun here is read to its end."""
        if not self._is_read_here:
            try:
                yield _received(self._file, receiver)
            except BrokenProcessPool:
                _tell_of_loss()
                _begin(self._waiting)
                self._is_read_here = True
        yield from self._read
        if self._is_read_here and self._chunks:
            yield read_chunks(reader, self._chunks)
        self._begun.unlink(missing_ok=True)


def _begin(waiting: Path) -> bool:
    """Take on what is in the file; False where another process was faster."""
    try:
        waiting.rename(waiting.with_suffix(".begun"))
    except FileNotFoundError:
        return False
    return True


def _received(file: Future[Path], receiver: Receiver) -> Observation:
    try:
        path = file.result()
        observation = receiver.unpack(path.read_bytes())
        path.unlink()
    except OSError as error:
        raise _no_room(error) from error
    return observation


@cache
def _tell_of_loss() -> None:
    logging.getLogger("kubewake").warning(
        "kubewake: a process that reads was killed, perhaps for want of memory; this one reads on alone"
    )


def _no_room(error: OSError) -> StoreError:
    return StoreError(
        f"the temporary folder fails: {error.strerror or error}; set TMPDIR to one with room, or scan with --jobs 1"
    )


def _next(under_way: deque[_Group], reader: Reader, receiver: Receiver) -> Iterator[Observation]:
    """What is next. As long as it is not there, chunks that no worker has begun with are read here."""
    for group in under_way:
        while under_way[0].is_waited_for and group.read_some(reader):
            pass
    yield from under_way.popleft().observations(reader, receiver)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let a Ctrl-C wait: one that falls between the steps of starting a process leaves it half started.

    Processes that are started meanwhile are deaf to it. A terminal sends it to all of them, but the first ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """What a process has that reads for another."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self._sender = Sender(os.getpid())

    def read(self, number: int, chunks: list[Chunk]) -> Path:
        """Read chunks, unless that was begun elsewhere; answers with the file for their observation.

        Through a pipe it would take the receiver a hundred turns, before each of which what it is at must make way.
        """
        file = self._folder / str(number)
        if _begin(self._folder / f"{number}.waiting"):
            file.write_bytes(self._sender.pack(read_chunks(self._reader, chunks)))
        return file

    def end_with_parent(self) -> None:
        """Outlive nobody who was killed, and leave none of the files behind that nobody will read."""
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        for _ in range(CLEANING_ATTEMPTS):
            shutil.rmtree(self._folder, ignore_errors=True)
            if not self._folder.exists():
                break
        os._exit(1)


_worker: _Worker | None = None


def _start_worker(reader: Reader, folder: Path) -> None:
    global _worker  # noqa: PLW0603  # a pool hands nothing else to what it calls
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(STEP_BACK)
    look_rarely()
    _worker = _Worker(reader, folder)
    threading.Thread(target=_worker.end_with_parent, daemon=True).start()


def _read_in_worker(number: int, chunks: list[Chunk]) -> Path:
    assert _worker is not None
    return _worker.read(number, chunks)
