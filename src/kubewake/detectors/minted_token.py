"""A token that one identity had issued for another, and its use (link L1)."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_TOKENS = 20_000
"""Issued tokens whose use is awaited."""
BROKER_TOKENS = 10
"""Tokens after which a service account that has them issued is a broker, whose tokens are weaker evidence."""
MAX_BROKERS = 5_000
HORIZON_SECONDS = 14 * 86_400
"""Exact credential links are followed this long."""

MINTED = RuleInfo(
    id="minted-token-use",
    title="Token made for another identity and used",
    level="high",
    description="Somebody had a token issued for a service account (TokenRequest), and that very token is now used. "
    "Both events carry the token's id, so the link is exact. Tokens that kubelets fetch for their pods, and those that "
    "known components fetch for themselves, do not count; medium where a service account hands out many.",
    attack=Attack(["credential-access", "privilege-escalation"], ["T1528", "T1550.001"], ["MS-TA9016"]),
    falsepositives=(
        "Tokens made with `kubectl create token` for a dashboard, a build system or a test.",
        "A broker that hands out tokens by design.",
    ),
    references=(
        "https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
        "https://attack.mitre.org/techniques/T1528/",
    ),
    covers=("minted-token-use",),
    confidence="high",
    story="{token.minter} made an access token for the program identity {actor.name} and it is now used from "
    "{source.ip} with {client.family}. Whoever has it acts in the program's name, with the program's rights.",
    remediation=(
        "Ask {token.minter} what the token is for (made at {token.minted_at})",
        "kubectl auth can-i --list --as {actor.name}   # what the holder may do",
        (
            "kubectl -n {token.namespace} delete serviceaccount {token.account}   # ends every token of the account; "
            "re-create it from source control, its pods must be restarted"
        ),
        "Take the right to create serviceaccounts/token away from {token.minter}",
    ),
    kind="detector",
    tactic="credential-access",
)


class Issue(Struct, array_like=True):
    """A token that was issued: by whom, for whom, and whether it was reported before."""

    minter: str
    namespace: str
    account: str
    evidence: Evidence
    seen: bool = False


class _Saved(Struct):
    tokens: list[tuple[str, Issue]]
    brokers: list[tuple[str, int]]


@detector(MINTED, wants=lambda scene: scene.has_credential or scene.subresource == "token")
class MintedToken:
    """Remembers tokens that were issued to somebody else than the account they stand for."""

    def __init__(self) -> None:
        self._tokens: Ledger[str, Issue] = Ledger(MAX_TOKENS)
        self._brokers: Ledger[str, int] = Ledger(MAX_BROKERS)
        """Tokens that each service account had issued."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Note tokens that are issued; report the use of one that was noted."""
        if stub.issued_credential or self._tokens.get(stub.credential) is not None:
            return self._follow(stub)
        return ()

    def _follow(self, stub: Stub) -> Iterator[Detection]:
        if stub.issued_credential and stub.subresource == "token" and not is_routine(stub):
            issue = Issue(stub.impersonated or stub.user, stub.namespace, stub.name, evidence_of(stub))
            self._tokens.put(stub.issued_credential, issue)
            if stub.actor_kind == "serviceaccount":
                self._brokers.put(issue.minter, (self._brokers.get(issue.minter) or 0) + 1)
        if not stub.credential:
            return
        found = self._tokens.get(stub.credential)
        if found is None or moment(stub.time) - moment(found.evidence.time) > HORIZON_SECONDS:
            return
        evidence = () if found.seen else (found.evidence,)
        found.seen = True
        yield Detection(
            rule=MINTED.id,
            stub=stub,
            evidence=evidence,
            values={
                "token.minter": found.minter,
                "token.minted_at": found.evidence.time,
                "token.namespace": found.namespace,
                "token.account": found.account,
            },
            severity="medium" if (self._brokers.get(found.minter) or 0) >= BROKER_TOKENS else None,
        )

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._tokens.items(), self._brokers.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._tokens.fill(list(saved.tokens))
        self._brokers.fill(list(saved.brokers))


def is_routine(stub: Stub) -> bool:
    """Whether a kubelet fetches the token of a pod, a component fetches one in its job, or an account its own.

    A log without clients tells a kubelet by what it asks for: a token bound to a pod.
    """
    if stub.actor_kind == "node" and stub.client != "empty":
        return stub.client == "kubelet"
    if stub.actor_kind == "node":
        return stub.level == "Metadata" or stub.values.get("token.bound_kind") == "Pod"
    if stub.actor_kind in ("control-plane", "cloud") or stub.values.get("actor.in_profile"):
        return True
    return stub.user == f"system:serviceaccount:{stub.namespace}:{stub.name}"
