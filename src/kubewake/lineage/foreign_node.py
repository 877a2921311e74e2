"""L15: a node's identity in a program that is no kubelet, as after an escape from a container."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import HOUR_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import NODE_CLIENTS, State
from kubewake.observation import Stub

NATS = 4.0
ESCAPE_STRENGTH = 0.7
HORIZON_SECONDS = 6 * HOUR_SECONDS
RISKS = ("workload.host_paths", "workload.risks", "workload.host_pid", "workload.host_network")


@link_kind(
    LinkInfo(
        "L15",
        "node identity in a foreign program",
        "system:node user with a client that no node runs; an escape-prone pod on that node before",
        "Metadata",
        1.0,
        HORIZON_SECONDS,
    ),
    [("pods", ""), ("pods", "binding")],
    verbs=frozenset({"create", "get"}),
)
class ForeignNode:
    """Pods that could be escaped from, by the node that they stand on."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._risky = state.ledger("risky-pod", HORIZON_SECONDS, 5_000)
        self._nodes = state.ledger("node-pod", HORIZON_SECONDS, 5_000, depth=4)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who put an escape-prone pod on a node."""
        if stub.subresource == "binding":
            target = stub.values.get("workload.node_name")
            for cause in self._risky.get(_pod_of(stub), now) if isinstance(target, str) else ():
                self._nodes.put(str(target), cause)
        elif stub.verb == "create" and not session.machine and any(map(stub.values.get, RISKS)):
            pod = _pod_of(stub)
            cause = Cause(self._state.refer(stub, session), now, pod)
            self._risky.put(pod, cause)
            node = stub.values.get("workload.node_name")
            if isinstance(node, str) and node:
                self._nodes.put(node, cause)
        return ()

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Evidence against the session, and the pods it may have come out of."""
        if session.kind != "node":
            return ()
        self.coverage.eligible += 1
        if not session.client or session.client == "empty":
            return ()
        self.coverage.covered += 1
        if session.client in NODE_CLIENTS:
            return ()
        node = session.user.removeprefix("system:node:")
        links = [
            Link(
                id="L15",
                cause=0,
                effect=session.number,
                strength=1.0,
                scope="context",
                text=f"the node certificate of {node} was used by {session.user_agent}, which is no part of a node",
                source=Entity("node", node),
                target=Entity("identity", session.user),
                nats=NATS,
                tactic="privilege-escalation",
                seconds=now,
            ),
        ]
        for cause in self._nodes.get(node, now):
            if cause.ref.session != session.number:
                links.append(
                    Link(
                        id="L15",
                        cause=cause.ref.session,
                        effect=session.number,
                        strength=ESCAPE_STRENGTH,
                        scope="session",
                        text=f"uses the certificate of node {node}, on which {cause.ref.user} had started pod {cause.subject}",
                        source=Entity("pod", cause.subject),
                        target=Entity("node", node),
                        cause_ref=cause.ref,
                        seconds=now,
                    ),
                )
        return links


def _pod_of(stub: Stub) -> str:
    return f"{stub.namespace}/{stub.name or stub.values.get('object.name') or ''}"
