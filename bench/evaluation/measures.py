"""M1 to M4: what a telling is worth against the labels."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from bench.evaluation.labels import Episode, Labels
from bench.evaluation.statistics import average_precision, median, recall_at_precision
from bench.evaluation.story import Alert, Story, Telling

SEVERITY_SCORE = {"informational": 0.01, "low": 0.1, "medium": 0.5, "high": 1.0, "critical": 2.0}
"""Scores of events that are in findings only, all below the bar of an incident."""


class Rank(NamedTuple):
    """One judged story: its score and the campaign that it credits, None for a false one."""

    score: float
    campaign: str | None


def ranking(stories: Iterable[Story], labels: Labels) -> list[Rank]:
    """Judged stories, best first; of equal ones the false first."""
    ranks = []
    for story in stories:
        credit = labels.credit(story.audit_ids)
        if credit.judged:
            ranks.append(Rank(story.score, credit.campaign))
    return sorted(ranks, key=lambda rank: (-rank.score, rank.campaign is not None, rank.campaign or ""))


def found_within(ranks: Iterable[Rank], false_allowed: int) -> set[str]:
    """Campaigns found when the bar stands as low as that many false stories allow."""
    found: set[str] = set()
    false = 0
    for rank in ranks:
        if rank.campaign is None:
            false += 1
            if false > false_allowed:
                break
        else:
            found.add(rank.campaign)
    return found


def found_above(ranks: Iterable[Rank], bar: float) -> set[str]:
    """Campaigns found by stories that score more than the bar."""
    return {rank.campaign for rank in ranks if rank.campaign is not None and rank.score > bar}


def bar_for(false_scores: Sequence[float], allowed: float) -> float:
    """The lowest bar that no more than `allowed` of these false stories pass: a story must score more."""
    ordered = sorted(false_scores, reverse=True)
    place = math.floor(allowed)
    return ordered[place] if place < len(ordered) else -math.inf


class Opening(Struct):
    """M2 for one campaign: how much of it had happened when its incident opened."""

    campaign: str
    events: int
    steps: int
    steps_total: int

    @property
    def before_impact(self) -> bool:
        """Whether its last step was still to come."""
        return self.steps < self.steps_total


def openings(stories: Iterable[Story], labels: Labels, times: dict[str, str]) -> list[Opening]:
    """When each campaign that was found was first told."""
    first: dict[str, str] = {}
    for story in stories:
        campaign = labels.credit(story.audit_ids).campaign
        if campaign is not None and (campaign not in first or story.opened_at < first[campaign]):
            first[campaign] = story.opened_at
    result = []
    for campaign, opened in sorted(first.items()):
        episode = labels.by_id[campaign]
        begun = [min((times[a] for a in step.audit_ids if a in times), default="9") <= opened for step in episode.steps]
        result.append(
            Opening(
                campaign,
                sum(times.get(audit, "9") <= opened for audit in set(episode.audit_ids)),
                len(begun) if begun and begun[-1] else sum(begun),
                len(begun),
            )
        )
    return result


class Quality(Struct, kw_only=True):
    """Everything that M1 to M4 say of one telling."""

    campaigns: int
    events: int
    found: list[str]
    false_stories: int
    recall_at_false: dict[int, list[str]]
    """Campaigns found, by the number of false stories allowed."""
    opened_events: float | None
    opened_steps: float | None
    before_impact: int
    before_impact_of: int
    multi_step: int
    pr_auc: float
    recall_at_precision: float
    purity: float | None
    fragmentation: float | None
    root_right: int
    steps_listed: float | None
    loud_recall: int
    loud_false: Counter[str]
    any_recall: int
    lookalike_stories: dict[str, int]
    lookalike_alerts: dict[str, int]
    false: list[Story]


FALSE_ALLOWED = (0, 1, 2, 5, 10, 20)


def quality(told: Telling, labels: Labels, times: dict[str, str]) -> Quality:
    """Score a telling."""
    ranks = ranking(told.stories, labels)
    pieces: Counter[str] = Counter()
    purity: list[float] = []
    steps: dict[str, float] = {}
    root: dict[str, bool] = {}
    false: list[Story] = []
    lookalikes: dict[str, int] = {item.id: 0 for item in labels.benign_lookalikes}
    for story in told.stories:
        credit = labels.credit(story.audit_ids)
        ids = set(story.audit_ids)
        if credit.campaign is not None:
            episode = labels.by_id[credit.campaign]
            rest = ids - labels.derived
            pieces[episode.id] += 1
            purity.append(sum(labels.campaign_of.get(audit) == episode.id for audit in rest) / len(rest))
            steps[episode.id] = max(steps.get(episode.id, 0.0), listed(ids, episode))
            root[episode.id] = root.get(episode.id, False) or episode.root in story.root_cause
        elif credit.judged:
            false.append(story)
            for item in {labels.lookalike_of[audit] for audit in ids if audit in labels.lookalike_of}:
                lookalikes[item] += 1
    opened = openings(told.stories, labels, times)
    multi = [one for one in opened if one.steps_total > 1]
    events = scored_events(told, labels, times)
    loud, loud_false = alerts_worth((alert for alert in told.alerts if alert.is_loud), labels)
    any_found, _ = alerts_worth(told.alerts, labels)
    return Quality(
        campaigns=len(labels.campaigns),
        events=told.events,
        found=sorted(pieces),
        false_stories=len(false),
        recall_at_false={allowed: sorted(found_within(ranks, allowed)) for allowed in FALSE_ALLOWED},
        opened_events=median(one.events for one in opened),
        opened_steps=median(one.steps for one in opened),
        before_impact=sum(one.before_impact for one in multi),
        before_impact_of=len(multi),
        multi_step=sum(len(episode.steps) > 1 for episode in labels.campaigns),
        pr_auc=average_precision(events),
        recall_at_precision=recall_at_precision(events, 0.9),
        purity=mean(purity),
        fragmentation=mean(pieces.values()),
        root_right=sum(root.values()),
        steps_listed=mean(steps.values()),
        loud_recall=len(loud),
        loud_false=loud_false,
        any_recall=len(any_found),
        lookalike_stories=lookalikes,
        lookalike_alerts=lookalike_alerts(told.alerts, labels),
        false=false,
    )


def listed(ids: set[str], episode: Episode) -> float:
    """Share of the campaign's steps of which an event is in the story."""
    return sum(not ids.isdisjoint(step.audit_ids) for step in episode.steps) / max(1, len(episode.steps))


def scored_events(told: Telling, labels: Labels, times: dict[str, str]) -> list[tuple[float, bool]]:
    """M3: the score of every request, and whether a campaign sent it; derived requests are left out.

    A request has the score of the best story that holds it, else a small one of the gravest finding.
    """
    score: dict[str, float] = dict.fromkeys(times, 0.0)
    for alert in told.alerts:
        if not alert.suppressed:
            worth = SEVERITY_SCORE[alert.severity]
            for audit in alert.audit_ids:
                score[audit] = max(score.get(audit, 0.0), worth)
    for story in told.stories:
        for audit in story.audit_ids:
            score[audit] = max(score.get(audit, 0.0), 10.0 + story.score)
    return [(worth, audit in labels.campaign_of) for audit, worth in score.items() if audit not in labels.derived]


def alerts_worth(alerts: Iterable[Alert], labels: Labels) -> tuple[set[str], Counter[str]]:
    """Campaigns that findings credit, and false findings by rule."""
    found: set[str] = set()
    false: Counter[str] = Counter()
    for alert in alerts:
        if alert.suppressed:
            continue
        credit = labels.credit(alert.audit_ids)
        if credit.campaign is not None:
            found.add(credit.campaign)
        elif credit.judged:
            false[alert.rule] += 1
    return found, false


PRIOR_RIGHT = 2.0
"""Findings that a rule is credited with before it is measured, as in bench/rule_precision.py."""


PRECISION_DIGITS = 3


def precision_of_rules(judged: Iterable[tuple[list[Alert], Labels]]) -> dict[str, float]:
    """Share of right findings for each rule, over several tellings; a finding that is partly right counts in part."""
    right: dict[str, float] = defaultdict(float)
    total: Counter[str] = Counter()
    for alerts, labels in judged:
        for alert in alerts:
            share = labels.share(alert.audit_ids)
            if share is not None and not alert.suppressed:
                right[alert.rule] += share
                total[alert.rule] += 1
    return {
        rule: round((right[rule] + PRIOR_RIGHT) / (total[rule] + PRIOR_RIGHT), PRECISION_DIGITS)
        for rule in sorted(total)
    }


def lookalike_alerts(alerts: Iterable[Alert], labels: Labels) -> dict[str, int]:
    """Loud false findings on each labelled look-alike."""
    hits = {item.id: 0 for item in labels.benign_lookalikes}
    for alert in alerts:
        if alert.is_loud and not alert.suppressed and labels.credit(alert.audit_ids).is_false:
            for item in {labels.lookalike_of[audit] for audit in alert.audit_ids if audit in labels.lookalike_of}:
                hits[item] += 1
    return hits


def mean(values: Iterable[float]) -> float | None:
    """Arithmetic mean; None of nothing."""
    held = list(values)
    return sum(held) / len(held) if held else None
