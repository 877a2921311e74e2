"""Intervals and paired tests."""

import pytest

from bench.evaluation.statistics import average_precision, mcnemar, median, recall_at_precision, wilson


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634), (49, 54, 0.8009, 0.9598)],
)
def test_wilson(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("abc", "abc", (0, 0, 1.0)),
        ("abcde", "", (5, 0, 0.0625)),
        ("ab", "cd", (2, 2, 1.0)),
        ("abcdefgh", "i", (8, 1, 0.0390625)),
    ],
)
def test_mcnemar(ours, theirs, expected):
    assert mcnemar(ours, theirs) == pytest.approx(expected)


def test_average_precision_of_a_perfect_and_of_a_useless_score():
    assert average_precision([(2, True), (1, False)]) == 1
    assert average_precision([(1, True), (1, False), (1, False), (1, False)]) == 0.25


def test_recall_at_precision():
    scored = [(4, True), (3, True), (2, False), (1, True)]
    assert recall_at_precision(scored, 0.9) == pytest.approx(2 / 3)
    assert recall_at_precision(scored, 0.7) == 1
    assert recall_at_precision([(1, False)], 0.9) == 0


@pytest.mark.parametrize(("values", "middle"), [([], None), ([3], 3), ([3, 1, 2], 2), ([4, 1], 2.5)])
def test_median(values, middle):
    assert median(values) == middle
