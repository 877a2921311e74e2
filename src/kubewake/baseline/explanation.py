"""Surprise in words for everybody and in numbers that can be checked."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from kubewake.baseline.calibration import Rank
from kubewake.baseline.identity import EVERYBODY
from kubewake.baseline.surprise import Ask, nats_of
from kubewake.baseline.traits import Portrait

MAX_NAMED = 2
"""Traits put into words; the detail holds all."""


def detail_of(
    portrait: Portrait,
    asks: Sequence[Ask],
    surprises: Sequence[float],
    rank: Rank,
    *,
    stratum: str,
    threat: float,
    factor: float,
    nats: float,
) -> dict[str, Any]:
    """Every number that the contribution is made of; `recompute` makes it again."""
    return {
        "identity": portrait.user,
        "action": portrait.action,
        "stratum": stratum,
        "traits": [
            {
                "facet": item.facet,
                "value": item.value,
                "weight": item.weight,
                "requests": item.requests,
                "distinct": item.distinct,
                "known_days": item.known_days,
                "peers": item.levels,
                "nats": round(surprise, 6) if surprise else 0.0,
            }
            for item, surprise in zip(asks, surprises, strict=True)
        ],
        "surprise": sum(surprises),
        "higher": rank.higher,
        "observed": rank.observed,
        "p": rank.p,
        "evidence": rank.evidence,
        "threat": threat,
        "factor": factor,
        "nats": nats,
    }


def recompute(detail: dict[str, Any], *, without: str = "") -> float:
    """The surprise made again from the counts in a detail, without one facet if wanted."""
    total = 0.0
    for trait in detail["traits"]:
        if trait["facet"] == without:
            continue
        total += nats_of(
            Ask(
                trait["facet"],
                "",
                trait["value"],
                trait["weight"],
                trait["requests"],
                trait["distinct"],
                trait["known_days"],
                trait["peers"],
            )
        )
    return total


def sentence_of(portrait: Portrait, asks: Sequence[Ask], surprises: Sequence[float], rank: Rank, days: int) -> str:
    """One sentence for a reader who knows no statistics, with the counts behind it."""
    told = [(-surprise, item.facet, item) for item, surprise in zip(asks, surprises, strict=True) if surprise > 0]
    told.sort(key=itemgetter(0, 1))
    parts = [_phrase(portrait, item, days) for _, _, item in told[:MAX_NAMED]]
    rare = f"{rank.higher} of {rank.observed} comparable behaviours were as unusual" if rank.observed else ""
    return "; ".join([*parts, rare] if rare else parts)


_SAID = {
    "action": "{user} was never seen to {sentence}",
    "scope": "{user} never did such things in {value}",
    "program": "{user} never used the program {value}",
    "origin": "{user} never came from {value}",
    "outcome": "requests of {user} never ended like this ({value})",
    "object": "{user} never touched {value}",
    "payload": "{user} never brought in {value}",
    "hour": "{user} was never active at {value}",
}


def _phrase(portrait: Portrait, item: Ask, days: int) -> str:
    said = _SAID.get(item.facet, "{facet} {value} is new for {user}").format(
        user=portrait.user, sentence=portrait.sentence, facet=item.facet, value=item.value
    )
    history = f" (0 of {item.requests:,} requests on {days} day{'s' * (days != 1)})" if item.requests else ""
    peers = next((level for level in item.levels if level.group != EVERYBODY), None)
    everybody = next((level for level in item.levels if level.group == EVERYBODY), None)
    others = []
    if peers is not None:
        others.append(f"{peers.showing} of {peers.members} {peers.group}")
    if everybody is not None:
        others.append(f"{everybody.showing} of {everybody.members} identities ever")
    return said + history + (f", {', '.join(others)}" if others else "")
