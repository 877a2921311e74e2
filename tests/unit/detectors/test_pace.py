"""The pace of an identity: moving average, deviation, what counts as far above."""

import pytest

from kubewake.detectors.request_rate import HISTORY_SPANS, REQUESTS_ENOUGH, Pace


def steady(count: int, spans: int = 50) -> Pace:
    pace = Pace(REQUESTS_ENOUGH)
    for _ in range(spans):
        pace.current = count
        pace.close(1)
    return pace


@pytest.mark.parametrize(
    ("usual", "now", "far"),
    [(10, 299, False), (10, 300, True), (1000, 4000, False), (1000, 6000, True), (0, 300, True)],
)
def test_a_jump_is_large_and_a_multiple(usual: int, now: int, far: bool) -> None:
    pace = steady(usual)
    pace.current = now
    assert (pace.current >= pace.bar) is far


def test_an_irregular_past_allows_more() -> None:
    pace = Pace(REQUESTS_ENOUGH)
    for span in range(100):
        pace.current = 1000 if span % 10 == 0 else 0
        pace.close(1)
    pace.current = 1000
    assert pace.current < pace.bar


def test_silence_is_learnt_up_to_a_limit() -> None:
    pace = steady(100)
    before = pace.mean
    pace.close(1_000_000)
    assert pace.mean == pytest.approx(before * 0.9 ** (HISTORY_SPANS + 1), rel=1e-6)
