"""The same log gives the same result, however it is cut, spread over processes, disordered, repeated or interrupted."""

import json
import random
import re
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from kubewake.demo.recording import lines
from kubewake.engine import Fold, LiveFold, News, Reader
from kubewake.finding import Finding, Incident, ResultDocument
from kubewake.formats import head_batches
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource

EVENTS = 9_000


@pytest.fixture(scope="module")
def events() -> list[bytes]:
    return lines()[:EVENTS]


@pytest.fixture(scope="module")
def log(events, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "audit.log"
    path.write_bytes(b"\n".join(events) + b"\n")
    return path


@pytest.fixture(scope="module")
def expected(log) -> dict:
    return result(scan(FileSource([str(log)]).chunks(), Knowledge()))


def result(document: ResultDocument) -> dict:
    plain = msgspec.to_builtins(document, enc_hook=list)
    return {
        "findings": [msgspec.to_builtins(finding) for finding in document.findings],
        "incidents": plain["incidents"],
        "events": plain["input"]["events"],
    }


def text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=list)


def fold_lines(parts: list[list[bytes]], *, restart: bool = False) -> dict:
    rules, context = Knowledge().load()
    reader, fold = Reader(rules, context), Fold(rules)
    closed = []
    for part in parts:
        fold.absorb(reader.read(head_batches(b"\n".join(part) + b"\n", file="audit.log")))
        fold.advance()
        closed += fold.closed()
        if restart:
            saved = fold.snapshot()
            reader, fold = Reader(rules, context), Fold(rules)
            fold.restore(saved)
    fold.advance(flush=True)
    closed += fold.finish()
    incident_of = {finding: incident.id for incident in fold.incidents() for finding in incident.findings}
    for finding in closed:
        finding.incident = incident_of.get(finding.id)
    closed.sort(key=lambda finding: (finding.time, finding.id))
    return result(fold.document(closed))


def without_places(found: dict) -> dict:
    """Findings without line numbers, which a shuffled copy has elsewhere."""
    return {
        "findings": sorted(
            ({key: value for key, value in finding.items() if key != "locations"} for finding in found["findings"]),
            key=lambda finding: finding["id"],
        ),
        "incidents": found["incidents"],
    }


def live_lines(parts: list[list[bytes]], *, restart: bool = False) -> dict:
    """What people know in the end who are told of everything at once; a restart may come after any part."""
    rules, context = Knowledge().load()
    reader, fold = Reader(rules, context), LiveFold(lambda: Fold(rules))
    told: dict[str, Finding | Incident] = {}

    def take(news: News) -> None:
        told.update((item.id, item) for item in news.changed if isinstance(item, Finding | Incident))
        for item in news.withdrawn:
            del told[item.id]

    for number, part in enumerate(parts):
        fold.absorb(reader.read(head_batches(b"\n".join(part) + b"\n", file="audit.log")))
        take(fold.advance())
        if restart and number % 10 == 0 and not fold.is_between:
            saved = fold.snapshot()
            fold = LiveFold(lambda: Fold(rules))
            fold.restore(saved)
            fold.expect(item for item in told.values() if item.last_time >= fold.settled_from)
    assert fold.settled_from  # ten minutes of event time have ended on the way
    take(fold.settle())
    incidents = [item for item in told.values() if isinstance(item, Incident) and "Part of incident" not in item.title]
    incident_of = {finding: incident.id for incident in incidents for finding in incident.findings}
    findings = [item for item in told.values() if isinstance(item, Finding)]
    for finding in findings:
        finding.incident = incident_of.get(finding.id)
    incidents.sort(key=lambda incident: (incident.first_time, incident.id))
    return msgspec.to_builtins({"findings": findings, "incidents": incidents}, enc_hook=list)


def disorder(events: list[bytes], rng: random.Random) -> list[bytes]:
    """The events as they may come: each up to 20 seconds late."""
    times = [msgspec.json.decode(event)["stageTimestamp"] for event in events]
    seconds = [float(time[11:13]) * 3600 + float(time[14:16]) * 60 + float(time[17:26]) for time in times]
    return [events[number] for number in sorted(range(len(events)), key=lambda n: seconds[n] + rng.uniform(0, 20))]


def test_there_is_something_to_compare(expected):
    assert expected["events"] == EVENTS
    assert len(expected["findings"]) > 50
    assert len(expected["incidents"]) > 3


@pytest.mark.parametrize("chunk_bytes", [256 * 1024, 1_500_000])
def test_chunk_size_changes_nothing(log, expected, chunk_bytes):
    source = FileSource([str(log)], chunk_bytes=chunk_bytes)

    assert text(expected) == text(result(scan(source.chunks(), Knowledge())))


def test_the_number_of_workers_changes_nothing(log, expected):
    source = FileSource([str(log)], chunk_bytes=1_000_000)

    assert text(expected) == text(result(scan(source.chunks(), Knowledge(), workers=2)))


def test_a_restart_between_any_two_batches_changes_nothing(events):
    parts = [events[start : start + 1500] for start in range(0, len(events), 1500)]

    assert text(fold_lines(parts)) == text(fold_lines(parts, restart=True))


def test_disorder_and_repeats_within_the_watermark_change_nothing(events):
    rng = random.Random(7)
    disordered = disorder(events, rng)
    repeated = [part for event in disordered for part in ([event, event] if rng.random() < 0.05 else [event])]
    parts = [repeated[start : start + 700] for start in range(0, len(repeated), 700)]

    assert text(without_places(fold_lines([events]))) == text(without_places(fold_lines(parts)))


def moved(events: list[bytes], middle: str) -> list[bytes]:
    """The events with later times, so that a minute that ends a span of ten is in their middle."""
    stamp = re.compile(rb'("(?:requestReceivedTimestamp|stageTimestamp)":")([^"]+)"')
    half = datetime.fromisoformat(msgspec.json.decode(events[len(events) // 2])["stageTimestamp"])
    shift = datetime.fromisoformat(middle) - half

    def move(match: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(match[2].decode()) + shift
        return match[1] + moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() + b'"'

    return [stamp.sub(move, event) for event in events]


@pytest.mark.parametrize("is_disordered", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_watched_live_it_comes_to_the_same(events, is_disordered, restart):
    rng = random.Random(11)
    arrived = moved(events, "2026-11-23T09:20:10Z")
    expected = fold_lines([arrived])
    if is_disordered:
        arrived = disorder(arrived, rng)
    parts, rest = [], arrived
    while rest:
        size = rng.randint(1, 400)
        parts.append(rest[:size])
        rest = rest[size:]

    assert text(without_places(expected)) == text(without_places(live_lines(parts, restart=restart)))
