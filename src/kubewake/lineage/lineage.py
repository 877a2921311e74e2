"""Follows causes through the stream: stubs in event-time order in, links out."""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import cast

import msgspec
from msgspec import Struct

from kubewake.detectors.grants import reason_keys
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import LINKS, Coverage, Follower, Link, LinkKind, Observer, Reads, link_number
from kubewake.lineage.moment import seconds_of
from kubewake.lineage.reference import EventRef
from kubewake.lineage.session import (
    BURST_GAP_SECONDS,
    MAX_HABITS,
    MAX_RECENT,
    MAX_RECENT_AT_HOME,
    ROUTINE_AGE_SECONDS,
    ROUTINE_TIMES,
    WARM_UP_SECONDS,
    YOUNG_REQUESTS,
    Habit,
    Identity,
    Session,
    session_number,
)
from kubewake.lineage.state import Kind, Place, State, is_routine_actor
from kubewake.lineage.webhook import MUTATED_BY
from kubewake.observation import Stub
from kubewake.snapshot import decode_state

SNAPSHOT_VERSION = 1
KNOWN_REQUESTS = 5
"""After so many requests an identity is known, and a session of it that differs stands out."""
CREDENTIAL_LINKS = frozenset({"L1", "L11", "L12"})
"""Links that show a session's credential to be in somebody's hand, known identity or not."""
GRANT_LINKS = ("L4", "L5")
"""Links that need to know by which binding and by which role a request was allowed, as `reason_keys` names them."""
USES_FOLLOWED = 64
"""How often an identity does one kind of thing until nobody asks any more by which grant."""
MAX_KNOWN_BEHAVIOURS = 50_000
"""Behaviours whose course is remembered to save work; the memory starts anew when full."""
MAX_COURSES = 20_000
"""The same for kinds of single requests; each entry holds some ten texts."""


class Course(Kind, kw_only=True):
    """What is the same for all requests of one kind by one session."""

    session: Session
    habit: Habit | None
    """None where the identity has no room for one more: then each request counts as the first of its kind."""
    records: tuple[Observer, ...]
    """Whom such a request concerns as a possible cause."""
    grant: str
    """Key of the binding that allowed such a request, "" where none is named."""
    grants: tuple[tuple[str, Follower], ...]
    """Who follows that binding and its role, each with the key to look for."""
    granted: Habit | None = None
    """Since when the binding has allowed the identity anything, once that is noted."""


class _Saved(Struct):
    version: int
    start: float
    now: float
    sessions: list[Session]
    identities: dict[str, Identity]
    held: list[int]
    places: dict[str, Place]
    ledgers: dict[str, list[tuple[str, list[Cause]]]]
    evicted: dict[str, int]
    coverage: dict[str, Coverage]


def all_links() -> dict[str, type[LinkKind]]:
    """Every kind of link, in the order of its number."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(LINKS.items(), key=lambda item: link_number(item[0])))


def observers(kinds: Iterable[LinkKind], method: str) -> tuple[Observer, ...]:
    """The bound methods of this name, of the kinds that have it."""
    return tuple(getattr(kind, method) for kind in kinds if hasattr(kind, method))


class Lineage:
    """The links of one cluster. After `observe`, `session`, `routine` and `now` tell of the stub just seen."""

    def __init__(self, disabled: frozenset[str] = frozenset()) -> None:
        self.state = State()
        self.sessions = self.state.sessions
        self.kinds: dict[str, LinkKind] = {
            name: kind(self.state) for name, kind in all_links().items() if name not in disabled
        }
        self._births = observers(self.kinds.values(), "birth")
        self._grants = [(GRANT_LINKS.index(kind.INFO.id), kind) for kind in self._followers("reason")]
        """Each with the place of its key among `reason_keys`."""
        self._changes = self._followers(MUTATED_BY)
        self._borrowers = observers([kind for kind in self.kinds.values() if kind.reads == "impersonated"], "use")
        self._targets: dict[tuple[str, str], list[tuple[frozenset[str] | None, Observer]]] = {}
        """Whom an allowed request for a resource and subresource may concern, each with the verbs of such requests."""
        for kind in self.kinds.values():
            for record in observers([kind], "record"):
                for target in kind.targets:
                    self._targets.setdefault(target, []).append((kind.verbs, record))
        self._known: dict[int, Course] = {}
        self._courses: dict[int | tuple[str, ...], Course] = {}
        self._granted = Coverage()
        """Allowed requests, and those that say by which grant: the coverage of the links that need to know."""
        self._origins: dict[tuple[str, str, str, str], Session] = {}
        self._start = 0.0
        self.now = 0.0
        self.session: Session | None = None

    def observe(self, stub: Stub) -> list[Link]:
        """Take in the next stub; returns the links that end in it or that its session is born with."""
        self.session = None  # so that none is mistaken for this stub's where this fails before there is one
        now = seconds_of(stub.time)
        if now < self.now:
            now = self.now
        else:
            self.now = now
        if not self._start:
            self._start = now
        behaviour, count = stub.behaviour, stub.count
        course = self._known.get(behaviour) if behaviour else self._courses.get(stub.kind or kind_of(stub))
        born = False
        if course is None:
            course, born = self._course(stub, now)
        session = course.session
        habit = course.habit or Habit(now)
        if now - session.last_seconds > BURST_GAP_SECONDS:
            session.burst_seconds = now
            if session.newcomer and session.number not in self.sessions.held:
                session.newcomer = False
        session.last_seconds = now
        session.requests += count
        times = habit.count
        routine = times >= ROUTINE_TIMES and now - habit.first_seconds >= ROUTINE_AGE_SECONDS
        habit.count = times + count
        if stub.outcome == "allowed":
            self._granted.eligible += count
            if stub.reason:
                self._granted.covered += count
        self.session = session
        self.state.kind, self.state.routine = course, routine
        if stub.hits or not (session.machine or (routine and (behaviour or not session.newcomer))):
            remember(session, self.state.refer(stub, session))
        links: list[Link] = []
        for record in course.records:
            links.extend(record(stub, session, now))
        if born:
            for birth in self._births:
                links.extend(birth(stub, session, now))
            if any(link.id in CREDENTIAL_LINKS and link.scope == "session" for link in links):
                session.newcomer = self._is_warm(now)
        values = stub.values
        if course.grant and (habit.count <= USES_FOLLOWED or values or stub.impersonated):
            if course.granted is None:
                self._note_grant(course, now)
            for key, kind in course.grants:
                if key in kind.causes.entries:
                    self.state.habit_seconds = habit.first_seconds
                    self.state.grant_seconds = now if course.granted is None else course.granted.first_seconds
                    links.extend(kind.use(stub, session, now))
        if values:
            for kind in self._changes:
                if kind.causes.entries:
                    kind.coverage.eligible += 1
                    if MUTATED_BY in values:
                        links.extend(kind.use(stub, session, now))
        if stub.impersonated:
            for use in self._borrowers:
                links.extend(use(stub, session, now))
        return links

    @property
    def routine(self) -> bool:
        """Whether the identity had often done before what it did in the stub that `observe` has just seen."""
        return self.state.routine

    def _course(self, stub: Stub, now: float) -> tuple[Course, bool]:
        """What is known of the stub's kind and session, and whether the session is new."""
        session, born = self._session(stub, now)
        habit = self._habit(session, stub, now)
        keys = reason_keys(stub.reason)
        grants = tuple([(keys[place], kind) for place, kind in self._grants]) if keys else ()
        course = Course(
            session=session,
            habit=habit,
            records=self._records(stub),
            grant=keys[0] if keys else "",
            grants=grants,
        )
        if stub.behaviour:
            if len(self._known) >= MAX_KNOWN_BEHAVIOURS:
                self._known.clear()
            course.habit = habit or Habit(now)
            self._known[stub.behaviour] = course
        elif stub.resource:
            if len(self._courses) >= MAX_COURSES:
                self._courses.clear()
            self._courses[stub.kind or kind_of(stub)] = course
        return course, born

    def _records(self, stub: Stub) -> tuple[Observer, ...]:
        """Those for whom the stub may be a cause."""
        concerned = self._targets.get((stub.resource, stub.subresource)) if stub.outcome == "allowed" else None
        if concerned is None:
            return ()
        return tuple([record for verbs, record in concerned if verbs is None or stub.verb in verbs])

    def _followers(self, reads: Reads) -> tuple[Follower, ...]:
        """Those who follow what this field or value of a stub names."""
        return tuple(cast("Follower", kind) for kind in self.kinds.values() if kind.reads == reads)

    def _session(self, stub: Stub, now: float) -> tuple[Session, bool]:
        """The stub's session, and whether it is new."""
        source, user_agent = stub.source, stub.user_agent
        origin = (stub.user, stub.credential, source, user_agent)
        session = self._origins.get(origin)
        if session is not None:
            return session, False
        number = session_number(*origin)
        session = self.sessions.get(number)
        if session is not None:
            self._origins[origin] = session
            return session, False
        session = Session(
            number=number,
            user=stub.user,
            kind=stub.actor_kind,
            credential=stub.credential,
            source=source,
            user_agent=user_agent,
            client=stub.client,
            pod=stub.pod,
            pod_uid=stub.pod_uid,
            node=stub.node,
            secret=stub.secret_token,
            first_time=stub.time,
            first_seconds=now,
            last_seconds=now,
            burst_seconds=now,
            specific=bool(source or user_agent),
        )
        session.newcomer = self._is_warm(now) and (session.anonymous or self._is_known(session.user))
        session.machine = is_routine_actor(session)
        self._renew(session)
        before = self.sessions.evicted
        self.sessions.add(session)
        if self.sessions.evicted != before:
            self._forget_courses()
        self._origins[origin] = session
        self.state.settle(session)
        return session, True

    def _forget_courses(self) -> None:
        self._known.clear()
        self._courses.clear()
        self._origins.clear()

    def _is_warm(self, now: float) -> bool:
        """Whether the stream has gone on long enough to tell newcomers."""
        return now - self._start >= WARM_UP_SECONDS

    def _is_known(self, user: str) -> bool:
        """Whether an identity has been at work before in another session, so that a new one stands out."""
        identity = self.sessions.identities.get(user)
        requests = 0
        for number in identity.sessions if identity is not None else ():
            requests += self.sessions.by_number[number].requests
            if requests >= KNOWN_REQUESTS:
                return True
        return False

    def _renew(self, session: Session) -> None:
        """Recognise an older session under a fresh credential, or a workload's program in another of its pods."""
        for other in self.sessions.siblings(session):
            if session.pod and other.pod not in {"", session.pod} and other.user_agent == session.user_agent != "":
                session.newcomer = session.newcomer and other.newcomer
            if (
                other.pod == session.pod
                and other.source == session.source
                and other.user_agent == session.user_agent
                and (session.specific or session.pod)
            ):
                session.renewed = True
                session.newcomer = session.newcomer and other.newcomer
                session.requests = max(session.requests, other.requests)

    def _habit(self, session: Session, stub: Stub, now: float) -> Habit | None:
        """How often the identity has done this kind of thing; None where it has no room for one more kind."""
        habits = self.sessions.identities[session.user].habits
        kind = habit_of(stub)
        habit = habits.get(kind)
        if habit is None and len(habits) < MAX_HABITS:
            habit = habits[kind] = Habit(now)
        return habit

    def _note_grant(self, course: Course, now: float) -> None:
        """Note since when a binding has allowed this identity anything."""
        habits = self.sessions.identities[course.session.user].habits
        key = f"by {course.grant}"
        course.granted = habits.get(key)
        if course.granted is None and len(habits) < MAX_HABITS:
            course.granted = habits[key] = Habit(now)

    def is_habitual(self, user: str, acts: Iterable[str]) -> bool:
        """Whether an identity has done one of these often before, as told by `learn`."""
        identity = self.sessions.identities.get(user)
        if identity is None:
            return False
        habits, now = identity.habits, self.now
        for act in acts:
            habit = habits.get(act)
            if habit is not None and is_routine(habit, now):
                return True
        return False

    def learn(self, user: str, act: str) -> None:
        """Count something that an identity has done."""
        identity = self.sessions.identities.get(user)
        if identity is None:
            return
        habit = identity.habits.get(act)
        if habit is None:
            if len(identity.habits) >= MAX_HABITS:
                return
            habit = identity.habits[act] = Habit(self.now)
        habit.count += 1

    def coverage(self) -> dict[str, Coverage]:
        """For each link, how many requests or sessions could have carried its fields, and how many did."""
        return {name: self._granted if name in GRANT_LINKS else kind.coverage for name, kind in self.kinds.items()}

    def evicted(self) -> dict[str, int]:
        """What was forgotten before its time because a memory was full, by memory."""
        counts = {name: ledger.evicted for name, ledger in sorted(self.state.ledgers.items())}
        return {"sessions": self.sessions.evicted, "places": self.state.places_evicted, **counts}

    def snapshot(self) -> bytes:
        """All state, for `restore`."""
        sessions = self.sessions
        return msgspec.msgpack.encode(
            _Saved(
                version=SNAPSHOT_VERSION,
                start=self._start,
                now=self.now,
                sessions=list(sessions.by_number.values()),
                identities=sessions.identities,
                held=sorted(sessions.held),
                places=self.state.places,
                ledgers={name: ledger.dump() for name, ledger in self.state.ledgers.items()},
                evicted=self.evicted(),
                coverage=self.coverage(),
            ),
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot; raises StoreError where it cannot be read."""
        saved = decode_state(data, _Saved, "saved lineage", version=SNAPSHOT_VERSION)
        sessions = self.sessions
        sessions.by_number = {session.number: session for session in saved.sessions}
        sessions.identities = saved.identities
        sessions.held = set(saved.held)
        sessions.evicted = saved.evicted.get("sessions", 0)
        self.state.places = saved.places
        self.state.places_evicted = saved.evicted.get("places", 0)
        for name, ledger in self.state.ledgers.items():
            ledger.load(saved.ledgers.get(name, []), saved.evicted.get(name, 0))
        for name, kind in self.kinds.items():
            kind.coverage = saved.coverage.get(name, Coverage())
            if name in GRANT_LINKS:
                self._granted = kind.coverage
        self._forget_courses()
        self._start, self.now = saved.start, saved.now
        self.session = None


def is_routine(habit: Habit, now: float) -> bool:
    """Whether a habit is old and frequent enough to be nothing new."""
    return habit.count >= ROUTINE_TIMES and now - habit.first_seconds >= ROUTINE_AGE_SECONDS


def kind_of(stub: Stub) -> tuple[str, ...]:
    """All that a course depends on, of requests for resources."""
    return (
        stub.user,
        stub.credential,
        stub.source,
        stub.user_agent,
        stub.verb,
        stub.resource,
        stub.subresource,
        stub.api_group,
        stub.namespace,
        stub.outcome,
        stub.reason,
    )


def habit_of(stub: Stub) -> str:
    """The kind of thing a request does: its verb and what it is about, without names of objects."""
    if not stub.resource:
        return f"{stub.verb} {'/'.join(stub.uri.partition('?')[0].split('/')[:4])}"
    if stub.outcome == "denied":
        return f"{stub.verb} {stub.resource}/{stub.subresource} {stub.namespace} denied"
    return f"{stub.verb} {stub.resource}/{stub.subresource} {stub.namespace}"


def remember(session: Session, ref: EventRef) -> None:
    """Add to the session's latest requests."""
    recent = session.recent
    recent.append(ref)
    visits = session.newcomer and session.requests <= YOUNG_REQUESTS
    room = MAX_RECENT if visits else MAX_RECENT_AT_HOME
    if len(recent) > room:
        del recent[:-room]
