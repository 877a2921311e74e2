"""What detectors remember."""

import pytest

from kubewake.detectors.ledger import Ledger, Span, moment


def test_the_entry_written_longest_ago_goes_first() -> None:
    ledger: Ledger[str, int] = Ledger(2)
    ledger.put("a", 1)
    ledger.put("b", 2)
    ledger.put("a", 3)
    ledger.put("c", 4)
    assert ledger.items() == [("a", 3), ("c", 4)]
    assert ledger.evicted == 1


def test_reading_does_not_make_an_entry_younger() -> None:
    ledger: Ledger[str, int] = Ledger(2)
    ledger.put("a", 1)
    ledger.put("b", 2)
    assert ledger.get("a") == 1
    ledger.put("c", 3)
    assert "a" not in ledger
    assert len(ledger) == 2


def test_a_snapshot_gives_composite_keys_back_as_they_were() -> None:
    ledger: Ledger[tuple[str, str], int] = Ledger(4)
    ledger.fill([(["a", "b"], 1)])
    assert ledger.get(("a", "b")) == 1
    assert ledger.pop(("a", "b")) == 1
    assert ledger.get(("a", "b")) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:01:00.500000Z", 60.5), ("yesterday", 0.0), ("", 0.0)],
)
def test_event_time_as_seconds(text: str, seconds: float) -> None:
    assert moment(text) == seconds


@pytest.mark.parametrize(
    ("text", "number", "begins", "within"),
    [
        ("2026-11-23T07:14:59.999999Z", 5_984_726, "2026-11-23T07:10", True),
        ("2026-11-23T07:15:00.000000Z", 5_984_727, "2026-11-23T07:15", True),
        ("1969-12-31T23:59:00.000000Z", -1, "1969-12-31T23:55", True),
        ("9999-12-31T23:59:59.999999Z", 844_674_335, "9999-12-31T23:55", True),
        ("", 0, "1970-01-01T00:00", False),
    ],
)
def test_a_span_knows_its_times_as_text(text: str, number: int, begins: str, within: bool) -> None:
    span = Span(5)
    span.turn_to(text)
    assert (span.number, span.begins) == (number, begins)
    assert (span.begins <= text < span.ends) is within
    assert not span.begins <= "2026-11-23T07:20:00.000000Z" < span.ends
