"""Host files reached through storage: a volume that stands for them, its claim, and the pod that mounts the claim."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.facts.hostpath import is_sensitive_path
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

INFO = RuleInfo(
    id="hostpath-volume-mounted",
    title="Pod mounts sensitive host files through a storage volume",
    level="high",
    kind="detector",
    tactic="privilege-escalation",
    attack=Attack(tactics=["privilege-escalation"], techniques=["T1611"], threat_matrix=["MS-TA9013"]),
    description=(
        "A persistent volume that stands for sensitive files of a node was bound to a claim, and a pod, or something that "
        "makes pods, mounts that claim. The rules that forbid host files in pods do not see this."
    ),
    falsepositives=("Single-node test clusters whose storage lies in a system directory.",),
    references=(
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/",
        "https://kubernetes.io/docs/concepts/storage/volumes/#hostpath",
        "https://attack.mitre.org/techniques/T1611/",
    ),
    covers=("hostpath-through-persistent-volume",),
    confidence="high",
    needs="Request",
    story=(
        "{actor.name} started {target.name} in namespace {target.namespace}, which reaches {path} of its node through the "
        "storage volume {volume}. {volume_author} had made that volume. From there the node can be taken over."
    ),
    remediation=(
        "kubectl get pv {volume} -o yaml  # path and claim",
        "kubectl -n {target.namespace} get {target.resource} {target.name} -o yaml  # what mounts it",
        "kubectl -n {target.namespace} delete {target.resource} {target.name}  # ends the access; save its yaml first",
        "# Ask {volume_author} and {actor.name} whether this was planned; if not, revoke their credentials.",
    ),
    group_by=("user.username", "volume", "target.namespace"),
    window_seconds=86_400,
)

Value = TypeVar("Value")

VOLUMES_MAX = 5_000
CLAIMS_MAX = 5_000


class Volume(Struct, array_like=True):
    """A volume that stands for sensitive files, and who made it."""

    path: str
    author: str
    evidence: Evidence


class _State(Struct, array_like=True):
    volumes: dict[str, Volume] = {}
    claims: dict[str, str] = {}


@detector(
    INFO,
    resources={
        "persistentvolumes",
        "pods",
        "deployments",
        "daemonsets",
        "statefulsets",
        "replicasets",
        "replicationcontrollers",
        "jobs",
        "cronjobs",
    },
    wants=lambda scene: (
        scene.outcome == "allowed"
        and not scene.subresource
        and (scene.resource == "persistentvolumes" or scene.verb in ("create", "update", "patch"))
    ),
)
class HostpathVolume:
    """Remembers volumes on sensitive paths and the claims they are bound to."""

    def __init__(self) -> None:
        self._state = _State()

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if stub.values.get("request.dry_run"):
            return ()
        if stub.resource == "persistentvolumes":
            self._volume(stub)
        elif self._state.claims and not stub.values.get("workload.owner_kind"):
            return self._mounted(stub)
        return ()

    def _volume(self, stub: Stub) -> None:
        if stub.verb == "delete":
            self._state.volumes.pop(stub.name, None)
            return
        name = stub.name or str(stub.values.get("object.name") or "")
        path = str(stub.values.get("storage.host_path") or stub.values.get("storage.local_path") or "")
        if path and name not in self._state.volumes and is_sensitive_path(path):
            _put(self._state.volumes, name, Volume(path, stub.user, evidence_of(stub)), VOLUMES_MAX)
        if name in self._state.volumes:
            # Its maker names the claim, or the controller that binds them does so afterwards.
            for claim in stub.values.get("storage.claims") or ():
                _put(self._state.claims, str(claim), name, CLAIMS_MAX)

    def _mounted(self, stub: Stub) -> Iterable[Detection]:
        for claim in stub.values.get("storage.claims") or ():
            name = self._state.claims.get(f"{stub.namespace}/{claim}", "")
            volume = self._state.volumes.get(name)
            if volume is not None:
                values = {
                    "volume": name,
                    "path": volume.path,
                    "volume_author": volume.author,
                    "user.username": stub.user,
                    "target.namespace": stub.namespace,
                }
                return (Detection(rule=INFO.id, stub=stub, evidence=(volume.evidence,), values=values),)
        return ()

    def snapshot(self) -> bytes:
        """Volumes and claims, oldest first."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._state = msgspec.msgpack.decode(data, type=_State)


def _put(entries: dict[str, Value], key: str, value: Value, limit: int) -> None:
    entries.pop(key, None)
    if len(entries) >= limit:
        del entries[next(iter(entries))]
    entries[key] = value
