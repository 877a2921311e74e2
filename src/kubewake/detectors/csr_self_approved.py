"""One identity that asks for a certificate and approves it itself (first half of link L11)."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.grants import grant_of
from kubewake.detectors.ledger import Ledger, moment
from kubewake.finding import Attack, Severity
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_REQUESTS = 10_000
MAX_GROUPS = 200
WINDOW_SECONDS = 24 * 3600
"""The control plane clears requests up after about a day."""

SELF_APPROVED = RuleInfo(
    id="csr-self-approved",
    title="Certificate requested and approved by the same identity",
    level="high",
    description="The identity that created a CertificateSigningRequest also approves it. Critical where the certificate "
    "stands for a group that was seen to hold cluster-admin or for a built-in administrator, high for service accounts, "
    "medium for people: an administrator who on-boards a colleague does the same.",
    attack=Attack(["persistence", "privilege-escalation"], ["T1098", "T1649"]),
    falsepositives=("Onboarding of a colleague by an administrator.",),
    references=(
        "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#approval-rejection",
        "https://attack.mitre.org/techniques/T1098/",
    ),
    covers=("csr-self-approved",),
    confidence="medium",
    story="{actor.name} asked for a login certificate ({csr.subject}) and approved it, from {source.ip}. The certificate "
    "opens the cluster until it expires, cannot be revoked, and stays when {actor.name} is locked out.",
    remediation=(
        "kubectl get csr {csr.name} -o jsonpath='{.spec.request}' | base64 -d | openssl req -noout -subject",
        "Ask {actor.name} for whom the certificate is; look for requests by that name",
        "kubectl get clusterrolebindings,rolebindings -A -o wide   # remove what the name or its groups are bound to",
        "Rotate the cluster CA if the certificate is not legitimate: that is the only revocation there is",
    ),
    kind="detector",
    tactic="persistence",
)

MASTERS = frozenset({"system:masters", "kubeadm:cluster-admins"})


class Request(Struct, array_like=True):
    """A certificate request: who made it, for which name and groups."""

    creator: str
    common_name: str
    organizations: tuple[str, ...]
    evidence: Evidence


class _Saved(Struct):
    requests: list[tuple[str, Request]]
    admin_groups: list[str]


@detector(SELF_APPROVED, wants=lambda scene: scene.by_admin or scene.resource == "certificatesigningrequests")
class CsrSelfApproved:
    """Remembers open certificate requests, and which groups hold cluster-admin."""

    def __init__(self) -> None:
        self._requests: Ledger[str, Request] = Ledger(MAX_REQUESTS)
        self._admin_groups: dict[str, None] = {}

    def observe(self, stub: Stub) -> Iterator[Detection]:
        """Learn administrators' groups from any reason; follow certificate requests."""
        if '"cluster-admin"' in stub.reason and len(self._admin_groups) < MAX_GROUPS:
            grant = grant_of(stub.reason)
            if grant is not None and grant.role == "cluster-admin" and grant.subject_kind == "Group":
                self._admin_groups[grant.subject] = None
        if stub.resource != "certificatesigningrequests" or stub.outcome != "allowed":
            return
        name = stub.name or str(stub.values.get("object.name", ""))
        if stub.verb == "create" and not stub.subresource:
            self._requests.put(
                name,
                Request(
                    stub.user,
                    str(stub.values.get("csr.common_name", "")),
                    tuple(stub.values.get("csr.organizations") or ()),
                    evidence_of(stub),
                ),
            )
        elif stub.subresource == "approval" and stub.verb in ("update", "patch"):
            yield from self._approved(stub, name)

    def _approved(self, stub: Stub, name: str) -> Iterator[Detection]:
        request = self._requests.get(name)
        if request is None or request.creator != stub.user or stub.actor_kind in ("control-plane", "cloud"):
            return
        if stub.level != "Metadata" and not stub.values.get("csr.approved"):
            return
        if moment(stub.time) - moment(request.evidence.time) > WINDOW_SECONDS:
            return
        groups = set(request.organizations)
        severity: Severity = "medium"
        if groups & (MASTERS | self._admin_groups.keys()) or request.common_name.startswith("system:"):
            severity = "critical"
        elif stub.actor_kind != "human":
            severity = "high"
        subject = f"for {request.common_name or 'an unknown name'}"
        if request.organizations:
            subject += f" in the group {', '.join(request.organizations)}"
        yield Detection(
            rule=SELF_APPROVED.id,
            stub=stub,
            evidence=(request.evidence,),
            values={"csr.subject": subject, "csr.name": name},
            severity=severity,
        )

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._requests.items(), list(self._admin_groups)))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._requests.fill(list(saved.requests))
        self._admin_groups = dict.fromkeys(saved.admin_groups)
