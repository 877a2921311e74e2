"""`scan`: files to findings. `read` runs on all cores, one `fold` puts it together; memory does not grow with the log."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import msgspec

from kubewake.engine import Fold, Reader
from kubewake.finding import Finding, Incident, Notice, ResultDocument
from kubewake.formats import head_batches
from kubewake.observation import Observation
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.spill import FindingSpill
from kubewake.rbac import RbacState
from kubewake.sources.chunk import Chunk
from kubewake.sources.files import load

CHUNKS_PER_WORKER = 2
"""Chunks under way per worker: enough to keep it busy, few enough to bound memory."""

PARALLEL_FROM_BYTES = 48 * 1024 * 1024
"""Smaller inputs are done before a second process has started."""

_reader: Reader | None = None


def scan(
    chunks: Iterable[Chunk],
    knowledge: Knowledge,
    *,
    workers: int = 1,
    since: str = "",
    until: str = "",
    rbac: RbacState | None = None,
    on_change: Callable[[list[Finding | Incident | Notice]], None] | None = None,
    on_progress: Callable[[Observation], None] | None = None,
) -> ResultDocument:
    """Judge every event of the chunks and return the whole result.

    `on_change` gets findings as they open and grow, `on_progress` each observation when it is folded.
    """
    rules, context = knowledge.load()
    fold = Fold(rules, rbac=rbac, baselines=knowledge.baselines())
    spill = FindingSpill()
    if workers > 1:
        observations = read_parallel(chunks, knowledge, workers, since, until)
    else:
        reader = Reader(rules, context, since=since, until=until)
        observations = (read_chunk(reader, chunk) for chunk in chunks)
    for observation in observations:
        fold.absorb(observation)
        changed = fold.advance()
        if on_change is not None and (changed or observation.malformed):
            on_change([*observation.malformed, *changed])  # type: ignore[list-item]  # malformed lines are reported too
        spill.extend(fold.closed())
        if on_progress is not None:
            on_progress(observation)
    changed = fold.advance(flush=True)
    if on_change is not None and changed:
        on_change(changed)
    spill.extend(fold.finish())
    spill.incident_of = {finding: incident.id for incident in fold.incidents() for finding in incident.findings}
    return fold.document(spill)


def read_chunk(reader: Reader, chunk: Chunk) -> Observation:
    """Decode and judge one chunk."""
    data, malformed = load(chunk)
    observation = reader.read(
        head_batches(data, file=chunk.file, first_line=chunk.first_line, cluster=chunk.cluster, hint=chunk.format),
    )
    observation.file = chunk.file
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
    with ProcessPoolExecutor(workers, context, _start_worker, (knowledge, since, until)) as pool:
        under_way: deque[Future[bytes]] = deque()
        for chunk in chunks:
            under_way.append(pool.submit(_read_in_worker, chunk))
            if len(under_way) >= workers * CHUNKS_PER_WORKER:
                yield decode(under_way.popleft().result())
        while under_way:
            yield decode(under_way.popleft().result())


def default_workers(size_bytes: int) -> int:
    """How many processes pay off for that much input on this machine."""
    return 1 if size_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def _start_worker(knowledge: Knowledge, since: str, until: str) -> None:
    global _reader  # noqa: PLW0603  # one reader a process is what its caches are for
    rules, context = knowledge.load()
    _reader = Reader(rules, context, since=since, until=until)


def _read_in_worker(chunk: Chunk) -> bytes:
    assert _reader is not None
    return msgspec.msgpack.encode(read_chunk(_reader, chunk))
