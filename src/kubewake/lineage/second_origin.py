"""L3: one credential used from two origins, which is what a stolen credential looks like."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.link import Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session, identity_entity
from kubewake.lineage.state import NODE_CLIENTS, Place, State
from kubewake.observation import Stub

TOKEN_AWAY_NATS = 3.5
"""A pod's token at an address that is neither the pod's nor its node's."""
TOKEN_OTHER_CLIENT_NATS = 2.5
"""A pod's token in a program that is not the pod's: someone is inside, or next to it."""
BOTH_NATS = 4.0
PERSON_BOTH_NATS = 1.0
PERSON_ONE_NATS = 0.3
"""People travel and upgrade; two changes at once say a little more."""
NODE_AWAY_NATS = 4.0
PROGRAMS = frozenset({"client-go", "other", "empty", ""})
"""Client families too wide to tell two programs apart; their product name before the version is compared instead."""


def program_of(session: Session) -> str:
    """The program a session names: its family, or where that is too wide its product name."""
    if session.client in PROGRAMS:
        return session.user_agent.partition("/")[0].strip().lower()
    return session.client


@link_kind(
    LinkInfo(
        "L3",
        "one credential, two origins",
        "credential-id (or pod) with a second address or client; addresses of the pod's node are its own",
        "Metadata",
        1.0,
    ),
)
class SecondOrigin:
    """Compares a new session with the other sessions of its credential, pod or node."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Evidence where the newcomer differs from the credential's home."""
        if session.anonymous:
            return ()
        self.coverage.eligible += 1
        if not session.credential or not session.specific:
            return ()
        self.coverage.covered += 1
        homes = [
            other
            for other in self._state.sessions.siblings(session)
            if other.first_seconds < session.first_seconds
            and (other.credential == session.credential or (session.pod_uid and other.pod_uid == session.pod_uid))
        ]
        if not homes:
            return ()
        home = max(homes, key=lambda other: (other.requests, -other.first_seconds, other.number))
        away = bool(session.source) and all(other.source != session.source for other in homes)
        if away and session.node and self._state.is_node_address(session.node, session.source):
            away = False
        program = program_of(session)
        other_program = bool(program) and all(program_of(other) != program for other in homes)
        nats = self._weigh(session, away=away, other_program=other_program)
        if nats <= 0:
            return ()
        changes = []
        if away:
            changes.append(f"from {session.source} instead of {home.source or 'an unnamed address'}")
        if other_program:
            changes.append(f"with {session.user_agent or 'an unnamed program'} instead of {home.user_agent}")
        whose = f"pod {session.namespace}/{session.pod}" if session.pod else session.user
        return [
            Link(
                id="L3",
                cause=0,
                effect=session.number,
                strength=1.0,
                scope="context",
                text=f"the credential of {whose} was used {' and '.join(changes)}",
                source=Entity("credential", session.credential),
                target=Entity("address", session.source) if away else identity_entity(session.user),
                nats=nats,
                tactic="credential-access",
                seconds=now,
            ),
        ]

    def _weigh(self, session: Session, *, away: bool, other_program: bool) -> float:
        if session.kind == "node":
            return NODE_AWAY_NATS if away else 0.0
        if session.kind == "serviceaccount":
            if away and other_program:
                return BOTH_NATS
            if away:
                return TOKEN_AWAY_NATS
            return TOKEN_OTHER_CLIENT_NATS if other_program else 0.0
        if session.kind == "human":
            if away and other_program:
                return PERSON_BOTH_NATS
            return PERSON_ONE_NATS if away or other_program else 0.0
        return 0.0


def pod_home(state: State, namespace: str, pod: str) -> Place | None:
    """What is known of a pod's addresses and clients."""
    return state.find_place("pod", f"{namespace}/{pod}")


def is_foreign_to_node(session: Session) -> bool:
    """Whether a node's certificate is used by a program that no node runs."""
    return session.kind == "node" and session.client not in NODE_CLIENTS
