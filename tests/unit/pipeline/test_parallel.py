import multiprocessing
import threading

import pytest

from kubewake.demo import recording
from kubewake.engine import Reader
from kubewake.errors import StoreError
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
    found = list(parallel.read_parallel(source.chunks(), new_reader(knowledge), PROCESSES))
    assert found == expected
    # While the worker starts, which takes longer than reading the whole log, the first process goes on. None is read twice.
    assert 0 < len(read_here) <= len(expected)


def test_what_a_killed_worker_leaves_is_read_all_the_same(source, knowledge):
    alone = new_reader(knowledge)
    expected = [read_chunks(alone, group) for group in grouped(source.chunks())]
    found = parallel.read_parallel(source.chunks(), new_reader(knowledge), PROCESSES)
    first = [next(found)]
    for worker in multiprocessing.active_children():
        worker.kill()
    assert first + list(found) == expected


def test_no_more_is_under_way_than_is_told(source, knowledge):
    drawn = []

    def chunks():
        for chunk in source.chunks():
            drawn.append(chunk)
            yield chunk

    most = (PROCESSES - 1) * parallel.GROUPS_PER_WORKER + parallel.GROUPS_IN_STORE
    observations = parallel.read_parallel(chunks(), new_reader(knowledge), PROCESSES)
    next(observations)
    assert len(drawn) <= most + 1
    observations.close()


def test_where_no_temporary_file_can_be_written_the_error_says_what_to_do(source, knowledge, monkeypatch, tmp_path):
    full = tmp_path / "gone"
    monkeypatch.setattr(parallel.tempfile, "TemporaryDirectory", lambda prefix: Gone(full))
    observations = parallel.read_parallel(source.chunks(), new_reader(knowledge), PROCESSES)
    with pytest.raises(StoreError, match="No such file or directory; set TMPDIR to one with room"):
        list(observations)


class Gone:
    """A temporary folder that is not there any more."""

    def __init__(self, path):
        self.name = str(path)

    def cleanup(self):
        pass
