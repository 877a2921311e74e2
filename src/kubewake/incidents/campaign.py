"""A campaign: what may be one attack, from its first suspicious request on. Above the bar it is shown as an incident."""

from msgspec import Struct

from kubewake.incidents.weight import Part, Piece, score_of
from kubewake.lineage.link import Link
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef

MAX_EVENTS = 2_000
"""Events of one story; later ones are counted."""
MAX_CONTEXT = 100
MAX_LINKS = 300
MAX_PIECES = 400
MAX_HOPS = 6
READS = frozenset({"get", "list", "watch"})
CONFIRMING_STRENGTH = 0.95
"""Links at least this strong carry the story without further evidence; weaker ones need some at the far end."""


class Member(Struct, array_like=True):
    """A session's part in a campaign: how surely it belongs, over how many links, and whether as a whole."""

    session: int
    strength: float
    hops: int
    parent: int
    link: str
    whole: bool
    confirmed: bool
    last_seconds: float = 0.0
    """When the last evidence against this very session came."""
    longest_gap: float = 0.0

    def touch(self, seconds: float, *, opened: bool) -> None:
        """Note evidence against this session, and the pace at which it comes once the story is an incident."""
        if self.last_seconds and opened:
            self.longest_gap = max(self.longest_gap, seconds - self.last_seconds)
        self.last_seconds = max(seconds, self.last_seconds)


class StoryEvent(Struct, array_like=True):
    """One request of the story. `why` says how it follows, `titles` what the rules said of it."""

    ref: EventRef
    why: str = ""
    link: str = ""
    titles: list[str] = []


class Campaign(Struct, kw_only=True):
    """State of one campaign. `id` is settled by its first piece of evidence."""

    id: str
    cluster: str
    root: int
    created_seconds: float
    last_seconds: float
    last_time: str
    members: dict[int, Member] = {}
    events: dict[int, StoryEvent] = {}
    """By request number (`EventRef.request`)."""
    context: dict[int, StoryEvent] = {}
    pieces: list[Piece] = []
    links: list[Link] = []
    findings: dict[str, int] = {}
    """Finding ids in the order in which they joined, each with the session."""
    longest_gap: float = 0.0
    anchor_seconds: float = 0.0
    """When the last evidence came that is strong enough to draw its surroundings into the story."""
    opened_time: str = ""
    score: float = 0.0
    peak: float = 0.0
    parts: list[Part] = []
    always: bool = False
    closed: bool = False
    told: bool = False
    """Whether the incident was handed on: only then must it be told when it becomes part of another."""
    overflow: int = 0
    version: int = 0

    def touch(self, seconds: float, time: str) -> None:
        """Note suspicious or linked activity."""
        if self.opened_time:
            self.longest_gap = max(self.longest_gap, seconds - self.last_seconds)
        if seconds >= self.last_seconds:
            self.last_seconds, self.last_time = seconds, max(time, self.last_time)
        self.version += 1

    def strength_of(self, session: int) -> float:
        """Path strength of a session, 0 where it is no member."""
        member = self.members.get(session)
        return member.strength if member is not None else 0.0

    def add_event(self, ref: EventRef, why: str = "", link: str = "", title: str = "") -> bool:
        """Take a request into the story, or more words on one that is in it; False where nothing is new."""
        request = ref.request
        event = self.events.get(request)
        if event is None:
            if len(self.events) >= MAX_EVENTS:
                self.overflow += 1
                return False
            event = self.events[request] = StoryEvent(ref, "", "", [])
            self.context.pop(request, None)
            new = True
        else:
            new = False
            if ref.count > event.ref.count or (ref.count == event.ref.count and ref.last_key > event.ref.last_key):
                event.ref = ref
                new = True
        if why and not event.why:
            event.why, event.link = why, link
            new = True
        if title and title not in event.titles:
            event.titles.append(title)
            new = True
        self.version += new
        return new

    def add_context(self, ref: EventRef, why: str, link: str) -> None:
        """Show a request beside the story, where it is not in it."""
        request = ref.request
        if request not in self.events and request not in self.context and len(self.context) < MAX_CONTEXT:
            self.context[request] = StoryEvent(ref, why, link, [])
            self.version += 1

    def weaken(self, session: int, detector: str, nats: float) -> None:
        """What has turned out to be a habit was one before: its earlier piece weighs no more than the new one."""
        for piece in self.pieces:
            if piece.session == session and piece.detector == detector:
                piece.nats = min(piece.nats, nats)

    def speaks_against(self, session: int, nats: float) -> bool:
        """Whether a session has evidence of this weight of its own."""
        return any(piece.session == session and piece.nats >= nats for piece in self.pieces)

    def has_piece(self, piece: Piece) -> bool:
        """Whether the same detector has spoken of the same session already."""
        return any(held.session == piece.session and held.detector == piece.detector for held in self.pieces)

    def add_piece(self, piece: Piece) -> bool:
        """Take in evidence; a repeat of a rule by the same session never adds."""
        for index, held in enumerate(self.pieces):
            if held.session == piece.session and held.detector == piece.detector and held.tactic == piece.tactic:
                tried = held.tried + 1
                if piece.nats > held.nats:
                    piece.tried = tried
                    self.pieces[index] = piece
                    return True
                held.tried = tried
                return False
        if len(self.pieces) >= MAX_PIECES:
            weakest = min(range(len(self.pieces)), key=lambda i: (self.pieces[i].nats, -i))
            if self.pieces[weakest].nats >= piece.nats:
                return False
            del self.pieces[weakest]
        self.pieces.append(piece)
        return True

    def forget_before(self, seconds: float) -> None:
        """Let go of what is older: chance findings of a long day do not add up."""
        self.pieces = [piece for piece in self.pieces if piece.seconds >= seconds]
        self.events = {
            request: event for request, event in self.events.items() if seconds_of(event.ref.last_time) >= seconds
        }
        self.findings = {piece.finding: piece.session for piece in self.pieces if piece.finding}

    def drop_plain(self, session: int) -> None:
        """Take out what only stood there because the whole session did: it is part of the house after all."""
        kept = {
            request: event
            for request, event in self.events.items()
            if event.ref.session != session or event.titles or event.why or event.ref.verb not in READS
        }
        if kept:
            self.events = kept
            self.version += 1

    def add_link(self, link: Link) -> None:
        """Keep a link for the graph, once for each pair and kind."""
        if len(self.links) >= MAX_LINKS:
            return
        for held in self.links:
            if (
                held.effect == link.effect
                and held.cause == link.cause
                and held.id == link.id
                and held.source == link.source
                and held.target == link.target
            ):
                return
        self.links.append(link)
        self.version += 1

    def rescore(self) -> None:
        """Weigh the evidence anew."""
        strengths = {number: member.strength for number, member in self.members.items()}
        exact = sum(1 for link in self.links if link.cause and link.strength >= CONFIRMING_STRENGTH)
        self.score, self.parts = score_of(self.pieces, strengths, exact)
        self.peak = max(self.peak, self.score)
