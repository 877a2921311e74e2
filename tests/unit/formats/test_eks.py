import base64
import gzip
import json

import pytest

from kubewake.formats import eks, packed
from tests.unit.formats.samples import body, native, only, read, text

GROUP = "/aws/eks/shop/cluster"
STREAM = "kube-apiserver-audit-0123456789abcdef"


def message(**changes):
    return text(native(**changes)).decode()


def payload(*messages, **changes):
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": GROUP,
        "logStream": STREAM,
        "subscriptionFilters": ["all"],
        "logEvents": [{"id": str(n), "timestamp": 1772359200000, "message": item} for n, item in enumerate(messages)],
        **changes,
    }


def pack(record):
    return base64.b64encode(gzip.compress(text(record))).decode()


@pytest.mark.parametrize(
    "record",
    [
        payload(message()),
        {"awslogs": {"data": pack(payload(message()))}},
        {"records": [{"recordId": "1", "data": pack(payload(message()))}], "invocationId": "x"},
        {"Records": [{"kinesis": {"data": pack(payload(message()))}, "eventSource": "aws:kinesis"}]},
        {"data": pack(payload(message()))},
        pack(payload(message())).encode() + b"\n",
    ],
)
def test_subscription_payloads_name_account_and_cluster(record):
    event = only(record)
    assert event.cluster == "111122223333/shop"
    assert event.verb == "create"
    assert event.unknown == ()


def test_payloads_without_line_breaks_between_them_are_read():
    data = text(payload(message(auditID="1"))) + text(payload(message(auditID="2"), message(auditID="3")))
    batch = read(data)
    assert [event.audit_id for event in batch.events] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "record",
    [
        {"logStreamName": STREAM, "timestamp": 1772359200000, "message": message(), "ingestionTime": 1, "eventId": "3"},
        {"events": [{"timestamp": 1772359200000, "message": message(), "ingestionTime": 1}], "nextForwardToken": "f/1"},
        {"@timestamp": "2026-03-01 10:00:00.000", "@message": message(), "@logStream": STREAM},
        {"results": [[{"field": "@message", "value": message()}, {"field": "@ptr", "value": "x"}]], "statistics": {}},
        {"@message": native(), "@timestamp": "2026-03-01 10:00:00.000"},
    ],
)
def test_answers_of_cloudwatch_are_read(record):
    assert only(record).audit_id == native()["auditID"]


def test_logs_insights_names_account_and_cluster():
    assert only({"@message": message(), "@log": "111122223333:" + GROUP, "@ptr": "x"}).cluster == "111122223333/shop"


@pytest.mark.parametrize("stream", ["kube-apiserver-0123", "authenticator-0123", "kube-scheduler-0123"])
def test_other_streams_of_the_group_are_skipped_each_message_counted(stream):
    batch = read(payload("I0301 up", "I0301 down", logStream=stream))
    assert batch.skipped_reasons == {"another log of the EKS control plane": 2}
    batch = read({"logStreamName": stream, "message": "I0301 up", "ingestionTime": 1})
    assert batch.skipped_reasons == {"another log of the EKS control plane": 1}


def test_a_message_cut_before_it_says_who_asked_is_named_and_its_neighbours_are_read():
    batch = read(payload(message(), message()[:120] + "[Truncated...]", message()))
    assert len(batch.events) == 2
    assert "[Truncated...]" in batch.malformed[0].reason


def test_a_body_that_cloudwatch_cuts_off_does_not_hide_its_request():
    long = message(requestObject={"spec": {"hostPID": True, "containers": [{"image": "a"}, {"image": "x" * 900}]}})
    batch = read(payload(message(), long[: long.index("xxx") + 500] + "[Truncated...]"))
    assert not batch.malformed
    event = batch.events[1]
    assert (event.verb, event.user.username, event.response_status.code) == ("create", "alice", 201)
    assert event.time == "2026-03-01T10:00:00.000000Z"
    assert body(event) == {"spec": {"hostPID": True, "containers": [{"image": "a"}]}}
    assert {"truncated", "stageTimestamp"} <= set(event.unknown)
    assert "truncated" in batch.faults[0].reason


@pytest.mark.parametrize(
    ("cut_at", "lost"),
    [
        ("sourceIPs", {"sourceIPs", "objectRef", "responseStatus"}),
        ("userAgent", {"objectRef", "responseStatus"}),
        ("objectRef", {"objectRef", "responseStatus"}),
        ("responseStatus", {"responseStatus"}),
        ("code", set()),
        ("requestObject", set()),
        ("requestReceivedTimestamp", set()),
        ("annotations", set()),
    ],
)
def test_a_message_is_judged_wherever_cloudwatch_cuts_it_behind_the_user(cut_at, lost):
    whole = message()
    event = only(payload(whole[: whole.index(f'"{cut_at}"')] + "[Truncated...]"))
    assert (event.verb, event.user.username) == ("create", "alice")
    assert (event.object_ref.resource, event.object_ref.namespace) == ("pods", "shop")
    assert event.time.startswith("2026-03-01T10:00:00")
    assert set(event.unknown) - {"stageTimestamp"} == {"truncated", *lost}


CUT = message()[: message().index('"requestObject"')] + "[Truncated...]"


def test_a_cut_line_takes_the_time_before_it():
    for stamp in ("2026-03-01T10:00:00.000Z", f"2026-03-01T10:00:00+00:00 {STREAM}"):
        event = only(f"{stamp} {CUT}\n".encode())
        assert (event.time, event.response_status.code) == ("2026-03-01T10:00:00.000000Z", 201)
    assert "no JSON" in read(f"ip-10-0-0-1 {CUT[:-14]}\n".encode()).malformed[0].reason


def test_a_cut_line_that_says_its_time_itself_needs_no_other():
    late = message()[: message().index('"annotations"')]
    batch = read(f"{message()}\n{late}[Truncated...]\n{late}\n{CUT}\n{message()}\n".encode())
    assert [event.annotations is None for event in batch.events] == [False, True, False]
    assert [malformed.line for malformed in batch.malformed] == [3, 4]


def test_a_cut_message_of_no_known_time_is_named():
    long = message(requestObject={"data": "x" * 900})
    (malformed,) = read(long[:900].encode() + b"[Truncated...]").malformed
    assert "[Truncated...]" in malformed.reason


def test_the_time_of_the_log_event_stands_in_for_a_missing_one():
    event = only(payload(message(stageTimestamp=None, requestReceivedTimestamp=None)))
    assert event.time == "2026-03-01T10:00:00.000000Z"
    assert "stageTimestamp" in event.unknown


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (payload(message(), logEvents=5), "logEvents are no list"),
        (payload(7), "without a message"),
        ({"awslogs": {"data": 5}}, "without data"),
        ({"awslogs": {"data": "H4sI####"}}, "base64"),
        ({"awslogs": {"data": pack({})[:20]}}, "breaks off"),
        ({"awslogs": {"data": "%%%%"}}, "no base64"),
        ({"awslogs": {"data": base64.b64encode(b"\x1f\x8b\x08\x00garbage").decode()}}, "gzip"),
    ],
)
def test_damaged_payloads_are_named(record, reason):
    batch = read(record)
    assert not batch.events
    assert reason in batch.malformed[0].reason


def test_control_messages_are_skipped():
    batch = read(payload(messageType="CONTROL_MESSAGE"))
    assert batch.skipped_reasons == {"CloudWatch control message": 1}


def test_a_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(packed, "UNPACKED_LIMIT_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        packed.unpack(gzip.compress(b"0" * 100_000))


@pytest.mark.parametrize(
    ("group", "account", "cluster"),
    [(GROUP, "", "shop"), (GROUP, "1", "1/shop"), ("/aws/lambda/x", "1", ""), ("", "", ""), ("/aws/eks", "", "")],
)
def test_cluster_of(group, account, cluster):
    assert eks.cluster_of(group, account) == cluster


def test_identities_of_aws_are_kept():
    extra = {"arn": ["arn:aws:sts::111122223333:assumed-role/admin/alice"], "sessionName": ["alice"]}
    event = only(payload(message(user={"username": "admin", "uid": "aws-iam-authenticator:1:AROA", "extra": extra})))
    assert event.user.extra == extra
    assert json.loads(message())["verb"] == event.verb
