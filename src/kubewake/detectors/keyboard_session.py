"""Hands on the keyboard: one identity going from pod to pod, or using what it found inside one."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.shared_credential import HANDS_ON
from kubewake.facts.actor import service_account_of
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

REFERENCES = (
    "https://kubernetes.io/docs/tasks/debug/debug-application/get-shell-running-container/",
    "https://attack.mitre.org/techniques/T1609/",
)

SPREAD = RuleInfo(
    id="hands-on-keyboard-session",
    title="One identity entered many pods in a few minutes",
    level="medium",
    kind="detector",
    tactic="lateral-movement",
    attack=Attack(tactics=["lateral-movement", "execution"], techniques=["T1609"], threat_matrix=["MS-TA9006"]),
    description=(
        "One identity ran commands in, attached to, opened tunnels into, or put debug containers into many pods, or pods "
        "of many namespaces, within ten minutes."
    ),
    falsepositives=(
        "An engineer during an incident; backup or database operators that run a hook in every pod of a workload.",
    ),
    references=REFERENCES,
    covers=("hands-on-keyboard-session",),
    confidence="medium",
    story=(
        "Within ten minutes {actor.name} entered {pods} pods in {namespaces} namespaces from {source.ip}, the last being "
        "{target.name} in {target.namespace}. Somebody is looking around by hand, or a script does it for them."
    ),
    remediation=(
        "# Ask {actor.name} which incident this belongs to; if none, revoke the credential.",
        "kubectl auth can-i --list --as={user.username}  # what else was within reach",
        "# For every pod that was entered: renew the secrets it mounts, and look at what its service account did after.",
    ),
    group_by=("user.username",),
    window_seconds=3600,
)

TAKEN = RuleInfo(
    id="entered-pod-identity-used",
    title="Identity of a pod used by hand after somebody entered the pod",
    level="high",
    kind="detector",
    tactic="lateral-movement",
    attack=Attack(
        tactics=["lateral-movement", "credential-access"],
        techniques=["T1609", "T1528"],
        threat_matrix=["MS-TA9006", "MS-TA9016"],
    ),
    description=(
        "Within six hours after somebody entered a pod, the pod's own identity was used with a tool that people type "
        "commands into and that the pod had not used before."
    ),
    falsepositives=("An engineer who tests the pod's rights from inside with kubectl or curl.",),
    references=(
        *REFERENCES,
        "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens",
    ),
    covers=("hands-on-keyboard-session",),
    confidence="high",
    story=(
        "{entered_by} entered the pod {pod}. After that the pod's own login ({actor.name}) was used with {client} from "
        "{source.ip}, which the pod itself never does. The login was taken out of the pod, and somebody works with it."
    ),
    remediation=(
        "kubectl -n {namespace} delete pod {pod_name}  # makes the stolen token void; save the pod's logs first",
        "# List everything that {user.username} did from {source.ip}, and everything that {entered_by} did before.",
        "# Ask {entered_by} whether the session was theirs; if not, revoke that credential as well.",
        "kubectl auth can-i --list -n {namespace} --as={user.username}  # what the stolen login allows",
    ),
    group_by=("user.username", "pod", "client"),
    window_seconds=86_400,
)

DEBUGGED = RuleInfo(
    id="debug-container-entered",
    title="Session in a debug container",
    level="medium",
    kind="detector",
    tactic="execution",
    attack=Attack(tactics=["execution", "privilege-escalation"], techniques=["T1609"], threat_matrix=["MS-TA9006"]),
    description=(
        "Within ten minutes after an identity put a debug container into a pod, it ran a command in that pod or attached to "
        'it; or somebody entered a pod that "kubectl debug node" makes.'
    ),
    falsepositives=("kubectl debug during an incident.",),
    references=(
        "https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/",
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/kubectl-node-debug/",
    ),
    covers=("hands-on-keyboard-session",),
    confidence="high",
    audience="pedantic",
    story=(
        "{actor.name} opened a session in a debug container of the pod {target.name} in {target.namespace}, from "
        "{source.ip}. It has tools that the program itself lacks, and reaches the program's, or the node's, files and "
        "credentials."
    ),
    remediation=(
        "# Ask {actor.name} which incident this belongs to; if none, revoke the credential.",
        "kubectl -n {target.namespace} get pod {target.name} -o yaml  # image and command of the debug container",
        "kubectl -n {target.namespace} delete pod {target.name}  # ends the session; save the pod's logs first",
    ),
    group_by=("user.username", "pod"),
    window_seconds=3600,
)

NODE_DEBUGGER = "node-debugger-"
"""How the name of each pod begins that `kubectl debug node` makes."""
SESSIONS = frozenset({"exec", "attach"})
ENTRIES = frozenset({"exec", "attach", "portforward", "ephemeralcontainers"})
SPREAD_PODS = 8
"""An engineer in an incident looks into a handful of pods; more within ten minutes is out of the ordinary."""
SPREAD_NAMESPACES = 5
SWEEP_PODS = 15
"""So many pods within ten minutes, over as many namespaces, is a script or a search, not the look into a fault."""
SPREAD_MICROSECONDS = 600 * 1_000_000
TAKEN_MICROSECONDS = 6 * 3600 * 1_000_000
IDENTITIES_MAX = 10_000
PODS_MAX = 20_000
PODS_PER_IDENTITY_MAX = 200
CLIENTS_MAX = 16


class Visit(Struct, array_like=True):
    """The last time an identity entered a pod."""

    time: int
    namespace: str
    evidence: Evidence
    debug: Evidence | None = None
    """When it put a debug container into the pod, if it did."""


class Entry(Struct, array_like=True):
    """The last time that somebody entered a pod."""

    time: int
    by: str
    evidence: Evidence


class _State(Struct, array_like=True):
    visits: dict[str, dict[str, Visit]] = {}
    entries: dict[str, Entry] = {}
    clients: dict[str, set[str]] = {}


@detector(SPREAD, TAKEN, DEBUGGED, version=2, wants=lambda scene: scene.from_pod or scene.subresource in ENTRIES)
class KeyboardSession:
    """Remembers who entered which pods, and which clients each pod's identity uses."""

    def __init__(self) -> None:
        self._state = _State()

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if stub.resource == "pods" and stub.subresource in ENTRIES and stub.outcome == "allowed":
            return self._entered(stub) if stub.verb in ("create", "get", "patch", "update") else ()
        return self._acted(stub) if stub.pod else ()

    def _entered(self, stub: Stub) -> Iterator[Detection]:
        now = microseconds(stub.time)
        who = stub.impersonated or stub.user
        pod = f"{stub.namespace}/{stub.name}"
        _put(self._state.entries, pod, Entry(now, who, evidence_of(stub)), PODS_MAX)
        visits = self._state.visits.pop(who, {})
        last = visits.pop(pod, None)
        debug = None if last is None or now - last.time > SPREAD_MICROSECONDS else last.debug
        if stub.subresource == "ephemeralcontainers":
            debug = evidence_of(stub)
        elif stub.subresource in SESSIONS and (debug is not None or stub.name.startswith(NODE_DEBUGGER)):
            yield Detection(
                rule=DEBUGGED.id,
                stub=stub,
                evidence=() if debug is None else (debug,),
                values={"pod": pod, "user.username": stub.user},
            )
        visits[pod] = Visit(now, stub.namespace, evidence_of(stub), debug)
        for name in [name for name, visit in visits.items() if now - visit.time > SPREAD_MICROSECONDS]:
            del visits[name]
        while len(visits) > PODS_PER_IDENTITY_MAX:
            del visits[next(iter(visits))]
        _put(self._state.visits, who, visits, IDENTITIES_MAX)
        namespaces = {visit.namespace for visit in visits.values()}
        if len(visits) < SPREAD_PODS and len(namespaces) < SPREAD_NAMESPACES:
            return
        earlier = tuple(visit.evidence for visit in visits.values())[:-1]
        wide = len(visits) >= SWEEP_PODS and len(namespaces) >= SPREAD_NAMESPACES
        yield Detection(
            rule=SPREAD.id,
            stub=stub,
            evidence=earlier,
            values={"pods": len(visits), "namespaces": len(namespaces), "user.username": stub.user},
            severity="high" if wide else None,
        )

    def _acted(self, stub: Stub) -> Iterable[Detection]:
        account = service_account_of(stub.user)
        if account is None or stub.client in ("empty", "other"):
            return ()
        pod = f"{account[0]}/{stub.pod}"
        known = self._state.clients
        clients = known.pop(pod, None)
        if clients is None:
            clients = set()
            if len(known) >= PODS_MAX:
                del known[next(iter(known))]
        known[pod] = clients
        if stub.client in clients:
            return ()
        entry = self._state.entries.get(pod)
        if entry is None or microseconds(stub.time) - entry.time > TAKEN_MICROSECONDS or stub.client not in HANDS_ON:
            if len(clients) < CLIENTS_MAX:
                clients.add(stub.client)
            return ()
        values: dict[str, Any] = {
            "entered_by": entry.by,
            "pod": pod,
            "pod_name": stub.pod,
            "namespace": account[0],
            "client": stub.client,
            "user.username": stub.user,
        }
        return (Detection(rule=TAKEN.id, stub=stub, evidence=(entry.evidence,), values=values),)

    def snapshot(self) -> bytes:
        """Visits, entries and clients, least recent first."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._state = msgspec.msgpack.decode(data, type=_State)


def _put(entries: dict[str, Any], key: str, value: Any, limit: int) -> None:
    entries.pop(key, None)
    if len(entries) >= limit:
        del entries[next(iter(entries))]
    entries[key] = value
