"""L14: two principals from the same address with exactly the same client, shortly after each other."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import HOUR_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

STRENGTH = 0.3
PAUSE_SECONDS = 60.0


@link_kind(
    LinkInfo(
        "L14",
        "two principals, one address and client",
        "address and exact user agent; not where more than 5 principals came from the address in 7 days",
        "Metadata",
        STRENGTH,
        HOUR_SECONDS,
    ),
)
class SharedOrigin:
    """Sessions by address and user agent."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._origins = state.ledger("origin", HOUR_SECONDS, depth=6)

    def birth(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Earlier newcomers of other names from the same address with the same client."""
        self.coverage.eligible += 1
        if not session.source or not session.user_agent:
            return ()
        self.coverage.covered += 1
        if not session.newcomer or session.machine:
            return ()
        key = f"{session.source} {session.user_agent}"
        causes = self._origins.get(key, now)
        self._origins.put(key, Cause(self._state.refer(stub, session), now))
        if self._state.is_shared(session.source, now):
            return ()
        return [
            Link(
                id="L14",
                cause=cause.ref.session,
                effect=session.number,
                strength=STRENGTH,
                scope="session",
                text=f"came from the same address ({session.source}) with the same program as {cause.ref.user or 'a failed login'}",
                source=Entity("address", session.source),
                target=Entity("identity", session.user),
                cause_ref=cause.ref,
                seconds=now,
            )
            for cause in causes
            if cause.ref.user != session.user and self._is_fresh(cause.ref.session, now)
        ]

    def _is_fresh(self, number: int, now: float) -> bool:
        """Whether the earlier session was active just now: one hand that changes names does not pause long."""
        earlier = self._state.sessions.get(number)
        return earlier is not None and now - earlier.last_seconds <= PAUSE_SECONDS
