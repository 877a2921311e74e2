"""What stubs of one kind have in common is worked out once; the kind decides nothing."""

from itertools import islice

import msgspec
import pytest

from kubewake.demo import recording
from kubewake.engine import Fold, Reader
from kubewake.facts import Context
from kubewake.formats import batches
from kubewake.rules.pack import load_rules


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture(scope="module")
def observation(rules):
    data = b"".join(line + b"\n" for line in islice(recording.lines(), 6000))
    return Reader(rules, Context()).read(batches(data, file="log", first_line=1, cluster="c", hint="native"))


def told(rules, observation):
    fold = Fold(rules)
    fold.absorb(observation)
    fold.advance(flush=True)
    document = fold.document(fold.finish())
    return msgspec.json.encode([list(document.findings), document.incidents])


def test_a_fold_without_kinds_says_the_same(rules, observation):
    stubs = [msgspec.structs.replace(stub, kind=0) for stub in observation.stubs]
    without = msgspec.structs.replace(observation, stubs=stubs)
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(observation), type=type(observation))
    said = told(rules, copy)
    assert len(said) > 1000
    assert told(rules, without) == said


def test_single_and_ordinary_stubs_of_one_behaviour_are_of_one_kind(observation):
    ordinary = [stub for stub in observation.stubs if stub.behaviour]
    single = [stub for stub in observation.stubs if not stub.behaviour]
    assert ordinary
    assert single
    assert all(stub.kind == stub.behaviour for stub in ordinary if not (stub.is_feed or stub.hits or stub.records))
    assert all(stub.kind for stub in single)
    alike = {}
    for stub in single:
        alike.setdefault(stub.kind, set()).add((stub.user, stub.verb, stub.resource, stub.source, stub.outcome))
    assert all(len(words) == 1 for words in alike.values())
