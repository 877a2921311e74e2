"""Where the evidence decides how bad a detection is."""

from typing import Any

import pytest

from kubewake.detectors import Detection
from kubewake.detectors.csr_self_approved import CsrSelfApproved
from kubewake.detectors.fresh_grant import FreshGrant
from kubewake.detectors.mass_destruction import MassDestruction
from kubewake.detectors.minted_token import BROKER_TOKENS, MintedToken
from kubewake.detectors.secret_token import SecretToken
from kubewake.detectors.stolen_pod_token import KNOWN_PODS, StolenPodToken
from kubewake.observation import Stub
from tests.unit.engine.stubs import stub

ADMINS = 'RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "cluster-admin" to Group "admins"'


def at(second: int) -> str:
    return f"2026-05-04T10:{second // 60:02d}:{second % 60:02d}.000000Z"


def run(detector: Any, *stubs: Stub) -> list[Detection]:
    return [found for item in stubs for found in detector.observe(item)]


@pytest.mark.parametrize(
    ("user", "kind", "groups", "severity"),
    [
        ("alice", "human", ["dev"], "medium"),
        ("alice", "human", ["system:masters"], "critical"),
        ("alice", "human", ["admins"], "critical"),
        ("system:serviceaccount:shop:web", "serviceaccount", ["dev"], "high"),
    ],
)
def test_a_certificate_is_as_bad_as_its_subject(user: str, kind: str, groups: list[str], severity: str) -> None:
    same = {"user": user, "actor_kind": kind, "resource": "certificatesigningrequests", "namespace": "", "name": "c",
            "outcome": "allowed", "reason": ADMINS}  # fmt: skip
    asked = stub(1, at(0), verb="create", values={"csr.common_name": "jane", "csr.organizations": groups}, **same)
    approved = stub(2, at(5), verb="update", subresource="approval", level="Metadata", **same)
    assert [found.severity for found in run(CsrSelfApproved(), asked, approved)] == [severity]


@pytest.mark.parametrize(("writer", "source", "severity"), [("alice", "10.0.0.1", None), ("eve", "10.0.0.9", None),
                                                            ("boss", "10.0.0.1", "medium")])  # fmt: skip
def test_rights_that_one_gives_oneself_are_worse(writer: str, source: str, severity: str | None) -> None:
    action = {"verb": "list", "resource": "secrets", "namespace": "shop", "user": "alice", "source": "10.0.0.9"}
    reason = 'RBAC: allowed by RoleBinding "b/shop" of ClusterRole "edit" to User "alice"'
    detector = FreshGrant()
    found = run(
        detector,
        stub(1, at(0), outcome="denied", code=403, **action),
        stub(2, at(5), verb="create", resource="rolebindings", api_group="rbac.authorization.k8s.io", namespace="shop",
             name="b", user=writer, source=source, outcome="allowed"),
        stub(3, at(9), outcome="allowed", reason=reason, **action),
    )  # fmt: skip
    assert [item.severity for item in found if item.rule == "denied-then-allowed"] == [severity]


def test_scaling_to_nothing_alone_is_less_bad_than_deletion() -> None:
    scaled = [
        stub(number, at(number), verb="patch", resource="deployments", subresource="scale", namespace=f"n{number % 2}",
             outcome="allowed", values={"scale.replicas": 0})
        for number in range(1, 11)
    ]  # fmt: skip
    assert run(MassDestruction(), *scaled)[-1].severity == "high"
    gone = [
        stub(number, at(number), verb="delete", resource="namespaces", namespace=f"n{number}", outcome="allowed")
        for number in range(1, 6)
    ]
    assert run(MassDestruction(), *gone)[-1].severity is None


@pytest.mark.parametrize(("verb", "name", "severity"), [("get", "token-1", None), ("list", "", "high")])
def test_a_secret_that_was_only_listed_is_weaker_evidence(verb: str, name: str, severity: str | None) -> None:
    use = {"verb": "list", "resource": "pods", "user": "system:serviceaccount:ci:builder", "secret_token": "token-1",
           "outcome": "allowed"}  # fmt: skip
    found = run(
        SecretToken(),
        stub(1, at(0), source="10.0.0.1", client="client-go", **use),
        stub(2, at(5), verb=verb, resource="secrets", namespace="ci", name=name, user="eve", outcome="allowed"),
        stub(3, at(9), source="9.9.9.9", client="curl", **use),
        stub(4, at(10), source="9.9.9.9", client="curl", **use),
    )
    assert [item.severity for item in found] == [severity, severity]
    assert [len(item.evidence) for item in found] == [1, 0]


def test_addresses_that_do_not_identify_pods_weigh_less() -> None:
    detector = StolenPodToken()

    def request(number: int, pod: str, source: str) -> Stub:
        return stub(number, at(number), user=f"system:serviceaccount:shop:{pod}", actor_kind="serviceaccount", pod=pod,
                    pod_uid=pod, node="n1", source=source, outcome="allowed")  # fmt: skip

    for number in range(KNOWN_PODS + 1):
        run(detector, request(number + 1, f"p{number}", "10.1.0.1"), request(number + 20, f"p{number}", "10.1.0.2"))
    run(detector, *(request(50 + number, "web", "10.1.0.9") for number in range(4)))
    (found,) = run(detector, request(60, "web", "9.9.9.9"))
    assert found.severity == "medium"


def test_tokens_of_a_broker_weigh_less() -> None:
    detector = MintedToken()
    broker = {"user": "system:serviceaccount:ci:broker", "actor_kind": "serviceaccount", "outcome": "allowed"}

    def minted(number: int) -> tuple[Stub, Stub]:
        return (
            stub(number, at(number), verb="create", resource="serviceaccounts", subresource="token", name="web",
                 issued_credential=f"JTI={number}", **broker),
            stub(1000 + number, at(number), credential=f"JTI={number}", user="system:serviceaccount:shop:web"),
        )  # fmt: skip

    found = run(detector, *(item for number in range(1, BROKER_TOKENS + 1) for item in minted(number)))
    assert [item.severity for item in found] == [None] * (BROKER_TOKENS - 1) + ["medium"]
