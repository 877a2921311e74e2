"""An identity that finds out what it may do, by several means at once."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.finding import Attack, Severity
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.correlation import microseconds
from kubewake.rules.model import RuleInfo

PROBING = RuleInfo(
    id="privilege-probing",
    title="Identity finds out what it may do",
    level="medium",
    kind="detector",
    tactic="discovery",
    attack=Attack(tactics=["discovery"], techniques=["T1069", "T1613"], threat_matrix=["MS-TA9029"]),
    description=(
        "One identity used several means within ten minutes to find out what it may do: lists of its own permissions, "
        "many single questions, trial runs, impersonation, a sweep over the API's documents, requests for many kinds "
        "of objects that were refused. High when the identity is a program's."
    ),
    falsepositives=("A person's first day with a new role; an administrator who tests one.",),
    references=(
        "https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access",
        "https://attack.mitre.org/techniques/T1069/",
    ),
    covers=("privilege-probing",),
    confidence="medium",
    story=(
        "{actor.name} used several means within ten minutes to find out what it may do ({means}), from {source.ip}. That is "
        "what somebody does first with a login that is not theirs."
    ),
    remediation=(
        "kubectl auth can-i --list --as={user.username}",
        "Ask the owner of {actor.name}; for a program's identity: kubectl get pods -A -o wide | grep -F {source.ip}",
        "If nobody knows: revoke the credential and list everything the identity was allowed since.",
    ),
    group_by=("user.username",),
)

WINDOW_MICROSECONDS = 600 * 1_000_000
QUESTIONS_ENOUGH = 5
REFUSED_KINDS_ENOUGH = 4
ROOTS_ENOUGH = 3
MEANS_OF_PERSON = 3
MEANS_OF_PROGRAM = 2
IDENTITIES_MAX = 10_000
KINDS_MAX = 64
"""Kinds of objects remembered as refused to one identity."""
ROOTS = frozenset({"api", "apis", "openapi", "version", "metrics", "logs", "debug", "swagger.json", "configz"})
"""First parts of the paths of the API's documents and of the server's own."""
SKIPPED_KINDS = frozenset({"control-plane", "node", "cloud", "anonymous"})
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

RULES_LISTED = "lists of its permissions"
QUESTIONS = "single questions about permissions"
WHO_AM_I = "the question who it is"
TRIAL_RUN = "trial runs that were refused"
IMPERSONATION = "acting as somebody else"
REFUSALS = "requests for many kinds of objects"
SWEEP = "a sweep over the API's documents"
ENOUGH = {QUESTIONS: QUESTIONS_ENOUGH, REFUSALS: REFUSED_KINDS_ENOUGH, SWEEP: ROOTS_ENOUGH}
"""How many different pieces make a means; one makes any other."""


class Piece(Struct, array_like=True):
    """One sign: by which means, about what, when last."""

    means: str
    about: str
    moment: int
    evidence: Evidence


@detector(
    PROBING,
    wants=lambda scene: (
        scene.actor_kind not in SKIPPED_KINDS
        and not scene.of_component
        and (scene.outcome == "denied" or not scene.resource or scene.resource.startswith("selfsubject"))
    ),
)
class Probing:
    """Remembers the signs of the last minutes for every identity that gave one."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[Piece]] = {}
        self._refused: dict[str, dict[str, int]] = {}

    def observe(self, stub: Stub) -> Iterator[Detection]:
        """Look at the next stub in event-time order."""
        if stub.actor_kind in SKIPPED_KINDS or stub.values.get("actor.in_profile"):
            return
        sign = sign_of(stub)
        if sign is None:
            return
        means, about = sign
        now = microseconds(stub.time)
        if means == REFUSALS and self._is_chronic(stub.user, about, now):
            return
        pieces = [
            piece
            for piece in self._pieces.pop(stub.user, ())
            if now - piece.moment < WINDOW_MICROSECONDS and (piece.means, piece.about) != sign
        ]
        pieces.append(Piece(means, about, now, evidence_of(stub)))
        self._pieces[stub.user] = pieces
        if len(self._pieces) > IDENTITIES_MAX:
            del self._pieces[next(iter(self._pieces))]
        counts: dict[str, int] = {}
        for piece in pieces:
            counts[piece.means] = counts.get(piece.means, 0) + 1
        used = sorted(name for name, count in counts.items() if count >= ENOUGH.get(name, 1))
        program = stub.actor_kind == "serviceaccount"
        if means not in used or len(used) < (MEANS_OF_PROGRAM if program else MEANS_OF_PERSON):
            return
        earlier = tuple(piece.evidence for piece in pieces[:-1] if piece.means in used)
        values = {"means": used, "user.username": stub.user}
        severity: Severity | None = "high" if program else None
        yield Detection(rule=PROBING.id, stub=stub, evidence=earlier, values=values, severity=severity)

    def _is_chronic(self, user: str, kind: str, now: int) -> bool:
        """Whether the identity has been refused this for longer than a window: a fault, not a question."""
        kinds = self._refused.get(user)
        if kinds is None:
            if len(self._refused) >= IDENTITIES_MAX:
                del self._refused[next(iter(self._refused))]
            kinds = self._refused[user] = {}
        first = kinds.get(kind)
        if first is None and len(kinds) < KINDS_MAX:
            kinds[kind] = now
        return first is not None and now - first >= WINDOW_MICROSECONDS

    def snapshot(self) -> bytes:
        """The signs of all identities, longest idle first, and what they are refused since when."""
        return msgspec.msgpack.encode((self._pieces, self._refused))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        saved = msgspec.msgpack.decode(data, type=tuple[dict[str, list[Piece]], dict[str, dict[str, int]]])
        self._pieces, self._refused = saved


def sign_of(stub: Stub) -> tuple[str, str] | None:
    """By which means, and about what, the request tells its sender what it may do; None for most requests.

    A program's sweep over the API's documents says nothing: its client library does that at every start. Neither does
    the first list of a cache that is refused.
    """
    program = stub.actor_kind == "serviceaccount"
    if not stub.resource:
        root = stub.uri.partition("?")[0].strip("/").partition("/")[0]
        return (SWEEP, root) if root in ROOTS and not program and stub.client != "kubectl" else None
    if stub.verb == "create":
        if stub.resource == "selfsubjectrulesreviews":
            return RULES_LISTED, ""
        if stub.resource == "selfsubjectreviews":
            return WHO_AM_I, ""
        if stub.resource == "selfsubjectaccessreviews":
            about = ("review.verb", "review.resource", "review.subresource", "review.namespace")
            known = " ".join(str(stub.values.get(name, "")) for name in about)
            return QUESTIONS, known if known.strip() else str(stub.key)
    if stub.outcome != "denied":
        return None
    if any(hit.rule == "impersonation-denied" for hit in stub.hits):
        return IMPERSONATION, ""
    if stub.values.get("request.dry_run") and stub.verb in WRITES:
        return TRIAL_RUN, ""
    return None if "resourceVersion=" in stub.uri else (REFUSALS, f"{stub.verb in WRITES} {stub.resource}")
