"""Three plain sentences: what happened, why it matters, what to do first."""

from collections.abc import Mapping

from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.incidents.phrase import actor_name, describe, where_from
from kubewake.lineage.session import ANONYMOUS
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
OPENINGS = frozenset({"service", "machine", "someone"})
"""First words of the names that `phrase.actor_name` gives."""


def strongest_text(campaign: Campaign, said: Mapping[str, str]) -> str:
    """What the weightiest evidence says; `said` is what `wording.said_of` answers."""
    parts = [part for part in campaign.parts if part.kind != "order"]
    best = max(parts, key=lambda part: (part.nats, part.text), default=None)
    return said.get(best.text, best.text) if best is not None else "Suspicious activity"


def title_of(campaign: Campaign, users: list[str], said: Mapping[str, str]) -> str:
    """One line: the weightiest evidence and who."""
    text = strongest_text(campaign, said)
    who = actor_name(users[0]) if users else "an unknown identity"
    others = (
        f" and {len(users) - 1} more identities"
        if len(users) > 2
        else " and one more identity"
        if len(users) == 2
        else ""
    )
    title = f"{text[:1].upper()}{text[1:]}: {who}{others}"
    return title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…"


def tell(
    campaign: Campaign, events: list[StoryEvent], users: list[str], commands: list[str], said: Mapping[str, str]
) -> str:
    """The three sentences."""
    first = events[0].ref
    told = sorted(loudest_events(campaign, events)[:3], key=lambda event: (event.ref.time, event.ref.key))
    what, last_user, seen = "", "", set[str]()
    for event in told:
        text = describe(event.ref)
        if text in seen:
            continue
        seen.add(text)
        place = where_from(event.ref)
        who = (
            f"{actor_name(event.ref.user)}{', ' + place + ',' if place else ''} " if event.ref.user != last_user else ""
        )
        what += f"{', then ' if what else ''}{who}{text}"
        last_user = event.ref.user
    if told[0].ref.user != first.user:
        what += f"; it began with {actor_name(first.user)}"
    if len(users) > 1:
        what += f" ({len(users)} identities took part)"
    strongest = strongest_text(campaign, said)
    what += f": {strongest[:1].lower()}{strongest[1:]}"
    tactics = {part.tactic for part in campaign.parts if part.tactic in TACTICS}
    reasons = [WHY[tactic] for tactic in GRAVITY if tactic in tactics][:2]
    why = "; also, ".join(reasons) if reasons else "this is not how this identity normally behaves"
    if first.user in ANONYMOUS:
        ask = "find out who uses this address and close the API server to it"
    else:
        holder = "whoever runs" if first.user.startswith("system:") else "the owner of the login"
        ask = f"ask {holder} {actor_name(users[0])} whether this was theirs"
    act = commands[0].partition("  # ")[0] if commands else ""
    return f"{sentence(what)} This matters because {why}. First, {ask}{f'; if not, start with: {act}' if act else ''}."


def loudest_events(campaign: Campaign, events: list[StoryEvent]) -> list[StoryEvent]:
    """Events with the weightiest evidence, in order of weight; the first event where none has any."""
    weights: dict[int, float] = {}
    for piece in campaign.pieces:
        request = piece.key >> 2
        weights[request] = max(weights.get(request, 0.0), piece.nats * campaign.strength_of(piece.session))
    held = [event for event in events if weights.get(event.ref.request)]
    return sorted(held, key=lambda event: (-weights[event.ref.request], event.ref.time, event.ref.key)) or events[:1]


def sentence(text: str) -> str:
    """Text with a full stop, and a capital unless it begins with a name, which stays as it is."""
    head = text if text.partition(" ")[0].rstrip(",") not in OPENINGS else f"{text[:1].upper()}{text[1:]}"
    return f"{head.rstrip('.')}."
