"""Numbers that describe a request to a detector of outliers: how rare its parts have been, and what it is."""

import math
from collections import Counter
from collections.abc import Iterable

from bench.evaluation.baselines.request import Request

READS = frozenset({"get", "list", "watch"})
FEATURES = 14
Vector = tuple[float, ...]


def features_of(requests: Iterable[Request]) -> list[Vector]:
    """A vector for each request, from what came before it: logarithms of counts, and marks of kind."""
    counts: Counter[tuple[str, ...]] = Counter()
    vectors = []
    for r in requests:
        action = f"{r.verb} {r.resource}/{r.subresource}"
        keys = (
            ("user action", r.user, action),
            ("user namespace", r.user, r.namespace),
            ("user source", r.user, r.source),
            ("user client", r.user, r.client),
            ("action", action),
            ("kind action", r.actor_kind, action),
            ("user", r.user),
            ("user code", r.user, str(r.code)),
        )
        vectors.append(
            (
                *(math.log1p(counts[key]) for key in keys),
                float(r.verb not in READS),
                float(r.resource == "secrets"),
                float(not r.allowed),
                float(r.code >= 400),
                float(bool(r.subresource)),
                float(r.actor_kind == "human"),
            )
        )
        counts.update(keys)
    return vectors
