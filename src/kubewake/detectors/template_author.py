"""Risky pods that controllers start, tied to the person or program that wrote their template."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.finding import Attack
from kubewake.observation import Stub, evidence_of
from kubewake.rules.model import RuleInfo

INFO = RuleInfo(
    id="privileged-template-author",
    title="Author of a workload whose pods have power over their nodes",
    level="medium",
    kind="detector",
    tactic="execution",
    attack=Attack(
        tactics=["execution", "privilege-escalation"], techniques=["T1610", "T1611"], threat_matrix=["MS-TA9018"]
    ),
    description=(
        "A controller started a pod with power over its node. The finding names who wrote the Deployment, DaemonSet, "
        "StatefulSet, ReplicaSet, Job or CronJob that asked for it, by create, update or any kind of patch."
    ),
    falsepositives=("Node agents, storage and network drivers installed by the platform team.",),
    references=(
        "https://kubernetes.io/docs/concepts/workloads/controllers/",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
        "https://attack.mitre.org/techniques/T1610/",
    ),
    covers=("privileged-template-author",),
    confidence="medium",
    needs="Request",
    story=(
        "{actor.name} wrote the {workload} {target.name} in namespace {target.namespace}, from {source.ip}, and Kubernetes "
        "has started its pods (first {pod}). They have power over the machines they run on: {risks}."
    ),
    remediation=(
        "kubectl -n {target.namespace} get {target.resource} {target.name} -o yaml  # image, command and rights",
        "# Ask {actor.name} whether this was planned; compare with the version in Git.",
        "kubectl -n {target.namespace} rollout undo {target.resource}/{target.name}  # goes back to the version before",
        "kubectl -n {target.namespace} delete {target.resource} {target.name}  # ends it, pods included; save its yaml first",
    ),
    group_by=("user.username", "template"),
    window_seconds=86_400,
)

Value = TypeVar("Value")

RISKS = frozenset({"privileged", "host-pid", "host-ipc", "sensitive-host-path", "runtime-socket"})
"""Of `workload.risks`, those that by themselves are enough to take the node over."""

TEMPLATES_MAX = 20_000
OWNED_MAX = 50_000
"""ReplicaSets and Jobs between templates and pods; a template makes several over its life."""

KINDS = {
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "jobs": "Job",
    "cronjobs": "CronJob",
}


class Template(Struct, array_like=True):
    """A risky template: the write that introduced its risks, and whether it was reported."""

    author: Stub
    risks: list[str]
    reported: bool = False


class _State(Struct, array_like=True):
    templates: dict[str, Template] = {}
    owned: dict[str, str] = {}


@detector(
    INFO,
    resources={"pods", *KINDS},
    wants=lambda scene: (
        scene.outcome == "allowed" and not scene.subresource and scene.verb in ("create", "update", "patch", "delete")
    ),
)
class TemplateAuthor:
    """Remembers who introduced the risks of each template, and which ReplicaSets and Jobs came of it."""

    def __init__(self) -> None:
        self._state = _State()

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if stub.values.get("request.dry_run"):
            return ()
        if stub.verb == "delete":
            self._state.templates.pop(_key(stub, KINDS.get(stub.resource, ""), stub.name), None)
            return ()
        told = stub.values.get("workload.risks")
        risks = [risk for risk in told if risk in RISKS] if told else None
        if not risks:
            return ()
        owner_kind = stub.values.get("workload.owner_kind")
        origin = self._origin(stub, owner_kind) if owner_kind else ""
        if stub.resource == "pods":
            return self._started(stub, origin, risks)
        if owner_kind:
            if origin:
                _put(self._state.owned, _key(stub, KINDS[stub.resource], _name(stub)), origin, OWNED_MAX)
        else:
            self._written(stub, risks)
        return ()

    def _origin(self, stub: Stub, owner_kind: str) -> str:
        """The key of the template at the top of the chain of owners; "" where it was not seen."""
        key = _key(stub, owner_kind, str(stub.values.get("workload.owner_name") or ""))
        return key if key in self._state.templates else self._state.owned.get(key, "")

    def _written(self, stub: Stub, risks: list[str]) -> None:
        key = _key(stub, KINDS[stub.resource], _name(stub))
        known = self._state.templates.get(key)
        if known is not None and set(risks) <= set(known.risks):
            return
        _put(self._state.templates, key, Template(stub, risks), TEMPLATES_MAX)

    def _started(self, stub: Stub, origin: str, risks: list[str]) -> Iterator[Detection]:
        template = self._state.templates.get(origin)
        if template is None or template.reported or set(template.risks).isdisjoint(risks):
            return
        template.reported = True
        author = template.author
        workload = KINDS[author.resource]
        yield Detection(
            rule=INFO.id,
            stub=author,
            evidence=(evidence_of(stub),),
            values={
                "workload": workload,
                "pod": _name(stub),
                "risks": template.risks,
                "template": origin,
                "user.username": author.user,
            },
            # A DaemonSet is how node agents are installed; for anything else such power is out of the ordinary.
            severity=None if workload == "DaemonSet" else "high",
        )

    def snapshot(self) -> bytes:
        """Templates and what came of them, oldest first."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._state = msgspec.msgpack.decode(data, type=_State)


def _name(stub: Stub) -> str:
    return stub.name or str(stub.values.get("object.name") or "")


def _key(stub: Stub, kind: str, name: str) -> str:
    return f"{kind} {stub.namespace}/{name}"


def _put(entries: dict[str, Value], key: str, value: Value, limit: int) -> None:
    if key not in entries and len(entries) >= limit:
        del entries[next(iter(entries))]
    entries[key] = value
