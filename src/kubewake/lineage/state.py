"""What all links share: sessions, the homes of pods and nodes, who comes from which address, and the ledgers."""

from msgspec import Struct

from kubewake.lineage.ledger import Ledger
from kubewake.lineage.reference import EventRef, Words, refer, words_of
from kubewake.lineage.session import Session, Sessions
from kubewake.observation import Stub

MAX_PLACES = 20_000
MAX_VALUES = 32
"""Addresses, clients or principals remembered for one place."""
SHARED_PRINCIPALS = 5
"""An address with more principals than this is a NAT, a proxy or a bastion: it says nothing about whose hand it is."""
CHILDREN_A_DAY = 20
"""A session that causes more than this on one day is a hub; lineage does not go through it."""
DAY_SECONDS = 86_400.0
ROUTINE_KINDS = frozenset({"control-plane", "cloud"})
CONTROLLER_CLIENTS = frozenset({"kube-controller-manager", "empty", ""})
CONTROLLERS = frozenset(
    {
        "attachdetach-controller",
        "certificate-controller",
        "clusterrole-aggregation-controller",
        "cronjob-controller",
        "daemon-set-controller",
        "deployment-controller",
        "disruption-controller",
        "endpoint-controller",
        "endpointslice-controller",
        "endpointslicemirroring-controller",
        "ephemeral-volume-controller",
        "expand-controller",
        "generic-garbage-collector",
        "horizontal-pod-autoscaler",
        "job-controller",
        "legacy-service-account-token-cleaner",
        "namespace-controller",
        "node-controller",
        "persistent-volume-binder",
        "pod-garbage-collector",
        "pv-protection-controller",
        "pvc-protection-controller",
        "replicaset-controller",
        "replication-controller",
        "resource-claim-controller",
        "resourcequota-controller",
        "root-ca-cert-publisher",
        "service-account-controller",
        "statefulset-controller",
        "ttl-after-finished-controller",
        "ttl-controller",
        "validatingadmissionpolicy-status-controller",
    }
)
"""Service accounts of the controllers in kube-controller-manager (upstream names)."""
NODE_CLIENTS = frozenset({"kubelet", "kube-proxy", "kubeadm", "empty", ""})
"""Programs that use a node's certificate rightfully; an unknown client counts as one of them."""


class Place(Struct, array_like=True):
    """A pod, node or address, and what was seen there; each value with the number of requests."""

    addresses: dict[str, int] = {}
    clients: dict[str, int] = {}
    principals: dict[str, float] = {}
    """Username and when it was first seen."""
    node: str = ""
    sessions: list[int] = []


class Kind(Struct):
    """What references to all requests of one kind share."""

    words: Words | None = None
    """None until there is one."""


class State:
    """Shared memory of the links of one cluster."""

    def __init__(self) -> None:
        self._referred: tuple[Stub, EventRef] | None = None
        self.sessions = Sessions()
        self.places: dict[str, Place] = {}
        self.places_evicted = 0
        self.ledgers: dict[str, Ledger] = {}
        self.kind = Kind()
        """Of the stub at hand."""
        self.routine = False
        """Whether the identity at hand had often done the kind of thing that it does now."""
        self.habit_seconds = 0.0
        """When the identity at hand first did the kind of thing that it does now."""
        self.grant_seconds = 0.0
        """When it was first allowed something by the binding at hand."""

    def refer(self, stub: Stub, session: Session) -> EventRef:
        """The stub at hand in brief, made once for all who ask."""
        referred = self._referred
        if referred is None or referred[0] is not stub:
            kind = self.kind
            if kind.words is None:
                kind.words = words_of(stub)
            referred = self._referred = (stub, refer(stub, session.number, kind.words, routine=self.routine))
        return referred[1]

    def ledger(self, name: str, horizon_seconds: float, capacity: int = 20_000, depth: int = 1) -> Ledger:
        """The ledger of this name, made on first use."""
        ledger = self.ledgers.get(name)
        if ledger is None:
            ledger = self.ledgers[name] = Ledger(horizon_seconds, capacity, depth)
        return ledger

    def place(self, kind: str, name: str) -> Place:
        """What is known of a pod ("namespace/name"), node or address; made on first use."""
        key = f"{kind} {name}"
        place = self.places.get(key)
        if place is None:
            if len(self.places) >= MAX_PLACES:
                del self.places[next(iter(self.places))]
                self.places_evicted += 1
            place = self.places[key] = Place({}, {}, {}, "", [])
        return place

    def find_place(self, kind: str, name: str) -> Place | None:
        """What is known of a place, without making it."""
        return self.places.get(f"{kind} {name}")

    def settle(self, session: Session) -> None:
        """Note where a new session lives: its pod, node and address."""
        user, source = session.user, session.source
        if session.pod:
            pod = self.place("pod", f"{session.namespace}/{session.pod}")
            pod.node = session.node or pod.node
            remember(pod, session)
        if session.kind == "node":
            remember(self.place("node", user.removeprefix("system:node:")), session)
        if source:
            place = self.place("address", source)
            if user not in place.principals and len(place.principals) < MAX_VALUES and not session.anonymous:
                place.principals[user] = session.first_seconds

    def is_shared(self, address: str, now: float) -> bool:
        """Whether more principals come from an address than one person has."""
        place = self.find_place("address", address)
        if place is None:
            return False
        recent = sum(1 for first in place.principals.values() if now - first <= 7 * DAY_SECONDS)
        return recent > SHARED_PRINCIPALS

    def is_node_address(self, node: str, address: str) -> bool:
        """Whether a node's own agent uses this address, as pods of the host network and behind its NAT do."""
        place = self.find_place("node", node)
        return place is not None and address in place.addresses


def remember(place: Place, session: Session) -> None:
    """Note a session's address and client at its place."""
    source, client = session.source, session.client
    if source and (source in place.addresses or len(place.addresses) < MAX_VALUES):
        place.addresses[source] = place.addresses.get(source, 0) + 1
    if client and (client in place.clients or len(place.clients) < MAX_VALUES):
        place.clients[client] = place.clients.get(client, 0) + 1
    if session.number not in place.sessions:
        place.sessions = [*place.sessions, session.number][-MAX_VALUES:]


def is_controller(session: Session) -> bool:
    """Whether the session is a controller of the control plane at work, known by its account and, if any, its client."""
    prefix, _, name = session.user.rpartition(":")
    if prefix != "system:serviceaccount:kube-system" or name not in CONTROLLERS:
        return False
    return session.client in CONTROLLER_CLIENTS


def is_routine_actor(session: Session) -> bool:
    """Whether the session is the machinery itself: control plane, managed service, or a kubelet at its daily work."""
    if session.kind in ROUTINE_KINDS or is_controller(session):
        return True
    return session.kind == "node" and session.client in NODE_CLIENTS


def is_hub(session: Session) -> bool:
    """Whether lineage stops here: the machinery, or a session that causes more in a day than a person does."""
    return session.machine or session.children > CHILDREN_A_DAY


def count_child(session: Session, now: float) -> None:
    """Count one effect of a session for today."""
    day = int(now // DAY_SECONDS)
    if session.children_day != day:
        session.children_day, session.children = day, 0
    session.children += 1
