"""The daily digest: what was suspicious and stayed below the bar, strongest first."""

from collections.abc import Iterable, Mapping

from kubewake.finding import Notice, stable_id
from kubewake.incidents.campaign import Campaign
from kubewake.incidents.phrase import actor_name
from kubewake.incidents.wording import cards_of, said_of
from kubewake.lineage.session import Sessions
from kubewake.rules.model import RuleInfo

MAX_TOLD = 10
DAY_CHARACTERS = 10
WORTH_NATS = 1.0
"""Less than this is left out: every day holds a little of everything."""


def digest_of(
    campaigns: Iterable[Campaign],
    sessions: Sessions,
    infos: Mapping[str, RuleInfo],
    bar: float,
    cluster: str,
    time: str,
) -> Notice | None:
    """One notice for a cluster and the day of `time`; None where nothing came near the bar."""
    waiting = [campaign for campaign in campaigns if not campaign.opened_time and campaign.score >= WORTH_NATS]
    if not waiting:
        return None
    waiting.sort(key=lambda campaign: (-campaign.score, campaign.id))
    lines = []
    for campaign in waiting[:MAX_TOLD]:
        root = sessions.get(campaign.root)
        who = actor_name(root.user) if root is not None else "an identity that is forgotten"
        strongest = max(campaign.parts, key=lambda part: (part.nats, part.detector), default=None)
        said = said_of(campaign, cards_of(campaign, infos))
        why = said.get(strongest.text, strongest.text) if strongest is not None else ""
        lines.append(f"{campaign.score:.1f} of {bar:.1f}: {who}, last at {campaign.last_time}: {why}")
    more = f" and {len(waiting) - MAX_TOLD} more" if len(waiting) > MAX_TOLD else ""
    day = time[:DAY_CHARACTERS]
    return Notice(
        stable_id("notice", "digest", cluster, day),
        time,
        f"{day}: {len(waiting)} stories stayed below the bar",
        "; ".join(lines) + more,
    )
