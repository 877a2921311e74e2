"""How suspicion flows along links: forward from a suspicious session, backwards only to name the root cause.

Directed, never union-find: two stories that merely meet (at a hub, a NAT, a shared account) stay two.
"""

from kubewake.incidents.book import CampaignBook, is_visited
from kubewake.incidents.campaign import CONFIRMING_STRENGTH, MAX_HOPS, Campaign, Member
from kubewake.incidents.threshold import (
    CARRYING_NATS,
    FORWARD_FROM_HUBS,
    MAX_EDGE_SESSIONS,
    MAX_EDGES,
    MERGING_STRENGTH,
)
from kubewake.incidents.weight import Piece
from kubewake.lineage.link import Link
from kubewake.lineage.session import Session, Sessions
from kubewake.lineage.state import is_hub


class Flow:
    """The links into and out of each session, and what they do to campaigns."""

    def __init__(self, sessions: Sessions, book: CampaignBook) -> None:
        self._sessions = sessions
        self._book = book
        self.parents: dict[int, list[Link]] = {}
        self.children: dict[int, list[Link]] = {}

    def remember(self, link: Link) -> None:
        """Keep a link, for suspicion that comes later."""
        if link.cause == link.effect:
            return
        if link.cause:
            self._keep(self.children, link.cause, link)
        self._keep(self.parents, link.effect, link)

    @staticmethod
    def _keep(edges: dict[int, list[Link]], number: int, link: Link) -> None:
        held = edges.get(number)
        if held is None:
            if len(edges) >= MAX_EDGE_SESSIONS:
                del edges[next(iter(edges))]
            held = edges[number] = []
        if len(held) < MAX_EDGES:
            held.append(link)

    def begin(self, campaign: Campaign, session: Session, now: float) -> None:
        """Bring along what is linked to the root of a new campaign already."""
        for link in list(self.parents.get(session.number, ())):
            if link.cause:
                self.join(link, now)
            else:
                campaign.add_link(link)
        self.flow(campaign, session.number, now)

    def weigh(self, campaign: Campaign) -> None:
        """Weigh a campaign anew; what has just become an incident lets suspicion flow over weaker links, too."""
        if self._book.weigh(campaign):
            for number in list(campaign.members):
                self.flow(campaign, number, campaign.last_seconds)

    def flow(self, campaign: Campaign, number: int, now: float) -> None:
        """Let suspicion flow along the links that leave a session."""
        for link in list(self.children.get(number, ())):
            if self._book.active.get(number) == campaign.id:
                self.join(link, now)

    def join(self, link: Link, now: float) -> None:
        """Connect cause and effect of a link where one of them is under suspicion."""
        sessions, active = self._sessions, self._book.active
        cause, effect = sessions.get(link.cause), sessions.get(link.effect)
        if cause is None or effect is None:
            return
        if link.cause not in active and link.effect not in active and not cause.told_in:
            return
        upper, lower = self._book.of(cause, now), self._book.of(effect, now)
        if link.cause_ref is not None and link.scope == "session" and link.strength >= CONFIRMING_STRENGTH:
            # The very request that the link starts from says which story goes on, however long ago that was.
            ended = self._book.told(cause, link.cause_ref.request)
            if ended is not None:
                ended.last_seconds = max(ended.last_seconds, now)
                upper = ended
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
                self._book.note(upper)
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
        self._book.enrol(upper, member)
        upper.add_link(link)
        if link.cause_ref is not None and confirmed:
            upper.add_event(link.cause_ref)
        self._book.look_back(upper, effect)
        self.weigh(upper)
        self.flow(upper, effect.number, now)

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
        self.weigh(upper)

    def _carries(self, upper: Campaign, link: Link) -> bool:
        """Whether suspicion flows over this link: an exact one, or out of a story that stands by itself."""
        if link.strength >= CONFIRMING_STRENGTH:
            return True
        return bool(upper.opened_time) or (is_visited(upper) and upper.score >= CARRYING_NATS)

    def _merge(self, upper: Campaign, lower: Campaign, link: Link, above: Member) -> None:
        """The lower story turns out to be a branch of the upper; the id that was shown first stays."""
        for number, member in lower.members.items():
            member.strength *= above.strength * link.strength
            member.hops = min(MAX_HOPS, member.hops + above.hops + 1)
            if number == lower.root:
                member.parent, member.link = link.cause, link.id
            upper.members.setdefault(number, member)
            self._book.active[number] = upper.id
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
        upper.closed = upper.closed and lower.closed
        upper.created_seconds = min(upper.created_seconds, lower.created_seconds)
        if lower.last_seconds > upper.last_seconds:
            upper.last_seconds, upper.last_time = lower.last_seconds, lower.last_time
        self._book.absorb(upper, lower)
        upper.version += 1 + lower.version
        self.weigh(upper)

    def _climb(self, lower: Campaign, link: Link, cause: Session, now: float) -> None:
        """From a suspicious effect back to its cause: into the story over an exact link, else beside it."""
        member = lower.members.get(link.effect)
        if member is None or link.cause_ref is None:
            return
        lower.add_link(link)
        exact = link.strength >= CONFIRMING_STRENGTH and link.scope == "session" and not is_hub(cause)
        if not exact or member.hops > 0:
            lower.add_context(link.cause_ref, f"{cause.user}: cause of a later step ({link.text})", link.id)
            self._book.note(lower)
            return
        whole = cause.is_visit(now)
        member.parent, member.link = cause.number, link.id
        self._book.enrol(lower, Member(cause.number, 1.0, 0, 0, "", whole, whole))
        lower.root = cause.number
        lower.add_event(link.cause_ref)
        self._book.look_back(lower, cause)
        self.weigh(lower)
        for parent in list(self.parents.get(cause.number, ())):
            if parent.cause:
                self.join(parent, now)
        self.flow(lower, cause.number, now)
