"""L4: a role binding written, and the requests that it allows."""

from collections.abc import Iterable

from kubewake.detectors.grants import grant_of, reason_keys
from kubewake.finding import Entity
from kubewake.lineage.grant import WRITES, remember_write, uses_of
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

INFO = LinkInfo(
    "L4",
    "binding written, then a request allowed by it",
    "annotation authorization.k8s.io/reason names the binding; an older grant may mask it",
    "Metadata",
    1.0,
)


@link_kind(INFO, [("rolebindings", ""), ("clusterrolebindings", "")], verbs=WRITES, reads="reason")
class BindingUse:
    """Fresh bindings by kind, name and namespace."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self.causes = state.ledger("binding", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who wrote a binding."""
        remember_write(self._state, self.causes, stub, session, now)
        return ()

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """This request, where a fresh binding allowed it, to someone new to it and to the deed.

        A new grant may come to answer for what an older one allowed before; that is no effect of it.
        """
        since = min(self._state.grant_seconds, self._state.habit_seconds)
        causes = [cause for cause in self.causes.get(reason_keys(stub.reason)[0], now) if cause.seconds <= since]
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
            what=f"{grant.binding_kind} {grant.binding_path}",
            done="written",
            source=Entity("binding", grant.binding_path),
            target=Entity("role", f"{grant.role_kind}/{grant.role}"),
        )
