"""Reading in several processes. What is read comes back in the order of the input."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import FrameType

import msgspec

from kubewake.engine import Reader
from kubewake.errors import StoreError
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.memory import keep_freed, look_rarely
from kubewake.pipeline.reading import grouped, read_chunks
from kubewake.sources.chunk import Chunk

GROUPS_PER_WORKER = 2
"""Groups of chunks under way per worker: enough to keep it busy."""

GROUPS_IN_STORE = 4
"""Groups of plain files under way besides, as what is read is put together in bursts."""

STEP_BACK = 10
"""How much nicer the workers are than the process that puts together what they read, for which everybody waits."""

PARALLEL_FROM_BYTES = 48 * 1024 * 1024
"""Smaller inputs are done before a second process has started."""

_reader: Reader | None = None
_folder = Path()


def default_workers(size_bytes: int) -> int:
    """How many processes pay off for that much input on this machine."""
    return 1 if size_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def read_parallel(
    chunks: Iterable[Chunk], knowledge: Knowledge, reader: Reader, processes: int
) -> Iterator[Observation]:
    """Observations in the order of the chunks, read by so many processes: by this one, with its reader, when it would wait."""
    context = multiprocessing.get_context("forkserver")
    _shield_workers()
    workers = processes - 1
    try:
        folder = tempfile.TemporaryDirectory(prefix="kubewake-read-")
    except OSError as error:
        raise _no_room(error) from error
    before = _end_in_order_on_sigterm()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (knowledge, reader.since, reader.until, folder.name))
    try:
        under_way: deque[_Group] = deque()
        for number, group in enumerate(grouped(chunks)):
            light = [chunk.light() for chunk in group]
            file: Future[str] = Future()  # of the first group, which is read here while the workers start
            if number:
                with interrupts_held():  # as submitting may start a worker
                    file = pool.submit(_read_in_worker, number, light)
            under_way.append(_Group(light, file))
            store = 0 if any(chunk.data for chunk in light) else GROUPS_IN_STORE
            if len(under_way) >= workers * GROUPS_PER_WORKER + store:
                yield _next(under_way, reader)
        while under_way:
            yield _next(under_way, reader)
    finally:
        pool.shutdown(cancel_futures=True)
        folder.cleanup()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


class _Group:
    """Chunks that a worker reads, unless it is taken from them."""

    def __init__(self, chunks: list[Chunk], file: Future[str]) -> None:
        self.chunks = chunks
        self.file = file
        """Where a worker has put their observation."""
        self.observation: Observation | None = None

    @property
    def is_ready(self) -> bool:
        return self.observation is not None or self.file.done()

    def take(self) -> Observation:
        if self.observation is not None:
            return self.observation
        try:
            file = Path(self.file.result())
            observation = _decode(file.read_bytes())
            file.unlink()
        except OSError as error:
            raise _no_room(error) from error
        return observation


def _no_room(error: OSError) -> StoreError:
    return StoreError(
        f"the temporary folder fails: {error.strerror or error}; set TMPDIR to one with room, or scan with --jobs 1"
    )


_decode = msgspec.msgpack.Decoder(Observation).decode


def _next(under_way: deque[_Group], reader: Reader) -> Observation:
    """The next observation. As long as it is not there, groups that no worker has begun with are read here."""
    for group in under_way:
        if under_way[0].is_ready:
            break
        if not group.is_ready and group.file.cancel():
            group.observation = read_chunks(reader, group.chunks)
    return under_way.popleft().take()


def _shield_workers() -> None:
    """Have workers born deaf to Ctrl-C, which a terminal sends to all of them: the main process ends them in order.

    They inherit the signal mask of the process that forks them. The resource tracker goes first, as it resets the mask.
    """
    resource_tracker.ensure_running()
    with interrupts_held():
        forkserver.ensure_running()


def _end_in_order_on_sigterm() -> signal.Handlers | None:
    """Let SIGTERM end the process as an error does, so that no process and no file stays behind.

    Answers what it did before; None where somebody else decides that.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        return None
    signal.signal(signal.SIGTERM, _end)
    return before


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a Ctrl-C wait: one that falls between the steps of starting a process leaves it half started."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(knowledge: Knowledge, since: str, until: str, folder: str) -> None:
    global _reader, _folder  # noqa: PLW0603  # one reader a process is what its caches are for
    os.nice(STEP_BACK)
    rules, context = knowledge.load()
    _reader = Reader(rules, context, since=since, until=until)
    _folder = Path(folder)
    look_rarely()
    keep_freed()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Outlive nobody who was killed, and leave none of the files behind that nobody will read."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    shutil.rmtree(_folder, ignore_errors=True)
    os._exit(1)


def _read_in_worker(number: int, chunks: list[Chunk]) -> str:
    """Read chunks; answers the name of the file that holds their observation.

    Through a pipe it would take the receiver a hundred turns, before each of which what it is at must make way.
    """
    assert _reader is not None
    file = _folder / str(number)
    file.write_bytes(msgspec.msgpack.encode(read_chunks(_reader, chunks)))
    return str(file)
