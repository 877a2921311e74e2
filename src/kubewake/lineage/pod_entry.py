"""L7: someone enters a pod (exec, attach, port-forward, debug container), then the pod's identity acts."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import HOUR_SECONDS, Coverage, Link, LinkInfo, Scope, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

STRENGTH = 0.7
HORIZON_SECONDS = 6 * HOUR_SECONDS
ENTRIES = {
    "exec": "opened a command session in",
    "attach": "attached to",
    "portforward": "opened a tunnel into",
    "ephemeralcontainers": "put a debug container into",
    "proxy": "reached through the API server into",
}
CHANGED_NATS = 2.0
"""After somebody entered the pod, its identity acts from another address or program than before."""
FIRST_NATS = 0.4
"""After somebody entered the pod, its identity is heard of for the first time: it may always have been there."""


@link_kind(
    LinkInfo(
        "L7",
        "pod entered, then its identity acts",
        "pod name and namespace of the entry equal the pod of the credential",
        "Metadata",
        STRENGTH,
        HORIZON_SECONDS,
    ),
    [("pods", subresource) for subresource in ENTRIES],
)
class PodEntry:
    """Pods entered, by namespace and name. One entry yields one thief: the first place where the identity turns up."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._entries = state.ledger("pod-entry", HORIZON_SECONDS, depth=4)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who entered a pod; sessions of the pod that no address or client sets apart are linked at once."""
        if session.machine:
            return ()
        pod = f"{stub.namespace}/{stub.name}"
        cause = Cause(self._state.refer(stub, session), now)
        self._entries.put(pod, cause)
        place = self._state.find_place("pod", pod)
        links = []
        for number in place.sessions if place is not None else ():
            known = self._state.sessions.get(number)
            if known is not None and not known.specific and number != session.number:
                links.append(self._link(cause, known, now, "novel"))
        return links

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """A session of the pod's identity born after the entry."""
        if session.kind != "serviceaccount" or session.renewed:
            return ()
        self.coverage.eligible += 1
        if not session.pod:
            return ()
        self.coverage.covered += 1
        links = []
        for cause in self._entries.get(f"{session.namespace}/{session.pod}", now):
            if cause.ref.session == session.number or (cause.uses and cause.subject != session.source):
                continue
            cause.uses += 1
            cause.subject = session.source
            changed = any(other.pod == session.pod for other in self._state.sessions.siblings(session))
            links.append(self._link(cause, session, now, "session", CHANGED_NATS if changed else FIRST_NATS))
        return links

    @staticmethod
    def _link(cause: Cause, session: Session, now: float, scope: Scope, nats: float = 0.0) -> Link:
        entered = ENTRIES.get(cause.ref.subresource, "entered")
        return Link(
            id="L7",
            cause=cause.ref.session,
            effect=session.number,
            strength=STRENGTH,
            scope=scope,
            text=f"uses the identity of pod {session.pod}; {cause.ref.user} {entered} that pod before",
            source=Entity("pod", f"{session.namespace}/{session.pod}"),
            target=Entity("identity", session.user),
            cause_ref=cause.ref,
            nats=nats,
            tactic="lateral-movement",
            seconds=now,
        )
