import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewake import formats
from kubewake.event import AuditEvent, EnvelopedEvent
from kubewake.formats.native import decode_block, decode_list
from tests.unit.formats.samples import TIME, body, lines, native, only, read, text


def test_a_sound_line_takes_the_fast_path():
    events = decode_block(lines(native(), native(verb="delete")))
    assert events is not None
    assert [event.verb for event in events] == ["create", "delete"]
    assert type(events[0]) is AuditEvent


@pytest.mark.parametrize(
    "data",
    [
        b"",
        text(native()) + text(native()) + b"\n",
        text(native()) + text(native()) + b"\n\n",
        text(native()).replace(b',"verb"', b',\n"verb"') + b"\n" + text(native()) + b"\n",
        lines(native()) + b"\n" + lines(native()),
        lines({"a": 1}),
        lines(native(sourceIPs=...)),
        lines(native(stage="Done")),
        lines(native(level="Everything")),
        lines(native(auditID=None)),
        lines(native(verb=None)),
        lines(native(user=None)),
        lines(native(responseStatus={"code": "403"})),
        lines(native(responseStatus={"code": -5})),
        lines(native(responseStatus={"code": 10**20})),
        lines(native(stageTimestamp="2026-03-01T10:00:00Z")),
        lines(native(), native(requestReceivedTimestamp=None)),
    ],
)
def test_the_fast_path_vouches_for_nothing_else(data):
    assert decode_block(data) is None


def test_windows_line_ends_are_sound():
    data = lines(native(), native()).replace(b"\n", b"\r\n")
    events = decode_block(data)
    assert events is not None
    assert len(events) == 2


def test_lines_are_numbered_from_the_first_line_across_blocks():
    records = [native(auditID=str(number)) for number in range(300)]
    numbered = [
        (event.audit_id, line)
        for batch in formats.batches(lines(*records), file="log", first_line=11, block_bytes=4000)
        for event, line in zip(batch.events, batch.lines, strict=True)
    ]
    assert numbered == [(str(number), 11 + number) for number in range(300)]


def test_one_bad_line_costs_no_neighbour_and_keeps_line_numbers():
    data = lines(native(), native()) + b"garbage\n" + lines(native())
    batch = read(data)
    assert list(batch.lines) == [1, 2, 4]
    assert [(item.file, item.line) for item in batch.malformed] == [("log", 3)]


@pytest.mark.parametrize("indent", [None, 2])
def test_event_list_items_have_neither_kind_nor_version(indent):
    items = [native(kind=None, apiVersion=None, auditID=str(number)) for number in range(3)]
    document = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}
    batch = read(json.dumps(document, indent=indent).encode())
    assert [event.audit_id for event in batch.events] == ["0", "1", "2"]
    assert not batch.malformed


@pytest.mark.parametrize("indent", [None, 4])
def test_a_bare_array_is_a_list(indent):
    batch = read(json.dumps([native(), native(verb="get")], indent=indent).encode())
    assert [event.verb for event in batch.events] == ["create", "get"]


def test_decode_list_vouches_for_sound_lists_only():
    assert decode_list(text([native()])) is not None
    assert decode_list(text({"kind": "EventList", "items": [native()]})) is not None
    assert decode_list(text({"kind": "List", "items": [native()]})) is None
    assert decode_list(text([native(sourceIPs=...)])) is None
    assert decode_list(text([])) is None


def test_concatenated_pretty_printed_documents_keep_the_line_of_each():
    data = b"\n".join(json.dumps(native(auditID=str(number)), indent=2).encode() for number in range(3))
    batch = read(data)
    assert [event.audit_id for event in batch.events] == ["0", "1", "2"]
    height = json.dumps(native(), indent=2).count("\n") + 1
    assert list(batch.lines) == [1, 1 + height, 1 + 2 * height]


def test_old_events_keep_their_time_in_metadata_or_timestamp():
    old = native(
        apiVersion="audit.k8s.io/v1beta1",
        requestReceivedTimestamp=None,
        stageTimestamp=None,
        metadata={"creationTimestamp": "2017-09-11T19:55:05Z"},
        timestamp="2017-09-11T19:55:09Z",
    )
    assert only(old).time == "2017-09-11T19:55:05.000000Z"
    del old["metadata"]
    event = only(old)
    assert event.time == event.request_received_timestamp == "2017-09-11T19:55:09.000000Z"
    assert event.unknown == ()


@pytest.mark.parametrize(
    "prefix",
    [
        b"ip-10-0-1-2.eu-west-1.compute.internal ",
        b"<14>Mar  1 10:00:00 master-0 kube-apiserver[1]: ",
        b"2026-03-01T10:00:00.000000001Z stdout F ",
        b"\xef\xbb\xbf",
        b"   ",
    ],
)
def test_what_stands_before_the_json_of_a_line_is_stepped_over(prefix):
    assert only(prefix + text(native())).audit_id == native()["auditID"]


def test_bodies_are_raw_until_asked_for():
    event = only(native())
    assert body(event) == native()["requestObject"]
    assert bytes(event.response_object) == b""


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"sourceIPs": ...}, "sourceIPs"),
        ({"sourceIPs": "10.0.0.1"}, "sourceIPs"),
        ({"sourceIPs": [1, "10.0.0.1"]}, "sourceIPs"),
        ({"sourceIPs": {}}, "sourceIPs"),
        ({"auditID": 5}, "auditID"),
        ({"auditID": None}, "auditID"),
        ({"stage": "Done"}, "stage"),
        ({"stage": ...}, "stage"),
        ({"level": 1}, "level"),
        ({"verb": ["get"]}, "verb"),
        ({"verb": ...}, "verb"),
        ({"requestURI": {}}, "requestURI"),
        ({"userAgent": 3}, "userAgent"),
        ({"user": "alice"}, "user"),
        ({"user": ...}, "user"),
        ({"user": {"username": 7}}, "user.username"),
        ({"user": {"username": "alice", "groups": "admins"}}, "user.groups"),
        ({"user": {"username": "alice", "groups": [None]}}, "user.groups"),
        ({"user": {"username": "alice", "extra": []}}, "user.extra"),
        ({"user": {"username": "alice", "extra": {"scopes": 5}}}, "user.extra.scopes"),
        ({"impersonatedUser": []}, "impersonatedUser"),
        ({"objectRef": "pods"}, "objectRef"),
        ({"objectRef": {"resource": 5}}, "objectRef.resource"),
        ({"responseStatus": 200}, "responseStatus"),
        ({"responseStatus": {"code": "many"}}, "responseStatus.code"),
        ({"responseStatus": {"code": True}}, "responseStatus.code"),
        ({"responseStatus": {"code": 5000}}, "responseStatus.code"),
        ({"responseStatus": {"code": 200, "message": 4}}, "responseStatus.message"),
        ({"annotations": ["a"]}, "annotations"),
        ({"annotations": {"a": 1, "b": "2"}}, "annotations.a"),
        ({"stageTimestamp": "soon"}, "stageTimestamp"),
        ({"stageTimestamp": 12}, "stageTimestamp"),
        ({"stageTimestamp": None, "requestReceivedTimestamp": None}, "stageTimestamp"),
    ],
)
def test_a_wrong_field_is_unknown_and_the_event_is_still_judged(change, unknown):
    batch = read(native(**change))
    assert not batch.malformed
    (event,) = batch.events
    assert isinstance(event, EnvelopedEvent)
    assert unknown in event.unknown
    (fault,) = batch.faults
    assert (fault.file, fault.line) == ("log", 1)
    assert unknown in fault.reason


@pytest.mark.parametrize("change", [{"objectRef": ...}, {"userAgent": ...}, {"annotations": ...}, {"user": {}}])
def test_null_in_an_optional_field_is_the_same_as_absent(change):
    assert only(native(**change)).unknown == ()


def test_a_code_in_text_and_a_group_in_the_version_are_taken():
    event = only(native(responseStatus={"code": "403"}, objectRef={"resource": "jobs", "apiVersion": "batch/v1"}))
    assert event.response_status.code == 403
    assert (event.object_ref.api_group, event.object_ref.api_version) == ("batch", "v1")


def test_a_time_of_another_shape_is_normalised():
    assert only(native(stageTimestamp="2026-03-01T12:00:00.000001+02:00")).time == TIME


def test_the_sender_cannot_forge_what_only_an_envelope_may_say():
    event = only(native(cluster="other", unknown=["verb"], envelope={"x": 1}))
    assert (event.cluster, event.unknown, event.envelope) == ("", (), {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(native())), JSON, max_size=4))
def test_any_value_in_any_field_of_an_event_leaves_an_event(changes):
    record = {**native(), **changes, "kind": "Event", "apiVersion": "audit.k8s.io/v1"}
    batch = read(json.dumps(record, allow_nan=False, default=str).encode() if _finite(record) else native())
    assert len(batch.events) == 1
    assert not batch.malformed


def _finite(record):
    try:
        json.dumps(record, allow_nan=False)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "change",
    [
        {"verb": ""},
        {"user": {}, "stage": "ResponseStarted", "annotations": None, "responseStatus": {"code": 401}},
        {"sourceIPs": ["1.2.3.4", "5.6.7.8", "10.0.0.1"]},
        {"userAgent": None},
        {"userAgent": "x" * 1024 + "...TRUNCATED"},
        {"objectRef": {"resource": "pods", "name": ".."}},
        {"objectRef": None, "requestURI": "//api//v1/../pods"},
        {"requestObject": [{"op": "remove", "path": "/a"}]},
        {"impersonatedUser": {"username": "bob", "uid": "1", "extra": {"scopes": ["a"]}}},
        {"stage": "Panic", "responseStatus": {"code": 500}},
        {"stage": "RequestReceived", "responseStatus": None, "annotations": None},
        {
            "responseStatus": {
                "metadata": {},
                "status": "Failure",
                "reason": "Forbidden",
                "details": {"kind": "x"},
                "code": 403,
            }
        },
    ],
)
def test_odd_requests_that_an_api_server_logs_are_sound(change):
    assert decode_block(lines(native(**change))) is not None
