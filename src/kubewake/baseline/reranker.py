"""How likely an incident is right: a logistic regression on a dozen numbers, in plain Python.

Trained and measured by `python -m bench.reranker`, and not adopted: on held-out attack families it is not proved better
than the score, so nothing orders incidents by it. All signs are fixed, so that no more evidence can ever make an incident
less likely, and no name, address or other string enters.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from kubewake.finding import Incident

FEATURES = (
    "score",
    "strongest part",
    "tactics",
    "rule nats",
    "link nats",
    "unusual origin nats",
    "unusual action nats",
    "unusual volume nats",
    "order nats",
    "log of findings",
    "log of links",
    "identities",
)
"""What is looked at; each may only raise the rank."""
MAX_COUNT = 8.0


class Weights(Struct, frozen=True):
    """A trained re-ranker: z-scores of the features times weights, none of them negative, and how it was made."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float
    manifest: dict[str, float | int | str | bool | list[str]]


def features_of(incident: Incident) -> tuple[float, ...]:
    """The numbers of an incident, in the order of `FEATURES`."""
    by_kind: dict[str, float] = {}
    strongest = 0.0
    tactics = set()
    for part in incident.score_parts:
        nats = float(str(part["nats"]))
        kind = str(part["detector"] if part["kind"] == "surprise" else part["kind"])
        by_kind[kind] = by_kind.get(kind, 0.0) + nats
        strongest = max(strongest, nats)
        if part["tactic"]:
            tactics.add(part["tactic"])
    identities = sum(1 for entity in incident.entities if entity.kind == "identity")
    return (
        incident.score,
        strongest,
        float(len(tactics)),
        by_kind.get("rule", 0.0),
        by_kind.get("link", 0.0),
        by_kind.get("unusual-origin", 0.0),
        by_kind.get("unusual-action", 0.0),
        by_kind.get("unusual-volume", 0.0),
        by_kind.get("order", 0.0),
        math.log1p(len(incident.findings)),
        math.log1p(len(incident.links)),
        min(MAX_COUNT, float(identities)),
    )


def likelihood(weights: Weights, features: Sequence[float]) -> float:
    """How likely an incident with these features is right, from 0 to 1."""
    total = weights.intercept
    for value, mean, scale, weight in zip(features, weights.mean, weights.scale, weights.weight, strict=True):
        total += weight * (value - mean) / scale
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, total))))
