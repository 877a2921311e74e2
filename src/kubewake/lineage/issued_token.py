"""L1: a token asked for through the TokenRequest API, and every use of that token."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import EXACT_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session, identity_entity
from kubewake.lineage.state import State
from kubewake.observation import Stub

MINTED_NATS = 1.5
"""Somebody other than a kubelet had a token made by hand and uses it."""


@link_kind(
    LinkInfo(
        "L1",
        "token issued, then used",
        "annotation authentication.kubernetes.io/issued-credential-id equals the credential-id of the later request",
        "Metadata",
        1.0,
        EXACT_HORIZON_SECONDS,
    ),
    [("serviceaccounts", "token")],
    verbs=frozenset({"create"}),
)
class IssuedToken:
    """Tokens by credential id. Routine requests of kubelets and controllers are not remembered: they are no cause."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._tokens = state.ledger("issued-token", EXACT_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who asked for a token."""
        self.coverage.eligible += 1
        if not stub.issued_credential:
            return ()
        self.coverage.covered += 1
        if not session.machine:
            account = f"system:serviceaccount:{stub.namespace}:{stub.name}"
            self._tokens.put(stub.issued_credential, Cause(self._state.refer(stub, session), now, account))
        return ()

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """A session whose credential was asked for by someone."""
        if not session.credential:
            return ()
        return [
            Link(
                id="L1",
                cause=cause.ref.session,
                effect=session.number,
                strength=1.0,
                scope="session",
                text=f"uses the token of {session.user} that {cause.ref.user} had issued",
                source=identity_entity(cause.ref.user),
                target=Entity("credential", session.credential),
                cause_ref=cause.ref,
                nats=MINTED_NATS,
                tactic="credential-access",
                seconds=now,
            )
            for cause in self._tokens.get(session.credential, now)
            if cause.ref.session != session.number
        ]
