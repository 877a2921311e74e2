"""From a baseline's hits to stories, with the grouping by actor and the removal of repeats that kubewake has."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from bench.evaluation.baselines.rule import Hit
from bench.evaluation.labels import Labels
from bench.evaluation.story import Story

Key = Callable[[Hit], tuple[str, ...]]

KEYS: dict[str, Key] = {
    "identity": lambda hit: (hit.request.user,),
    "session": lambda hit: (hit.request.user, hit.request.source, hit.request.client),
}
"""How hits are gathered: by identity, or by identity, address and client together."""
IDLE_SECONDS = (30.0, 120.0, 600.0)
"""Pauses after which a story ends; each baseline gets the one that suits it best on the recording for development."""
PRIOR_RIGHT = 2.0


def stories_of(
    hits: Iterable[Hit],
    key: Key,
    idle_seconds: float,
    precision: Mapping[str, float],
    *,
    repeats: bool = False,
) -> list[Story]:
    """Hits of one actor with no long pause, as one story.

    Each rule counts once, by its weight and measured precision; with `repeats`, each hit counts.
    """
    open_stories: dict[tuple[str, ...], tuple[float, Story, dict[str, float]]] = {}
    done: list[Story] = []
    for hit in hits:
        now = datetime.fromisoformat(hit.request.time).timestamp()
        where = key(hit)
        held = open_stories.get(where)
        if held is None or now - held[0] > idle_seconds:
            story = Story(0.0, [], hit.request.time, hit.request.user)
            held = (now, story, {})
            done.append(story)
        _, story, weights = held
        worth = hit.weight * precision.get(hit.rule, 1.0)
        weights[hit.rule] = weights.get(hit.rule, 0.0) + worth if repeats else max(worth, weights.get(hit.rule, 0.0))
        story.score = sum(weights.values())
        if not story.audit_ids or story.audit_ids[-1] != hit.request.audit_id:
            story.audit_ids.append(hit.request.audit_id)
        open_stories[where] = (now, story, weights)
    return done


def precision_of(hits: Iterable[Hit], labels: Labels) -> dict[str, float]:
    """Share of right hits for each rule, as kubewake's own weights are measured."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for hit in hits:
        if hit.request.audit_id in labels.campaign_of:
            right[hit.rule] += 1
        elif hit.request.audit_id not in labels.derived:
            wrong[hit.rule] += 1
    return {
        rule: (right[rule] + PRIOR_RIGHT) / (right[rule] + wrong[rule] + PRIOR_RIGHT)
        for rule in sorted(set(right) | set(wrong))
    }
