"""L9: someone writes a workload, then the controllers make its ReplicaSets and pods."""

from collections.abc import Iterable

from kubewake.finding import Entity
from kubewake.lineage.grant import WRITES
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import HOUR_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.pod_birth import TEMPLATES, pod_owners
from kubewake.lineage.reference import name_of
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

OWNED_STRENGTH = 0.9
GUESSED_STRENGTH = 0.6
GUESS_SECONDS = 60.0
"""Without owner references, a name made of the workload's name counts for this long."""
HORIZON_SECONDS = HOUR_SECONDS
MADE = frozenset({"replicasets", "pods", "jobs"})


@link_kind(
    LinkInfo(
        "L9",
        "workload written, then made real by controllers",
        "ownerReferences of the created object; else its name, within a minute",
        "Request",
        OWNED_STRENGTH,
        HORIZON_SECONDS,
    ),
    [(resource, "") for resource in (*TEMPLATES, "pods")],
    verbs=WRITES,
)
class Ownership:
    """Written workloads by namespace and name; what controllers make of them is context, not the attacker's act."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._workloads = state.ledger("workload", HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember a written workload; link what a controller creates to the workload that owns it."""
        if not session.machine:
            name = name_of(stub)
            if stub.resource != "pods" and name:
                self._workloads.put(f"{stub.namespace}/{name}", Cause(self._state.refer(stub, session), now))
            return ()
        if stub.verb != "create" or stub.resource not in MADE or not self._workloads.entries:
            return ()
        made_name = name_of(stub)
        self.coverage.eligible += 1
        owners = stub.values.get("object.owner_names")
        owned = bool(owners) and isinstance(owners, list | tuple)
        self.coverage.covered += owned
        names = [str(owner) for owner in owners or ()] if owned else pod_owners(made_name)[1:]
        links: list[Link] = []
        for name in names:
            for cause in self._workloads.get(f"{stub.namespace}/{name}", now):
                if not owned and now - cause.seconds > GUESS_SECONDS:
                    continue
                if stub.resource != "pods" and made_name:
                    made = Cause(cause.ref, now, cause.subject, cause.certainty)
                    self._workloads.put(f"{stub.namespace}/{made_name}", made)
                links.append(
                    Link(
                        id="L9",
                        cause=cause.ref.session,
                        effect=session.number,
                        strength=OWNED_STRENGTH if owned else GUESSED_STRENGTH,
                        scope="context",
                        text=f"made by Kubernetes from {cause.ref.resource} {cause.ref.name}",
                        source=Entity("workload", f"{cause.ref.resource}/{stub.namespace}/{cause.ref.name}"),
                        target=Entity("workload", f"{stub.resource}/{stub.namespace}/{made_name}"),
                        cause_ref=cause.ref,
                        effect_ref=self._state.refer(stub, session),
                        seconds=now,
                    ),
                )
        return links
