import gzip
import json
import os
import pickle
import subprocess
import sys
from io import BytesIO
from tempfile import NamedTemporaryFile

import pytest
import zstandard

from kubewake import formats
from kubewake.errors import InputError
from kubewake.sources import files
from kubewake.sources.files import FileSource, expand, load, loaded, time_range
from tests.unit.formats.samples import lines, native, text


def at(second, name="a", **changes):
    time = f"2026-03-01T10:{second // 60:02}:{second % 60:02}.000001Z"
    return native(auditID=f"{name}-{second}", stageTimestamp=time, requestReceivedTimestamp=time, **changes)


def read(*paths, pickled=True, **options):
    """Events as (audit id, file, line), malformed, and the source."""
    source = FileSource([str(path) for path in paths], **options)
    found, malformed = [], []
    with NamedTemporaryFile(buffering=0) as store:
        chunks = (pickle.loads(pickle.dumps(chunk.light(store))) if pickled else chunk for chunk in source.chunks())
        for chunk, first_line, data, wrong in loaded(chunks):
            malformed += wrong
            assert len(data) == chunk.length
            for batch in formats.batches(
                data, file=chunk.file, first_line=first_line, cluster=chunk.cluster, hint=chunk.format
            ):
                malformed += batch.malformed
                found += [
                    (event.audit_id, batch.file, line) for event, line in zip(batch.events, batch.lines, strict=True)
                ]
    return found, malformed, source


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.log"
    path.write_bytes(lines(*(at(second) for second in range(50))))
    return path


EXPECTED = [(f"a-{second}", second + 1) for second in range(50)]


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("chunk_bytes", [300, 5000, files.CHUNK_BYTES])
def test_a_plain_file_in_chunks_of_any_size(log, chunk_bytes, pickled):
    found, malformed, source = read(log, chunk_bytes=chunk_bytes, pickled=pickled)
    assert [(name, line) for name, _, line in found] == EXPECTED
    assert not malformed
    assert source.recognised == {str(log): "Kubernetes audit event, one a line"}
    assert source.size_bytes() == log.stat().st_size


def test_chunks_of_a_plain_file_travel_without_their_bytes(log):
    (chunk,) = FileSource([str(log)]).chunks()
    sent = pickle.dumps(chunk.light(BytesIO()))
    assert len(sent) < 1000
    assert load(pickle.loads(sent)) == (log.read_bytes(), [])


def test_a_file_that_is_renamed_is_read_to_its_end(log):
    chunks = FileSource([str(log)], chunk_bytes=1000).chunks()
    expected = log.read_bytes()
    data = load(next(chunks))[0]
    log.rename(log.with_suffix(".1"))
    log.write_bytes(lines(at(1)))
    assert data + b"".join(load(chunk)[0] for chunk in chunks) == expected


def test_chunks_cover_the_file_without_gap_or_overlap(log):
    position = 0
    for chunk in FileSource([str(log)], chunk_bytes=1000).chunks():
        assert chunk.offset == position
        position += chunk.length
    assert position == log.stat().st_size


@pytest.mark.parametrize(
    ("compress", "layers"),
    [
        (gzip.compress, "gzip"),
        (lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]), "gzip"),
        (zstandard.compress, "zstd"),
        (lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]), "zstd"),
        (lambda data: __import__("bz2").compress(data), "bzip2"),
        (lambda data: __import__("lzma").compress(data), "xz"),
        (lambda data: gzip.compress(zstandard.compress(data)), "gzip, zstd"),
        (lambda data: data.decode().encode("utf-16"), "UTF-16"),
        (lambda data: gzip.compress(data) + b"\0" * 100, "gzip"),
    ],
)
def test_compression_is_known_by_content_not_by_name(log, compress, layers):
    packed = log.with_name("audit.json")
    packed.write_bytes(compress(log.read_bytes()))
    found, malformed, source = read(packed, chunk_bytes=4000)
    assert [(name, line) for name, _, line in found] == EXPECTED
    assert not malformed
    assert source.recognised[str(packed)].endswith(layers)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_truncated_stream_gives_what_it_holds_and_is_named(tmp_path, compress):
    noise = [at(second, requestObject={"noise": os.urandom(400).hex()}) for second in range(300)]
    whole = compress(lines(*noise))
    path = tmp_path / "audit.log.gz"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found, malformed, _ = read(path, chunk_bytes=10_000)
    if compress is gzip.compress:
        assert 100 < len(found) < 300
    assert "breaks off before its end" in malformed[-1].reason or "breaks off before its end" in malformed[0].reason
    assert all(item.file == str(path) for item in malformed)


def test_damage_inside_a_stream_is_named(tmp_path, log):
    whole = bytearray(gzip.compress(log.read_bytes()))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "damaged.gz"
    path.write_bytes(bytes(whole))
    _, malformed, _ = read(path)
    assert any("damaged gzip data" in item.reason for item in malformed)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"\n \n", "nothing but white space"),
        (b"\xef\xbb\xbf", "nothing but white space"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"PAR1rest", "Parquet"),
        (b"a" * 257 + b"ustar\x0000", "tar archive"),
        (gzip.compress(b"a" * 257 + b"ustar\x0000"), "tar archive"),
        (gzip.compress(b""), "an empty file"),
        (b"hello\n", "text, no JSON"),
        (bytes(range(256)) * 3, "binary"),
        (b"\x1f\x8bgarbage", "damaged gzip"),
        (b"\x28\xb5\x2f\xfdgarbage", "zstd data"),
        (b"[1,2,3]", "array"),
    ],
    ids=range(13),
)
def test_what_holds_no_events_is_named_with_its_file(tmp_path, data, reason):
    path = tmp_path / "strange"
    path.write_bytes(data)
    found, malformed, _ = read(path)
    assert not found
    assert any(reason in item.reason for item in malformed)
    assert {item.file for item in malformed} == {str(path)}


def test_documents_are_re_cut_and_keep_their_lines(tmp_path):
    path = tmp_path / "list.json"
    items = [at(second) for second in range(20)]
    path.write_text(json.dumps({"kind": "EventList", "items": items}, indent=1))
    found, malformed, source = read(path, chunk_bytes=700)
    assert [name for name, _, _ in found] == [f"a-{second}" for second in range(20)]
    text_lines = path.read_text().split("\n")
    assert all(text_lines[line - 1] == "  {" for _, _, line in found)
    assert not malformed
    assert source.recognised[str(path)] == "Kubernetes audit event, documents"


def test_a_line_past_the_limit_is_named_and_stepped_over(tmp_path):
    path = tmp_path / "audit.log"
    path.write_bytes(lines(at(0), at(1), native(userAgent="x" * 50_000), at(2)))
    found, malformed, _ = read(path, chunk_bytes=1000, record_limit_bytes=20_000)
    assert [(name, line) for name, _, line in found] == [("a-0", 1), ("a-1", 2), ("a-2", 4)]
    assert [(item.line, "longer than 20000 bytes" in item.reason) for item in malformed] == [(3, True)]


@pytest.mark.parametrize("length", [100, 19_000, 21_000, 40_000, 65_000])
@pytest.mark.parametrize("chunk_bytes", [64, 1000, 30_000, 100_000])
def test_long_lines_are_read_or_named_whatever_the_size_of_chunks(tmp_path, chunk_bytes, length):
    path = tmp_path / "audit.log"
    records = [
        at(0),
        native(auditID="long", userAgent="x" * length),
        at(1),
        native(auditID="last", userAgent="x" * length),
    ]
    path.write_bytes(lines(*records).rstrip())
    found, malformed, _ = read(path, chunk_bytes=chunk_bytes, record_limit_bytes=20_000)
    places = {name: line for name, _, line in found}
    assert places["a-0"] == 1
    assert places["a-1"] == 3
    assert sorted({*places.values(), *(item.line for item in malformed)}) == [1, 2, 3, 4]
    assert len(found) + len(malformed) == 4
    if length > 50_000 + chunk_bytes:
        assert len(malformed) == 2


def test_a_pipe_in_place_of_a_file_is_read_once(tmp_path, log):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(
        [sys.executable, "-c", f"open({str(pipe)!r}, 'wb').write(open({str(log)!r}, 'rb').read())"]
    )
    found, malformed, _ = read(pipe, log)
    assert writer.wait(timeout=30) == 0
    assert len(found) == 100
    assert not malformed


def test_a_first_line_past_the_limit_is_named_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_HEAD_BYTES", 4000)
    path = tmp_path / "audit.log"
    path.write_bytes(text(native(userAgent="x" * 50_000)) + b"\n" + lines(at(1)))
    found, malformed, _ = read(path, chunk_bytes=1000, record_limit_bytes=20_000)
    assert [(name, line) for name, _, line in found] == [("a-1", 2)]
    assert [item.line for item in malformed] == [1]


def test_a_file_that_shrinks_is_named(log):
    chunks = [
        pickle.loads(pickle.dumps(chunk.light(BytesIO())))
        for chunk in FileSource([str(log)], chunk_bytes=1000).chunks()
    ]
    log.write_bytes(b"")
    data, malformed = load(chunks[-1])
    assert data == b""
    assert "bytes lost" in malformed[0].reason
    log.unlink()
    assert "No such file" in load(chunks[-1])[1][0].reason


def test_an_unreadable_file_is_named(tmp_path, log):
    found, malformed, _ = read(log, tmp_path / "sub" if (tmp_path / "sub").mkdir() else log)
    assert len(found) == 50
    assert not malformed
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="No such file"):
        expand([str(tmp_path / "gone")])


def test_expand_names_every_file_once(tmp_path):
    names = [
        "a/audit.log",
        "a/audit-2026-03-01T10-00-00.000.log.gz",
        "a/b/kube-apiserver/audit.log",
        "a/notes.txt",
        "a/.x.log",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (tmp_path / "a/current.log").symlink_to(tmp_path / "a/audit.log")
    found = expand([str(tmp_path), str(tmp_path / "a/*.log"), str(tmp_path / "a" / "audit.log")])
    assert sorted(os.path.relpath(path, tmp_path) for path in found) == sorted(names[:3])
    assert expand([str(tmp_path / "a/notes.txt"), "-"]) == [str(tmp_path / "a/notes.txt"), "-"]


def test_a_directory_without_logs_is_read_whole(tmp_path):
    (tmp_path / "events").write_text("{}")
    assert expand([str(tmp_path)]) == [str(tmp_path / "events")]


@pytest.mark.parametrize("path", ["missing.log", "none*.log", "sub"])
def test_a_path_that_names_nothing_is_an_error_that_says_what_to_do(tmp_path, path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match=";"):
        expand([str(tmp_path / path)])


def test_rotated_files_are_read_in_the_order_of_their_events(tmp_path):
    for name, start in (("audit.log", 100), ("audit-old.log", 0), ("audit-mid.log.gz", 50)):
        data = lines(*(at(second) for second in range(start, start + 50)))
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found, malformed, _ = read(tmp_path, chunk_bytes=3000)
    assert [name for name, _, _ in found] == [f"a-{second}" for second in range(150)]
    assert not malformed


@pytest.mark.parametrize("chunk_bytes", [2000, files.CHUNK_BYTES])
def test_files_of_the_same_time_take_turns(tmp_path, chunk_bytes):
    for offset, name in enumerate("abc"):
        records = [at(second, name) for second in range(offset * 100, 600, 2)]
        (tmp_path / f"{name}.log").write_bytes(lines(*records))
    found, malformed, _ = read(tmp_path, chunk_bytes=chunk_bytes)
    assert not malformed
    assert len(found) == 300 + 250 + 200
    seconds = [int(name.partition("-")[2]) for name, _, _ in found]
    latest = 0
    for second in seconds:
        assert second > latest - files.SLICE_SECONDS - 1
        latest = max(latest, second)
    for name in "abc":
        own = [(int(audit_id.partition("-")[2]), line) for audit_id, _, line in found if audit_id.startswith(name)]
        assert own == sorted(own)
        assert [line for _, line in own] == list(range(1, len(own) + 1))


def test_files_without_times_are_read_too(tmp_path):
    (tmp_path / "a.log").write_bytes(lines(native(stageTimestamp=None, requestReceivedTimestamp=None)) * 3)
    (tmp_path / "b.log").write_bytes(lines(at(1)))
    (tmp_path / "c.log").write_bytes(b"garbage\n" * 5)
    (tmp_path / "d.log").write_bytes(b"")
    found, malformed, _ = read(tmp_path, chunk_bytes=1000)
    assert len(found) == 4
    assert len(malformed) == 6


def test_time_range(tmp_path, log):
    assert time_range(str(log)) == (at(0)["stageTimestamp"], at(49)["stageTimestamp"])
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert time_range(str(packed)) == (at(0)["stageTimestamp"], None)
    assert time_range(str(tmp_path / "none")) == (None, None)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input(log, compress):
    script = (
        "from kubewake.sources.files import FileSource, loaded\n"
        "from kubewake import formats\n"
        "for chunk, first_line, data, _ in loaded(FileSource(['-'], cluster='c').chunks()):\n"
        "    for batch in formats.batches(data, file=chunk.file, first_line=first_line, hint=chunk.format):\n"
        "        print(batch.file, chunk.cluster, len(batch.events), list(batch.lines)[-1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=compress(log.read_bytes()), capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().split("\n")[-2].split() == ["<stdin>", "c", "50", "50"]


def test_standard_input_passes_on_what_has_come_while_it_is_silent(log):
    script = (
        "from kubewake.sources.files import FileSource\n"
        "for chunk in FileSource(['-']).chunks(): print(chunk.length, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(log.read_bytes())
    process.stdin.flush()
    assert int(process.stdout.readline()) == log.stat().st_size
    process.stdin.write(b"{}\n")
    process.stdin.close()
    assert int(process.stdout.readline()) == 3
    process.stdout.close()
    assert process.wait(timeout=30) == 0
