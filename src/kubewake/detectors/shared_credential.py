"""One credential used from several unrelated places, or by a program and by a person's tool."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger
from kubewake.detectors.network import INSIDE, network_of
from kubewake.facts.client import SCRIPTS
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

ATTACK = Attack(
    tactics=["credential-access", "initial-access"], techniques=["T1528", "T1078"], threat_matrix=["MS-TA9016"]
)
REFERENCES = (
    "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens",
    "https://attack.mitre.org/techniques/T1528/",
)

MACHINE = RuleInfo(
    id="credential-shared-sources",
    title="Program's credential used from another place",
    level="high",
    kind="detector",
    tactic="credential-access",
    attack=ATTACK,
    description=(
        "The token or certificate of a program or node was used from a network other than the one where it lives: from "
        "the internet after it was used inside, inside after it was used from the internet, or from a second public "
        "network."
    ),
    falsepositives=(
        "A NAT gateway or build farm that gained another public address.",
        "A program that also reaches the API server through its public endpoint.",
    ),
    references=REFERENCES,
    covers=("credential-shared-sources",),
    confidence="high",
    story=(
        "The login of {actor.name} belongs to a program or node and was used from {usual}. Now it was also used from "
        "{source.ip}. A program does not move, so the login was probably copied and somebody else uses it."
    ),
    remediation=(
        "Find out whether {source.ip} is yours (NAT gateway, build system); if so, put it on the list of trusted sources.",
        "List everything that {user.username} did from {source.ip}.",
        "If not: make the token invalid by deleting the pod or token Secret it belongs to (pod {pod}, node {node}).",
    ),
    group_by=("user.username", "credential", "network"),
    window_seconds=86_400,
)

TOOL = RuleInfo(
    id="credential-shared-clients",
    title="Program's credential used with a hands-on tool",
    level="high",
    kind="detector",
    tactic="credential-access",
    attack=ATTACK,
    description=(
        "The token or certificate of a program or node, which so far only its own software used, was used with kubectl, "
        "curl or another tool that people type commands into."
    ),
    falsepositives=(
        "An engineer who looks for a fault inside the program's pod; a program that starts to call kubectl.",
    ),
    references=REFERENCES,
    covers=("credential-shared-sources",),
    confidence="medium",
    story=(
        "So far only the software {usual} used the login of {actor.name}. Now somebody used it with {client.family} from "
        "{source.ip}. Programs do not change their software in between, so a person has the login in hand."
    ),
    remediation=(
        "kubectl get pods -A -o wide | grep -F {source.ip}   # which pod sends from this address",
        "Look for sessions (exec, attach) opened in that pod shortly before, and ask who did that.",
        "If nobody knows: isolate the pod, then delete it so that its token becomes invalid (pod {pod}, node {node}).",
    ),
    group_by=("user.username", "credential", "client.family"),
    window_seconds=86_400,
)

PERSON = RuleInfo(
    id="credential-shared-person",
    title="Person's credential used in two places at once",
    level="medium",
    kind="detector",
    tactic="credential-access",
    attack=Attack(tactics=["credential-access", "initial-access"], techniques=["T1078"]),
    description=(
        "A person's credential was used from a second network with another tool within ten minutes of its use in the "
        "first."
    ),
    falsepositives=("People who switch between office, phone and VPN; scripts that people run elsewhere.",),
    references=("https://attack.mitre.org/techniques/T1078/",),
    covers=("credential-shared-sources",),
    confidence="low",
    audience="pedantic",
    story=(
        "Within ten minutes {actor.name} worked from {usual} and, with another tool ({client.family}), from {source.ip}. "
        "Nobody is in two places at once; the login may have been copied."
    ),
    remediation=(
        "Ask {actor.name} whether both were them.",
        "If not: revoke the credential and list everything that came from {source.ip}.",
    ),
    group_by=("user.username", "network"),
    window_seconds=86_400,
)

SCRIPT = RuleInfo(
    id="credential-script-from-new-network",
    title="Person's credential used by a script from a new place",
    level="high",
    kind="detector",
    tactic="initial-access",
    attack=Attack(tactics=["initial-access", "credential-access"], techniques=["T1078", "T1552.007"]),
    description=(
        "Within an hour of the first use of a person's credential at an address where it was never seen, a script or bare "
        "HTTP tool there read Secrets, minted a token, entered a pod or wrote permissions."
    ),
    falsepositives=("A person who moves a script of their own to another machine.",),
    references=("https://attack.mitre.org/techniques/T1078/",),
    covers=("credential-shared-sources",),
    confidence="medium",
    story=(
        "The login of {actor.name}, so far used from {usual}, appeared at {source.ip} and was used there by {client.family} "
        "for {what}. That is how a copied login is used: from elsewhere, with other tools, straight for the credentials."
    ),
    remediation=(
        "Ask {actor.name} whether this was them.",
        "If not: revoke the credential, list everything that came from {source.ip}, and replace what was read.",
    ),
    group_by=("user.username", "network"),
    window_seconds=86_400,
)

HANDS_ON = SCRIPTS | {"kubectl", "oc", "k9s", "lens", "helm", "attack-tool", "browser"}
"""Client families that people type commands into or that scripts are made of."""

CREDENTIALS_MAX = 20_000
PLACES_MAX = 16
"""A credential seen in more networks than this roams; it says nothing about where it belongs."""
HISTORY_REQUESTS = 20
"""Requests after which a credential that is not bound to a pod counts as known. A bound one lives in one pod."""
PROGRAM_REQUESTS = 100
"""Requests with one tool only, after which another tool is a change even if the first is one for scripts."""
NEW_MICROSECONDS = 3600 * 1_000_000
"""A network counts as new for so long."""
POOL_ADDRESSES = 3
"""A person seen at so many addresses of one network goes out by a pool of them; one more is no new place."""
CONCURRENT_MICROSECONDS = 600 * 1_000_000
REPORTED_MICROSECONDS = 86_400 * 1_000_000
"""Use from a place that was reported belongs to the same matter for a day; after that the place counts as known."""


class Place(Struct, array_like=True):
    """Use of a credential in one network or by one client family.

    Visits are counted only where something hangs on them: in a person's networks, and with a program's client families
    until there are enough.
    """

    first: int
    last: int
    requests: int
    reported: bool
    evidence: Evidence
    clients: set[str] = set()
    late: bool = False
    """First seen when the credential was known already."""
    ahead: int = 0
    """Requests of stubs that count until `last`: whether they have come is known only then."""

    def requests_until(self, now: int) -> int:
        """Requests that have come for sure."""
        return self.requests + (self.ahead if now >= self.last else 0)

    def visit(self, stub: Stub, now: int) -> None:
        """Count the stub's requests."""
        self.requests += 1
        if now >= self.last:
            self.last = now
            if self.ahead:
                self.requests += self.ahead
                self.ahead = 0
        if stub.count > 1:
            self.ahead += stub.count - 1
            self.last = max(self.last, microseconds(stub.last_time))
        if stub.client not in self.clients and len(self.clients) < PLACES_MAX:
            self.clients = self.clients | {stub.client}


class Use(Struct, array_like=True):
    """What is known of one credential."""

    requests: int = 0
    networks: dict[str, Place] = {}
    clients: dict[str, Place] = {}
    addresses: dict[str, Place] = {}
    """For people only, whose neighbour in the next house has an address of the same network."""


@detector(
    MACHINE,
    TOOL,
    PERSON,
    SCRIPT,
    wants=lambda scene: scene.actor_kind in ("serviceaccount", "node", "human"),
)
class SharedCredential:
    """Remembers for each credential in which networks and with which clients it is used."""

    def __init__(self) -> None:
        self._uses: Ledger[str, Use] = Ledger(CREDENTIALS_MAX)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if stub.code == UNAUTHENTICATED or not stub.user:
            return ()
        key = stub.credential or f"user {stub.user}"
        use = self._uses.get(key)
        if use is None:
            use = Use()
            self._uses.put(key, use)
        else:
            self._uses.renew(key)
        found = _judge_person(use, stub) if stub.actor_kind == "human" else _judge_machine(use, stub)
        if use.requests < HISTORY_REQUESTS:
            use.requests += stub.count
        return found

    def snapshot(self) -> bytes:
        """All credentials, least recently used first."""
        return msgspec.msgpack.encode(dict(self._uses.items()))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._uses.fill(list(msgspec.msgpack.decode(data, type=dict[str, Use]).items()))


UNAUTHENTICATED = 401


def _judge_machine(use: Use, stub: Stub) -> tuple[Detection, ...]:
    network = network_of(stub.source)
    if network:
        strange = False
        place = use.networks.get(network)
        if place is None:
            known = stub.pod != "" or use.requests >= HISTORY_REQUESTS
            strange = known and 0 < len(use.networks) < PLACES_MAX
            place = _arrive(use.networks, network, stub, reported=strange)
        if place is not None and place.reported and _is_of_late(place, stub):
            usual = [name for name, other in use.networks.items() if not other.reported]
            earlier = [use.networks[name].evidence for name in usual[:1]] if strange else []
            return (_detection(MACHINE, stub, usual, network, earlier),)
    family = stub.client
    if family == "empty":
        return ()
    strange = False
    place = use.clients.get(family)
    if place is None:
        strange = family in HANDS_ON and _is_program(use, microseconds(stub.time))
        place = _arrive(use.clients, family, stub, reported=strange)
    elif place.requests < PROGRAM_REQUESTS:
        place.visit(stub, microseconds(stub.time))
    if place is not None and place.reported and _is_of_late(place, stub):
        usual = [name for name, other in use.clients.items() if not other.reported]
        earlier = [use.clients[name].evidence for name in usual[:1]] if strange else []
        return (_detection(TOOL, stub, usual, network, earlier),)
    return ()


def _is_of_late(place: Place, stub: Stub) -> bool:
    """Whether a reported place still belongs to the matter that was reported."""
    return microseconds(stub.time) - place.first < REPORTED_MICROSECONDS


def _is_program(use: Use, now: int) -> bool:
    """Whether software of its own has used the credential so far, and long enough to say so."""
    own = [place for name, place in use.clients.items() if not place.reported]
    if not own or len(own) > 2:
        return False
    requests = sum(place.requests_until(now) for place in own)
    typed = any(name in HANDS_ON for name in use.clients)
    return requests >= (PROGRAM_REQUESTS if typed else HISTORY_REQUESTS) and (len(own) == 1 or not typed)


def _judge_person(use: Use, stub: Stub) -> Sequence[Detection]:
    network = network_of(stub.source)
    if not network or stub.client == "empty":
        return ()
    now = microseconds(stub.time)
    said: list[Detection] = []
    others: list[Place] = []
    if network not in use.networks and use.requests >= HISTORY_REQUESTS:
        others = [place for place in use.networks.values() if now - place.last < CONCURRENT_MICROSECONDS]
    strange = bool(others) and not any(stub.client in place.clients for place in use.networks.values())
    address = _address(use, stub, network)
    if (
        address is not None
        and address.late
        and now - address.first < NEW_MICROSECONDS
        and stub.client in TYPED_ELSEWHERE
        and _is_sensitive(stub)
    ):
        usual = [name for name, other in use.addresses.items() if not other.late]
        earlier = [address.evidence] if address.evidence.key != stub.key else []
        found = _detection(SCRIPT, stub, usual, stub.source if network != INSIDE else INSIDE, earlier)
        found.values["what"] = f"{stub.verb} {stub.resource}"
        said.append(found)
    place = use.networks.get(network)
    if place is None:
        place = _arrive(use.networks, network, stub, reported=strange)
    else:
        place.visit(stub, now)
    if place is not None and place.reported and _is_of_late(place, stub):
        usual = [name for name, other in use.networks.items() if not other.reported and name != network]
        earlier = [other.evidence for other in others[:1]] if strange else []
        said.append(_detection(PERSON, stub, usual, network, earlier))
    return said


def _address(use: Use, stub: Stub, network: str) -> Place | None:
    """Note a person's use of an address; `late` where it is new and not one of a pool that the person goes out by."""
    name = INSIDE if network == INSIDE else stub.source
    known = use.addresses
    place = known.get(name)
    if place is not None:
        return place
    pool = sum(network_of(other) == network for other in known)
    late = bool(known) and use.requests >= HISTORY_REQUESTS and pool < POOL_ADDRESSES
    place = _arrive(known, name, stub, reported=False)
    if place is not None:
        place.late = late
    return place


TYPED_ELSEWHERE = SCRIPTS | {"attack-tool"}
RBAC = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings"})


def _is_sensitive(stub: Stub) -> bool:
    """Whether the request hands out credentials or access."""
    if stub.outcome != "allowed":
        return False
    if stub.resource == "secrets":
        return stub.verb in ("get", "list", "watch")
    if stub.resource in RBAC:
        return stub.verb in ("create", "update", "patch")
    return stub.subresource in ("exec", "attach", "token", "ephemeralcontainers")


def _arrive(places: dict[str, Place], name: str, stub: Stub, *, reported: bool) -> Place | None:
    """The first visit of a place; None where there are too many."""
    if len(places) >= PLACES_MAX:
        return None
    now = microseconds(stub.time)
    place = places[name] = Place(now, now, 0, reported, evidence_of(stub))
    place.visit(stub, now)
    return place


def _detection(info: RuleInfo, stub: Stub, usual: Iterable[str], network: str, earlier: list[Evidence]) -> Detection:
    values: dict[str, Any] = {
        "usual": list(usual) or [INSIDE],
        "network": network,
        "credential": stub.credential,
        "user.username": stub.user,
        "client.family": stub.client,
        "pod": stub.pod,
        "node": stub.node,
    }
    return Detection(rule=info.id, stub=stub, evidence=tuple(earlier), values=values)
