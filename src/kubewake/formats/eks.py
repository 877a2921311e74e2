"""Amazon EKS through CloudWatch Logs: subscription payloads, GetLogEvents and FilterLogEvents, Firehose and Lambda.

https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
"""

import base64
import binascii
from collections.abc import Iterable

from kubewake.formats.format import Inner, Outcome, Record, Reject, Skip, format_, listed, mapping, text
from kubewake.formats.packed import is_packed

_AUDIT_STREAM = "kube-apiserver-audit"
_OTHER_STREAM = "another log of the EKS control plane"
_NO_AUDIT = "text of a log stream that is no audit log"


def cluster_of(log_group: str, account: str = "") -> str:
    """The cluster that `/aws/eks/<cluster>/cluster` names, behind its account where that is known."""
    parts = log_group.split("/")
    name = parts[3] if len(parts) >= 4 and parts[1:3] == ["aws", "eks"] else ""
    return f"{account}/{name}" if name and account else name


def _is_other(stream: str | None) -> bool:
    return stream is not None and stream != "" and not stream.startswith(_AUDIT_STREAM)


@format_
class Subscription:
    """What a CloudWatch Logs subscription delivers: many log events with their group and stream."""

    name = "eks-subscription"
    title = "Amazon EKS audit events of a CloudWatch Logs subscription"
    order = 20

    def recognises(self, record: Record) -> bool:
        """By messageType and logEvents."""
        return "messageType" in record and ("logEvents" in record or "logGroup" in record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The messages of the audit stream; other streams of the group are skipped, each message counted."""
        if record.get("messageType") == "CONTROL_MESSAGE":
            yield Skip("CloudWatch control message")
            return
        cluster = cluster_of(text(record.get("logGroup")) or "", text(record.get("owner")) or "")
        other = _is_other(text(record.get("logStream")))
        if not isinstance(record.get("logEvents"), list):
            yield Reject("a CloudWatch subscription payload whose logEvents are no list")
        for event in listed(record.get("logEvents")):
            if other:
                yield Skip(_OTHER_STREAM)
            else:
                message = mapping(event).get("message")
                yield _message(message, cluster, mapping(event).get("timestamp"))


def _message(message: object, cluster: str, time: object) -> Outcome:
    if isinstance(message, str | dict):
        return Inner(message, cluster=cluster, time=time, text_means=_NO_AUDIT)
    return Reject("a CloudWatch log event without a message")


@format_
class LogEvent:
    """One log event as GetLogEvents, FilterLogEvents and Logs Insights answer, or an export of them."""

    name = "eks-cloudwatch"
    title = "Amazon EKS audit events out of CloudWatch Logs"
    order = 21

    def recognises(self, record: Record) -> bool:
        """By a message with a CloudWatch stream name, ingestion time, or Logs Insights' `@` keys."""
        if "@message" in record:
            return "@timestamp" in record or "@logStream" in record or "@ptr" in record or len(record) == 1
        return "message" in record and ("logStreamName" in record or "ingestionTime" in record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The message."""
        if _is_other(text(record.get("logStreamName") or record.get("@logStream"))):
            yield Skip(_OTHER_STREAM)
            return
        group = text(record.get("logGroupName") or record.get("logGroupIdentifier") or record.get("@log")) or ""
        account, _, path = group.rpartition(":")
        account = account.split(":")[-2] if account.startswith("arn:") and account.count(":") >= 5 else account
        message = record.get("message") or record.get("@message")
        time = record.get("timestamp") or record.get("@timestamp")
        yield _message(message, cluster_of(path or group, account if account.isdigit() else ""), time)


@format_
class LogEventList:
    """An answer of GetLogEvents or FilterLogEvents, or of Logs Insights."""

    name = "eks-answer"
    title = "Amazon EKS audit events in an answer of CloudWatch Logs"
    order = 22

    def recognises(self, record: Record) -> bool:
        """By a list of events and the keys around it, or rows of fields."""
        return (isinstance(record.get("events"), list) and "items" not in record) or (
            isinstance(record.get("results"), list) and "statistics" in record
        )

    def read(self, record: Record) -> Iterable[Outcome]:
        """The log events."""
        if "events" in record:
            yield Inner(listed(record["events"]))
        for row in listed(record.get("results")):
            cells = [mapping(cell) for cell in listed(row)]
            yield Inner({str(cell.get("field")): cell.get("value") for cell in cells})


@format_
class Packed:
    """Records that Lambda, Kinesis and Firehose hand over: base64 data, usually of gzip."""

    name = "aws-packed"
    title = "AWS records of base64 data"
    order = 23

    def recognises(self, record: Record) -> bool:
        """By `awslogs.data`, `kinesis.data`, or `data` beside a record id."""
        if "awslogs" in record or "kinesis" in record:
            return True
        return isinstance(record.get("data"), str) and ("recordId" in record or len(record) <= 2)

    def read(self, record: Record) -> Iterable[Outcome]:
        """What the data unpacks to."""
        data = mapping(record.get("awslogs") or record.get("kinesis") or record).get("data")
        if not isinstance(data, str):
            yield Reject("an AWS record without data")
            return
        if is_packed(data[:4].encode(errors="replace")):
            yield Inner(data)
            return
        try:
            yield Inner(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            yield Reject("an AWS record whose data is no base64")


@format_
class Records:
    """A list of records under one key, as Lambda, Firehose, Azure and Google deliver."""

    name = "records"
    title = "a list of cloud records"
    order = 24
    _keys = ("records", "Records", "entries")

    def recognises(self, record: Record) -> bool:
        """By the list."""
        return any(isinstance(record.get(key), list) for key in self._keys)

    def read(self, record: Record) -> Iterable[Outcome]:
        """Its records, recognised one by one."""
        yield Inner(next((records for key in self._keys if (records := listed(record.get(key)))), []))
