"""Every line number is the one in its file, however the file was cut and whoever read it."""

import gzip

import pytest

from kubewake.event import Malformed
from kubewake.observation import Observation
from kubewake.pipeline import reading
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.numbering import numbered
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource, loaded
from tests.unit.formats.samples import lines, native

BAD = {7: b"no event", 90: b'{"kind": "Event"', 150: b"[1, 2]"}
"""Lines that hold no event, by their number."""
READING_A_SECRET = {
    "resource": "secrets",
    "namespace": "kube-system",
    "name": "bootstrap-token-abcdef",
    "apiVersion": "v1",
}


def text(number):
    if number in BAD:
        return BAD[number] + b"\n"
    changes = {"objectRef": READING_A_SECRET, "verb": "get"} if number in {20, 120} else {}
    user = {"username": f"user-{number}", "groups": ["system:authenticated"]}
    time = f"2026-03-01T10:{number // 60:02}:{number % 60:02}.000001Z"
    return lines(
        native(auditID=f"a-{number}", stageTimestamp=time, requestReceivedTimestamp=time, user=user, **changes)
    )


def places(document):
    return sorted((place.file, place.line) for finding in document.findings for place in finding.locations)


@pytest.mark.parametrize("workers", [1, 2])
def test_lines_are_numbered_across_observations(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(reading, "CHUNKS_PER_OBSERVATION", 2)
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(text(number) for number in range(1, 200)))
    whole = scan(FileSource([str(log)]).chunks(), Knowledge())
    cut = scan(FileSource([str(log)], chunk_bytes=4000).chunks(), Knowledge(), workers=workers)
    assert [item.line for item in whole.input.malformed] == list(BAD)
    assert cut.input.malformed == whole.input.malformed
    assert {120, 20} <= {line for _, line in places(whole)}
    assert places(cut) == places(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_line_past_the_limit_is_counted_as_one(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(reading, "CHUNKS_PER_OBSERVATION", 2)
    log = tmp_path / "audit.log"
    long = b'{"a": "' + b"x" * 30_000 + b'"}\n'
    log.write_bytes(b"".join(long if number in {50, 51} else text(number) for number in range(1, 200)))
    source = FileSource([str(log)], chunk_bytes=4000, record_limit_bytes=20_000)
    document = scan(source.chunks(), Knowledge(), workers=workers)
    assert [item.line for item in document.input.malformed] == sorted([*BAD, 50, 51])
    assert {120, 20} <= {line for _, line in places(document)}


def test_files_of_the_same_time_are_numbered_each_for_itself(tmp_path):
    logs = {name: tmp_path / name for name in ("one.log", "two.log", "three.log.gz")}
    data = b"".join(text(number) for number in range(1, 200))
    for name, log in logs.items():
        log.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    document = scan(FileSource([str(tmp_path)], chunk_bytes=4000).chunks(), Knowledge())
    found = {
        name: [item.line for item in document.input.malformed if item.file == str(log)] for name, log in logs.items()
    }
    assert found == {name: list(BAD) for name in logs}


def test_loaded_chunks_know_their_first_line(tmp_path):
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(text(number) for number in range(1, 200)))
    first, behind = 1, []
    for _, line, data, _ in loaded(FileSource([str(log)], chunk_bytes=4000).chunks()):
        assert line == first
        first += data.count(b"\n")
        behind.append(first)
    assert behind[-1] == 200
    assert len(behind) > 5


def test_what_is_wrong_with_the_whole_file_stays_so():
    def read(lines):
        malformed = [Malformed("log", 0, "lost"), Malformed("log", 2, "no event")]
        return Observation(file="log", stubs=[], lines=lines, malformed=malformed, faults=malformed[1:])

    _, second, told = numbered([read(5), read(5), read(0)])
    assert [item.line for item in second.malformed] == [0, 7]
    assert [item.line for item in second.faults] == [7]
    assert [item.line for item in told.malformed] == [0, 2]
