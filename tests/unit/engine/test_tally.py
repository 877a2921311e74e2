"""Counting ordinary lines without decoding them must come to the same as judging each of them."""

import gc
import os
import random
import shutil
import weakref

import msgspec
import pytest

from kubewake.demo import recording
from kubewake.engine import Reader
from kubewake.engine.gathering import Gathering
from kubewake.engine.read import Tally
from kubewake.facts import Context
from kubewake.formats import Lines, line_blocks
from kubewake.observation import MAX_MEMBERS
from kubewake.pipeline.skipping import Skipping
from kubewake.rules.pack import load_rules

pytestmark = pytest.mark.skipif(
    Tally is None and (shutil.which("cc") is None or "KUBEWAKE_PURE" in os.environ),
    reason="kubewake was installed without a C compiler",
)


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture(scope="module")
def recorded():
    return [line + b"\n" for line in recording.lines()]


def observe(rules, blocks, *, counted, **options):
    """What a reader makes of the blocks, one observation each; line by line where they are not counted."""
    reader = Reader(rules, Context(), **options)
    if not counted:
        reader._tally = None
    seen, line = [], 1
    for data in blocks:
        skipping = Skipping()
        read = line_blocks(
            data, file="log", first_line=line, cluster="c", hint="native", block_bytes=20_000 if counted else 1
        )
        observation = reader.read(skipping.heard(read))
        skipping.tell(observation)
        seen.append(observation)
        line += data.count(b"\n")
    return seen


def assert_same(rules, blocks, **options):
    decoded = observe(rules, blocks, counted=False, **options)
    for seen, judged in zip(observe(rules, blocks, counted=True, **options), decoded, strict=True):
        for name in seen.__struct_fields__:
            assert getattr(seen, name) == getattr(judged, name), name
    return decoded


def test_it_is_built_where_there_is_a_compiler():
    assert Tally is not None


def test_a_recorded_log_comes_to_the_same(rules, recorded):
    middle = len(recorded) // 2
    seen = assert_same(rules, [b"".join(recorded[:middle]), b"".join(recorded[middle:])])
    assert sum(observation.events for observation in seen) > 1000


def test_next_to_no_line_is_decoded_of_a_log_that_was_read_before(rules, recorded, monkeypatch):
    reader = Reader(rules, Context())
    data = b"".join(recorded)
    reader.read(line_blocks(data, file="log", hint="native"))
    looked_at = []
    head = Lines.head
    monkeypatch.setattr(Lines, "head", lambda self, place: looked_at.append(place) or head(self, place))
    seen = reader.read(line_blocks(data, file="log", hint="native"))
    assert seen.events == len(recorded)
    assert len(looked_at) < len(recorded) / 50


@pytest.mark.parametrize("limits", [{"since": 0.3}, {"until": 0.6}, {"since": 0.3, "until": 0.6}])
def test_events_outside_the_time_asked_for_are_passed_over(rules, recorded, limits):
    times = sorted(msgspec.json.decode(line)["stageTimestamp"] for line in recorded)
    asked = {name: times[int(len(times) * share)] for name, share in limits.items()}
    (seen,) = assert_same(rules, [b"".join(recorded)], **asked)
    assert 0 < seen.events < len(recorded)


def test_events_in_any_order_come_to_the_same(rules, recorded):
    shuffled = recorded[:]
    random.Random(7).shuffle(shuffled)
    assert_same(rules, [b"".join(shuffled), b"".join(shuffled)])


def test_a_stub_names_its_earliest_events_however_many_there_are(rules):
    def line(number):
        time = f"2026-05-04T10:0{number // 1000}:{number // 100 % 10 * 5:02}.{number:06}Z"
        return msgspec.json.encode(
            {
                "kind": "Event",
                "apiVersion": "audit.k8s.io/v1",
                "level": "Metadata",
                "auditID": f"id-{number}",
                "stage": "ResponseComplete",
                "requestURI": f"/api/v1/namespaces/shop/configmaps/c{number}",
                "verb": "get",
                "user": {"username": "jane", "groups": ["system:authenticated"]},
                "sourceIPs": ["10.0.0.9"],
                "userAgent": "tool/1",
                "objectRef": {"resource": "services", "namespace": "shop", "name": f"c{number}", "apiVersion": "v1"},
                "responseStatus": {"metadata": {}, "code": 200},
                "requestReceivedTimestamp": time,
                "stageTimestamp": time,
            },
        )

    numbers = list(range(3000))
    random.Random(3).shuffle(numbers)
    (seen,) = assert_same(rules, [b"".join(line(number) + b"\n" for number in numbers)])
    (stub,) = (stub for stub in seen.stubs if not stub.is_feed)
    assert stub.count == 3000
    assert [member[2] for member in stub.members] == [f"id-{number}" for number in range(MAX_MEMBERS)]
    assert stub.last_audit_id == "id-2999"


def test_nothing_of_an_observation_is_kept_when_it_is_done(rules, recorded, monkeypatch):
    made = weakref.WeakSet()

    def gathering(reader):
        begun = Gathering(reader)
        made.add(begun)
        return begun

    monkeypatch.setattr("kubewake.engine.read.Gathering", gathering)
    reader = Reader(rules, Context())
    for _ in range(3):
        reader.read(line_blocks(b"".join(recorded), file="log", hint="native"))
        gc.collect()
    assert not made


CHANGES = (
    (b'"code":200', b'"code":2e2'),
    (b'"code":200', b'"code":"200"'),
    (b'"code":200', b'"code":null'),
    (b'"code":200', b'"code":200,"code":403'),
    (b'"code":200', b'"code":200,"message":"a \\u00e9 b"'),
    (b'"metadata":{}', b'"metadata":{"a":tru}'),
    (b'"metadata":{}', b'"metadata":{"a":01}'),
    (b'"metadata":{}', b'"metadata":{"a":-1.5e+3,"b":[[],{"c":null}]}'),
    (b'"metadata":{}', b'"metadata":{"a":"\\q"}'),
    (b'"metadata":{}', b'"metadata":' + b"[" * 200 + b"]" * 200),
    (b'"verb":"get"', b'"verb":null'),
    (b'"verb":"get"', b'"verb":"get","verb":"delete"'),
    (b'"verb":"get"', b'"verb": "get"'),
    (b'"kind":"Event"', b'"kind":7'),
    (b'"kind":"Event"', b'"kind":"EventList","items":[]'),
    (b'"auditID":"', b'"auditID":"\\u0022'),
    (b'"auditID":"', b'"auditID":"\xc3\xa9'),
    (b'"auditID":"', b'"auditID":"\xff'),
    (b'"auditID":"', b'"auditID":"\x00'),
    (b'"auditID":"', b'"more":{"x":1},"auditID":"'),
    (b'"requestURI":"/', b'"requestURI":"/..%2e/'),
    (b'"requestURI":"/', b'"requestURI":"\\/\\u0026'),
    (b'"requestURI":"/', b'"requestURI":"/\\u002e\\u002e/'),
    (b'"requestURI":"/', b'"requestURI":"/%\\u0032e\\u003c/'),
    (b'"requestURI":"/', b'"requestURI":null,"x":"'),
    (b'"auditID":"', b'"auditID":"' + b"long" * 20),
    (b'"auditID":"', b'"auditID":"","x":"'),
    (b'{"kind":"Event",', b'{"kind":"Event","kind":"Event",'),
    (b'"apiVersion":"audit.k8s.io/v1",', b'"apiVersion":"audit.k8s.io/v1"},'),
    (b'"requestReceivedTimestamp":"', b'"requestReceivedTimestamp":null,"x":"'),
    (b'"stageTimestamp":"2', b'"stageTimestamp":"9'),
    (b'"stageTimestamp":"2026-1', b'"stageTimestamp":"2026-9'),
    (b'"stageTimestamp":"', b'"stageTimestamp":"","x":"'),
    (b'Z","annotations"', b'+00:00","annotations"'),
    (b'"objectRef":{', b'"objectRef":{"name":"n","namespace":"m"},"objectRef":{'),
    (b'"objectRef":{', b'"objectRef":{"resource":"secrets",'),
    (b'"objectRef":{', b'"objectRef":null,"x":{'),
    (b'"resource":"', b'"resource":null,"subresource":"'),
    (b'"resource":"', b'"resource":"secr\\u0065ts","subresource":"'),
    (b'"annotations":{', b'"annotations":{"authorization.k8s.io/decision":"forbid",'),
    (b'"annotations":{', b'"annotations":{"authorization.k8s.io\\u002freason":"x",'),
    (b'"annotations":{', b'"annotations":{"a":5,'),
    (b'"annotations":{', b'"annotations":{"audit.k8s.io/truncated":"true",'),
    (b'"annotations":{', b'"annotations":{"failed-open.validating.webhook.admission.k8s.io/round_0_index_0":"a",'),
    (b'"annotations":{', b'"annotations":null,"x":{'),
    (b'"user":{', b'"user":{"username":"eve",'),
    (b'"user":{', b'"user":null,"x":{'),
    (b'"user":{', b'"user":{"uid":"},","groups":["a}","},b"],'),
    (b'"user":{', b'"user":{"uid":"' + b"u" * 3000 + b'",'),
    (b'"user":{', b'"user":{"uid":"\\q",'),
    (b'"user":{', b'"user":{},"user":{'),
    (b'"user":{', b'"user":{"groups":[}],'),
    (b'"user":{', b'"user":{"extra":{}},"x":{'),
    (b"}\n", b',"user":{"username":"eve"}}\n'),
    (b'"level":"', b'"level":"Secret'),
    (b'"stage":"', b'"stage":"Odd'),
    (b'"sourceIPs":[', b'"sourceIPs":[7,'),
    (b'"userAgent":"', b'"userAgent":"\\ud800'),
    (b"}\n", b"}\r\n"),
    (b"}\n", b"}}\n"),
    (b"}\n", b"} \n\n"),
    (b"}\n", b',"requestObject":{"a":"\\u001b["}}\n'),
    (b"}\n", b',"requestObject":{"a":[1,2,}}\n'),
    (b"}\n", b',"responseObject":{"a":"\\ud83d\\ude00"}}\n'),
    (b"}\n", b"\n"),
    (b"\n", b" trailing\n"),
)


def test_whatever_is_odd_about_a_line_it_comes_to_the_same(rules, recorded):
    """Each change to several lines, among the same lines as they were, which are known by then."""
    reads = [line for line in recorded if b'"verb":"get"' in line and b'"code":200' in line][:12]
    writes = [line for line in recorded if b'"verb":"update"' in line and b'"code":200' in line][:12]
    for chosen in (reads, writes, [without_bodies(line) for line in writes]):
        for old, new in CHANGES:
            changed = [line.replace(old, new, 1) for line in chosen]
            mixed = [*chosen, *changed, *chosen, *changed]
            assert_same(rules, [b"".join(chosen), b"".join(mixed)])


def without_bodies(line):
    event = msgspec.json.decode(line)
    event.pop("requestObject", None), event.pop("responseObject", None)
    return msgspec.json.encode(event) + b"\n"


def test_a_rule_about_what_is_in_other_annotations_sees_them_on_any_line(rules):
    def line(number, name, *annotations):
        time = f"2026-05-04T10:00:00.{number:06}Z"
        return msgspec.json.encode(
            {
                "kind": "Event",
                "apiVersion": "audit.k8s.io/v1",
                "level": "Metadata",
                "auditID": f"id-{number}",
                "stage": "ResponseComplete",
                "requestURI": f"/apis/coordination.k8s.io/v1/namespaces/shop/leases/{name}",
                "verb": "update",
                "user": {"username": "system:serviceaccount:shop:web", "groups": ["system:authenticated"]},
                "sourceIPs": ["10.0.0.9"],
                "userAgent": "tool/1",
                "objectRef": {"resource": "leases", "namespace": "shop", "name": name, "apiVersion": "v1"},
                "responseStatus": {"metadata": {}, "code": 200},
                "requestReceivedTimestamp": time,
                "stageTimestamp": time,
                "annotations": {"authorization.k8s.io/decision": "allow", **dict(annotations)},
            },
        )

    cut = ("audit.k8s.io/truncated", "true")
    lines = [line(number, f"l{number % 7}", *([cut] if number in {30, 70} else [])) for number in range(100)]
    (seen,) = assert_same(rules, [b"".join(line + b"\n" for line in lines)])
    told = [stub.audit_id for stub in seen.stubs if any(hit.rule == "audit-event-truncated" for hit in stub.records)]
    assert told == ["id-30", "id-70"]


def test_wherever_a_line_stands_in_its_block_it_comes_to_the_same(rules, recorded):
    line = next(line for line in recorded if b'"verb":"get"' in line and b'"code":200' in line)
    for longer in range(130):
        padded = line.replace(b'"auditID":"', b'"auditID":"' + b"x" * longer)
        assert_same(rules, [padded + line + padded, padded.rstrip(b"\n")])


@pytest.mark.parametrize("seed", range(8))
def test_damaged_lines_come_to_the_same(rules, recorded, seed):
    chance = random.Random(seed)
    lines = recorded[:]
    chance.shuffle(lines)
    damaged = []
    for line in lines[:300]:
        data = bytearray(line)
        for _ in range(chance.randint(1, 3)):
            where = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[where] = chance.choice(b'"\\{}[],:0a \n\x01\xe9')
            elif kind == 1:
                del data[where : where + chance.randint(1, 5)]
            elif kind == 2:
                data[where:where] = chance.choice((b'"', b"\\", b'","', b"{}", b"\\u00", b"null", b"\n"))
            else:
                other = chance.choice(lines)
                data[where:] = other[chance.randrange(len(other)) :]
        damaged.append(bytes(data))
    mixed = [*lines[:300], *damaged]
    chance.shuffle(mixed)
    assert_same(rules, [b"".join(lines), b"".join(mixed)])
