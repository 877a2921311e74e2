"""A pod's token in other hands: another address than the pod's own (link L3).

A pod keeps its address for life, and its tokens are renewed under the same pod UID; so the address that a pod's
requests come from is learnt per pod. Addresses that many pods share (NAT, proxies) and the address of the pod's own
node (host network, masquerading) prove nothing and are let pass.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.facts.source import scope_of_address
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

MAX_HOLDERS = 20_000
"""Pods whose origins are remembered."""
MAX_ADDRESSES = 20_000
MAX_ORIGINS = 16
"""Addresses remembered per pod; more than this on one pod is an attacker's noise."""
MAX_RESIDENTS = 6
"""Pods and nodes remembered per address: enough to tell a shared one."""

HOME_REQUESTS = 3
"""Requests from one address before another one is suspicious; a single request may itself be the thief's."""
SHARED_PODS = 3
SHARED_REQUESTS = 10
"""An address is shared when this many pods each sent this many requests from it as their own."""
NETWORK_PODS = 2
"""Pods that must live in a network before it counts as one of the pods' networks."""
KNOWN_PODS = 5
"""Pods that must have shown their addresses before an unknown network is suspicious at the very first use."""
UNSTABLE_SHARE = 0.2
"""Above this share of pods with several addresses, the cluster's addresses do not identify pods (balancers in front)."""
NODE_REQUESTS = 10
"""Requests after which an address counts as a node's own."""

STOLEN = RuleInfo(
    id="stolen-pod-token",
    title="Pod's token used away from its pod",
    level="critical",
    description="The token of a pod, known by the pod that it is bound to, is used from an address that is not the "
    "pod's, not its node's and not one that many pods share; or, at its very first use, from a public network where no "
    "pod of the cluster lives. Where the cluster's addresses do not identify pods, the level is lower. A token of a "
    "deleted pod is refused by the server itself and shows up as a failed login.",
    attack=Attack(["credential-access", "lateral-movement"], ["T1528", "T1550.001"], ["MS-TA9016"]),
    falsepositives=(
        "A pod whose requests leave through several gateways that few other pods use.",
        "A debugging session with the pod's token copied on purpose.",
    ),
    references=(
        "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens",
        "https://attack.mitre.org/techniques/T1528/",
    ),
    covers=("stolen-pod-token",),
    confidence="high",
    story="The access token of the program {credential.pod} ({actor}) was used from {source.ip}, where this program "
    "does not run; {credential.usual}. Somebody has copied the token and acts in the program's name.",
    remediation=(
        "kubectl -n {credential.namespace} get pod {credential.pod} -o wide   # whose pod, on which node",
        (
            "kubectl -n {credential.namespace} delete pod {credential.pod}   # ends the stolen token, which is bound to the "
            "pod; the pod is started anew"
        ),
        (
            "Find out how the token got out: look for exec, port-forward or new containers in the pod before {time}, and "
            "check the application for a break-in"
        ),
        "kubectl auth can-i --list --as {actor}   # what the thief could do; look at every request from {source.ip}",
    ),
    kind="detector",
    tactic="credential-access",
)


class Origin(Struct, array_like=True):
    """One address of a pod's token: requests seen, and whether it is held for a thief's."""

    requests: int
    foreign: bool


class Holder(Struct, array_like=True):
    """A pod: the addresses that its token was used from."""

    origins: dict[str, Origin] = {}


class _Saved(Struct):
    holders: list[tuple[str, Holder]]
    homes: list[tuple[str, dict[str, int]]]
    networks: dict[str, list[str]]
    counts: tuple[int, int]


@lru_cache(maxsize=8192)
def network_of(address: str) -> str:
    """The /16 (IPv4) or /48 (IPv6) that an address lies in; "" where the text is no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    size = 2 if parsed.version == 4 else 6  # bytes of the prefix
    return parsed.packed[:size].hex()


@detector(STOLEN, wants=lambda scene: scene.from_pod or scene.actor_kind == "node")
class StolenPodToken:
    """Learns where each pod sends from, and tells when its token is used elsewhere."""

    def __init__(self) -> None:
        self._holders: Ledger[str, Holder] = Ledger(MAX_HOLDERS)
        self._homes: Ledger[str, dict[str, int]] = Ledger(MAX_ADDRESSES)
        """By address: requests of each pod or node that has it as its own, at most a few."""
        self._networks: dict[str, list[str]] = {}
        """By network: pods that live there, at most KNOWN_PODS."""
        self._pods = 0
        self._several = 0

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at requests made with a pod's token; learn nodes' addresses from the others."""
        if stub.pod:
            return self._place(stub, stub.pod_uid or f"{stub.user}/{stub.pod}")
        if stub.actor_kind == "node" and stub.source and stub.client == "kubelet":
            self._live(stub.source, stub.user, stub.count)
        return ()

    def _place(self, stub: Stub, pod: str) -> Iterable[Detection]:
        holder = self._holders.get(pod)
        if holder is None:
            holder = Holder({})
            self._holders.put(pod, holder)
            self._pods += 1
        origin = holder.origins.get(stub.source)
        if origin is None:
            origin = self._meet(stub, holder)
            if stub.source and not origin.foreign:
                self._inhabit(network_of(stub.source), pod)
        origin.requests += stub.count
        if not origin.foreign:
            if stub.source:
                self._live(stub.source, pod, stub.count)
            return ()
        unstable = self._pods >= KNOWN_PODS and self._several / self._pods > UNSTABLE_SHARE
        found = Detection(
            rule=STOLEN.id, stub=stub, values=_words(stub, holder), severity="medium" if unstable else None
        )
        return (found,)

    def _meet(self, stub: Stub, holder: Holder) -> Origin:
        # A pod with two address families has one address of each.
        own = [
            origin
            for address, origin in holder.origins.items()
            if not origin.foreign and (":" in address) == (":" in stub.source)
        ]
        foreign = bool(stub.source) and self._is_foreign(stub, sum(origin.requests for origin in own))
        if own and not foreign:
            self._several += len(own) == 1
        origin = Origin(0, foreign)
        if len(holder.origins) < MAX_ORIGINS:
            holder.origins[stub.source] = origin
        return origin

    def _is_foreign(self, stub: Stub, own_requests: int) -> bool:
        address = stub.source
        scope = scope_of_address(address)
        if scope in ("loopback", "link-local", "none"):
            return False
        homes = self._homes.get(address) or {}
        if homes.get(f"system:node:{stub.node}", 0) >= NODE_REQUESTS:
            return False
        if sum(requests >= SHARED_REQUESTS for requests in homes.values()) >= SHARED_PODS:
            return False
        if own_requests:
            return own_requests >= HOME_REQUESTS
        known = sum(map(len, self._networks.values()))
        return (
            scope == "public"
            and known >= KNOWN_PODS
            and len(self._networks.get(network_of(address), ())) < NETWORK_PODS
        )

    def _live(self, address: str, resident: str, requests: int) -> None:
        homes = self._homes.get(address)
        if homes is None:
            homes = {}
            self._homes.put(address, homes)
        if resident in homes or len(homes) < MAX_RESIDENTS:
            homes[resident] = homes.get(resident, 0) + requests

    def _inhabit(self, network: str, pod: str) -> None:
        pods = self._networks.get(network)
        if pods is None:
            if len(self._networks) < MAX_ADDRESSES:
                self._networks[network] = [pod]
        elif len(pods) < KNOWN_PODS and pod not in pods:
            pods.append(pod)

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(
            _Saved(
                self._holders.items(),
                self._homes.items(),
                self._networks,
                (self._pods, self._several),
            )
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._holders.fill(list(saved.holders))
        self._homes.fill(list(saved.homes))
        self._networks = saved.networks
        self._pods, self._several = saved.counts


def _words(stub: Stub, holder: Holder) -> dict[str, str]:
    own = sorted(address for address, origin in holder.origins.items() if not origin.foreign and address)
    parts = stub.user.split(":")
    return {
        "credential.pod": stub.pod or stub.user,
        "credential.namespace": parts[2] if len(parts) == 4 else "",  # system:serviceaccount:ns:name
        "credential.usual": f"its own requests come from {', '.join(own[:3])}"
        if own
        else "no pod of the cluster is there",
    }
