"""Per-actor trigrams of actions: how unlikely is what an identity does after what it did, with back-off to all identities."""

import math
from collections import Counter
from collections.abc import Sequence

from bench.evaluation.baselines.forest import strangest
from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.rule import Hit

BACK_OFF = 0.4
"""Stupid back-off (Brants et al. 2007): each step to a shorter context costs this factor."""


def hits_of_trigram(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    """The least likely actions after the attack-free part."""
    counts: Counter[tuple[str, ...]] = Counter()
    last: dict[str, tuple[str, str]] = {}
    scores = []
    for r in requests:
        action = f"{r.verb} {r.resource}/{r.subresource} {r.namespace} {r.code // 100}"
        before = last.get(r.user, ("", ""))
        chain = [
            (("3", r.user, *before), action),
            (("2", r.user, before[1]), action),
            (("1", r.user), action),
            (("0",), action),
        ]
        factor, likely = 1.0, 0.0
        for context, what in chain:
            seen = counts[*context, what]
            if seen:
                likely = factor * seen / counts[context]
                break
            factor *= BACK_OFF
        scores.append(-math.log(likely or factor / (1 + counts[("0",)])))
        for context, what in chain:
            counts[context] += 1
            counts[*context, what] += 1
        last[r.user] = (before[1], action)
    split = next((index for index, r in enumerate(requests) if r.time >= learn_until), len(requests))
    return strangest(requests[split:], scores[split:])
