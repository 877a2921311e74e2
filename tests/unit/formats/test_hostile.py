"""Input that wants to crash a reader, or to slip past one."""

import pytest

from kubewake import formats
from tests.unit.formats.samples import body, lines, native, only, read, text

EVENT = text(native(requestObject=None))


def with_body(raw: bytes, key: bytes = b"requestObject") -> bytes:
    return EVENT[:-1] + b',"' + key + b'":' + raw + b"}"


@pytest.mark.parametrize(
    ("data", "unknown"),
    [
        (with_body(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), "nesting"),
        (with_body(b"[" * 10_000 + b"]" * 10_000), "nesting"),
        (with_body(b'{"a":"\\ud800"}'), "encoding"),
        (with_body(b'"\\udfff\\ud800x"'), "encoding"),
        (with_body(b'"a\xff\xfe"', b"userAgent"), "encoding"),
        (with_body(b'"a\0b"', b"userAgent"), "encoding"),
        (with_body(b"1e400", b"responseStatus"), "responseStatus"),
        (with_body(b'{"code":1e400}', b"responseStatus"), "responseStatus.code"),
    ],
)
def test_what_a_client_puts_into_a_body_never_hides_its_request(data, unknown):
    batch = read(lines(native()) + data + b"\n" + lines(native()))
    assert not batch.malformed
    assert list(batch.lines) == [1, 2, 3]
    event = batch.events[1]
    assert event.audit_id == native()["auditID"]
    assert event.verb == "create"
    assert unknown in event.unknown


def test_a_body_past_the_depth_limit_keeps_its_upper_levels():
    event = only(with_body(b'{"spec":{"hostPID":true,"x":' + b"[" * 5000 + b"]" * 5000 + b"}}"))
    assert body(event)["spec"]["hostPID"] is True


def test_a_number_out_of_range_stays_in_the_raw_body():
    event = only(with_body(b'{"n":1e400}').replace(b'"code":201', b'"code":"201"'))
    assert bytes(event.request_object) == b'{"n":1e400}'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello world", "text"),
        (b"I0301 10:00:00.000000 1 server.go:1] up", "text"),
        (bytes(range(256)).replace(b"\n", b""), "binary"),
        (b"\xff\xfe\xfd\xfc" * 20, "UTF-8"),
        (b"[1,2,3]", "array with 3 items that are no objects"),
        (b"[" * 10_000 + b"]" * 10_000, "nested"),
        (b'"text"', "text and not an object"),
        (b"42", "a number"),
        (b"null", "null"),
        (b"{}", "empty object"),
        (text(native())[:200], "breaks off"),
        (text(native())[:200] + b"[Truncated...]", "[Truncated...]"),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{}}', "manifest"),
        (b'{"kind":"Policy","apiVersion":"audit.k8s.io/v1","rules":[]}', "policy"),
        (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', "nothing but its kind"),
        (b'{"some":"thing","else":1}', "'some', 'else'"),
        (b'{"kind":"EventList","items":5}', "items are no list"),
        (b'{"a":1,}', "{"),
    ],
)
def test_what_is_no_event_is_named_with_its_place(data, words):
    batch = read(lines(native()) + data + b"\n" + lines(native()))
    assert list(batch.lines) == [1, 3]
    (malformed,) = batch.malformed
    assert (malformed.file, malformed.line) == ("log", 2)
    assert words in malformed.reason
    assert len(malformed.reason) < 400


def test_the_sound_items_of_a_list_that_breaks_off_are_read():
    data = b'{"kind":"EventList","items":[' + EVENT + b"," + EVENT + b"," + EVENT[:90]
    batch = read(data)
    assert len(batch.events) == 2
    assert len(batch.malformed) == 1


def test_a_broken_item_costs_no_neighbour():
    batch = read(b"[" + EVENT + b',{"verb":tru},' + EVENT + b"]")
    assert len(batch.events) == 2
    assert len(batch.malformed) == 1


def test_two_values_on_a_line_are_two_events():
    batch = read(EVENT + EVENT + b"\n" + EVENT + b"\n", hint="native")
    assert list(batch.lines) == [1, 1, 2]


def test_a_line_of_70_kilobytes_and_one_of_many_megabytes_are_lines():
    long = text(native(requestObject={"data": "x" * 70_000}))
    longer = text(native(requestObject={"data": "x" * 9_000_000}))
    batch = read(long + b"\n" + longer + b"\n" + EVENT + b"\n")
    assert list(batch.lines) == [1, 2, 3]
    assert not batch.malformed


def test_hostile_text_in_the_audit_id_is_kept_as_it_is():
    hostile = "../../etc/passwd\"'<script>\u202e" + "x" * 4000
    assert only(native(auditID=hostile)).audit_id == hostile


def test_a_log_cut_anywhere_reads_the_same():
    data = lines(*(native(auditID=str(number)) for number in range(20))) + b"garbage\n" + lines(native(sourceIPs=...))
    whole = read(data)
    for step in (1, 17, 1000):
        decoder = formats.Decoder("log")
        parts = [decoder.feed(data[start : start + step]) for start in range(0, len(data), step)] + [decoder.finish()]
        assert [event.audit_id for part in parts for event in part.events] == [event.audit_id for event in whole.events]
        assert [line for part in parts for line in part.lines] == list(whole.lines)
        assert [item for part in parts for item in part.malformed] == whole.malformed
        assert decoder.recognised.startswith("Kubernetes audit event")
