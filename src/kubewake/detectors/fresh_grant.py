"""Permissions right after they were granted: first use of a new grant, and a denied action that then succeeds."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.grants import reason_keys, written_grant
from kubewake.detectors.ledger import Ledger, moment
from kubewake.finding import Attack
from kubewake.observation import Evidence, Stub, evidence_of
from kubewake.rules.model import RuleInfo

MAX_GRANTS = 20_000
MAX_DENIALS = 50_000
MAX_USES = 50_000
FRESH_SECONDS = 72 * 3600
"""A grant is new for this long."""
DENIAL_SECONDS = 24 * 3600
"""A denial is remembered for this long."""

FIRST_USE = RuleInfo(
    id="new-grant-first-use",
    title="Freshly granted permission used",
    level="medium",
    description="A request is allowed by a role or binding that somebody else created or changed in the last 72 hours. "
    "The server names the binding and the role; an older grant that allows the same may mask a new one.",
    attack=Attack(["privilege-escalation", "persistence"], ["T1098.006"]),
    falsepositives=("Every installation and every new colleague.",),
    references=("https://kubernetes.io/docs/reference/access-authn-authz/rbac/",),
    covers=("new-grant-first-use",),
    confidence="medium",
    audience="pedantic",
    group_by=("grant.subject", "grant.key"),
    window_seconds=86_400,
    story="{actor.name} used a right for the first time that {grant.writer} granted at {grant.written_at} ({grant.key}).",
    remediation=(
        "Ask {grant.writer} why the right was granted",
        "kubectl get rolebindings,clusterrolebindings -A -o wide | grep {grant.name}",
        "Remove the binding if it has no ticket, and look at what {actor.name} did with it",
    ),
    kind="detector",
    tactic="privilege-escalation",
)

DENIED = RuleInfo(
    id="denied-then-allowed",
    title="Denied action succeeds after rights were changed",
    level="high",
    description="An identity is refused an action; then roles or bindings are written, or the identity comes back with "
    "more groups; then the same action is allowed by what was written. High where the identity itself, or one from its "
    "own address, wrote the grant; medium where somebody else did, as in support. Grants that a known component writes "
    "in its job do not count: programs often start before GitOps has made their bindings.",
    attack=Attack(["privilege-escalation"], ["T1098.006", "T1098"]),
    falsepositives=("Somebody asks for a right, gets it, and tries again.",),
    references=("https://kubernetes.io/docs/reference/access-authn-authz/rbac/",),
    covers=("denied-then-allowed",),
    confidence="medium",
    story="{actor.name} was refused {target.verb} {target.resource} (namespace {target.namespace}) and later allowed to do "
    "it, because {grant.writer} had changed {grant.key} in between. That is how rights are widened step by step.",
    remediation=(
        "Ask {grant.writer} for the reason of the change at {grant.written_at}",
        "kubectl get rolebindings,clusterrolebindings -A -o wide | grep {grant.name}   # remove it if it has no ticket",
        "Look at everything {actor.name} did since {grant.written_at}",
    ),
    kind="detector",
    tactic="privilege-escalation",
)


class Written(Struct, array_like=True):
    """Who wrote a role or binding last, and when."""

    writer: str
    source: str
    routine: bool
    """Whether a known component wrote it in its job, as GitOps controllers do."""
    evidence: Evidence


class Denial(Struct, array_like=True):
    """A refused action: when, and the groups of the identity then."""

    groups: tuple[str, ...]
    credential: str
    evidence: Evidence


class _Saved(Struct):
    grants: list[tuple[str, Written]]
    denials: list[tuple[tuple[str, str, str, str, str], Denial]]
    used: list[tuple[str, str]]


@detector(FIRST_USE, DENIED, wants=lambda scene: scene.outcome in ("allowed", "denied"))
class FreshGrant:
    """Remembers what was granted and what was refused."""

    def __init__(self) -> None:
        self._grants: Ledger[str, Written] = Ledger(MAX_GRANTS)
        self._denials: Ledger[tuple[str, str, str, str, str], Denial] = Ledger(MAX_DENIALS)
        self._used: Ledger[str, str] = Ledger(MAX_USES)
        """By identity and grant: time of the grant whose use was reported."""
        self._refused: dict[str, set[str]] = {}
        """By user: verbs of what may have been refused; nothing else was."""
        self._unrelated: set[str] = set()
        """Reasons that name nothing that was granted, until something else is."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Note grants and refusals; report what they lead to."""
        if stub.outcome == "denied":
            if stub.resource and stub.user:
                refusal = Denial(stub.groups, stub.credential, evidence_of(stub))
                self._denials.put(_action(stub), refusal)
                self._refused.setdefault(stub.user, set()).add(stub.verb)
                if len(self._refused) > 2 * MAX_DENIALS:
                    self._refused = _verbs_by_user(self._denials)
            return ()
        if stub.outcome != "allowed":
            return ()
        denial = self._denials.get(_action(stub)) if stub.verb in self._refused.get(stub.user, ()) else None
        found: Iterable[Detection] = ()
        if denial is not None or (stub.reason not in self._unrelated and self._names_grant(stub.reason)):
            found = tuple(self._judge(stub, denial))
        if stub.api_group == "rbac.authorization.k8s.io" and stub.verb in ("create", "update", "patch"):
            key = written_grant(stub.resource, stub.namespace, stub.name or str(stub.values.get("object.name", "")))
            if key and not stub.values.get("request.dry_run"):
                routine = bool(stub.values.get("actor.in_profile")) or stub.actor_kind in ("control-plane", "cloud")
                writer = stub.impersonated or stub.user
                if key not in self._grants:
                    self._unrelated.clear()
                self._grants.put(key, Written(writer, stub.source, routine, evidence_of(stub)))
        return found

    def _names_grant(self, reason: str) -> bool:
        """Whether the binding or the role that allowed a request was written of late."""
        for name in reason_keys(reason):
            if self._grants.get(name) is not None:
                return True
        if len(self._unrelated) >= MAX_GRANTS:
            self._unrelated.clear()
        self._unrelated.add(reason)
        return False

    def _judge(self, stub: Stub, denial: Denial | None) -> Iterator[Detection]:
        key, written = "", None
        for name in reason_keys(stub.reason):
            found = self._grants.get(name)
            if found is not None and 0 <= moment(stub.time) - moment(found.evidence.time) <= FRESH_SECONDS:
                key, written = name, found
                break
        if denial is not None:
            yield from self._succeeded(stub, denial, key, written)
        if written is not None and written.writer != stub.user:
            use = f"{stub.user} {key}"
            if self._used.get(use) != written.evidence.time:
                self._used.put(use, written.evidence.time)
                yield Detection(
                    rule=FIRST_USE.id,
                    stub=stub,
                    evidence=(written.evidence,),
                    values={**_words(key, written), "grant.subject": stub.user},
                )

    def _succeeded(self, stub: Stub, denial: Denial, key: str, written: Written | None) -> Iterator[Detection]:
        if moment(stub.time) - moment(denial.evidence.time) > DENIAL_SECONDS:
            self._denials.pop(_action(stub))
            return
        if written is not None and written.evidence.time >= denial.evidence.time:
            self._denials.pop(_action(stub))
            if written.routine:
                return
            own = written.writer == stub.user or (written.source != "" and written.source == stub.source)
            yield Detection(
                rule=DENIED.id,
                stub=stub,
                evidence=(denial.evidence, written.evidence),
                values=_words(key, written),
                severity=None if own else "medium",
            )
        elif stub.credential != denial.credential and set(stub.groups) > set(denial.groups):
            self._denials.pop(_action(stub))
            more = ", ".join(sorted(set(stub.groups) - set(denial.groups)))
            yield Detection(
                rule=DENIED.id,
                stub=stub,
                evidence=(denial.evidence,),
                values={"grant.writer": "somebody", "grant.key": f"its login (now also in {more})", "grant.name": more,
                        "grant.written_at": "a time in between"},
            )  # fmt: skip

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(_Saved(self._grants.items(), self._denials.items(), self._used.items()))

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._grants.fill(list(saved.grants))
        self._denials.fill(list(saved.denials))
        self._used.fill(list(saved.used))
        self._refused = _verbs_by_user(self._denials)
        self._unrelated.clear()


def _verbs_by_user(actions: Iterable[tuple[str, str, str, str, str]]) -> dict[str, set[str]]:
    verbs: dict[str, set[str]] = {}
    for action in actions:
        verbs.setdefault(action[0], set()).add(action[1])
    return verbs


def _action(stub: Stub) -> tuple[str, str, str, str, str]:
    return (
        stub.user,
        stub.verb,
        f"{stub.api_group}/{stub.resource}/{stub.subresource}",
        stub.namespace,
        stub.impersonated,
    )


def _words(key: str, written: Written) -> dict[str, str]:
    kind, _, name = key.partition(" ")
    return {
        "grant.key": f"{kind} {name}",
        "grant.name": name.partition("/")[0],
        "grant.writer": written.writer,
        "grant.written_at": written.evidence.time,
    }
