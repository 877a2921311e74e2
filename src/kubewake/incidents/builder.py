"""Grows campaigns from evidence and links, and tells which of them are incidents."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter

import msgspec
from msgspec import Struct

from kubewake.detectors.failure import Failures, note
from kubewake.finding import Incident, Notice
from kubewake.incidents.book import CampaignBook, is_near, is_visited
from kubewake.incidents.campaign import Campaign
from kubewake.incidents.digest import digest_of
from kubewake.incidents.document import Reach, build_incident
from kubewake.incidents.flow import Flow
from kubewake.incidents.threshold import (
    ANCHOR_NATS,
    BAR_NATS,
    BLIND_WINDOW_SECONDS,
    FORWARD_FROM_HUBS,
    HABIT_FACTOR,
    LOUD_NATS,
    MAX_ASIDE,
    MAX_EDGE_SESSIONS,
    MAX_LATELY,
    NEAR_NATS,
    WINDOW_SECONDS,
)
from kubewake.incidents.weight import SUSPICIOUS_NATS, Piece, precision_of
from kubewake.lineage import Lineage
from kubewake.lineage.link import Link
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef, refer, words_of
from kubewake.lineage.session import Session, session_number
from kubewake.lineage.state import count_child, is_hub
from kubewake.observation import Evidence, Signal, Stub
from kubewake.rules.model import RuleInfo
from kubewake.snapshot import decode_state

SNAPSHOT_VERSION = 1


@lru_cache(maxsize=4096)
def acts_of(detector: str) -> tuple[str, str]:
    """What is learnt of an identity that a rule has hit: that it did, and that it did as part of a story."""
    return f"rule {detector}", f"sessions {detector}"


def _told_earlier(signal: Signal) -> int:
    """How many earlier events a signal speaks of."""
    return len(signal.detail.get("earlier", ()))


class _Saved(Struct):
    version: int
    campaigns: list[Campaign]
    active: dict[int, str]
    parents: dict[int, list[Link]]
    children: dict[int, list[Link]]
    merged: dict[str, str]
    changed: list[str]
    lately: list[EventRef]
    aside: dict[int, list[tuple[Piece, EventRef] | None]]
    evicted: int
    retired: list[Campaign] = []
    statistical: int = 0
    bar_shift: float = 0.0


class IncidentBuilder:
    """Incidents of one cluster. Call `observe` after the lineage has seen the stub."""

    def __init__(
        self,
        infos: dict[str, RuleInfo],
        lineage: Lineage,
        *,
        bar: float = BAR_NATS,
        reach: Reach | None = None,
    ) -> None:
        self._infos = infos
        self._lineage = lineage
        self._reach = reach
        self._book = CampaignBook(lineage.sessions, bar)
        self._flow = Flow(lineage.sessions, self._book)
        self._built: dict[str, tuple[tuple[int, int], Incident]] = {}
        self._cluster = ""
        self._lately: OrderedDict[int, EventRef] = OrderedDict()
        self._aside: dict[int, list[tuple[Piece, EventRef] | None]] = {}
        """The last weak pieces of each session; None for one that is too weak to be taken later."""
        self.failures: Failures = {}
        """Incidents that could not be told, since the start: not part of a snapshot."""

    def observe(self, stub: Stub, signals: list[Signal], links: list[Link]) -> None:
        """Take in a stub with what rules, statistics and lineage said of it."""
        session = self._lineage.session
        if session is None:
            return
        if not signals and not links and not stub.hits and session.number not in self._book.active:
            return
        self._cluster = stub.cluster
        ref = self._lineage.state.refer(stub, session)
        now = self._lineage.now
        if signals or stub.hits:
            self._keep(ref)
        for link in links:
            self._follow(link, ref, now)
        strongest = 0.0
        # What tells of a whole sequence comes before what its last request alone says: no story opens on a part of it.
        for signal in sorted(signals, key=_told_earlier, reverse=True) if len(signals) > 1 else signals:
            if signal.nats > 0:
                strongest = max(strongest, signal.nats)
                self._accuse(session, signal, ref, now)
        if not links and strongest >= SUSPICIOUS_NATS:
            return
        campaign = self._book.of(session, now)
        if campaign is not None:
            self._book.include(campaign, session, ref, now)

    def _keep(self, ref: EventRef) -> None:
        """Remember an event that a later correlation may count."""
        if len(self._lately) >= MAX_LATELY:
            self._lately.popitem(last=False)
        self._lately[ref.request] = ref

    def accuse(self, stub: Stub, signal: Signal) -> None:
        """Take in a signal about a stub that has passed before: a correlation or detection that was completed late."""
        number = session_number(stub.user, stub.credential, stub.source, stub.user_agent)
        session = self._lineage.sessions.get(number)
        if session is not None and signal.nats > 0:
            self._cluster = stub.cluster
            self._accuse(session, signal, refer(stub, number, words_of(stub)), self._lineage.now)

    def _follow(self, link: Link, ref: EventRef, now: float) -> None:
        """Take in a link: evidence against its effect, and a way for suspicion to flow."""
        lineage = self._lineage.sessions
        effect = lineage.get(link.effect)
        if effect is None:
            return
        cause = lineage.get(link.cause) if link.cause else None
        if cause is not None and link.cause != link.effect:
            count_child(cause, now)
        self._flow.remember(link)
        if (
            link.nats > 0
            and link.scope != "request"
            and not (cause is not None and is_hub(cause) and link.id not in FORWARD_FROM_HUBS)
        ):
            signal = Signal("link", link.id, link.tactic, link.nats, link.text)
            self._accuse(effect, signal, link.effect_ref or ref, now)
        if link.cause:
            self._flow.join(link, now)
        else:
            campaign = self._book.of(effect, now)
            if campaign is not None:
                campaign.add_link(link)

    def _accuse(self, session: Session, signal: Signal, ref: EventRef, now: float) -> None:
        """Evidence against a session: its campaign grows, or one begins."""
        is_rule = signal.kind == "rule"
        if is_rule and session.kind != "node" and session.machine:
            return
        campaign = self._book.of(session, now)
        nats = signal.nats
        acts = acts_of(signal.detector)
        if is_rule and (nats >= SUSPICIOUS_NATS or campaign is not None):  # else it is too weak in any case
            nats *= precision_of(signal.detector, specific=session.specific)
            if self._lineage.is_habitual(session.user, acts):
                nats *= HABIT_FACTOR
                if campaign is not None and not campaign.opened_time:
                    campaign.weaken(session.number, signal.detector, nats)
        if nats < SUSPICIOUS_NATS:  # below every bar that follows
            self._set_aside(session, signal, acts, None)
            return
        earlier: Sequence[Evidence] = signal.detail.get("earlier", ())
        piece = Piece(
            signal.kind,
            signal.detector,
            signal.tactic,
            nats,
            signal.text,
            session.number,
            now,
            ref.key,
            str(signal.detail.get("finding", "")),
            bool(signal.detail.get("always", False)) and nats >= LOUD_NATS,
            tells=[ref.key >> 2, *[item.key >> 2 for item in earlier]],
        )
        whole = session.is_visit(now) if campaign is None else campaign.members[session.number].whole
        least = SUSPICIOUS_NATS if whole and session.specific else NEAR_NATS
        anchors = nats >= (least if whole else ANCHOR_NATS)
        if not whole and nats < LOUD_NATS and campaign is not None and campaign.has_piece(piece):
            anchors = False
        if not anchors and (nats < least or campaign is None or not is_near(campaign, session, now)):
            self._set_aside(session, signal, acts, (piece, ref))
            return
        if campaign is None:
            campaign = self._book.add(session, ref, self._cluster, now)
            self._flow.begin(campaign, session, now)
        elif not campaign.opened_time and not is_visited(campaign):
            campaign.forget_before(now - (WINDOW_SECONDS if session.specific else BLIND_WINDOW_SECONDS))
        campaign.members[session.number].confirmed = True
        if not anchors and not whole and campaign.has_piece(piece):
            return
        added = self._take(campaign, piece, ref)
        if anchors:
            campaign.touch(now, ref.last_time)
            campaign.members[session.number].touch(now, opened=bool(campaign.opened_time))
            campaign.anchor_seconds = now
            for item in earlier:
                self._add_earlier(campaign, session, item.key, piece)
            for held in self._aside.pop(session.number, ()):
                if held is None:
                    continue
                weak, weak_ref = held
                bar = SUSPICIOUS_NATS if session.specific else NEAR_NATS
                if weak.nats >= bar and is_near(campaign, session, weak.seconds):
                    added = self._take(campaign, weak, weak_ref) or added
        self._book.look_back(campaign, session)
        if added:
            self._flow.weigh(campaign)
        else:
            self._book.note(campaign)
        if is_rule and not campaign.opened_time:
            self._lineage.learn(session.user, acts[0])

    def _set_aside(
        self, session: Session, signal: Signal, acts: tuple[str, str], piece: tuple[Piece, EventRef] | None
    ) -> None:
        """Remember weak evidence in case strong evidence comes soon, and as a habit in case none does."""
        if signal.kind == "rule":
            self._lineage.learn(session.user, acts[0])
        held = self._aside.get(session.number)
        if held is None:
            held = self._aside[session.number] = []
            if len(self._aside) > MAX_EDGE_SESSIONS:
                del self._aside[next(iter(self._aside))]
        held.append(piece)
        if len(held) > MAX_ASIDE:
            del held[0]

    def _take(self, campaign: Campaign, piece: Piece, ref: EventRef) -> bool:
        """Take a piece and its event into the story; False where nothing is new."""
        added = campaign.add_piece(piece)
        if added and piece.kind == "rule":
            self._lineage.learn(ref.user, acts_of(piece.detector)[1])
        if piece.finding:
            campaign.findings.setdefault(piece.finding, piece.session)
        campaign.always = campaign.always or piece.always
        if piece.kind == "link":
            campaign.add_event(ref, why=piece.text, link=piece.detector)
        else:
            campaign.add_event(ref, title=piece.text)
        return added

    def _add_earlier(self, campaign: Campaign, session: Session, key: int, piece: Piece) -> None:
        """An earlier event of a correlation: in the story where a member sent it in its time, else beside it.

        In a session of the house only a loud correlation draws its earlier events in: the owner's own belong to quiet ones.
        """
        ref = self._lately.get(key >> 2)
        if ref is None:
            return
        member = campaign.members.get(ref.session)
        draws = member is not None and member.confirmed and (member.whole or piece.nats >= LOUD_NATS)
        if draws and is_near(campaign, session, seconds_of(ref.time)):
            campaign.add_event(ref, title=piece.text)
        else:
            campaign.add_context(ref, piece.text, "")

    def _incident(self, campaign: Campaign) -> Incident:
        built = self._built.get(campaign.id)
        state = (campaign.version, 0 if self._reach is None else self._reach.changes)
        if built is None or built[0] != state:
            incident = build_incident(campaign, self._lineage.sessions, self._infos, self._book.bar, self._reach)
            built = self._built[campaign.id] = (state, incident)
        return built[1]

    def current(self) -> list[Incident]:
        """Every incident, open and closed, oldest first."""
        self._built = {id_: built for id_, built in self._built.items() if id_ in self._book.campaigns}
        opened = (campaign for campaign in self._book.campaigns.values() if campaign.opened_time)
        incidents = self._told(opened, self._incident)
        return sorted(incidents, key=lambda incident: (incident.first_time, incident.id))

    def changed(self) -> list[Incident]:
        """Incidents that opened or grew since the last call, in the order of their first change.

        One that turned out to be part of another is told a last time, as closed, and is not `current` any more.
        """
        book = self._book
        changed = self._told(book.retired, self._joined)
        grown = [book.campaigns[id_] for id_ in book.changed if id_ in book.campaigns]
        changed += self._told(grown, self._incident)
        for campaign in grown:
            campaign.told = True
        book.retired.clear()
        book.changed.clear()
        return changed

    def _told(self, campaigns: Iterable[Campaign], tell: Callable[[Campaign], Incident]) -> list[Incident]:
        """The incidents that campaigns are; one that cannot be told stands as it was told before, if it was."""
        incidents = []
        for campaign in campaigns:
            try:
                incidents.append(tell(campaign))
            except Exception as error:  # noqa: BLE001  # counted and told; the other incidents matter as much
                failure = note(self.failures, "incidents", error)
                if not failure.time:
                    latest = max((event.ref for event in campaign.events.values()), key=attrgetter("time"))
                    failure.time, failure.cluster, failure.audit_id = latest.time, campaign.cluster, latest.audit_id
                if campaign.id in self._built:
                    incidents.append(self._built[campaign.id][1])
        return incidents

    def _joined(self, campaign: Campaign) -> Incident:
        """The last state of an incident that has become part of another."""
        self._built.pop(campaign.id, None)
        incident = build_incident(campaign, self._lineage.sessions, self._infos, self._book.bar, self._reach)
        incident.title = f"Part of {self._book.merged[campaign.id]}: {incident.title}"
        return incident

    @property
    def merged(self) -> dict[str, str]:
        """Ids of incidents that turned out to be part of another, with that one's id."""
        return self._book.merged

    @property
    def evicted(self) -> int:
        """Campaigns forgotten because there were too many."""
        return self._book.evicted

    def is_suspected(self, number: int, since: float) -> bool:
        """Whether a session is in an open incident, or was in one that ended after that time (seconds)."""
        campaign = self._book.campaigns.get(self._book.active.get(number, ""))
        if campaign is not None and campaign.opened_time:
            return True
        session = self._lineage.sessions.get(number)
        return session is not None and session.told_seconds >= since

    @property
    def book(self) -> CampaignBook:
        """All campaigns, and the bar."""
        return self._book

    def digest(self, time: str) -> Notice | None:
        """What stayed below the bar until this time, strongest first."""
        return digest_of(
            self._book.campaigns.values(), self._lineage.sessions, self._infos, self._book.bar, self._cluster, time
        )

    def candidates(self) -> list[tuple[str, float]]:
        """Ids and scores of stories below the bar, strongest first: the daily digest."""
        waiting = [campaign for campaign in self._book.campaigns.values() if not campaign.opened_time]
        return [(item.id, item.score) for item in sorted(waiting, key=lambda item: (-item.score, item.id))]

    def snapshot(self) -> bytes:
        """All state, for `restore`; the lineage is saved by itself."""
        return msgspec.msgpack.encode(
            _Saved(
                version=SNAPSHOT_VERSION,
                campaigns=list(self._book.campaigns.values()),
                active=self._book.active,
                parents=self._flow.parents,
                children=self._flow.children,
                merged=self._book.merged,
                changed=list(self._book.changed),
                retired=self._book.retired,
                lately=list(self._lately.values()),
                aside=self._aside,
                evicted=self._book.evicted,
                statistical=self._book.statistical,
                bar_shift=self._book.bar_shift,
            ),
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        saved = decode_state(data, _Saved, "saved state of incidents", version=SNAPSHOT_VERSION)
        book, flow = self._book, self._flow
        book.campaigns = {campaign.id: campaign for campaign in saved.campaigns}
        book.active, book.merged, book.evicted = saved.active, saved.merged, saved.evicted
        book.changed = dict.fromkeys(saved.changed)
        book.retired = saved.retired
        book.statistical, book.bar_shift = saved.statistical, saved.bar_shift
        flow.parents, flow.children = saved.parents, saved.children
        self._built.clear()
        self._lately = OrderedDict((ref.request, ref) for ref in saved.lately)
        self._aside = saved.aside
