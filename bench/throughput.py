"""Throughput of decode alone, decode and facts, and the whole of `scan`, as ratios in one run.

    python -m bench.throughput --recordings DIR [--events 2000000]

Builds two uncompressed logs from a recording (as recorded, and with bodies taken out as under a Metadata policy), repeated
with later times and other audit ids, and runs each stage in a process of its own. Start-up is excluded: every stage
reports the time from its first byte to its last result. Peak memory is the whole process's.
"""

import argparse
import io
import json
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import zstandard
from msgspec import Raw, Struct

STAMP = re.compile(rb'("(?:requestReceivedTimestamp|stageTimestamp)":")([^"]+)(")')
AUDIT_ID = re.compile(rb'("auditID":"[^"]*?)([0-9a-f]{1,6})(")')
REPEAT_SECONDS = 1800


class User(Struct):
    username: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] | None = None


class ObjectRef(Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    apiGroup: str = ""
    subresource: str = ""


class Status(Struct):
    code: int = 0


class MinimalEvent(Struct):
    """The least that a detector could decode: the yardstick."""

    auditID: str = ""
    stage: str = ""
    verb: str = ""
    requestURI: str = ""
    user: User | None = None
    userAgent: str = ""
    sourceIPs: list[str] = []
    objectRef: ObjectRef | None = None
    responseStatus: Status | None = None
    requestObject: Raw = Raw(b"")
    responseObject: Raw = Raw(b"")
    annotations: dict[str, str] | None = None
    stageTimestamp: str = ""


def lines_of(recording: Path) -> list[bytes]:
    with recording.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        return stream.read().splitlines(keepends=True)


def without_bodies(line: bytes) -> bytes:
    event = json.loads(line)
    event.pop("requestObject", None)
    event.pop("responseObject", None)
    event["level"] = "Metadata"
    return msgspec.json.encode(event) + b"\n"


def repeat(lines: list[bytes], events: int, out: Path) -> int:
    written = 0
    with out.open("wb", buffering=1 << 20) as file:
        for number in range(events // len(lines) + 1):
            shift = timedelta(seconds=REPEAT_SECONDS * number)
            moved: dict[bytes, bytes] = {}

            def move(match: re.Match[bytes], shift: timedelta = shift, moved: dict[bytes, bytes] = moved) -> bytes:
                text = match[2]
                if text not in moved:
                    moment = datetime.fromisoformat(text.decode()) + shift
                    moved[text] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
                return match[1] + moved[text] + match[3]

            tag = b"%04x" % number
            for line in lines:
                moved_line = STAMP.sub(move, line) if number else line
                file.write(AUDIT_ID.sub(rb"\g<1>\g<2>" + tag + rb"\g<3>", moved_line, count=1))
                written += 1
                if written >= events:
                    return written
    return written


def decode_alone(path: Path) -> int:
    if path.suffix == ".zst":
        return decode_compressed(path)
    decode = msgspec.json.Decoder(MinimalEvent).decode
    count = 0
    with path.open("rb") as lines:
        for line in lines:
            decode(line)
            count += 1
    return count


def decode_compressed(path: Path) -> int:
    decode = msgspec.json.Decoder(MinimalEvent).decode
    count = 0
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.BufferedReader(stream, 1 << 20):
            decode(line)
            count += 1
    return count


def decode_and_facts(path: Path) -> int:
    from kubewake.facts import Facts
    from kubewake.formats import batches
    from kubewake.sources.files import FileSource, loaded

    count = 0
    for chunk, first_line, data, _ in loaded(FileSource([str(path)]).chunks()):
        for batch in batches(data, file=chunk.file, first_line=first_line, hint=chunk.format):
            for event in batch.events:
                facts = Facts(event)
                facts.value("outcome")
                facts.value("actor.kind")
                facts.value("client.family")
                count += 1
    return count


def whole_scan(path: Path, jobs: int) -> int:
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.scan import scan
    from kubewake.sources.files import FileSource

    return scan(FileSource([str(path)]).chunks(), Knowledge(), workers=jobs).input.events


def scan_with_first_pack(path: Path) -> int:
    """The whole engine, detectors and baseline too, with the first rules only."""
    from bench.first_pack import first_pack
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.scan import scan
    from kubewake.sources.files import FileSource

    return scan(FileSource([str(path)]).chunks(), Knowledge(rule_paths=first_pack(), builtin=False)).input.events


def warm_up(path: Path) -> None:
    """Load code, rules and caches before the clock starts."""
    with tempfile.NamedTemporaryFile("wb", suffix=".jsonl") as small, path.open("rb") as lines:
        for _, line in zip(range(200), lines, strict=False):
            small.write(line)
        small.flush()
        whole_scan(Path(small.name), 1)


STAGES: dict[str, Callable[[Path], int]] = {
    "decode alone": decode_alone,
    "decode + facts": decode_and_facts,
    "scan, first pack": scan_with_first_pack,
    "scan, 1 process": lambda path: whole_scan(path, 1),
    "scan, 2 processes": lambda path: whole_scan(path, 2),
}


class Measured(Struct):
    stage: str
    events: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


def own_peak_mb() -> float:
    """The process's own peak: getrusage would count the parent that it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(stage: str, path: Path, sent: "multiprocessing.connection.Connection") -> None:
    if stage.startswith("scan"):
        warm_up(path)
    before = time.process_time()
    start = time.perf_counter()
    events = STAGES[stage](path)
    wall = time.perf_counter() - start
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - before + children.ru_utime + children.ru_stime
    peak = own_peak_mb() + children.ru_maxrss / 1024
    sent.send(Measured(stage, events, wall, cpu, peak))


def run(path: Path, repeats: int) -> Iterator[Measured]:
    context = multiprocessing.get_context("spawn")
    for stage in STAGES:
        best: Measured | None = None
        for _ in range(repeats):
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=measure, args=(stage, path, send))
            process.start()
            send.close()  # so that a stage that fails ends the wait
            result: Measured = receive.recv()
            process.join()
            if best is None or result.wall_seconds < best.wall_seconds:
                best = result
        assert best is not None
        yield best


def show(title: str, path: Path, repeats: int) -> None:
    size = path.stat().st_size
    print(f"\n{title}: {size / 1e6:,.0f} MB")
    yardstick = one = first = None
    for result in run(path, repeats):
        rate = result.events / result.wall_seconds
        per_cpu = result.events / result.cpu_seconds
        yardstick = yardstick or per_cpu
        note = ""
        if result.stage == "scan, first pack":
            first = per_cpu
        if result.stage == "scan, 1 process" and first:
            one = rate
            note = f"  {per_cpu / first - 1:+.1%} against the first pack (bar -15 %)"
        if result.stage == "scan, 2 processes" and one:
            note = f"  {rate / one:.2f} x one process (bar 1.6)"
        print(
            f"  {result.stage:<18} {result.events:>9,} events {rate:>9,.0f}/s wall {per_cpu:>9,.0f}/CPU s "
            f"{per_cpu / yardstick:6.3f} of decode alone  {result.peak_mb:6.0f} MB peak{note}",
        )
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, default=Path("../shared/recordings"))
    parser.add_argument("--recording", default="dev3")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    recording = options.recordings / options.recording / "audit.jsonl.zst"
    if not recording.exists():
        print(f"{recording} is not there: give --recordings DIR. Nothing was measured.")
        return 0
    lines = lines_of(recording)
    with tempfile.TemporaryDirectory(prefix="kubewake-bench-") as folder:
        full, metadata = Path(folder, "full.jsonl"), Path(folder, "metadata.jsonl")
        repeat(lines, options.events, full)
        show("as recorded", full, options.repeats)
        with full.open("rb") as log, Path(folder, "full.jsonl.zst").open("wb") as out:
            zstandard.ZstdCompressor(3).copy_stream(log, out)
        full.unlink()
        show("as recorded, zstd (reported apart)", Path(folder, "full.jsonl.zst"), options.repeats)
        Path(folder, "full.jsonl.zst").unlink()
        repeat([without_bodies(line) for line in lines], options.events, metadata)
        show("Metadata only", metadata, options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
