"""Other ways to find attacks in audit logs, each given kubewake's grouping by actor: what has to be beaten."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from bench.evaluation.baselines import falco, sigma
from bench.evaluation.baselines.forest import hits_of_forest
from bench.evaluation.baselines.grouping import IDLE_SECONDS, KEYS, precision_of, stories_of
from bench.evaluation.baselines.half_space import hits_of_half_space
from bench.evaluation.baselines.new_terms import hits_of_new_terms
from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.risk import stories_of_risk, stories_of_tactics
from bench.evaluation.baselines.rule import Hit, hits_of
from bench.evaluation.baselines.trigram import hits_of_trigram
from bench.evaluation.labels import Labels
from bench.evaluation.measures import found_within, ranking
from bench.evaluation.story import Story

HitMaker = Callable[[Sequence[Request], str], list[Hit]]


def _by_falco(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    del learn_until
    return hits_of(falco.RULES, requests)


def _by_sigma(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    del learn_until
    return hits_of(sigma.RULES, requests)


def _by_union(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    hits = [
        *_by_falco(requests, learn_until),
        *_by_sigma(requests, learn_until),
        *hits_of_new_terms(requests, learn_until),
    ]
    return sorted(hits, key=lambda hit: (hit.request.time, hit.request.audit_id))


def _by_rules(requests: Sequence[Request], learn_until: str) -> list[Hit]:
    hits = [*_by_falco(requests, learn_until), *_by_sigma(requests, learn_until)]
    return sorted(hits, key=lambda hit: (hit.request.time, hit.request.audit_id))


GROUPED: dict[str, HitMaker] = {
    "Falco's rules": _by_falco,
    "SigmaHQ's rules": _by_sigma,
    "new terms": hits_of_new_terms,
    "union of the three": _by_union,
    "isolation forest": hits_of_forest,
    "half-space trees": hits_of_half_space,
    "trigrams of an actor": hits_of_trigram,
}


class Tuning(Struct):
    """How a baseline groups and weighs, settled on the recording for development."""

    key: str
    idle_seconds: float
    weighed: bool
    precision: dict[str, float]

    def tell(self, hits: Iterable[Hit]) -> list[Story]:
        """Stories in this way."""
        return stories_of(hits, KEYS[self.key], self.idle_seconds, self.precision if self.weighed else {})


def tune(hits: Sequence[Hit], labels: Labels, allowed: int = 1) -> Tuning:
    """The grouping and weighing that find most at that many false stories, with the labels in sight.

    That is more than a baseline would get in life: the comparison leans its way.
    """
    precision = precision_of(hits, labels)
    best: tuple[tuple[int, int], Tuning] | None = None
    for key in KEYS:
        for idle in IDLE_SECONDS:
            for weighed in (False, True):
                tuning = Tuning(key, idle, weighed, precision)
                ranks = ranking(tuning.tell(hits), labels)
                worth = (len(found_within(ranks, allowed)), len(found_within(ranks, 5)))
                if best is None or worth > best[0]:
                    best = worth, tuning
    assert best is not None
    return best[1]


def principal_stories(requests: Sequence[Request]) -> Mapping[str, list[Story]]:
    """The two baselines that judge a principal's whole day."""
    hits = _by_rules(requests, "")
    return {
        "risk-based alerting": stories_of_risk(hits),
        "three tactics a day": stories_of_tactics(hits),
    }
