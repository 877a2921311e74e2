"""Sessions: one identity with one credential from one place through one program.

An intruder and the rightful owner often use the same identity at the same time. What tells them apart is the session;
lineage therefore taints sessions and not identities.
"""

import xxhash
from msgspec import Struct

from kubewake.finding import Entity
from kubewake.lineage.reference import EventRef

MAX_RECENT = 24
"""Requests remembered for each newcomer: enough for the ordinary steps that lead up to a loud one."""
MAX_RECENT_AT_HOME = 8
"""Requests remembered for each other session: context only."""
MAX_HABITS = 256
"""Kinds of action remembered for each identity; later ones count as new."""
MAX_SESSIONS_EACH = 64
"""Sessions remembered for each identity: one that makes up user agents crowds out only its own."""
MAX_IDENTITIES = 20_000
ROUTINE_TIMES = 3
ROUTINE_AGE_SECONDS = 120.0
"""An identity's action is routine when it was done three times before, the first of them two minutes ago or more."""
YOUNG_REQUESTS = 400
"""A session that has sent more than this is no visit but part of the house."""
YOUNG_SECONDS = 3600.0
WARM_UP_SECONDS = 300.0
"""Sessions seen in the first minutes of a stream may have been there long before it."""
BURST_GAP_SECONDS = 600.0
"""Ten minutes of silence end a burst; a later request of the same session begins a new one."""
ANONYMOUS = frozenset({"", "system:anonymous", "system:unauthenticated"})


class Habit(Struct, array_like=True, gc=False):
    """How often an identity has done one kind of thing, and since when."""

    first_seconds: float
    count: int = 0


class Session(Struct, kw_only=True):
    """What is known of one session. `number` is a hash of user, credential, source and user agent."""

    number: int
    user: str
    kind: str
    credential: str
    source: str
    user_agent: str
    client: str
    pod: str
    pod_uid: str
    node: str
    secret: str
    first_time: str
    first_seconds: float
    last_seconds: float
    burst_seconds: float
    """When the current burst began."""
    requests: int = 0
    specific: bool = True
    """False where neither address nor client is known, so that several hands may share the session."""
    newcomer: bool = False
    """Born after the stream had warmed up, to an identity known from elsewhere, and not yet back after a quiet visit."""
    machine: bool = False
    """The cluster's own machinery at its daily work (see `state.is_routine_actor`)."""
    renewed: bool = False
    """An older session of the same pod or place, only with a fresh credential: tokens rotate every hour."""
    told_seconds: float = 0.0
    """Until when its requests belong to a story that has ended."""
    told_in: list[str] = []
    """Ids of the last stories that have ended for it."""
    recent: list[EventRef] = []
    children: int = 0
    children_day: int = 0

    @property
    def namespace(self) -> str:
        """Namespace of the service account, else empty."""
        parts = self.user.split(":", 3)
        return parts[2] if len(parts) == 4 and self.user.startswith("system:serviceaccount:") else ""

    @property
    def anonymous(self) -> bool:
        """Whether nobody logged in."""
        return self.user in ANONYMOUS and self.kind != "unknown"

    def is_visit(self, at_seconds: float) -> bool:
        """Whether the session, seen at this time, is young and small enough to be one person's visit as a whole."""
        return (
            self.specific
            and self.newcomer
            and self.requests <= YOUNG_REQUESTS
            and at_seconds - self.burst_seconds <= YOUNG_SECONDS
        ) or (not self.specific and self.newcomer and self._is_own() and self.requests <= YOUNG_REQUESTS // 10)

    def _is_own(self) -> bool:
        """Whether the credential is one that no pod or node renews by itself."""
        return not (self.anonymous or self.pod or self.kind in ("node", "unknown"))


class Identity(Struct):
    """What is remembered of one username."""

    habits: dict[str, Habit] = {}
    sessions: list[int] = []


def session_number(user: str, credential: str, source: str, user_agent: str) -> int:
    """The same number for the same session on every machine; never 0."""
    return xxhash.xxh3_64_intdigest(f"{user}\0{credential}\0{source}\0{user_agent}".encode()) or 1


UNNAMED = "(no known login)"
"""Who sends requests for which the log has no username: a login failed, or names were left out."""


def identity_entity(user: str, role: str = "") -> Entity:
    """The entity of a username."""
    return Entity("identity", user or UNNAMED, role)


class Sessions:
    """All sessions and identities of a cluster, bounded; sessions that are `held` by a story are never forgotten."""

    def __init__(self) -> None:
        self.by_number: dict[int, Session] = {}
        self.identities: dict[str, Identity] = {}
        self.held: set[int] = set()
        self.evicted = 0

    def get(self, number: int) -> Session | None:
        """A session by number; None when it was never seen or is forgotten."""
        return self.by_number.get(number)

    def add(self, session: Session) -> Identity:
        """Take in a new session; the identity's oldest free one makes room where it has too many."""
        identity = self.identities.get(session.user)
        if identity is None:
            if len(self.identities) >= MAX_IDENTITIES:
                self._forget_identity()
            identity = self.identities[session.user] = Identity({}, [])
        if len(identity.sessions) >= MAX_SESSIONS_EACH:
            free = [number for number in identity.sessions if number not in self.held] or identity.sessions[:1]
            oldest = min(free, key=lambda number: (self.by_number[number].last_seconds, number))
            self._drop(identity, oldest)
        identity.sessions.append(session.number)
        self.by_number[session.number] = session
        return identity

    def _drop(self, identity: Identity, number: int) -> None:
        identity.sessions.remove(number)
        self.by_number.pop(number, None)
        self.held.discard(number)
        self.evicted += 1

    def _forget_identity(self) -> None:
        user, identity = next(iter(self.identities.items()))
        for number in list(identity.sessions):
            self._drop(identity, number)
        del self.identities[user]

    def siblings(self, session: Session) -> list[Session]:
        """Other sessions of the same identity."""
        identity = self.identities.get(session.user)
        numbers = identity.sessions if identity is not None else []
        return [self.by_number[number] for number in numbers if number != session.number]
