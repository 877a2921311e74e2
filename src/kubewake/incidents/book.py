"""All campaigns of a cluster: which session belongs to which, how long a story waits, and when it stands."""

import msgspec

from kubewake.finding import stable_id
from kubewake.incidents.campaign import READS, Campaign, Member
from kubewake.incidents.threshold import (
    ANCHOR_NATS,
    BLIND_IDLE_SECONDS,
    BLIND_NEARBY_SECONDS,
    CANDIDATE_IDLE_SECONDS,
    ESTABLISHED_IDLE_SECONDS,
    INCIDENT_IDLE_SECONDS,
    LOUD_NATS,
    MAX_CAMPAIGNS,
    MAX_TOLD,
    MOMENT_SECONDS,
    NEAR_NATS,
    NEARBY_SECONDS,
    PACE_FACTOR,
    STRONG_TACTICS,
)
from kubewake.incidents.weight import SUSPICIOUS_NATS
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef
from kubewake.lineage.session import YOUNG_REQUESTS, Session, Sessions

NEARBY_TEXT = "new for this identity at that time; whether the intruder or the owner did it cannot be told"


def is_telling(ref: EventRef) -> bool:
    """Whether a request beside the story is worth showing: new for its identity, and no plain read."""
    return ref.notable and not ref.routine and ref.verb not in READS


def is_visited(campaign: Campaign) -> bool:
    """Whether a member is a stranger's visit as a whole, rather than a house session with odd moments."""
    return any(member.whole for member in campaign.members.values())


def is_near(campaign: Campaign, session: Session, at: float) -> bool:
    """Whether a moment (seconds) is close to the story's last strong evidence."""
    near = NEARBY_SECONDS if session.specific else BLIND_NEARBY_SECONDS
    return campaign.members[session.number].whole or abs(at - campaign.anchor_seconds) <= near


def patience_of(campaign: Campaign, session: Session) -> float:
    """How long, in seconds, a story waits for this session's next step."""
    if not campaign.opened_time:
        return CANDIDATE_IDLE_SECONDS
    member = campaign.members.get(session.number)
    if session.specific and member is not None and member.whole:
        return INCIDENT_IDLE_SECONDS
    least = ESTABLISHED_IDLE_SECONDS if session.specific else BLIND_IDLE_SECONDS
    paced = member if member is not None and is_by_itself(member, session) else campaign
    longest = paced.longest_gap
    return min(max(least, PACE_FACTOR * longest), INCIDENT_IDLE_SECONDS)


def is_by_itself(member: Member, session: Session) -> bool:
    """Whether only the session's own evidence says if its story goes on: several hands may share it unseen."""
    return not session.specific and not member.whole and member.last_seconds > 0


def quiet_since(campaign: Campaign, session: Session) -> float:
    """When (seconds) a story was last fed, as far as this session is concerned."""
    member = campaign.members.get(session.number)
    if campaign.opened_time and member is not None and is_by_itself(member, session):
        return member.last_seconds
    return campaign.last_seconds


def rests_on_statistics(campaign: Campaign, bar: float) -> bool:
    """Whether rules and links alone would leave a story below the bar."""
    return not campaign.always and sum(part.nats for part in campaign.parts if part.kind != "surprise") < bar


class CampaignBook:
    """Campaigns by id, and the campaign that each suspicious session belongs to now."""

    def __init__(self, sessions: Sessions, bar: float) -> None:
        self._sessions = sessions
        self.bar = bar
        self.bar_shift = 0.0
        """How far the bar is moved for stories that rest on statistics, in nats."""
        self.statistical = 0
        """Incidents so far that statistics helped over the bar."""
        self.campaigns: dict[str, Campaign] = {}
        self.active: dict[int, str] = {}
        self.changed: dict[str, None] = {}
        self.merged: dict[str, str] = {}
        """Ids of incidents that turned out to be part of another, with that one's id."""
        self.retired: list[Campaign] = []
        """Incidents that have become part of another and must still be told closed."""
        self.evicted = 0

    def add(self, session: Session, ref: EventRef, cluster: str, now: float) -> Campaign:
        """A new campaign, rooted in this session."""
        if len(self.campaigns) >= MAX_CAMPAIGNS:
            self._forget()
        campaign = Campaign(
            id=stable_id("incident", cluster, session.number, ref.request),
            cluster=cluster,
            root=session.number,
            created_seconds=now,
            last_seconds=now,
            last_time=ref.last_time,
        )
        self.campaigns[campaign.id] = campaign
        self.enrol(campaign, Member(session.number, 1.0, 0, 0, "", session.is_visit(now), True))
        return campaign

    def enrol(self, campaign: Campaign, member: Member) -> None:
        """Make a session a member, and the campaign the one that it belongs to."""
        campaign.members[member.session] = member
        campaign.closed = False
        self.active[member.session] = campaign.id
        self._sessions.held.add(member.session)
        campaign.version += 1

    def of(self, session: Session, now: float) -> Campaign | None:
        """The campaign that the session belongs to at this time; a story that has gone quiet lets it go."""
        id_ = self.active.get(session.number)
        campaign = self.campaigns.get(id_) if id_ is not None else None
        if campaign is None:
            return None
        idle = now - quiet_since(campaign, session)
        if idle <= BLIND_IDLE_SECONDS or idle <= patience_of(campaign, session):
            return campaign
        del self.active[session.number]
        self._sessions.held.discard(session.number)
        if campaign.opened_time:
            session.told_seconds = max(session.told_seconds, campaign.last_seconds + MOMENT_SECONDS)
            session.told_in = [*session.told_in, campaign.id][-MAX_TOLD:]
        if not any(self.active.get(number) == campaign.id for number in campaign.members):
            campaign.closed = True
            campaign.version += 1
            if campaign.opened_time:
                self.note(campaign)
            else:
                del self.campaigns[campaign.id]
        return None

    def told(self, session: Session, request: int) -> Campaign | None:
        """The story that has ended for a session and holds this request of it."""
        for id_ in reversed(session.told_in):
            campaign = self.campaigns.get(self.merged.get(id_, id_))
            if campaign is not None and request in campaign.events:
                return campaign
        return None

    def absorb(self, upper: Campaign, lower: Campaign) -> None:
        """Strike out the lower campaign for the upper; the id that was shown first stays."""
        del self.campaigns[lower.id]
        self.changed.pop(lower.id, None)
        if lower.opened_time and (not upper.opened_time or lower.opened_time < upper.opened_time):
            keep, drop = lower.id, upper.id
            del self.campaigns[drop]
            self.changed.pop(drop, None)
            if upper.opened_time:
                self.merged[drop] = keep
                self._retire(msgspec.structs.replace(upper, id=drop))
            upper.id, upper.opened_time, upper.told = keep, lower.opened_time, lower.told
            self.campaigns[keep] = upper
            for number in upper.members:
                if self.active.get(number) in {keep, drop}:
                    self.active[number] = keep
        elif lower.opened_time:
            self.merged[lower.id] = upper.id
            self._retire(lower)

    def _retire(self, campaign: Campaign) -> None:
        """Have an incident told closed, if anybody has heard of it."""
        if campaign.told:
            campaign.closed = True
            self.retired.append(campaign)

    def include(self, campaign: Campaign, session: Session, ref: EventRef, now: float) -> None:
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
                self.note(campaign)
        elif is_telling(ref) and is_near(campaign, session, now):
            campaign.add_context(ref, NEARBY_TEXT, "")
            self.note(campaign)

    def look_back(self, campaign: Campaign, session: Session) -> None:
        """Recover what was ordinary when it passed."""
        member = campaign.members[session.number]
        if not member.confirmed:
            return
        if not member.whole:
            for ref in session.recent:
                if is_telling(ref) and is_near(campaign, session, seconds_of(ref.time)):
                    campaign.add_context(ref, NEARBY_TEXT, "")
            return
        since = max(session.burst_seconds, session.told_seconds)
        for ref in session.recent:
            held = campaign.events.get(ref.key >> 2)
            if (held is None or held.ref is not ref) and seconds_of(ref.last_time) >= since:
                campaign.add_event(ref)

    def weigh(self, campaign: Campaign) -> bool:
        """Weigh the evidence anew; True where that opens the incident."""
        campaign.rescore()
        opens = not campaign.opened_time and (
            campaign.always or (campaign.score >= self._bar_of(campaign) and self._stands(campaign))
        )
        if opens:
            campaign.opened_time = campaign.last_time
            self.statistical += rests_on_statistics(campaign, self.bar)
        self.note(campaign)
        return opens

    def _bar_of(self, campaign: Campaign) -> float:
        """The bar, moved for a story that would not reach it without statistics."""
        return self.bar + self.bar_shift if rests_on_statistics(campaign, self.bar) else self.bar

    def _stands(self, campaign: Campaign) -> bool:
        """Whether small pieces may add up: in a stranger's visit or along a link; elsewhere one must be loud.

        Where neither client nor address is known, evidence for two tactics will do, unless two rules merely name one
        request twice.
        """
        if is_visited(campaign):
            return True
        strong = [piece for piece in campaign.pieces if piece.nats >= NEAR_NATS and self._is_blind(piece.session)]
        tactics = {piece.tactic for piece in strong}
        sources = {(piece.kind, piece.key >> 2) for piece in strong}
        return min(len(tactics), len(sources)) >= STRONG_TACTICS or any(
            piece.nats >= LOUD_NATS or (piece.kind == "link" and piece.nats >= SUSPICIOUS_NATS)
            for piece in campaign.pieces
        )

    def _is_blind(self, number: int) -> bool:
        """Whether neither address nor client of a session is known, so that a stranger's visit cannot be told."""
        session = self._sessions.get(number)
        return session is not None and not session.specific

    def note(self, campaign: Campaign) -> None:
        """Remember that an incident has changed."""
        if campaign.opened_time and campaign.id in self.campaigns:
            self.changed[campaign.id] = None

    def _forget(self) -> None:
        """Make room: the idlest candidate goes first, then the idlest closed incident."""
        victim = min(
            self.campaigns.values(),
            key=lambda item: (bool(item.opened_time), not item.closed, item.last_seconds, item.id),
        )
        for number in victim.members:
            if self.active.get(number) == victim.id:
                del self.active[number]
                self._sessions.held.discard(number)
        del self.campaigns[victim.id]
        self.evicted += 1
