"""L5: a role edited, and the requests allowed through it."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.binding import WRITES, grant_of, granting_nats
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.reference import refer
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

MAX_USES = 64


@link_kind(
    LinkInfo(
        "L5",
        "role edited, then a request allowed through it",
        "annotation authorization.k8s.io/reason names the role",
        "Metadata",
        0.9,
    ),
    [("roles", ""), ("clusterroles", "")],
)
class RoleUse:
    """Freshly edited roles by kind, namespace and name. A role that is created is reached through its new binding."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._roles = state.ledger("role", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who edited a role."""
        if stub.verb in WRITES and stub.outcome == "allowed" and not session.machine:
            ref = refer(stub, session.number)
            kind = "Role" if stub.resource == "roles" else "ClusterRole"
            key = f"{kind} {stub.namespace}/{ref.name}" if kind == "Role" else f"{kind} {ref.name}"
            self._roles.put(key, Cause(ref, now))
        return ()

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """This request, where a freshly edited role allowed it, and the identity never did its like before."""
        if not self._roles.size:
            return ()
        grant = grant_of(stub.reason)
        if grant is None:
            return ()
        kind, name = grant[2], grant[3].rpartition("/")[2]
        key = f"Role {stub.namespace}/{name}" if kind == "Role" else f"ClusterRole {name}"
        links = []
        for cause in self._roles.get(key, now):
            if self._state.habit_seconds < cause.seconds:
                continue
            if cause.uses >= MAX_USES or stub.key == cause.ref.key:
                continue
            cause.uses += 1
            links.append(
                Link(
                    id="L5",
                    cause=cause.ref.session,
                    effect=session.number,
                    strength=0.9,
                    scope="request",
                    text=f"allowed by {kind} {name}, which {cause.ref.user} had changed",
                    source=Entity("role", f"{kind}/{name}"),
                    target=Entity("identity", session.user),
                    cause_ref=cause.ref,
                    effect_ref=refer(stub, session.number),
                    nats=granting_nats(cause.ref.user, session.user),
                    tactic="privilege-escalation",
                    seconds=now,
                ),
            )
        return links
