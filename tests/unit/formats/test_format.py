from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewake import formats
from kubewake.formats import format as registry
from kubewake.formats.format import Inner, Record, Reject, Skip, format_
from tests.unit.formats.samples import native, only, read, text


@pytest.fixture
def registered() -> Iterator[None]:
    registry.formats()
    before = dict(registry._REGISTERED)
    registry.formats.cache_clear()
    yield
    registry._REGISTERED.clear()
    registry._REGISTERED.update(before)
    registry.formats.cache_clear()


def test_a_new_format_is_one_decorated_class(registered):
    @format_
    class Courier:
        name = "courier"
        title = "events by courier"
        order = 1

        def recognises(self, record: Record) -> bool:
            return "parcel" in record

        def read(self, record: Record):
            yield Inner(record["parcel"], cluster="north", time="2026-01-01T00:00:00Z", envelope={"van": 7})
            yield Skip("advertisement")
            yield Reject("a torn letter")

    assert "courier" in {known.name for known in formats.formats()}
    batch = read({"parcel": native(stageTimestamp=None, requestReceivedTimestamp=None)})
    (event,) = batch.events
    assert (event.cluster, event.time, event.envelope) == ("north", "2026-01-01T00:00:00.000000Z", {"van": 7})
    assert batch.skipped_reasons == {"advertisement": 1}
    assert [item.reason for item in batch.malformed] == ["a torn letter"]
    assert formats.sniff(b'{"parcel":{}}') == "courier"
    assert formats.describe("courier", layers=["gzip"]) == "events by courier, one a line, gzip"


def test_two_formats_of_one_name_are_refused(registered):
    registry.formats()

    class Impostor:
        name = "native"
        title = "x"
        order = 1

    with pytest.raises(ValueError, match="two formats"):
        format_(Impostor)  # type: ignore[arg-type]


def test_names_are_unique_and_titles_tell():
    known = formats.formats()
    assert len({item.name for item in known}) == len(known) >= 18
    assert all(item.title for item in known)


def test_no_format_claims_a_native_event_but_the_native_one():
    assert [item.name for item in formats.formats() if item.recognises(native())] == ["native"]


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [{}], {"a": 1}, True, 1.5])
def test_no_format_raises_on_any_value_of_the_keys_that_it_looks_at(value):
    keys = [
        "protoPayload",
        "properties",
        "log_s",
        "tables",
        "columns",
        "message",
        "logEvents",
        "events",
        "results",
        "records",
        "Records",
        "data",
        "awslogs",
        "kinesis",
        "kubernetes",
        "aws",
        "azure",
        "gcp",
        "_source",
        "event",
        "attributes",
        "http",
        "usr",
        "short_message",
        "full_message",
        "p_enrichment",
        "items",
        "kind",
        "apiVersion",
        "auditID",
        "verb",
        "stage",
        "user",
        "category",
        "operationName",
        "logName",
        "insertId",
        "resource",
        "operation",
        "AuditId",
        "Verb",
        "involvedObject",
        "method",
        "requestURI",
        "messageType",
        "content",
        "body",
    ]
    for known in formats.formats():
        for key in keys:
            for other in keys:
                record = {key: value, other: value}
                if known.recognises(record):
                    list(known.read(record))


def test_an_envelope_in_an_envelope_in_an_envelope_is_read():
    assert only({"message": {"log": {"_raw": text(native()).decode()}}}).verb == "create"


def test_envelopes_without_end_are_malformed():
    record = native()
    for _ in range(12):
        record = {"message": record}
    (malformed,) = read(record).malformed
    assert "envelopes inside each other" in malformed.reason


def test_every_format_has_its_place_in_the_documentation():
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
    assert [item.name for item in formats.formats() if f"`{item.name}`" not in page] == []
