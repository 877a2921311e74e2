"""Events with wrong types anywhere go through the whole engine: each is judged or named, none stops it."""

import random

import msgspec
import pytest

from kubewake.demo.recording import lines
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.scan import scan
from kubewake.sources.files import FileSource

EVENTS = 1_500
HOSTILE = [
    "null", "1", "-1", "1e308", '""', "[]", "{}", '"\\u0000"', '".."', '"system:masters"', '["a"]', '{"a":1}', "true",
    '"9999-99-99T99:99:99Z"', '"\\u202e"', "[null]", "[[]]", '{"items":[]}', '{"metadata":null}', '{"spec":[]}',
    '{"spec":{"containers":"x"}}', '{"rules":5}', '{"subjects":{}}',
]  # fmt: skip


def change(rng: random.Random, value: object) -> None:
    """Replace or remove one thing, anywhere inside."""
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if rng.random() < 0.5 and isinstance(value[key], dict | list):
            change(rng, value[key])
        elif rng.random() < 0.2:
            del value[key]
        else:
            value[key] = msgspec.json.decode(rng.choice(HOSTILE))
    elif isinstance(value, list) and value:
        index = rng.randrange(len(value))
        if rng.random() < 0.5:
            change(rng, value[index])
        else:
            value[index] = msgspec.json.decode(rng.choice(HOSTILE))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_hostile_event_is_judged_or_named(tmp_path, seed):
    rng = random.Random(seed)
    telling = [line for line in lines() if b'"create"' in line or b'"patch"' in line or b"secrets" in line]
    path = tmp_path / "audit.log"
    with path.open("wb") as log:
        for _ in range(EVENTS):
            event = msgspec.json.decode(rng.choice(telling))
            for _ in range(rng.randrange(1, 6)):
                change(rng, event)
            log.write(msgspec.json.encode(event) + b"\n")

    source = scan(FileSource([str(path)]).chunks(), Knowledge()).input

    assert source.events + source.malformed_total + source.skipped == EVENTS
    assert source.partial > EVENTS / 2


def test_a_log_that_names_nobody_is_not_taken_for_one_of_strangers(tmp_path):
    path = tmp_path / "audit.log"
    with path.open("wb") as log:
        for line in lines():
            event = msgspec.json.decode(line)
            if event.get("responseStatus", {}).get("code") != 401:
                event.pop("user", None)
                log.write(msgspec.json.encode(event) + b"\n")

    result = scan(FileSource([str(path)]).chunks(), Knowledge())

    assert result.input.partial > 0.99 * result.input.events > 10_000
    assert {finding.actor.kind for finding in result.findings} == {"unknown"}
    assert {finding.actor.name for finding in result.findings} == {"(not in the log)"}
    assert not [finding.title for finding in result.findings if "without a" in finding.title]
    assert "cryptomining-image" in {finding.rule for finding in result.findings}
    assert "no known login" in result.incidents[0].root_cause.name
