"""Bursts of deletion that destroy data or whole applications."""

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.detectors.shared_credential import HANDS_ON
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_ACTORS = 10_000
MAX_DEEDS = 200
"""Deletions remembered per actor; a burst is over the bar long before."""
WINDOW_SECONDS = 600

BAR = 20.0
"""Weight of deletions in the window that makes a burst."""
HEAVY_BAR = 9.0
"""Of it, weight of what holds data or takes many things at once; removing applications alone is everyday work."""
HEAVY = 3.0

WEIGHTS: dict[str, float] = {
    "namespaces": 5.0,
    "persistentvolumes": 4.0,
    "volumesnapshots": 4.0,
    "volumesnapshotcontents": 4.0,
    "backups": 4.0,
    "backupstoragelocations": 4.0,
    "schedules": 4.0,
    "etcdbackups": 4.0,
    "persistentvolumeclaims": 3.0,
    "customresourcedefinitions": 2.0,
    "statefulsets": 2.0,
    "deployments": 2.0,
    "daemonsets": 2.0,
    "cronjobs": 1.0,
    "secrets": 1.0,
    "configmaps": 1.0,
    "services": 1.0,
    "ingresses": 1.0,
    "serviceaccounts": 1.0,
    "nodes": 2.0,
}
"""How much a deletion destroys. Kinds that are not listed weigh OTHER; pods and short-lived kinds nothing."""
OTHER = 0.5
NOTHING = frozenset(
    {"pods", "events", "leases", "endpoints", "endpointslices", "replicasets", "jobs", "tokenreviews", "certificaterequests",
     "certificatesigningrequests", "orders", "challenges", "pipelineruns", "taskruns", "workflows", "horizontalpodautoscalers"}
)  # fmt: skip
COLLECTION_FACTOR = 3.0
CONTROL_PLANE = frozenset({"kube-controller-manager", "kube-apiserver", "k3s"})
SCALED_TO_NOTHING = 2.0

ONE_KIND = {
    "persistentvolumes": 10,
    "persistentvolumeclaims": 20,
    "volumesnapshots": 10,
    "volumesnapshotcontents": 10,
    "backups": 10,
    "etcdbackups": 10,
    "nodes": 20,
}
"""How many of one kind, in one place and without anything else, are a burst where no program's own client deletes them.

More than an engineer clears away after a test; what expires backups or removes nodes on schedule comes with its client.
"""
ONE_KIND_SCALED = 30
"""The same for workloads scaled to zero; a development namespace that is switched off has fewer."""
WHOLE_KINDS = frozenset({*ONE_KIND, "backupstoragelocations", "schedules", "customresourcedefinitions", "namespaces"})
"""Kinds of which one request that deletes all in the cluster is a burst."""

DESTRUCTION = RuleInfo(
    id="mass-destruction",
    title="Destruction burst",
    level="critical",
    description="One identity deletes, within ten minutes, so much that data or whole applications are lost. Backups, "
    "snapshots, volumes and namespaces weigh most, collections thrice, pods nothing; scaling workloads to zero counts, "
    "and alone makes a finding of level high. One kind in one place needs greater numbers, and a person's tools. One "
    "request that deletes all volumes, backups, nodes or custom resource definitions is enough. Removing a few "
    "applications is below the bar.",
    attack=Attack(["impact"], ["T1485", "T1490", "T1489"], ["MS-TA9038"]),
    falsepositives=("Tearing down an environment on purpose.", "A script that switches test clusters off at night."),
    references=("https://attack.mitre.org/techniques/T1485/", "https://attack.mitre.org/techniques/T1490/"),
    covers=("mass-destruction",),
    confidence="high",
    window_seconds=3600,
    group_by=("burst.actor",),
    story="{actor.name} is deleting much at once from {source.ip}: {burst.kinds} in {burst.namespaces}. Backups and data "
    "that are gone cannot be brought back; this is what blackmailers do last.",
    remediation=(
        (
            "Stop it now: remove the bindings of {actor.name} or disable its credential "
            "(kubectl get rolebindings,clusterrolebindings -A -o wide | grep {actor.name})"
        ),
        "kubectl get pv,pvc,volumesnapshots -A   # what is left; volumes with policy Retain can be saved",
        "Secure backups outside the cluster and check that they can be restored, before restoring anything",
        "Find out how {actor.name} was taken over: its requests of the last day, from which addresses",
    ),
    always=True,
    kind="detector",
    tactic="impact",
)


class Deed(Struct, array_like=True):
    """One deletion or scaling to nothing."""

    time: float
    weight: float
    kind: str
    namespace: str
    name: str
    scaled: bool
    evidence: Evidence


class _Saved(Struct):
    deeds: list[tuple[str, list[Deed]]]


@detector(
    DESTRUCTION,
    version=2,
    wants=lambda scene: (
        scene.outcome == "allowed"
        and scene.verb not in ("get", "list", "watch")
        and scene.resource != ""
        and (scene.verb == "deletecollection" or not scene.of_component)
        and scene.actor_kind not in ("control-plane", "cloud")
    ),
)
class MassDestruction:
    """Weighs deletions per identity in a sliding window."""

    def __init__(self) -> None:
        self._deeds: Ledger[str, deque[Deed]] = Ledger(MAX_ACTORS)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Weigh deletions; report when a window holds too much."""
        deed = _deed(stub)
        return () if deed is None else self._weigh(stub, deed)

    def _weigh(self, stub: Stub, deed: Deed) -> Iterator[Detection]:
        actor = stub.impersonated or stub.user
        deeds = self._deeds.get(actor)
        if deeds is None:
            deeds = deque(maxlen=MAX_DEEDS)
        self._deeds.put(actor, deeds)
        deeds.append(deed)
        while deeds and deed.time - deeds[0].time > WINDOW_SECONDS:
            deeds.popleft()
        heavy = [item for item in deeds if item.weight >= HEAVY or item.scaled]
        kinds = {item.kind for item in deeds}
        namespaces = {item.namespace for item in deeds}
        is_varied = max(len(kinds), len(namespaces)) > 1 or deed.weight >= BAR
        is_burst = (
            is_varied and sum(item.weight for item in deeds) >= BAR and sum(item.weight for item in heavy) >= HEAVY_BAR
        )
        if not is_burst and (stub.actor_kind != "serviceaccount" or stub.client in HANDS_ON):
            is_burst = _is_many(deed, deeds)
        if not is_burst:
            return
        yield Detection(
            rule=DESTRUCTION.id,
            stub=stub,
            evidence=tuple(item.evidence for item in deeds if item is not deed),
            values={
                "burst.actor": actor,
                "burst.kinds": ", ".join(sorted(kinds)[:6]),
                "burst.namespaces": ", ".join(sorted(filter(None, namespaces))[:6]) or "the whole cluster",
            },
            severity="high" if all(item.scaled for item in heavy or deeds) else None,
        )

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved([(actor, list(deeds)) for actor, deeds in self._deeds.items()]))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._deeds.fill([(actor, deque(deeds, maxlen=MAX_DEEDS)) for actor, deeds in saved.deeds])


def _overreaches(stub: Stub) -> bool:
    """Whether a known component deletes whole collections: only the control plane's own controllers do that."""
    return stub.verb == "deletecollection" and stub.values.get("actor.component") not in CONTROL_PLANE


def _takes_all(stub: Stub) -> bool:
    """Whether a request deletes everything of a kind that holds data or the cluster together."""
    return stub.resource in WHOLE_KINDS and not stub.namespace and "Selector=" not in stub.uri


def _is_many(deed: Deed, deeds: Iterable[Deed]) -> bool:
    """Whether deeds of the same kind are a burst by their number; what is deleted again counts once."""
    enough = ONE_KIND_SCALED if deed.scaled else ONE_KIND.get(deed.kind)
    alike = (item for item in deeds if item.kind == deed.kind and item.scaled == deed.scaled)
    return enough is not None and len({(item.namespace, item.name) for item in alike}) >= enough


def _deed(stub: Stub) -> Deed | None:
    if stub.outcome != "allowed" or not stub.resource or stub.actor_kind in ("control-plane", "cloud"):
        return None
    values = stub.values
    if values.get("request.dry_run") or (values.get("actor.in_profile") and not _overreaches(stub)):
        return None
    weight, scaled = 0.0, False
    if stub.verb in ("delete", "deletecollection") and not stub.subresource:
        if stub.resource in NOTHING:
            return None
        weight = WEIGHTS.get(stub.resource, OTHER)
        if stub.verb == "deletecollection":
            weight = max(weight * COLLECTION_FACTOR, BAR if _takes_all(stub) else 0.0)
    elif values.get("scale.replicas") == 0 or (
        values.get("workload.replicas") == 0 and stub.verb in ("update", "patch")
    ):
        weight, scaled = SCALED_TO_NOTHING, True
    if not weight:
        return None
    return Deed(moment(stub.time), weight, stub.resource, stub.namespace, stub.name, scaled, evidence_of(stub))
