"""Ground truth of a recording, and what a set of audit ids is worth against it.

The rule of credit: a finding or incident credits the campaign that most of its labelled events belong to, and only if at
least half of its events (derived ones left out) are that campaign's. Otherwise it is false. One that holds nothing but
derived events, which are other identities' answers to what an attack made, is ignored.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct


class Actor(Struct, rename="camel"):
    """One identity that took part."""

    identity: str = ""
    ip: str = ""
    user_agent: str = ""


class LabelledStep(Struct, rename="camel"):
    """One step of a campaign and the requests it sent."""

    step: str
    audit_ids: list[str] = msgspec.field(name="auditIDs", default_factory=list)


class Episode(Struct):
    """A campaign, or a harmless activity that looks like one."""

    id: str
    name: str
    kind: str
    start: str
    end: str
    audit_ids: list[str]
    derived_audit_ids: list[str] = []
    actors: list[Actor] = []
    steps: list[LabelledStep] = []
    story: str = ""

    @property
    def root(self) -> str:
        """Identity of the first actor: who the story should name as its root cause."""
        return self.actors[0].identity if self.actors else "?"


class Credit(NamedTuple):
    """What a set of events was worth: the campaign credited, or none; `judged` is False where it counts for nothing."""

    campaign: str | None
    judged: bool

    @property
    def is_false(self) -> bool:
        """Whether it is a false alarm."""
        return self.judged and self.campaign is None


class Recorded(Struct):
    """When the recording ran, and until when no attack started."""

    start: str
    end: str
    attack_free_until: str


class Labels(Struct, dict=True):
    """All labels of one recording."""

    recorded: Recorded
    campaigns: list[Episode]
    benign_lookalikes: list[Episode]
    people: list[dict[str, Any]] = []

    def __post_init__(self) -> None:
        self.by_id = {episode.id: episode for episode in self.campaigns}
        self.campaign_of = {audit: episode.id for episode in self.campaigns for audit in episode.audit_ids}
        episodes = [*self.campaigns, *self.benign_lookalikes]
        self.derived = {audit for episode in episodes for audit in episode.derived_audit_ids} - set(self.campaign_of)
        self.lookalike_of = {audit: item.id for item in self.benign_lookalikes for audit in item.audit_ids}
        self.attack_derived = {a for c in self.campaigns for a in c.derived_audit_ids} - set(self.campaign_of)

    def credit(self, audit_ids: Iterable[str]) -> Credit:
        """What these events are worth."""
        ids = set(audit_ids)
        rest = ids - self.derived
        if not rest:
            return Credit(None, judged=not ids)
        counts = Counter(self.campaign_of[audit] for audit in sorted(rest) if audit in self.campaign_of)
        if counts:
            campaign, held = counts.most_common(1)[0]
            if 2 * held >= len(rest):
                return Credit(campaign, judged=True)
        return Credit(None, judged=True)

    def share(self, audit_ids: Iterable[str]) -> float | None:
        """Share of the events that belong to one attack, derived ones left out; None where there are no others."""
        rest = set(audit_ids) - self.derived
        counts = Counter(self.campaign_of[audit] for audit in rest if audit in self.campaign_of)
        return max(counts.values(), default=0) / len(rest) if rest else None

    def only(self, campaigns: Iterable[str]) -> "Labels":
        """The labels with no campaigns but these."""
        keep = set(campaigns)
        return Labels(
            self.recorded,
            [episode for episode in self.campaigns if episode.id in keep],
            self.benign_lookalikes,
            self.people,
        )


def load_labels(path: Path) -> Labels:
    """Read a `labels.json`."""
    return msgspec.json.decode(path.read_bytes(), type=Labels)
