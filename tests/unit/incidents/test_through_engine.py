"""The whole engine on recorded slices: how the log is cut, ordered and repeated does not change the incidents."""

import random
from pathlib import Path

import msgspec
import pytest

from kubewake.engine import Fold, Reader
from kubewake.facts import Context
from kubewake.formats import batches
from kubewake.rules.pack import load_rules

DATA = Path(__file__).parents[2] / "data" / "lineage"
SLICES = ("farmed-tokens", "node-identity-stolen", "certificate-issued-and-used", "pod-entered", "grant-and-use")


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture(scope="module")
def lines():
    found = [line for name in SLICES for line in (DATA / f"{name}.jsonl").read_bytes().splitlines()]
    return sorted(found, key=lambda line: msgspec.json.decode(line)["stageTimestamp"])


def incidents_of(rules, lines, *, chunk=10_000, restart_every=0):
    fold, reader = Fold(rules), Reader(rules, Context())
    for number, start in enumerate(range(0, len(lines), chunk)):
        data = b"\n".join(lines[start : start + chunk]) + b"\n"
        fold.absorb(reader.read(batches(data, file="log", first_line=start + 1, cluster="c", hint=None)))
        fold.advance()
        if restart_every and number % restart_every == 0:
            saved, fold = fold.snapshot(), Fold(rules)
            fold.restore(saved)
    fold.advance(flush=True)
    document = fold.document(fold.finish())
    return [
        (i.id, i.score, sorted(i.audit_ids), i.root_cause.name, sorted(i.findings), i.story, len(i.timeline))
        for i in document.incidents
    ]


@pytest.fixture(scope="module")
def expected(rules, lines):
    found = incidents_of(rules, lines)
    assert found
    return found


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_chunk_size_is_irrelevant(rules, lines, expected, chunk):
    assert incidents_of(rules, lines, chunk=chunk) == expected


def test_restarts_are_irrelevant(rules, lines, expected):
    assert incidents_of(rules, lines, chunk=9, restart_every=1) == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_within_thirty_seconds_and_repeated(rules, lines, expected, seed):
    draw = random.Random(seed)
    times = [msgspec.json.decode(line)["stageTimestamp"] for line in lines]
    seconds = [int(time[11:13]) * 3600 + int(time[14:16]) * 60 + float(time[17:26]) for time in times]
    order = sorted(range(len(lines)), key=lambda i: seconds[i] + draw.uniform(0, 29))
    mixed = [lines[i] for i in order]
    for line in draw.sample(mixed, max(3, len(mixed) // 20)):
        mixed.insert(mixed.index(line) + 1, line)
    assert incidents_of(rules, mixed, chunk=11) == expected
