"""Grows campaigns from evidence along links, and tells which of them are incidents.

Directed, never union-find: suspicion flows from a suspicious session forward along links, weakened by each; backwards
only over exact links, to name the root cause. Two stories that merely meet (at a hub, a NAT, a shared account) stay two.
"""

import msgspec
from msgspec import Struct

from kubewake.errors import StoreError
from kubewake.finding import Incident, stable_id
from kubewake.incidents.campaign import CONFIRMING_STRENGTH, MAX_HOPS, READS, Campaign, Member
from kubewake.incidents.document import Reach, build_incident
from kubewake.incidents.weight import SUSPICIOUS_NATS, Piece, precision_of
from kubewake.lineage import Lineage
from kubewake.lineage.link import DAY_SECONDS, Link
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef, refer
from kubewake.lineage.session import YOUNG_REQUESTS, Session, session_number
from kubewake.lineage.state import count_child, is_hub
from kubewake.observation import Signal, Stub
from kubewake.rules.model import RuleInfo

SNAPSHOT_VERSION = 1
BAR_NATS = 3.0
"""Default bar, fixed on the development recording; see docs/incidents.md."""
MAX_CAMPAIGNS = 5_000
MAX_LATELY = 20_000
"""Events with signals remembered for correlations that complete later."""
MAX_EDGES = 16
"""Links remembered into and out of one session."""
MAX_EDGE_SESSIONS = 40_000
CANDIDATE_IDLE_SECONDS = 3 * DAY_SECONDS
"""A story below the bar waits this long for its next step."""
INCIDENT_IDLE_SECONDS = DAY_SECONDS
ESTABLISHED_IDLE_SECONDS = 120.0
"""In a session that the rightful owner uses too, two minutes without evidence, or longer than any pause so far, end
the story."""
WINDOW_SECONDS = 120.0
BLIND_WINDOW_SECONDS = 60.0
"""Evidence in such a session adds up over this long only; a person's day holds a little of everything."""
BLIND_IDLE_SECONDS = 30.0
"""Where neither address nor client is known, only the pace of the evidence tells stories apart: a pause longer than
any so far, and at least this long, ends the story."""
LOUD_NATS = 3.0
"""In a session of the house, findings add up to an incident only around one that is this loud."""
ANCHOR_NATS = 1.5
"""In a session of the house, a story gathers around evidence this strong; weaker counts only near it."""
MAX_ASIDE = 16
CARRYING_NATS = 2.0
"""Below the bar, suspicion flows over an inexact link only out of a visit with at least this much evidence."""
MOMENT_SECONDS = 0.001
STRONG_TACTICS = 2
"""… or around strong evidence for this many tactics."""
PACE_FACTOR = 1.0
NEARBY_SECONDS = 60.0
BLIND_NEARBY_SECONDS = 30.0
"""How near a new kind of action must be to the evidence to belong to it, in a session that is not the intruder's alone."""
FORWARD_FROM_HUBS = frozenset({"L1", "L4"})
HABIT_FACTOR = 0.2
"""Weight of a rule that has hit the same identity often before, outside incidents: the house's own way of working."""
MERGING_STRENGTH = 0.25


NEARBY_TEXT = "new for this identity at that time; whether the intruder or the owner did it cannot be told"


def is_telling(ref: EventRef) -> bool:
    """Whether a request beside the story is worth showing: new for its identity, and no plain read."""
    return ref.notable and not ref.routine and ref.verb not in READS


class _Saved(Struct):
    version: int
    campaigns: list[Campaign]
    active: dict[int, str]
    parents: dict[int, list[Link]]
    children: dict[int, list[Link]]
    merged: dict[str, str]
    changed: list[str]
    lately: list[EventRef]
    aside: dict[int, list[tuple[Piece, EventRef]]]
    evicted: int


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
        self._bar = bar
        self._reach = reach
        self._campaigns: dict[str, Campaign] = {}
        self._active: dict[int, str] = {}
        self._parents: dict[int, list[Link]] = {}
        self._children: dict[int, list[Link]] = {}
        self._built: dict[str, tuple[int, Incident]] = {}
        self._changed: dict[str, None] = {}
        self._cluster = ""
        self._lately: dict[int, EventRef] = {}
        self._aside: dict[int, list[tuple[Piece, EventRef]]] = {}
        self.merged: dict[str, str] = {}
        """Ids of incidents that turned out to be part of another, with that one's id."""
        self.evicted = 0

    def observe(self, stub: Stub, signals: list[Signal], links: list[Link]) -> None:
        """Take in a stub with what rules, statistics and lineage said of it."""
        session = self._lineage.session
        if session is None:
            return
        if not signals and not links and session.number not in self._active:
            return
        self._cluster = stub.cluster
        ref = refer(stub, session.number, routine=self._lineage.routine)
        now = self._lineage.now
        if signals:
            self._keep(ref)
        for link in links:
            self._follow(link, ref, now)
        strongest = 0.0
        for signal in signals:
            if signal.nats > 0:
                strongest = max(strongest, signal.nats)
                self._accuse(session, signal, ref, now)
        if not links and strongest >= SUSPICIOUS_NATS:
            return
        campaign = self._campaign_of(session, now)
        if campaign is not None:
            self._include(campaign, session, ref, now)

    def _keep(self, ref: EventRef) -> None:
        """Remember an event that a later correlation may count."""
        if len(self._lately) >= MAX_LATELY:
            del self._lately[next(iter(self._lately))]
        self._lately[ref.request] = ref

    def accuse(self, stub: Stub, signal: Signal) -> None:
        """Take in a signal about a stub that has passed before: a correlation or detection that was completed late."""
        number = session_number(stub.user, stub.credential, stub.source, stub.user_agent)
        session = self._lineage.sessions.get(number)
        if session is not None and signal.nats > 0:
            self._cluster = stub.cluster
            self._accuse(session, signal, refer(stub, number), self._lineage.now)

    def _follow(self, link: Link, ref: EventRef, now: float) -> None:
        """Take in a link: evidence against its effect, and a way for suspicion to flow."""
        lineage = self._lineage.sessions
        effect = lineage.get(link.effect)
        if effect is None:
            return
        cause = lineage.get(link.cause) if link.cause else None
        if cause is not None and link.cause != link.effect:
            count_child(cause, now)
            self._remember(self._children, link.cause, link)
            self._remember(self._parents, link.effect, link)
        elif not link.cause:
            self._remember(self._parents, link.effect, link)
        if (
            link.nats > 0
            and link.scope != "request"
            and not (cause is not None and is_hub(cause) and link.id not in FORWARD_FROM_HUBS)
        ):
            signal = Signal("link", link.id, link.tactic, link.nats, link.text)
            self._accuse(effect, signal, link.effect_ref or ref, now)
        if link.cause:
            self._join(link, now)
        else:
            campaign = self._campaign_of(effect, now)
            if campaign is not None:
                campaign.add_link(link)

    @staticmethod
    def _remember(edges: dict[int, list[Link]], number: int, link: Link) -> None:
        held = edges.get(number)
        if held is None:
            if len(edges) >= MAX_EDGE_SESSIONS:
                del edges[next(iter(edges))]
            held = edges[number] = []
        if len(held) < MAX_EDGES:
            held.append(link)

    def _accuse(self, session: Session, signal: Signal, ref: EventRef, now: float) -> None:
        """Evidence against a session: its campaign grows, or one begins."""
        if signal.kind == "rule" and session.kind != "node" and session.machine:
            return
        campaign = self._campaign_of(session, now)
        nats = signal.nats
        if signal.kind == "rule":
            nats *= precision_of(signal.detector, specific=session.specific)
        habit = f"rule {signal.detector}"
        if signal.kind == "rule" and (
            self._lineage.is_habitual(session.user, habit)
            or self._lineage.is_habitual(session.user, f"sessions {signal.detector}")
        ):
            nats *= HABIT_FACTOR
            if campaign is not None and not campaign.opened_time:
                campaign.weaken(session.number, signal.detector, nats)
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
        )
        whole = session.is_visit(now) if campaign is None else campaign.members[session.number].whole
        anchors = nats >= (SUSPICIOUS_NATS if whole else ANCHOR_NATS)
        if not whole and nats < LOUD_NATS and campaign is not None and campaign.has_piece(piece):
            anchors = False
        if not anchors and (
            nats < (SUSPICIOUS_NATS if whole else 1.0) or campaign is None or not self._is_near(campaign, session, now)
        ):
            self._set_aside(session, piece, ref)
            return
        if campaign is None:
            campaign = self._begin(session, ref, now)
        elif not campaign.opened_time and not self._is_visited(campaign):
            campaign.forget_before(now - (WINDOW_SECONDS if session.specific else BLIND_WINDOW_SECONDS))
        campaign.members[session.number].confirmed = True
        if not anchors and not whole and campaign.has_piece(piece):
            return
        added = self._take(campaign, piece, ref)
        if anchors:
            campaign.touch(now, ref.last_time)
            campaign.anchor_seconds = now
            for _, key, _ in signal.detail.get("earlier", ()):
                self._add_earlier(campaign, session, key, signal.text)
            for held, held_ref in self._aside.pop(session.number, ()):
                if held.nats >= SUSPICIOUS_NATS and self._is_near(campaign, session, held.seconds):
                    added = self._take(campaign, held, held_ref) or added
        self._look_back(campaign, session)
        if added:
            self._weigh(campaign)
        else:
            self._note(campaign)
        if signal.kind == "rule" and not campaign.opened_time:
            self._lineage.learn(session.user, habit)

    @staticmethod
    def _is_near(campaign: Campaign, session: Session, at: float) -> bool:
        """Whether a moment is close to the story's last strong evidence."""
        near = NEARBY_SECONDS if session.specific else BLIND_NEARBY_SECONDS
        return campaign.members[session.number].whole or abs(at - campaign.anchor_seconds) <= near

    def _set_aside(self, session: Session, piece: Piece, ref: EventRef) -> None:
        """Remember weak evidence in case strong evidence comes soon, and as a habit in case none does."""
        if piece.kind == "rule":
            self._lineage.learn(session.user, f"rule {piece.detector}")
        held = self._aside.setdefault(session.number, [])
        held.append((piece, ref))
        del held[:-MAX_ASIDE]
        if len(self._aside) > MAX_EDGE_SESSIONS:
            del self._aside[next(iter(self._aside))]

    def _take(self, campaign: Campaign, piece: Piece, ref: EventRef) -> bool:
        """Take a piece and its event into the story; False where nothing is new."""
        added = campaign.add_piece(piece)
        if added and piece.kind == "rule":
            self._lineage.learn(ref.user, f"sessions {piece.detector}")
        if piece.finding:
            campaign.findings.setdefault(piece.finding, piece.session)
        campaign.always = campaign.always or piece.always
        if piece.kind == "link":
            campaign.add_event(ref, why=piece.text, link=piece.detector)
        else:
            campaign.add_event(ref, title=piece.text)
        return added

    def _add_earlier(self, campaign: Campaign, session: Session, key: int, title: str) -> None:
        """An earlier event of a correlation: in the story where a member sent it in its time, else beside it."""
        ref = self._lately.get(key >> 2)
        if ref is None:
            return
        member = campaign.members.get(ref.session)
        if member is not None and member.confirmed and self._is_near(campaign, session, seconds_of(ref.time)):
            campaign.add_event(ref, title=title)
        else:
            campaign.add_context(ref, title, "")

    def _begin(self, session: Session, ref: EventRef, now: float) -> Campaign:
        """A new campaign, rooted in this session; what is linked to it already comes along."""
        if len(self._campaigns) >= MAX_CAMPAIGNS:
            self._forget()
        cluster = self._cluster
        campaign = Campaign(
            id=stable_id("incident", cluster, session.number, ref.request),
            cluster=cluster,
            root=session.number,
            created_seconds=now,
            last_seconds=now,
            last_time=ref.last_time,
        )
        self._campaigns[campaign.id] = campaign
        self._enrol(campaign, Member(session.number, 1.0, 0, 0, "", session.is_visit(now), True))
        for link in list(self._parents.get(session.number, ())):
            if link.cause:
                self._join(link, now)
            else:
                campaign.add_link(link)
        self._flow(campaign, session.number, now)
        return campaign

    def _enrol(self, campaign: Campaign, member: Member) -> None:
        campaign.members[member.session] = member
        self._active[member.session] = campaign.id
        self._lineage.sessions.held.add(member.session)
        campaign.version += 1

    def _flow(self, campaign: Campaign, number: int, now: float) -> None:
        """Let suspicion flow along the links that leave a session."""
        for link in list(self._children.get(number, ())):
            if self._active.get(number) == campaign.id:
                self._join(link, now)

    def _join(self, link: Link, now: float) -> None:
        """Connect cause and effect of a link where one of them is under suspicion."""
        sessions = self._lineage.sessions
        cause, effect = sessions.get(link.cause), sessions.get(link.effect)
        if cause is None or effect is None:
            return
        upper, lower = self._campaign_of(cause, now), self._campaign_of(effect, now)
        if cause is effect:
            if upper is not None:
                upper.add_link(link)
            return
        if upper is not None and upper is lower:
            upper.add_link(link)
            if link.cause_ref is not None and link.scope != "context":
                upper.add_event(link.cause_ref)
            return
        if upper is not None:
            self._forward(upper, lower, link, cause, effect, now)
        elif lower is not None:
            self._climb(lower, link, cause, now)

    def _forward(
        self, upper: Campaign, lower: Campaign | None, link: Link, cause: Session, effect: Session, now: float
    ) -> None:
        """From a suspicious cause to its effect."""
        above = upper.members.get(cause.number)
        if above is None or above.hops >= MAX_HOPS:
            return
        if is_hub(cause) and link.id not in FORWARD_FROM_HUBS:
            return
        exact = link.strength >= CONFIRMING_STRENGTH
        told = link.cause_ref is None or link.cause_ref.request in upper.events
        if not (above.whole or told or (exact and link.scope == "session")):
            return
        if link.scope == "context":
            upper.add_link(link)
            if link.effect_ref is not None:
                upper.add_context(link.effect_ref, link.text, link.id)
                self._note(upper)
            return
        if is_hub(effect) and link.scope == "session":
            return
        if not self._carries(upper, link):
            return
        if lower is not None:
            if lower.root == effect.number and (
                exact or (link.scope == "session" and link.strength >= MERGING_STRENGTH)
            ):
                self._merge(upper, lower, link, above)
            return
        if link.scope == "request":
            self._invite(upper, above, link, effect, now)
            return
        confirmed = exact and link.scope == "session"
        member = Member(
            effect.number,
            above.strength * link.strength,
            above.hops + 1,
            cause.number,
            link.id,
            link.scope == "session" and effect.is_visit(now),
            confirmed,
        )
        self._enrol(upper, member)
        upper.add_link(link)
        if link.cause_ref is not None and confirmed:
            upper.add_event(link.cause_ref)
        self._look_back(upper, effect)
        self._weigh(upper)
        self._flow(upper, effect.number, now)

    def _invite(self, upper: Campaign, above: Member, link: Link, effect: Session, now: float) -> None:
        """Take in one request that follows from the story, but not the session that sent it.

        The link's weight is evidence for the story, not against the guest.
        """
        guest = Member(
            effect.number, above.strength * link.strength, above.hops + 1, above.session, link.id, False, False
        )
        upper.members.setdefault(effect.number, guest)
        upper.add_link(link)
        if link.cause_ref is not None:
            upper.add_event(link.cause_ref)
        if link.effect_ref is not None:
            upper.add_event(link.effect_ref, why=link.text, link=link.id)
            upper.touch(now, link.effect_ref.last_time)
            if link.nats > 0:
                key = link.effect_ref.key
                upper.add_piece(Piece("link", link.id, link.tactic, link.nats, link.text, effect.number, now, key))
        self._weigh(upper)

    @staticmethod
    def _is_visited(campaign: Campaign) -> bool:
        """Whether a member is a stranger's visit as a whole, rather than a house session with odd moments."""
        return any(member.whole for member in campaign.members.values())

    def _carries(self, upper: Campaign, link: Link) -> bool:
        """Whether suspicion flows over this link: an exact one, or out of a story that stands by itself."""
        if link.strength >= CONFIRMING_STRENGTH:
            return True
        return bool(upper.opened_time) or (self._is_visited(upper) and upper.score >= CARRYING_NATS)

    def _merge(self, upper: Campaign, lower: Campaign, link: Link, above: Member) -> None:
        """The lower story turns out to be a branch of the upper; the id that was shown first stays."""
        for number, member in lower.members.items():
            member.strength *= above.strength * link.strength
            member.hops = min(MAX_HOPS, member.hops + above.hops + 1)
            if number == lower.root:
                member.parent, member.link = link.cause, link.id
            upper.members.setdefault(number, member)
            self._active[number] = upper.id
        for event in lower.events.values():
            upper.add_event(event.ref, event.why, event.link)
            for title in event.titles:
                upper.add_event(event.ref, title=title)
        for event in lower.context.values():
            upper.add_context(event.ref, event.why, event.link)
        for piece in lower.pieces:
            upper.add_piece(piece)
        for held in (link, *lower.links):
            upper.add_link(held)
        for finding, session in lower.findings.items():
            upper.findings.setdefault(finding, session)
        if link.cause_ref is not None:
            upper.add_event(link.cause_ref)
        upper.longest_gap = max(upper.longest_gap, lower.longest_gap)
        upper.always = upper.always or lower.always
        upper.created_seconds = min(upper.created_seconds, lower.created_seconds)
        if lower.last_seconds > upper.last_seconds:
            upper.last_seconds, upper.last_time = lower.last_seconds, lower.last_time
        del self._campaigns[lower.id]
        self._changed.pop(lower.id, None)
        self._built.pop(lower.id, None)
        if lower.opened_time and (not upper.opened_time or lower.opened_time < upper.opened_time):
            keep, drop = lower.id, upper.id
            del self._campaigns[drop]
            self._changed.pop(drop, None)
            self._built.pop(drop, None)
            if upper.opened_time:
                self.merged[drop] = keep
            upper.id, upper.opened_time = keep, lower.opened_time
            self._campaigns[keep] = upper
            for number in upper.members:
                if self._active.get(number) in {keep, drop}:
                    self._active[number] = keep
        elif lower.opened_time:
            self.merged[lower.id] = upper.id
        upper.version += 1 + lower.version
        self._weigh(upper)

    def _climb(self, lower: Campaign, link: Link, cause: Session, now: float) -> None:
        """From a suspicious effect back to its cause: into the story over an exact link, else beside it."""
        member = lower.members.get(link.effect)
        if member is None or link.cause_ref is None:
            return
        lower.add_link(link)
        exact = link.strength >= CONFIRMING_STRENGTH and link.scope == "session" and not is_hub(cause)
        if not exact or member.hops > 0:
            lower.add_context(link.cause_ref, f"{cause.user}: cause of a later step ({link.text})", link.id)
            self._note(lower)
            return
        whole = cause.is_visit(now)
        member.parent, member.link = cause.number, link.id
        self._enrol(lower, Member(cause.number, 1.0, 0, 0, "", whole, whole))
        lower.root = cause.number
        lower.add_event(link.cause_ref)
        self._look_back(lower, cause)
        self._weigh(lower)
        for parent in list(self._parents.get(cause.number, ())):
            if parent.cause:
                self._join(parent, now)
        self._flow(lower, cause.number, now)

    def _campaign_of(self, session: Session, now: float) -> Campaign | None:
        """The campaign that the session belongs to at this time; a story that has gone quiet lets it go."""
        campaign = self._campaigns.get(self._active.get(session.number, ""))
        if campaign is None:
            return None
        idle = now - campaign.last_seconds
        if idle <= BLIND_IDLE_SECONDS or idle <= self._patience(campaign, session):
            return campaign
        del self._active[session.number]
        self._lineage.sessions.held.discard(session.number)
        if campaign.opened_time:
            session.told_seconds = max(session.told_seconds, campaign.last_seconds + MOMENT_SECONDS)
        if not any(self._active.get(number) == campaign.id for number in campaign.members):
            campaign.closed = True
            campaign.version += 1
            if campaign.opened_time:
                self._note(campaign)
            else:
                del self._campaigns[campaign.id]
        return None

    @staticmethod
    def _patience(campaign: Campaign, session: Session) -> float:
        """How long a story waits for this session's next step."""
        if not campaign.opened_time:
            return CANDIDATE_IDLE_SECONDS
        member = campaign.members.get(session.number)
        if session.specific and member is not None and member.whole:
            return INCIDENT_IDLE_SECONDS
        least = ESTABLISHED_IDLE_SECONDS if session.specific else BLIND_IDLE_SECONDS
        return min(max(least, PACE_FACTOR * campaign.longest_gap), INCIDENT_IDLE_SECONDS)

    def _include(self, campaign: Campaign, session: Session, ref: EventRef, now: float) -> None:
        """Take an ordinary request of a member into the story where the session is the intruder's; else beside it."""
        member = campaign.members[session.number]
        if not member.confirmed:
            return
        if (
            member.whole
            and session.requests > YOUNG_REQUESTS
            and not campaign.speaks_against(session.number, ANCHOR_NATS)
        ):
            member.whole = False
            campaign.drop_plain(session.number)
        if member.whole:
            if campaign.add_event(ref):
                campaign.touch(now, ref.last_time)
                self._note(campaign)
        elif is_telling(ref) and self._is_near(campaign, session, now):
            campaign.add_context(ref, NEARBY_TEXT, "")
            self._note(campaign)

    def _look_back(self, campaign: Campaign, session: Session) -> None:
        """Recover what was ordinary when it passed."""
        member = campaign.members[session.number]
        if not member.confirmed:
            return
        for ref in session.recent:
            if member.whole:
                if seconds_of(ref.last_time) >= max(session.burst_seconds, session.told_seconds):
                    campaign.add_event(ref)
            elif is_telling(ref) and self._is_near(campaign, session, seconds_of(ref.time)):
                campaign.add_context(ref, NEARBY_TEXT, "")

    def _weigh(self, campaign: Campaign) -> None:
        campaign.rescore()
        if not campaign.opened_time and (campaign.always or (campaign.score >= self._bar and self._stands(campaign))):
            campaign.opened_time = campaign.last_time
            if campaign.opened_time:
                for number in list(campaign.members):
                    self._flow(campaign, number, campaign.last_seconds)
        self._note(campaign)

    def _stands(self, campaign: Campaign) -> bool:
        """Whether small pieces may add up: in a stranger's visit or along a link; elsewhere one must be loud."""
        if self._is_visited(campaign):
            return True
        strong = {
            piece.tactic for piece in campaign.pieces if piece.nats >= ANCHOR_NATS and self._is_blind(piece.session)
        }
        return len(strong) >= STRONG_TACTICS or any(
            piece.nats >= LOUD_NATS or (piece.kind == "link" and piece.nats >= SUSPICIOUS_NATS)
            for piece in campaign.pieces
        )

    def _is_blind(self, number: int) -> bool:
        """Whether neither address nor client of a session is known, so that a stranger's visit cannot be told."""
        session = self._lineage.sessions.get(number)
        return session is not None and not session.specific

    def _note(self, campaign: Campaign) -> None:
        if campaign.opened_time and campaign.id in self._campaigns:
            self._changed[campaign.id] = None

    def _forget(self) -> None:
        """Make room: the idlest candidate goes first, then the idlest closed incident."""
        victim = min(
            self._campaigns.values(),
            key=lambda item: (bool(item.opened_time), not item.closed, item.last_seconds, item.id),
        )
        for number in victim.members:
            if self._active.get(number) == victim.id:
                del self._active[number]
                self._lineage.sessions.held.discard(number)
        del self._campaigns[victim.id]
        self._built.pop(victim.id, None)
        self.evicted += 1

    def _incident(self, campaign: Campaign) -> Incident:
        built = self._built.get(campaign.id)
        if built is None or built[0] != campaign.version:
            incident = build_incident(campaign, self._lineage.sessions, self._infos, self._bar, self._reach)
            built = self._built[campaign.id] = (campaign.version, incident)
        return built[1]

    def current(self) -> list[Incident]:
        """Every incident, open and closed, oldest first."""
        incidents = [self._incident(campaign) for campaign in self._campaigns.values() if campaign.opened_time]
        return sorted(incidents, key=lambda incident: (incident.first_time, incident.id))

    def changed(self) -> list[Incident]:
        """Incidents that opened or grew since the last call, in the order of their first change."""
        changed = [self._incident(self._campaigns[id_]) for id_ in self._changed if id_ in self._campaigns]
        self._changed.clear()
        return changed

    def is_suspected(self, number: int, since: float) -> bool:
        """Whether a session is in an open incident, or was in one that ended after that time (seconds)."""
        campaign = self._campaigns.get(self._active.get(number, ""))
        if campaign is not None and campaign.opened_time:
            return True
        session = self._lineage.sessions.get(number)
        return session is not None and session.told_seconds >= since

    def candidates(self) -> list[tuple[str, float]]:
        """Ids and scores of stories below the bar, strongest first: the daily digest."""
        waiting = [campaign for campaign in self._campaigns.values() if not campaign.opened_time]
        return [(item.id, item.score) for item in sorted(waiting, key=lambda item: (-item.score, item.id))]

    def snapshot(self) -> bytes:
        """All state, for `restore`; the lineage is saved by itself."""
        return msgspec.msgpack.encode(
            _Saved(
                version=SNAPSHOT_VERSION,
                campaigns=list(self._campaigns.values()),
                active=self._active,
                parents=self._parents,
                children=self._children,
                merged=self.merged,
                changed=list(self._changed),
                lately=list(self._lately.values()),
                aside=self._aside,
                evicted=self.evicted,
            ),
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise StoreError(f"saved incidents cannot be read ({error}); delete the state to start afresh") from error
        if saved.version != SNAPSHOT_VERSION:
            raise StoreError(
                f"saved incidents have version {saved.version}, this kubewake reads {SNAPSHOT_VERSION}; "
                "delete the state to start afresh",
            )
        self._campaigns = {campaign.id: campaign for campaign in saved.campaigns}
        self._active, self._parents, self._children = saved.active, saved.parents, saved.children
        self.merged, self.evicted = saved.merged, saved.evicted
        self._built.clear()
        self._changed = dict.fromkeys(saved.changed)
        self._lately = {ref.request: ref for ref in saved.lately}
        self._aside = saved.aside
