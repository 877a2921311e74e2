"""What detectors remember."""

import pytest

from kubewake.detectors.ledger import Ledger, moment


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
