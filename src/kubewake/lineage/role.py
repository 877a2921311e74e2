"""L5: a role edited, and the requests allowed through it."""

from collections.abc import Iterable

from kubewake.detectors.grants import grant_of, reason_keys
from kubewake.finding import Entity
from kubewake.lineage.grant import WRITES, remember_write, uses_of
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

INFO = LinkInfo(
    "L5",
    "role edited, then a request allowed through it",
    "annotation authorization.k8s.io/reason names the role",
    "Metadata",
    0.9,
)


@link_kind(INFO, [("roles", ""), ("clusterroles", "")], verbs=WRITES, reads="reason")
class RoleUse:
    """Freshly edited roles by kind, name and namespace. A role that is created is reached through its new binding."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self.causes = state.ledger("role", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who edited a role."""
        remember_write(self._state, self.causes, stub, session, now)
        return ()

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """This request, where a freshly edited role allowed it, and the identity never did its like before."""
        since = self._state.habit_seconds
        causes = [cause for cause in self.causes.get(reason_keys(stub.reason)[1], now) if cause.seconds <= since]
        grant = grant_of(stub.reason) if causes else None
        if grant is None:
            return ()
        return uses_of(
            self._state,
            causes,
            INFO,
            stub,
            session,
            now,
            what=f"{grant.role_kind} {grant.role}",
            done="changed",
            source=Entity("role", f"{grant.role_kind}/{grant.role}"),
            target=Entity("identity", session.user),
        )
