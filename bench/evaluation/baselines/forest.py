"""Isolation forest on features, trained on the attack-free part."""

from collections.abc import Sequence

from bench.evaluation.baselines.features import features_of
from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.rule import Hit

TREES = 100
SAMPLE = 1024
SEED = 7
KEPT_SHARE = 0.01
"""The strangest requests become hits; grouping and ranking decide from there."""


def hits_of_forest(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    """The strangest requests after the attack-free part, with their anomaly scores."""
    from sklearn.ensemble import IsolationForest

    vectors = features_of(requests)
    split = next((index for index, r in enumerate(requests) if r.time >= learn_until), len(requests))
    forest = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=SEED).fit(vectors[:split])
    scores = [-float(score) for score in forest.score_samples(vectors[split:])]
    return strangest(requests[split:], scores)


def strangest(requests: Sequence[Request], scores: Sequence[float]) -> list[Hit]:
    """The requests with the highest scores."""
    keep = max(1, int(len(requests) * KEPT_SHARE))
    order = sorted(range(len(requests)), key=lambda index: (-scores[index], index))[:keep]
    return [Hit(requests[index], "outlier", scores[index]) for index in sorted(order)]
