"""How the titles of rules read in a campaign: a deed that was refused each time was only tried."""

from collections.abc import Mapping

from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.rules import attempt
from kubewake.rules.model import RuleInfo


def cards_of(campaign: Campaign, infos: Mapping[str, RuleInfo]) -> dict[str, RuleInfo]:
    """The rules that speak in a campaign, by title."""
    return {infos[piece.detector].title: infos[piece.detector] for piece in campaign.pieces if piece.detector in infos}


def said_of(campaign: Campaign, cards: Mapping[str, RuleInfo]) -> dict[str, str]:
    """What each rule's title reads as, from all events of the story that the rule speaks of."""
    outcomes: dict[str, set[str]] = {}
    for event in campaign.events.values():
        for title in event.titles:
            outcomes.setdefault(title, set()).add(event.ref.outcome)
    return {title: attempt.title_of(card, common(outcomes.get(title, set()))) for title, card in cards.items()}


def titles_of(event: StoryEvent, cards: Mapping[str, RuleInfo]) -> list[str]:
    """What the rules say of one event."""
    return [attempt.title_of(cards[title], event.ref.outcome) if title in cards else title for title in event.titles]


def common(outcomes: set[str]) -> str:
    """The outcome of several requests: one that was allowed outweighs the others."""
    if not outcomes or outcomes - attempt.ENDINGS.keys():
        return "allowed"
    return "denied" if "denied" in outcomes else "failed"
