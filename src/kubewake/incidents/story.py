"""Three plain sentences: what happened, why it matters, what to do first."""

from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.incidents.phrase import actor_name, describe, where_from
from kubewake.rules.model import TACTICS

WHY = {
    "reconnaissance": "somebody is looking for a way in",
    "initial-access": "somebody may have got in with a login that is not theirs",
    "execution": "somebody can run their own programs in the cluster",
    "persistence": "somebody has made a way to come back, even after passwords change",
    "privilege-escalation": "somebody is getting rights that were never meant for them",
    "defense-evasion": "somebody is hiding traces or switching protections off",
    "credential-access": "logins or passwords are, or may be, in the wrong hands, and work elsewhere too",
    "discovery": "somebody is finding out what can be attacked next",
    "lateral-movement": "somebody is moving from one part of the system to the next",
    "collection": "data is being gathered",
    "command-and-control": "somebody may be steering programs inside from outside",
    "exfiltration": "data may be leaving the cluster",
    "impact": "data or services are being destroyed, taken over or misused",
}
GRAVITY = (
    "impact",
    "exfiltration",
    "credential-access",
    "persistence",
    "privilege-escalation",
    "lateral-movement",
    "defense-evasion",
    "execution",
    "collection",
    "command-and-control",
    "initial-access",
    "discovery",
    "reconnaissance",
)
"""Which consequence a manager must hear first."""
MAX_TITLE = 160


def strongest_text(campaign: Campaign) -> str:
    """What the weightiest evidence says."""
    parts = [part for part in campaign.parts if part.kind != "order"]
    best = max(parts, key=lambda part: (part.nats, part.text), default=None)
    return best.text if best is not None else "Suspicious activity"


def title_of(campaign: Campaign, users: list[str]) -> str:
    """One line: the weightiest evidence and who."""
    text = strongest_text(campaign)
    who = actor_name(users[0]) if users else "an unknown identity"
    others = (
        f" and {len(users) - 1} more identities"
        if len(users) > 2
        else " and one more identity"
        if len(users) == 2
        else ""
    )
    return f"{text[:1].upper()}{text[1:]}: {who}{others}"[:MAX_TITLE]


def tell(campaign: Campaign, events: list[StoryEvent], users: list[str], commands: list[str]) -> str:
    """The three sentences."""
    first = events[0].ref
    loudest = loudest_events(campaign, events)
    place = where_from(first)
    what = f"{actor_name(first.user)}{', ' + place + ',' if place else ''} {describe(loudest[0].ref)}"
    others = [event for event in loudest[1:3] if describe(event.ref) != describe(loudest[0].ref)]
    if others:
        what += "; then " + " and ".join(
            (f"{actor_name(event.ref.user)} " if event.ref.user != first.user else "") + describe(event.ref)
            for event in others
        )
    if loudest[0].ref.user != first.user:
        what = f"{actor_name(first.user)} began this, and {actor_name(loudest[0].ref.user)} {describe(loudest[0].ref)}"
    if len(users) > 1:
        what += f" ({len(users)} identities took part)"
    tactics = {part.tactic for part in campaign.parts if part.tactic in TACTICS}
    reasons = [WHY[tactic] for tactic in GRAVITY if tactic in tactics][:2]
    why = " and ".join(reasons) if reasons else "this is not how this identity normally behaves"
    act = commands[0].partition("  # ")[0] if commands else ""
    todo = (
        f"ask the owner of {actor_name(users[0])} whether they did this; if not, start with: {act}"
        if act
        else (f"ask the owner of {actor_name(users[0])} whether they did this")
    )
    return f"{sentence(what)} This matters because {why}. First, {todo}."


def loudest_events(campaign: Campaign, events: list[StoryEvent]) -> list[StoryEvent]:
    """Events with the weightiest evidence, in order of weight; the first event where none has any."""
    weights: dict[int, float] = {}
    for piece in campaign.pieces:
        request = piece.key >> 2
        weights[request] = max(weights.get(request, 0.0), piece.nats * campaign.strength_of(piece.session))
    held = [event for event in events if weights.get(event.ref.request)]
    return sorted(held, key=lambda event: (-weights[event.ref.request], event.ref.time, event.ref.key)) or events[:1]


def sentence(text: str) -> str:
    """Text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
