"""Half-space trees (Tan, Ting and Liu, IJCAI 2011): streaming detection of outliers by the mass of random half-spaces."""

import random
from collections.abc import Sequence

from bench.evaluation.baselines.features import FEATURES, Vector, features_of
from bench.evaluation.baselines.forest import strangest
from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.rule import Hit

TREES = 25
DEPTH = 10
WINDOW = 2_000
SEED = 7


class Tree:
    """One tree over the unit cube: nodes are numbered as in a heap, `reference` and `latest` hold their masses."""

    def __init__(self, rng: random.Random) -> None:
        size = 2**DEPTH
        self.feature = [rng.randrange(FEATURES) for _ in range(size)]
        low = [[0.0] * FEATURES for _ in range(2 * size)]
        high = [[1.0] * FEATURES for _ in range(2 * size)]
        for axis in range(FEATURES):
            start = rng.random()
            reach = 2 * max(start, 1 - start)
            low[1][axis], high[1][axis] = start - reach, start + reach
        self.cut = [0.0] * size
        for node in range(1, size):
            axis = self.feature[node]
            middle = (low[node][axis] + high[node][axis]) / 2
            self.cut[node] = middle
            for child in (2 * node, 2 * node + 1):
                low[child], high[child] = list(low[node]), list(high[node])
            high[2 * node][axis] = low[2 * node + 1][axis] = middle
        self.reference = [0] * (2 * size)
        self.latest = [0] * (2 * size)

    def score(self, vector: Vector) -> float:
        """Mass of the smallest well-filled half-space around a point, larger for ordinary points; takes it in too."""
        node, depth, found = 1, 0, -1.0
        while True:
            self.latest[node] += 1
            mass = self.reference[node]
            if found < 0 and (mass <= WINDOW // 10 or depth == DEPTH):
                found = mass * 2.0**depth
            if depth == DEPTH:
                return found
            node = 2 * node + (vector[self.feature[node]] >= self.cut[node])
            depth += 1

    def turn(self) -> None:
        """A window has ended: what was latest becomes the reference."""
        self.reference, self.latest = self.latest, [0] * len(self.latest)


def hits_of_half_space(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    """The strangest requests after the attack-free part."""
    vectors = features_of(requests)
    tops = [max((vector[axis] for vector in vectors), default=1.0) or 1.0 for axis in range(FEATURES)]
    rng = random.Random(SEED)
    trees = [Tree(rng) for _ in range(TREES)]
    scores = []
    for number, vector in enumerate(vectors, 1):
        scaled = tuple(value / top for value, top in zip(vector, tops, strict=True))
        scores.append(-sum(tree.score(scaled) for tree in trees))
        if number % WINDOW == 0:
            for tree in trees:
                tree.turn()
    split = next((index for index, r in enumerate(requests) if r.time >= learn_until), len(requests))
    lowest = min(scores, default=0.0)
    return strangest(requests[split:], [1 - score / lowest if lowest else 0.0 for score in scores[split:]])
