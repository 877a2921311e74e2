"""Orders incidents by how likely they are right: a logistic regression on a dozen numbers, in plain Python.

The score stands alone; this only says which to look at first. All signs are fixed, so that no more evidence can ever
rank an incident lower, and no name, address or other string enters. Trained by `python -m bench.reranker`.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

import msgspec
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


@lru_cache(maxsize=1)
def shipped() -> Weights:
    """The weights that come with kubewake."""
    return msgspec.json.decode(files(__package__).joinpath("reranker.json").read_bytes(), type=Weights)


def ranked(incidents: Sequence[Incident]) -> list[Incident]:
    """Most likely right first; by score alone where the re-ranker did not prove better on held-out attack families."""
    weights = shipped()
    if not weights.manifest.get("adopted"):
        return sorted(incidents, key=lambda item: (-item.score, item.id))
    return sorted(incidents, key=lambda item: (-likelihood(weights, features_of(item)), -item.score, item.id))
