"""Detectors that judge a principal's day: the sum of its risks, or the number of tactics it shows."""

from collections.abc import Iterable

from bench.evaluation.baselines.rule import Hit
from bench.evaluation.story import Story

RISK_OF_NAT = 10.0
"""Risk points of one nat of weight: a medium hit is 20, a high one 40, as risk-based alerting has it."""
RISK_THRESHOLD = 100.0
TACTICS_THRESHOLD = 3


def _days(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    by_user: dict[str, list[Hit]] = {}
    for hit in hits:
        by_user.setdefault(hit.request.user, []).append(hit)
    return by_user


def stories_of_risk(hits: Iterable[Hit]) -> list[Story]:
    """Principals whose risks of a day come to the threshold, ranked by the sum; opened where the sum gets there."""
    stories = []
    for user, held in sorted(_days(hits).items()):
        total, opened = 0.0, ""
        for hit in held:
            total += RISK_OF_NAT * hit.weight
            if not opened and total >= RISK_THRESHOLD:
                opened = hit.request.time
        if opened:
            stories.append(Story(total, [hit.request.audit_id for hit in held], opened, user))
    return stories


def stories_of_tactics(hits: Iterable[Hit]) -> list[Story]:
    """Principals that show three tactics within the day, ranked by their number."""
    stories = []
    for user, held in sorted(_days(hits).items()):
        tactics: set[str] = set()
        opened = ""
        for hit in held:
            tactics.add(hit.tactic)
            if not opened and len(tactics) >= TACTICS_THRESHOLD:
                opened = hit.request.time
        if opened:
            stories.append(Story(float(len(tactics)), [hit.request.audit_id for hit in held], opened, user))
    return stories
