"""L2: a token bound to a pod, the pod, and the node it runs on."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.link import Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub


@link_kind(
    LinkInfo(
        "L2",
        "token belongs to a pod on a node",
        "user.extra pod-name, pod-uid and node-name of the request",
        "Metadata",
        1.0,
    ),
)
class BoundPod:
    """States which pod and node a session's token was made for; a remark that no story grows by."""

    def __init__(self, _state: State) -> None:
        self.coverage = Coverage()

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """The pod of a session's token."""
        if session.kind != "serviceaccount":
            return ()
        self.coverage.eligible += 1
        if not session.pod:
            return ()
        self.coverage.covered += 1
        where = f" on node {session.node}" if session.node else ""
        return [
            Link(
                id="L2",
                cause=0,
                effect=session.number,
                strength=1.0,
                scope="context",
                text=f"the token was made for pod {session.namespace}/{session.pod}{where}",
                source=Entity("pod", f"{session.namespace}/{session.pod}"),
                target=Entity("node", session.node) if session.node else Entity("credential", session.credential),
                seconds=now,
            ),
        ]
