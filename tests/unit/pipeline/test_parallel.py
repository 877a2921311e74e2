import threading

import pytest

from kubewake.demo import recording
from kubewake.engine import Reader
from kubewake.pipeline import parallel, reading
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.reading import grouped, read_chunks
from kubewake.sources.files import FileSource

CHUNK_BYTES = 128 * 1024
PROCESSES = 2


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The demo's log in many chunks, each of which is read into an observation of its own."""
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join(recording.lines()) + b"\n")
    monkeypatch.setattr(reading, "CHUNKS_PER_OBSERVATION", 1)
    return FileSource([str(log)], chunk_bytes=CHUNK_BYTES)


@pytest.fixture
def knowledge():
    return Knowledge()


def new_reader(knowledge):
    rules, context = knowledge.load()
    return Reader(rules, context)


def test_what_several_processes_read_comes_in_order_and_the_first_one_reads_too(source, knowledge, monkeypatch):
    alone = new_reader(knowledge)
    expected = [read_chunks(alone, group) for group in grouped(source.chunks())]
    assert len(expected) > 3 * PROCESSES * parallel.GROUPS_PER_WORKER

    read_here = []

    def reading_here(reader, chunks):
        read_here.append(threading.current_thread())
        return read_chunks(reader, chunks)

    monkeypatch.setattr(parallel, "read_chunks", reading_here)
    found = list(parallel.read_parallel(source.chunks(), knowledge, new_reader(knowledge), PROCESSES))
    assert found == expected
    # While the worker starts, which takes longer than reading the whole log, the first process goes on.
    assert 0 < len(read_here) < len(expected)


def test_no_more_waits_in_memory_than_it_may(source, knowledge, monkeypatch):
    monkeypatch.setattr(parallel, "MOST_HELD", 1)
    read_here = []
    monkeypatch.setattr(parallel, "read_chunks", lambda *item: read_here.append(0) or read_chunks(*item))
    observations = parallel.read_parallel(source.chunks(), knowledge, new_reader(knowledge), PROCESSES)
    next(observations)
    assert len(read_here) <= 1
    observations.close()
