"""From surprise to evidence; the budget."""

import math
import random

import pytest

from kubewake.baseline.budget import HIGHEST_NATS, LOWEST_NATS, Budget
from kubewake.baseline.calibration import Histogram, Rank


def test_nothing_known_is_no_evidence() -> None:
    assert Histogram({}).rank(30.0).evidence == 0
    assert Rank(0, 3).evidence == pytest.approx(0.0)


def test_evidence_follows_the_formula() -> None:
    rank = Rank(2, 299)
    assert rank.p == 0.01
    assert rank.evidence == pytest.approx(math.log(0.5) - 0.5 * math.log(0.01))


def test_p_values_of_ordinary_scores_are_calibrated() -> None:
    rng = random.Random(5)
    histogram = Histogram({})
    for _ in range(4_000):
        histogram.add(20_000, rng.expovariate(0.5))
    p = [histogram.rank(rng.expovariate(0.5)).p for _ in range(4_000)]

    for level in (0.01, 0.05, 0.2):
        assert sum(value <= level for value in p) / len(p) <= 1.3 * level + 0.005


def test_e_values_of_ordinary_scores_average_below_one() -> None:
    rng = random.Random(6)
    histogram = Histogram({})
    for _ in range(2_000):
        histogram.add(20_000, rng.expovariate(0.5))
    e = [0.5 / math.sqrt(histogram.rank(rng.expovariate(0.5)).p) for _ in range(4_000)]

    assert sum(e) / len(e) < 1.1


def test_scores_leave_after_fourteen_days() -> None:
    histogram = Histogram({})
    histogram.add(20_000, 1.0)
    histogram.forget(20_014)
    assert histogram.rank(0.0).observed == 0


def test_the_budget_moves_the_bar_within_its_limits() -> None:
    noisy, silent = Budget(), Budget()
    for day in range(1, 40):
        noisy.count(day, 30)
        silent.count(day, 0)

    assert noisy.shift == HIGHEST_NATS
    assert silent.shift == LOWEST_NATS
    assert Budget().count(1, 5) == 0


def test_days_without_events_count_as_quiet_days() -> None:
    gap, steady = Budget(), Budget()
    gap.count(1)
    gap.count(3)
    for day in (1, 2, 3):
        steady.count(day)
    assert gap.shift == pytest.approx(steady.shift)
