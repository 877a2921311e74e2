"""Reading in several processes. What is read comes back in the order of the input."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

import msgspec

from kubewake.engine import Reader
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.garbage import look_rarely
from kubewake.pipeline.reading import grouped, read_chunks
from kubewake.sources.chunk import Chunk

GROUPS_PER_WORKER = 2
"""Groups of chunks under way per worker: enough to keep it busy, few enough to bound memory."""

MOST_HELD = 8
"""Observations that may wait for one before them."""

STEP_BACK = 10
"""How much nicer the workers are than the process that puts together what they read, for which everybody waits."""

PARALLEL_FROM_BYTES = 48 * 1024 * 1024
"""Smaller inputs are done before a second process has started."""

_reader: Reader | None = None


def default_workers(size_bytes: int) -> int:
    """How many processes pay off for that much input on this machine."""
    return 1 if size_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def read_parallel(
    chunks: Iterable[Chunk], knowledge: Knowledge, reader: Reader, processes: int
) -> Iterator[Observation]:
    """Observations in the order of the chunks, read by so many processes: this one, with its reader, whenever the others
    have enough to do and what is next is not there yet.
    """
    context = multiprocessing.get_context("forkserver")
    _shield_workers()
    workers = processes - 1
    pool = ProcessPoolExecutor(workers, context, _start_worker, (knowledge, reader.since, reader.until))
    try:
        under_way: deque[Future[bytes] | Observation] = deque()
        for group in grouped(chunks):
            if len(under_way) >= MOST_HELD + workers * GROUPS_PER_WORKER:
                yield _read(under_way.popleft())
            if sum(map(_is_awaited, under_way)) < workers * GROUPS_PER_WORKER:
                with interrupts_held():  # as submitting may start a worker
                    under_way.append(pool.submit(_read_in_worker, [chunk.light() for chunk in group]))
            else:
                under_way.append(read_chunks(reader, group))
            while under_way and not _is_awaited(under_way[0]):
                yield _read(under_way.popleft())
        while under_way:
            yield _read(under_way.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _is_awaited(observation: Future[bytes] | Observation) -> bool:
    return isinstance(observation, Future) and not observation.done()


def _read(observation: Future[bytes] | Observation) -> Observation:
    return _decode(observation.result()) if isinstance(observation, Future) else observation


_decode = msgspec.msgpack.Decoder(Observation).decode


def _shield_workers() -> None:
    """Have workers born deaf to Ctrl-C, which a terminal sends to all of them: the main process ends them in order.

    They inherit the signal mask of the process that forks them. The resource tracker goes first, as it resets the mask.
    """
    resource_tracker.ensure_running()
    with interrupts_held():
        forkserver.ensure_running()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a Ctrl-C wait: one that falls between the steps of starting a process leaves it half started."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(knowledge: Knowledge, since: str, until: str) -> None:
    global _reader  # noqa: PLW0603  # one reader a process is what its caches are for
    os.nice(STEP_BACK)
    rules, context = knowledge.load()
    _reader = Reader(rules, context, since=since, until=until)
    look_rarely()


def _read_in_worker(chunks: list[Chunk]) -> bytes:
    assert _reader is not None
    return msgspec.msgpack.encode(read_chunks(_reader, chunks))
