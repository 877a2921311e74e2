"""Namespaces whose pod security is lowered, by what it was before."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_NAMESPACES = 20_000
RANKS = {"privileged": 0, "baseline": 1, "restricted": 2}
ENFORCED = "namespace.pod_security_enforce"
SAID_BY_RULE = "pod-security-weakened"
"""The rule that reports what one request alone shows."""

LOWERED = RuleInfo(
    id="pod-security-lowered",
    title="Pod security of a namespace lowered from what it was",
    level="high",
    description="The label pod-security.kubernetes.io/enforce of a namespace goes from restricted to baseline, or is left "
    "out when the namespace is replaced. What it was before is learnt from earlier writes in the log. Medium where the "
    "new level is baseline. What one request alone shows is reported by pod-security-weakened.",
    attack=Attack(["defense-evasion", "privilege-escalation"], ["T1562.001"]),
    falsepositives=("A namespace gets a planned exception for a node agent.",),
    references=(
        "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
        "https://attack.mitre.org/techniques/T1562/001/",
    ),
    covers=("admission-weakened",),
    confidence="high",
    needs="Request",
    story="{actor.name} lowered the pod safety rules of the namespace {target.name} from {pod_security.before} to "
    "{pod_security.after}, from {source.ip}. Pods that were refused before are now accepted there; attackers do this right "
    "before starting one.",
    remediation=(
        "kubectl get namespace {target.name} --show-labels",
        (
            "kubectl label namespace {target.name} pod-security.kubernetes.io/enforce={pod_security.before} --overwrite   "
            "# restores the guard for new pods; running ones stay"
        ),
        "kubectl -n {target.name} get pods --sort-by=.metadata.creationTimestamp   # what was started since {time}",
        "Disable the credential of {actor.name} if the change has no ticket",
    ),
    kind="detector",
    tactic="defense-evasion",
)


class Guard(Struct, array_like=True):
    """The level that a namespace enforces, and the write that set it."""

    enforced: str
    evidence: Evidence


class _Saved(Struct):
    guards: list[tuple[str, Guard]]


@detector(
    LOWERED,
    resources={"namespaces"},
    wants=lambda scene: (
        scene.verb in ("create", "update", "patch", "delete") and not scene.subresource and scene.outcome == "allowed"
    ),
)
class PodSecurity:
    """Remembers the level that each namespace enforces."""

    def __init__(self) -> None:
        self._guards: Ledger[str, Guard] = Ledger(MAX_NAMESPACES)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Note what a write sets; report it where it is less than before."""
        if stub.outcome != "allowed" or stub.subresource or stub.values.get("request.dry_run"):
            return ()
        name = stub.name or str(stub.values.get("object.name", ""))
        if stub.verb == "delete":
            self._guards.pop(name)
            return ()
        after = str(stub.values.get(ENFORCED, ""))
        is_said = any(hit.rule == SAID_BY_RULE for hit in stub.hits)
        if stub.level not in ("Request", "RequestResponse") or (stub.verb == "patch" and not after and not is_said):
            return ()
        before = self._guards.get(name)
        if after:
            self._guards.put(name, Guard(after, evidence_of(stub)))
        else:
            self._guards.pop(name)
        if is_said or before is None or stub.values.get("actor.in_profile"):
            return ()
        if RANKS.get(after, 0) >= RANKS.get(before.enforced, 0):
            return ()
        found = Detection(
            rule=LOWERED.id,
            stub=stub,
            evidence=(before.evidence,),
            values={"pod_security.before": before.enforced, "pod_security.after": after or "none at all"},
            severity="medium" if after else None,
        )
        return (found,)

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._guards.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._guards.fill(list(msgspec.msgpack.decode(data, type=_Saved).guards))
