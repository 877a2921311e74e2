"""A short run of the fuzzer, so that it cannot rot; `make fuzz` runs it in full."""

from tests.fuzz.formats import run


def test_a_thousand_hostile_inputs():
    totals = run(1000, seed=7, report=False)
    assert min(totals["events"], totals["judged in part"], totals["malformed"], totals["skipped"]) > 50
