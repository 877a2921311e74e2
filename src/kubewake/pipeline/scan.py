"""`scan`: files to findings. `read` runs on all cores, one `fold` puts it together; memory does not grow with the log."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import forkserver, resource_tracker
from typing import TypeVar

import msgspec

from kubewake.engine import Fold, Reader
from kubewake.event import Malformed
from kubewake.finding import Finding, Incident, Notice, ResultDocument
from kubewake.formats import Lines, line_blocks
from kubewake.head import HeadBatch
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.garbage import look_rarely, rare_collections
from kubewake.pipeline.skipping import Skipping
from kubewake.pipeline.spill import FindingSpill
from kubewake.rbac import RbacState
from kubewake.redact import redact_value
from kubewake.sources.chunk import Chunk
from kubewake.sources.files import load

CHUNKS_PER_OBSERVATION = 16
"""64 MiB of log: the more events an observation covers, the fewer stubs stand for the ordinary ones."""

GROUPS_PER_WORKER = 2
"""Groups of chunks under way per worker: enough to keep it busy, few enough to bound memory."""

STEP_BACK = 10
"""How much nicer those who read are than the one who puts together what they read, for whom everybody waits."""

PARALLEL_FROM_BYTES = 48 * 1024 * 1024
"""Smaller inputs are done before a second process has started."""

Told = TypeVar("Told", bound=Finding | Incident | Notice)

_reader: Reader | None = None


@rare_collections()
def scan(
    chunks: Iterable[Chunk],
    knowledge: Knowledge,
    *,
    workers: int = 1,
    since: str = "",
    until: str = "",
    rbac: RbacState | None = None,
    on_change: Callable[[Sequence[Finding | Incident | Notice | Malformed]], None] | None = None,
    on_progress: Callable[[Observation], None] | None = None,
) -> ResultDocument:
    """Judge every event of the chunks and return the whole result.

    `on_change` gets findings as they open and grow and what could not be read, `on_progress` each observation when it is folded.
    """
    rules, context = knowledge.load()
    fold = Fold(rules, rbac=rbac, baselines=knowledge.baselines())
    spill = FindingSpill()
    if workers > 1:
        observations = read_parallel(chunks, knowledge, workers, since, until)
    else:
        reader = Reader(rules, context, since=since, until=until)
        observations = (read_chunks(reader, group) for group in grouped(chunks))
    for observation in observations:
        fold.absorb(observation)
        if on_change is None:
            fold.advance_in_silence()
        elif (changed := fold.advance()) or observation.malformed:
            on_change([*observation.malformed, *harmless(changed)])
        spill.extend(fold.closed())
        if on_progress is not None:
            on_progress(observation)
    if on_change is None:
        fold.advance_in_silence(flush=True)
    elif changed := fold.advance(flush=True):
        on_change(harmless(changed))
    spill.extend(fold.finish())
    spill.incident_of = {finding: incident.id for incident in fold.incidents() for finding in incident.findings}
    document = fold.document(spill)
    document.incidents = harmless(document.incidents)
    return document


def harmless(items: Iterable[Told]) -> list[Told]:
    """The items without credentials. Findings are made without; an incident is put together from raw names."""
    return [
        msgspec.convert(redact_value(msgspec.to_builtins(item)), type(item)) if isinstance(item, Incident) else item
        for item in items
    ]


def grouped(chunks: Iterable[Chunk]) -> Iterator[Iterator[Chunk]]:
    """Chunks that are read into one observation: neighbours of one file, so that ordinary events aggregate well.

    Take each group's before the next group; one at a time, so that their memory is used again and again.
    """
    number, size, file = 0, 0, ""

    def group_of(chunk: Chunk) -> int:
        nonlocal number, size, file
        if size >= CHUNKS_PER_OBSERVATION or chunk.file != file:
            number, size, file = number + 1, 0, chunk.file
        size += 1
        return number

    for _, group in groupby(chunks, group_of):
        yield group


def read_chunks(reader: Reader, chunks: Iterable[Chunk]) -> Observation:
    """Decode and judge chunks of one file."""
    malformed: list[Malformed] = []
    file = ""

    def blocks() -> Iterator[HeadBatch | Lines]:
        nonlocal file
        for chunk in chunks:
            file = chunk.file
            data, broken = load(chunk)
            malformed.extend(broken)
            yield from line_blocks(
                data,
                file=file,
                first_line=chunk.first_line,
                cluster=chunk.cluster,
                hint=chunk.format,
            )

    skipping = Skipping()
    observation = reader.read(skipping.heard(blocks()))
    skipping.tell(observation)
    observation.file = file
    observation.malformed = [*malformed, *observation.malformed]
    observation.malformed_total += len(malformed)
    return observation


def read_parallel(
    chunks: Iterable[Chunk],
    knowledge: Knowledge,
    workers: int,
    since: str,
    until: str,
) -> Iterator[Observation]:
    """Observations in the order of the chunks, read by `workers` processes."""
    context = multiprocessing.get_context("forkserver")
    decode = msgspec.msgpack.Decoder(Observation).decode
    _shield_workers()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (knowledge, since, until))
    try:
        under_way: deque[Future[bytes]] = deque()
        for group in grouped(chunks):
            with interrupts_held():  # as submitting may start a worker
                future = pool.submit(_read_in_worker, [chunk.light() for chunk in group])
            under_way.append(future)
            if len(under_way) >= workers * GROUPS_PER_WORKER:
                yield decode(under_way.popleft().result())
        while under_way:
            yield decode(under_way.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


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


def default_workers(size_bytes: int) -> int:
    """How many processes pay off for that much input on this machine."""
    return 1 if size_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def _start_worker(knowledge: Knowledge, since: str, until: str) -> None:
    global _reader  # noqa: PLW0603  # one reader a process is what its caches are for
    os.nice(STEP_BACK)
    rules, context = knowledge.load()
    _reader = Reader(rules, context, since=since, until=until)
    look_rarely()


def _read_in_worker(chunks: list[Chunk]) -> bytes:
    assert _reader is not None
    return msgspec.msgpack.encode(read_chunks(_reader, chunks))
