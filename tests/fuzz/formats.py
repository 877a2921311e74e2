"""Fuzz the formats: `python -m tests.fuzz.formats --inputs 200000 [--seed N]`.

Inputs grow from one sound sample of every envelope: bytes are flipped, cut, doubled and spliced, fields replaced by values
of any kind, lines framed anew, whole inputs compressed and damaged. Of every input it is checked that

- nothing raises, and nothing is silent: an input that is not blank yields an event, or a malformed or skipped record;
- lines are those of the input, times have the one shape, and what comes out can be written as JSON again;
- a stream cut anywhere reads the same as the whole, and its heads tell the same as its events.

The first failure is printed with the seed that brings it back, and the exit code is 1.
"""

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from kubewake import formats
from kubewake.event import Batch
from kubewake.formats.times import are_normal
from kubewake.sources.files import FileSource, loaded
from tests.unit.formats import test_aks, test_eks, test_gke, test_normalised
from tests.unit.formats.samples import native, text

FILE = "fuzz"
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**25, "", "x", "\0", "\u202e", "é" * 40, [], [None], [1, "a"], {}, {"a": None}, [[]],
    {"kind": "Event"}, "{}", "[1]", '{"verb":"get"}', "2026-03-01T10:00:00Z", 1772359200000, "NaN", "x" * 3000,
)  # fmt: skip
ODD_BYTES = (
    b"\0", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"1e999",
    b"null", b"}{", b"}\n{", b"[" * 3000, b'{"a":' * 3000, b"[Truncated...]", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"H4sI",
)  # fmt: skip


def samples() -> list[Any]:
    """One sound record of every envelope."""
    message = test_eks.message()
    return [
        native(),
        native(metadata={"creationTimestamp": "2017-09-11T19:55:05Z"}, timestamp="2017-09-11T19:55:05Z"),
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [native(), native(verb="get")]},
        [native(), native(verb="delete")],
        test_eks.payload(message, message),
        {"awslogs": {"data": test_eks.pack(test_eks.payload(message))}},
        {"logStreamName": test_eks.STREAM, "message": message, "timestamp": 1, "ingestionTime": 1},
        {"results": [[{"field": "@message", "value": message}]], "statistics": {}},
        test_gke.entry(),
        test_gke.entry("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec"),
        {"protopayload_auditlog": {"methodName": "io.k8s.core.v1.pods.get", "requestJson": "{}"}, "insertId": "1"},
        {"logStreamName": test_eks.STREAM, "message": test_eks.CUT, "timestamp": 1772359200000, "ingestionTime": 1},
        {"message": test_gke.pubsub(test_gke.entry()), "subscription": "s"},
        {"records": [test_aks.diagnostic(message), test_aks.diagnostic("klog", "guard")]},
        test_aks.diagnostic(native()),
        test_aks.ROW,
        {"tables": [{"columns": [{"name": key} for key in test_aks.ROW], "rows": [list(test_aks.ROW.values())]}]},
        {"message": json.dumps({"short_message": message, "version": "1.1"})},
        {**native(), "p_log_type": "Amazon.EKS.Audit", "p_enrichment": {"a": 1}},
        {
            "kubernetes": {"audit": native(annotations=test_normalised.UNDERSCORED)},
            "@timestamp": "2026-03-01T10:00:00Z",
        },
        {f"kubernetes.audit.{key}": value for key, value in native().items()},
        {"gcp": {"audit": {"service_name": "k8s.io", "method_name": "io.k8s.core.v1.pods.get", "status": {"code": 7}}}},
        {"azure": {"platformlogs": {"properties": {"log": message}}}},
        {"hits": {"hits": [{"_source": {"kubernetes": {"audit": native()}}}]}},
        {**native(), **test_normalised.HTTP},
        {"attributes": {"attributes": native(), "tags": ["kube_cluster_name:c"]}},
        {"log": message, "stream": "stdout"},
        {"auditID": "1", "requestURI": "/v3/users", "method": "PUT", "requestTimestamp": "2026-03-01T10:00:00Z"},
        {"kind": "Event", "apiVersion": "v1", "involvedObject": {"kind": "Pod"}},
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


class Generator:
    """Makes inputs from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._encoded = [text(record) for record in samples()]
        self._places = [places(record) for record in samples()]
        self._changes: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._cut, self._insert, self._double, self._splice, self._remove,
        )  # fmt: skip

    def record(self) -> Any:
        """A sample with some of its values replaced."""
        number = self.random.randrange(len(self._encoded))
        record = json.loads(self._encoded[number])
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 4))):
            path = self.random.choice(self._places[number])
            self._replace(record, path)
        return record

    def _replace(self, record: Any, path: tuple[Any, ...]) -> None:
        holder = record
        for key in path[:-1]:
            try:
                holder = holder[key]
            except (KeyError, IndexError, TypeError):
                return
        action = self.random.random()
        if isinstance(holder, dict):
            if action < 0.2:
                holder.pop(path[-1], None)
            elif action < 0.3:
                holder[self.random.choice(("items", "message", "verb", "log", "attributes", ""))] = deepcopy(
                    holder.get(path[-1])
                )
            else:
                holder[path[-1]] = deepcopy(self.random.choice(ODD_VALUES))
        elif isinstance(holder, list) and isinstance(path[-1], int) and path[-1] < len(holder):
            holder[path[-1]] = deepcopy(self.random.choice(ODD_VALUES))

    def _flip(self, data: bytes) -> bytes:
        place = self.random.randrange(len(data) + 1)
        return data[:place] + bytes((self.random.randrange(256),)) + data[place + 1 :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self.random.randrange(len(data) + 1)]

    def _insert(self, data: bytes) -> bytes:
        place = self.random.randrange(len(data) + 1)
        return data[:place] + self.random.choice(ODD_BYTES) + data[place:]

    def _double(self, data: bytes) -> bytes:
        start = self.random.randrange(len(data) + 1)
        end = self.random.randrange(start, len(data) + 1)
        return data[:end] + data[start:end] + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self.random.choice(self._encoded)
        return data[: self.random.randrange(len(data) + 1)] + other[self.random.randrange(len(other)) :]

    def _remove(self, data: bytes) -> bytes:
        start = self.random.randrange(len(data) + 1)
        return data[:start] + data[start + self.random.randrange(1, 30) :]

    def input(self) -> bytes:
        """Some bytes."""
        if self.random.random() < 0.02:
            return self.random.randbytes(self.random.randrange(200))
        parts = []
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            indent = self.random.choice((None, None, None, None, 1))
            part = json.dumps(self.record(), indent=indent, separators=None if indent else (",", ":")).encode()
            for _ in range(self.random.choice((0, 0, 1, 1, 2))):
                part = self.random.choice(self._changes)(part)
            parts.append(part)
        return self.random.choice((b"\n", b"\n", b"\n", b"\r\n", b"", b",\n")).join(parts)


def is_blank(data: bytes) -> bool:
    """Whether the input may rightly yield nothing."""
    return not data.strip(b" \t\r\n\v\f,\xef\xbb\xbf\x1e")


def check(batch: Batch, data: bytes) -> None:
    """Raise AssertionError unless what came out is as promised."""
    assert len(batch.events) == len(batch.lines), "a line for every event"
    last = data.count(b"\n") + 1
    assert all(1 <= line <= last for line in batch.lines), "lines of the input"
    assert all(0 <= item.line <= last and item.reason and item.file == FILE for item in batch.malformed), (
        "a place and a reason"
    )
    assert batch.skipped == sum(batch.skipped_reasons.values()), "a reason for every skipped record"
    assert batch.events or batch.malformed or batch.skipped or is_blank(data), "silent"
    for event in batch.events:
        for moment in (event.stage_timestamp, event.request_received_timestamp):
            assert moment is None or are_normal((moment,)), "one shape of time"
        msgspec.json.encode(event)
        hash((event.user and (event.user.username, event.user.groups), event.source_ips, event.unknown, event.cluster))


def outcome(batches: list[Batch]) -> tuple[Any, ...]:
    """What must not depend on where a stream is cut; in how many pieces something broken is named may."""
    broken = any(batch.malformed for batch in batches)
    return (
        [event.audit_id for batch in batches for event in batch.events],
        [line for batch in batches for line in batch.lines],
        broken,
        0 if broken else sum(batch.skipped for batch in batches),
    )


def check_cuts(data: bytes, whole: Batch, generator: Generator) -> None:
    """Raise AssertionError unless the stream reads the same when it comes in parts."""
    decoder = formats.Decoder(FILE)
    step = generator.random.choice((1, 13, 100, 1000)) if len(data) < 5000 else 1000
    parts = [decoder.feed(data[start : start + step]) for start in range(0, len(data), step)]
    parts.append(decoder.finish())
    assert outcome(parts) == outcome([whole]), f"cut every {step} bytes: {outcome(parts)}, whole: {outcome([whole])}"


def check_heads(data: bytes) -> None:
    """Raise AssertionError unless the way through heads finds the same events."""
    lines = list(formats.batches(data, file=FILE, hint="native"))
    loaded = [
        (event.audit_id, line)
        for batch in formats.head_batches(data, file=FILE, hint="native")
        for index, line in enumerate(batch.lines)
        if (event := batch.load(index)) is not None
    ]
    whole = [(event.audit_id, line) for batch in lines for event, line in zip(batch.events, batch.lines, strict=True)]
    assert loaded == whole, f"heads: {loaded}, events: {whole}"


def check_file(data: bytes, folder: Path, generator: Generator) -> None:
    """Raise AssertionError unless a file of it, perhaps compressed and damaged, is read or named."""
    pack = generator.random.choice((bytes, gzip.compress, zstandard.compress))
    packed = pack(data)
    if generator.random.random() < 0.5:
        packed = generator.random.choice(generator._changes)(packed)
    path = folder / FILE
    path.write_bytes(packed)
    yielded = 0
    chunks = FileSource([str(path)], chunk_bytes=generator.random.choice((100, 10_000))).chunks()
    for chunk, first_line, content, malformed in loaded(chunks):
        yielded += len(malformed)
        for batch in formats.batches(content, file=FILE, first_line=first_line, hint=chunk.format):
            yielded += len(batch.events) + len(batch.malformed) + batch.skipped
    assert yielded or is_blank(data) or is_blank(packed), "a silent file"


def run(inputs: int, seed: int, *, report: bool = True) -> Counter[str]:
    """Check that many inputs; returns what came of them. Raises AssertionError or whatever the formats raised."""
    totals: Counter[str] = Counter()
    started = time.monotonic()
    generator = Generator(seed)
    with tempfile.TemporaryDirectory() as name:
        for number in range(inputs):
            generator.random.seed(seed + number)
            data = generator.input()
            try:
                batch = formats.decode(data, file=FILE)
                check(batch, data)
                if number % 5 == 0:
                    check_cuts(data, batch, generator)
                if number % 7 == 0:
                    check_heads(data)
                if number % 20 == 0:
                    check_file(data, Path(name), generator)
            except BaseException:
                print(f"input of seed {seed + number}: {data[:2000]!r}", file=sys.stderr)
                raise
            totals["events"] += len(batch.events)
            totals["judged in part"] += len(batch.faults)
            totals["malformed"] += len(batch.malformed)
            totals["skipped"] += batch.skipped
            if report and (number + 1) % 50_000 == 0:
                print(f"{number + 1:,} inputs, {time.monotonic() - started:.0f} s")
    return totals


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    totals = run(options.inputs, options.seed)
    summary = ", ".join(f"{count:,} {what}" for what, count in totals.items())
    print(f"{options.inputs:,} inputs, none crashed, none silent: {summary}")


if __name__ == "__main__":
    main()
