"""Intervals and paired tests for shares of few campaigns."""

import math
from collections.abc import Iterable

Z95 = 1.959964


def wilson(hits: int, total: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a share; (0, 1) where nothing was tried."""
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == total else min(1.0, centre + half)
    return low, high


def mcnemar(ours: Iterable[str], theirs: Iterable[str]) -> tuple[int, int, float]:
    """Exact two-sided McNemar test on the campaigns that each found.

    Returns how many only we found, how many only they found, and the p-value.
    """
    one, other = set(ours), set(theirs)
    ahead, behind = len(one - other), len(other - one)
    total = ahead + behind
    if total == 0:
        return 0, 0, 1.0
    tail = sum(math.comb(total, count) for count in range(min(ahead, behind) + 1)) / 2**total
    return ahead, behind, min(1.0, 2 * tail)


def average_precision(scored: Iterable[tuple[float, bool]]) -> float:
    """Area under the precision-recall curve; equal scores are one step, so that their order cannot matter."""
    curve = precision_recall(scored)
    area, last = 0.0, 0.0
    for recall, precision in curve:
        area += (recall - last) * precision
        last = recall
    return area


def recall_at_precision(scored: Iterable[tuple[float, bool]], precision: float) -> float:
    """Highest recall at which the precision is at least this."""
    return max((recall for recall, reached in precision_recall(scored) if reached >= precision), default=0.0)


def precision_recall(scored: Iterable[tuple[float, bool]]) -> list[tuple[float, float]]:
    """(recall, precision) at each distinct score, falling."""
    by_score: dict[float, list[int]] = {}
    positives = 0
    for score, is_positive in scored:
        cell = by_score.setdefault(score, [0, 0])
        cell[is_positive] += 1
        positives += is_positive
    right = wrong = 0
    curve = []
    for score in sorted(by_score, reverse=True):
        wrong += by_score[score][0]
        right += by_score[score][1]
        curve.append((right / max(1, positives), right / (right + wrong)))
    return curve


def median(values: Iterable[float]) -> float | None:
    """Middle value; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
