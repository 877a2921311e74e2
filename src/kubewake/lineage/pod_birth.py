"""L8: a pod created with a service account, then that account used from the pod."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.grant import WRITES
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.reference import name_of
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

STRENGTH = 0.9
TEMPLATES = ("deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "replicationcontrollers")


@link_kind(
    LinkInfo(
        "L8",
        "pod created, then its service account used from it",
        "pod name of the credential equals the created pod's; a workload's pods start with its name",
        "Metadata",
        STRENGTH,
    ),
    [("pods", ""), *((resource, "") for resource in TEMPLATES)],
    verbs=WRITES,
)
class PodBirth:
    """Pods and workloads written by people and programs, by namespace and name."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._pods = state.ledger("pod-birth", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who created a pod or wrote a workload."""
        if session.machine or (stub.resource == "pods" and stub.verb != "create"):
            return ()
        self.coverage.eligible += 1
        name = name_of(stub)
        if not name:
            return ()
        self.coverage.covered += 1
        account = stub.values.get("workload.service_account")
        certainty = 1.0 if stub.resource == "pods" else 0.7
        subject = account if isinstance(account, str) else ""
        cause = Cause(self._state.refer(stub, session), now, subject, certainty)
        self._pods.put(f"{stub.namespace}/{name}", cause)
        return ()

    def birth(self, _stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """A session of a pod that someone created."""
        if not session.pod or session.renewed or not self._pods.entries:
            return ()
        links = []
        for name in pod_owners(session.pod):
            for cause in self._pods.get(f"{session.namespace}/{name}", now):
                if (name == session.pod) != (cause.ref.resource == "pods") or cause.ref.session == session.number:
                    continue
                links.append(
                    Link(
                        id="L8",
                        cause=cause.ref.session,
                        effect=session.number,
                        strength=STRENGTH * cause.certainty,
                        scope="session",
                        text=f"acts from pod {session.pod}, which {cause.ref.user} had started",
                        source=Entity("pod", f"{session.namespace}/{session.pod}"),
                        target=Entity("identity", session.user),
                        cause_ref=cause.ref,
                        seconds=now,
                    ),
                )
        return links


def pod_owners(pod: str) -> list[str]:
    """The pod's own name and the workload names that its name may be made of: x-abc12-de3f4 gives x-abc12 and x."""
    parts = pod.split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), max(0, len(parts) - 3), -1)]
