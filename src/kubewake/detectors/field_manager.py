"""A program's identity that writes in another way than it ever did.

Whoever writes may state a field manager in the request (`?fieldManager=…`), and programs do so out of habit, request
after request: a GitOps controller always states its own, plain client libraries and scripts state none. The server
logs it with the URI, so that it tells a foreign hand apart where a log has neither addresses nor user agents, or where
both are forged.
"""

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Ledger, moment
from kubewake.facts.facts import BUILTIN_GROUPS
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

MAX_WRITERS = 20_000
"""Identities, and pods that use them, that are remembered."""
MAX_MANAGERS = 8
"""Managers remembered of one writer: one with several has no manner that could be broken."""
HABIT_WRITES = 20
"""Writes, all in one manner, that make a habit."""
HABIT_SECONDS = 120.0
"""… and they must not all come from one burst."""
WRITES = frozenset({"create", "update", "patch"})
HOUSEKEEPING = frozenset({"leases", "events", "endpoints", "endpointslices"})
"""Written by client libraries of their own inside one program: leader election, event recorders."""
TOOL = "kubectl"
"""The stem of managers that a hand at a keyboard states."""

FOREIGN = RuleInfo(
    id="foreign-field-manager",
    title="Program's identity writes in a way it never did",
    level="high",
    description="A service account's writes all stated the same field manager, or none; now one states none, that of "
    "another program, or that of kubectl. Seen are writes to Kubernetes' own kinds, without status and other "
    "subresources. A pod must have shown the habit itself, so that a new version starts afresh; for tokens bound to no "
    "pod, which build systems share among tools, the level is medium.",
    attack=Attack(["lateral-movement", "defense-evasion"], ["T1550.001", "T1078.004"], ["MS-TA9016"]),
    falsepositives=(
        "A program that uses another library for some rare kind of write.",
        "A pipeline that starts to use another tool.",
    ),
    references=(
        "https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers",
        "https://attack.mitre.org/techniques/T1550/001/",
    ),
    covers=("credential-shared-clients",),
    confidence="medium",
    story="{actor.name} is a program that so far wrote as {writer.usual}; this request came as {writer.now}. Somebody "
    "else may be using its access token.",
    remediation=(
        "kubectl -n {actor.namespace} get pods -o wide   # was the program just changed or upgraded?",
        "Compare this request with what the program is configured to do",
        "If nobody can explain it: delete the pod, which ends its token, and look at everything the identity did since",
    ),
    kind="detector",
    tactic="lateral-movement",
)


class Writer(Struct, array_like=True):
    """In which manners an identity, or one pod of it, wrote, how often, and since when."""

    since: float
    managers: dict[str, int] = {}

    def learn(self, manager: str, writes: int) -> None:
        """Count writes in a manner."""
        known = self.managers.get(manager)
        if known is not None or len(self.managers) < MAX_MANAGERS:
            self.managers[manager] = (known or 0) + writes

    def has_habit(self, now: float) -> bool:
        """Whether it wrote often and for long, always in one manner."""
        return (
            len(self.managers) == 1
            and next(iter(self.managers.values())) >= HABIT_WRITES
            and now - self.since >= HABIT_SECONDS
        )


@detector(
    FOREIGN,
    wants=lambda scene: (
        scene.actor_kind == "serviceaccount"
        and scene.verb in WRITES
        and not scene.subresource
        and scene.resource not in HOUSEKEEPING
        and (scene.api_group in BUILTIN_GROUPS or scene.api_group.endswith(".k8s.io"))
        and not scene.api_group.startswith(("authentication.", "authorization."))
    ),
)
class FieldManager:
    """Learns how each program writes, and tells when it is done differently."""

    def __init__(self) -> None:
        self._writers: Ledger[str, Writer] = Ledger(MAX_WRITERS)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next write of a service account in event-time order."""
        manager = manager_of(stub.uri)
        identity = self._writer(stub.user, stub)
        hand = self._writer(f"{stub.user}\0{stub.pod_uid or stub.pod}", stub) if stub.pod else identity
        # A foreign manner is not learnt: a thief's tenth write is foreign, too.
        if manager not in hand.managers and _is_foreign(hand, identity, manager, moment(stub.time)):
            usual = next(iter(hand.managers))
            values = {"writer.usual": usual or "a nameless writer", "writer.now": manager or "a nameless writer"}
            return (Detection(rule=FOREIGN.id, stub=stub, values=values, severity=None if stub.pod else "medium"),)
        for writer in (hand, identity) if stub.pod else (hand,):
            if writer.managers.get(manager, 0) < HABIT_WRITES:  # more do not matter
                writer.learn(manager, stub.count)
        return ()

    def _writer(self, name: str, stub: Stub) -> Writer:
        writer = self._writers.get(name)
        if writer is None:
            writer = Writer(moment(stub.time), {})
            self._writers.put(name, writer)
        else:
            self._writers.renew(name)  # who is at work is not the next to be forgotten
        return writer

    def snapshot(self) -> bytes:
        """How everybody writes."""
        return msgspec.msgpack.encode(self._writers.items())

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._writers.fill(msgspec.msgpack.decode(data, type=list[tuple[str, Writer]]))


def manager_of(uri: str) -> str:
    """The field manager that a request states, cut where field managers end (128 characters); empty for none."""
    return _manager_in(uri.partition("?")[2]) if "fieldManager=" in uri else ""


@lru_cache(maxsize=4096)
def _manager_in(query: str) -> str:
    return parse_qs(query).get("fieldManager", [""])[0][:128]


def _is_foreign(hand: Writer, identity: Writer, manager: str, now: float) -> bool:
    """Whether a manner is another program's than the only one that this hand has shown, out of habit."""
    if len(hand.managers) != 1 or not (hand.has_habit(now) or identity.has_habit(now)):
        return False
    usual = next(iter(hand.managers))
    # Programs that state nothing begin to state their own name when they learn server-side apply.
    return _stem(manager) != _stem(usual) if usual else _stem(manager) == TOOL


def _stem(manager: str) -> str:
    """What the managers of one program have in common: `kubectl-edit` and `kubectl-set` are the same tool."""
    return manager.partition("-")[0]
