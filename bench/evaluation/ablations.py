"""The engine with one part taken out, to see what the part is worth.

A part is taken out by putting something plainer in its place while a stream is folded; nothing in the engine knows.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

from kubewake.baseline.action import Action, action_of
from kubewake.baseline.calibration import Histogram, Rank
from kubewake.baseline.surprise import Ask
from kubewake.finding import Incident
from kubewake.incidents import Accusation, Stories
from kubewake.incidents.campaign import Campaign, Member
from kubewake.incidents.flow import Flow
from kubewake.incidents.weight import Part, Piece, score_of
from kubewake.lineage import all_links
from kubewake.lineage.ledger import Ledger
from kubewake.lineage.link import DAY_SECONDS, Link
from kubewake.lineage.session import Session
from kubewake.observation import Signal, Stub

RAW_NATS_MAX = 20.0


class Deaf(Stories):
    """Stories that hear nothing of rules."""

    def observe(self, stub: Stub, accusations: Iterable[Accusation] = (), surprises: Iterable[Signal] = ()) -> None:
        """Pass the stub on without its accusations."""
        del accusations
        super().observe(stub, (), surprises)


class Unsurprised(Stories):
    """Stories that hear nothing of statistics."""

    def observe(self, stub: Stub, accusations: Iterable[Accusation] = (), surprises: Iterable[Signal] = ()) -> None:
        """Pass the stub on without its surprises."""
        del surprises
        super().observe(stub, accusations, ())


class RulesAlone(Stories):
    """Stories without links and statistics."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **{**named, "disabled_links": frozenset(all_links())})

    def observe(self, stub: Stub, accusations: Iterable[Accusation] = (), surprises: Iterable[Signal] = ()) -> None:
        """Pass the stub on without its surprises."""
        del surprises
        super().observe(stub, accusations, ())


class UnionFind(Flow):
    """Union-find in place of lineage: all that a link joins is one story, whichever side is under suspicion.

    No direction, no decay, no stop at a hub.
    """

    def flow(self, campaign: Campaign, number: int, now: float) -> None:
        """Let suspicion flow along all links of a session."""
        for link in [*self.children.get(number, ()), *self.parents.get(number, ())]:
            if link.cause and self._book.active.get(number) == campaign.id:
                self.join(link, now)

    def join(self, link: Link, now: float) -> None:
        """Make one story of both ends where one of them is under suspicion."""
        cause, effect = self._sessions.get(link.cause), self._sessions.get(link.effect)
        if cause is None or effect is None:
            return
        upper, lower = self._book.of(cause, now), self._book.of(effect, now)
        if upper is not None and lower is not None and upper is not lower:
            self._merge(upper, lower, link, upper.members[cause.number])
        elif upper is None and lower is not None:
            self._take_in(lower, link, cause, effect, now)
        elif upper is not None and lower is None:
            self._take_in(upper, link, effect, cause, now)
        elif upper is not None:
            upper.add_link(link)

    def _take_in(self, campaign: Campaign, link: Link, session: Session, known: Session, now: float) -> None:
        whole = session.is_visit(now)
        self._book.enrol(campaign, Member(session.number, 1.0, 0, known.number, link.id, whole, whole))
        campaign.add_link(link)
        for ref in (link.cause_ref, link.effect_ref):
            if ref is not None:
                campaign.add_event(ref, why=link.text, link=link.id)
        self._book.look_back(campaign, session)
        self.weigh(campaign)
        self.flow(campaign, session.number, now)


class OneDay(Ledger):
    """A ledger of causes that forgets after a day."""

    def __init__(self, horizon_seconds: float, *others: Any) -> None:
        super().__init__(min(horizon_seconds, DAY_SECONDS), *others)


def _never(*_: object) -> bool:
    return False


def _learnt_at_once(first: float, begun: float) -> float:
    del begun
    return first


def _everything_matters(*what: Any) -> Action:
    kind, tactic, weight = action_of(*what)
    return kind, tactic, 1.0 if weight else 0.0


def _among_nobody(item: Ask) -> float:
    """How likely a new value is when nobody else counts: one of all values ever seen anywhere."""
    return 1.0 / (max((level.distinct for level in item.levels), default=0) + 1)


def _uncalibrated(histogram: Histogram, score: float) -> Rank:
    """A rank that takes a surprise at its word: p = 1 / (1 + e^score)."""
    del histogram
    return Rank(0, round(math.exp(min(score, RAW_NATS_MAX))))


def _best_piece_only(pieces: list[Piece], strengths: Mapping[int, float], links: int) -> tuple[float, list[Part]]:
    """A story is worth its best tactic; nothing adds up."""
    score, parts = score_of(pieces, strengths, links)
    return (min(score, max((part.nats for part in parts if part.tactic), default=0.0)), parts)


class Ablation(NamedTuple):
    """What is put in the place of what."""

    name: str
    kind: str
    replaced: Mapping[str, Any]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The engine is without the part inside this block."""
        with ExitStack() as stack:
            for target, plainer in self.replaced.items():
                stack.enter_context(patch(target, plainer))
            yield


FULL = Ablation("full", "part", {})
HELD_OUT = "rule weights of the other recordings"
KINDS = ("part", "link", "statistics")
"""Kinds of ablation: whole kinds of evidence, single links, single ideas of the statistics."""
STORIES = "kubewake.engine.cluster.Stories"


def ablations() -> list[Ablation]:
    """Every ablation, the full engine first."""
    links = list(all_links())
    return [
        FULL,
        Ablation("no statistics (rules and links)", "part", {STORIES: Unsurprised}),
        Ablation("no links", "part", {STORIES: partial(Stories, disabled_links=frozenset(links))}),
        Ablation("rules alone", "part", {STORIES: RulesAlone}),
        Ablation("no rules", "part", {STORIES: Deaf}),
        *(
            Ablation(f"no {link}", "link", {STORIES: partial(Stories, disabled_links=frozenset({link}))})
            for link in links
        ),
        Ablation("union-find in place of lineage", "link", {"kubewake.incidents.builder.Flow": UnionFind}),
        Ablation("causes of one day, not of 14", "link", {"kubewake.lineage.state.Ledger": OneDay}),
        Ablation("no birth tokens", "statistics", {"kubewake.baseline.birth.Births.is_young": _never}),
        Ablation("no probation", "statistics", {"kubewake.baseline.baseline.due_after": _learnt_at_once}),
        Ablation(
            "no continuation counts",
            "statistics",
            {"kubewake.baseline.surprise.probability_among_others": _among_nobody},
        ),
        Ablation("no calibration", "statistics", {"kubewake.baseline.calibration.Histogram.rank": _uncalibrated}),
        Ablation("no Bonferroni", "statistics", {"kubewake.incidents.weight.MAX_TRIED": 1}),
        Ablation("no sum over tactics", "statistics", {"kubewake.incidents.campaign.score_of": _best_piece_only}),
        Ablation("no threat weights", "statistics", {"kubewake.baseline.traits.action_of": _everything_matters}),
        Ablation("no precision of rules", "statistics", {"kubewake.incidents.weight.PRECISION": {}}),
    ]


def parts_by_kind(incident: Incident) -> dict[str, float]:
    """Nats of an incident's score by kind of evidence."""
    sums: dict[str, float] = {}
    for part in incident.score_parts:
        kind = str(part.get("kind", ""))
        sums[kind] = sums.get(kind, 0.0) + float(part.get("nats", 0.0))
    return sums
