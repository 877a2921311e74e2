"""Cluster-scoped custom resources asked for through a namespace (CVE-2019-11247)."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

MAX_RESOURCES = 5_000

WRONG_SCOPE = RuleInfo(
    id="cve-2019-11247-wrong-scope",
    title="Cluster-wide custom resource asked for through a namespace (CVE-2019-11247)",
    level="high",
    description="A custom resource that belongs to the whole cluster is addressed as if it lived in a namespace. On "
    "kube-apiserver 1.7-1.12, 1.13.0-1.13.8, 1.14.0-1.14.4 and 1.15.0-1.15.1 rights in that one namespace then suffice to "
    "read or change it; fixed in 1.13.9, 1.14.5 and 1.15.2. Which resources are cluster-wide is learnt from their "
    "definitions and from requests without a namespace, and known for common products. No client sends such a path by "
    "itself, so the attempt counts however it ends.",
    attack=Attack(["privilege-escalation"], ["T1068"]),
    falsepositives=("A hand-written script with a wrong path.", "A resource whose scope was changed."),
    references=("https://github.com/kubernetes/kubernetes/issues/80983",),
    covers=("cve-api-exploit",),
    cves=("CVE-2019-11247",),
    affected="kube-apiserver 1.7.0-1.13.8, 1.14.0-1.14.4, 1.15.0-1.15.1",
    confidence="high",
    story="{actor.name} asked for {target.resource}, which belong to the whole cluster, as if they were part of the "
    "namespace {target.namespace}. On an outdated server this trick gets around the limits of a namespace.",
    remediation=(
        "kubectl version   # fixed in 1.13.9, 1.14.5, 1.15.2 and everything since",
        "Ask {actor.name}; treat the credential as misused if nobody can explain the request",
        "Look at all requests from {source.ip} in the last day",
    ),
    kind="detector",
    tactic="privilege-escalation",
)

KNOWN: frozenset[str] = frozenset(
    {
        "cert-manager.io/clusterissuers",
        "kyverno.io/clusterpolicies",
        "kyverno.io/clustercleanuppolicies",
        "external-secrets.io/clustersecretstores",
        "external-secrets.io/clusterexternalsecrets",
        "templates.gatekeeper.sh/constrainttemplates",
        "cilium.io/ciliumclusterwidenetworkpolicies",
        "crd.projectcalico.org/globalnetworkpolicies",
        "karpenter.sh/nodepools",
        "gateway.networking.k8s.io/gatewayclasses",
        "snapshot.storage.k8s.io/volumesnapshotclasses",
        "snapshot.storage.k8s.io/volumesnapshotcontents",
    }
)
"""Cluster-wide custom resources of widely used products, by their public definitions."""


class _Saved(Struct):
    scopes: list[tuple[str, bool]]


def is_custom(api_group: str) -> bool:
    """Whether the group is not the API server's own (some custom ones end in k8s.io by convention)."""
    if api_group in ("gateway.networking.k8s.io", "snapshot.storage.k8s.io"):
        return True
    return "." in api_group and not api_group.endswith(".k8s.io")


@detector(
    WRONG_SCOPE,
    wants=lambda scene: scene.resource == "customresourcedefinitions" or is_custom(scene.api_group),
)
class WrongScope:
    """Learns which custom resources are cluster-wide."""

    def __init__(self) -> None:
        self._scopes: Ledger[str, bool] = Ledger(MAX_RESOURCES)
        """By group/resource: whether it is cluster-wide. A namespaced answer with success settles that it is not."""

    def observe(self, stub: Stub) -> Iterator[Detection]:
        """Learn scopes; report namespaced requests for what is cluster-wide."""
        if stub.resource == "customresourcedefinitions":
            scope, plural = stub.values.get("crd.scope"), stub.values.get("crd.plural")
            group = (stub.name or str(stub.values.get("object.name", ""))).partition(".")[2]
            if scope and plural and group and stub.outcome == "allowed":
                self._scopes.put(f"{group}/{plural}", scope == "Cluster")
            return
        if not is_custom(stub.api_group):
            return
        key = f"{stub.api_group}/{stub.resource}"
        known = self._scopes.get(key)
        if stub.namespace:
            if known or (known is None and key in KNOWN):
                yield Detection(rule=WRONG_SCOPE.id, stub=stub)
            elif known is None and stub.outcome == "allowed":
                self._scopes.put(key, False)
        elif (
            known is None
            and stub.outcome == "allowed"
            and stub.name
            and stub.verb in ("get", "update", "patch", "delete")
        ):
            self._scopes.put(key, True)

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._scopes.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._scopes.fill(list(msgspec.msgpack.decode(data, type=_Saved).scopes))
