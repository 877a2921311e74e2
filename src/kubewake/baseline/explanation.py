"""Surprise in words for everybody and in numbers that can be checked."""

from collections.abc import Sequence
from typing import Any

from kubewake.baseline.calibration import Rank
from kubewake.baseline.identity import EVERYBODY
from kubewake.baseline.surprise import Ask, Level, nats_of
from kubewake.baseline.traits import Portrait

MAX_NAMED = 2
"""Traits put into words; the detail holds all."""


def detail_of(
    portrait: Portrait, asks: Sequence[Ask], rank: Rank, *, stratum: str, threat: float, factor: float, nats: float
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
                "peers": [list(_row(level)) for level in item.levels],
                "nats": round(nats_of(item), 6),
            }
            for item in asks
        ],
        "surprise": round(sum(nats_of(item) for item in asks), 6),
        "higher": rank.higher,
        "observed": rank.observed,
        "p": round(rank.p, 9),
        "evidence": round(rank.evidence, 6),
        "threat": threat,
        "factor": factor,
        "nats": round(nats, 6),
    }


def _row(level: Level) -> tuple[str, int, int, int, int]:
    return (level.group, level.members, level.showing, level.total, level.distinct)


def recompute(detail: dict[str, Any], *, without: str = "") -> float:
    """The surprise made again from the counts in a detail, without one facet if wanted."""
    total = 0.0
    for trait in detail["traits"]:
        if trait["facet"] == without:
            continue
        levels = tuple(Level(*row) for row in trait["peers"])
        total += nats_of(
            Ask(
                trait["facet"],
                "",
                trait["value"],
                trait["weight"],
                trait["requests"],
                trait["distinct"],
                trait["known_days"],
                levels,
            )
        )
    return total


def sentence_of(portrait: Portrait, asks: Sequence[Ask], rank: Rank, days: int) -> str:
    """One sentence for a reader who knows no statistics, with the counts behind it."""
    told = sorted((item for item in asks if nats_of(item) > 0), key=lambda item: (-nats_of(item), item.facet))
    parts = [_phrase(portrait, item, days) for item in told[:MAX_NAMED]]
    rare = f"{rank.higher} of {rank.observed} comparable behaviours were as unusual" if rank.observed else ""
    return "; ".join([*parts, rare] if rare else parts)


def _phrase(portrait: Portrait, item: Ask, days: int) -> str:
    said = {
        "action": f"{portrait.user} was never seen to {portrait.sentence}",
        "scope": f"{portrait.user} never did such things in {item.value}",
        "program": f"{portrait.user} never used the program {item.value}",
        "origin": f"{portrait.user} never came from {item.value}",
        "outcome": f"requests of {portrait.user} never ended like this ({item.value})",
        "object": f"{portrait.user} never touched {item.value}",
        "payload": f"{portrait.user} never brought in {item.value}",
        "hour": f"{portrait.user} was never active at {item.value}",
    }.get(item.facet, f"{item.facet} {item.value} is new for {portrait.user}")
    history = f" (0 of {item.requests:,} requests on {days} day{'s' * (days != 1)})" if item.requests else ""
    peers = next((level for level in item.levels if level.group != EVERYBODY), None)
    everybody = next((level for level in item.levels if level.group == EVERYBODY), None)
    others = []
    if peers is not None:
        others.append(f"{peers.showing} of {peers.members} {peers.group}")
    if everybody is not None:
        others.append(f"{everybody.showing} of {everybody.members} identities ever")
    return said + history + (f", {', '.join(others)}" if others else "")
