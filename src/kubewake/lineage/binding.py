"""L4: a role binding written, and the requests that it allows."""

import re
from collections.abc import Iterable
from functools import lru_cache

from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause
from kubewake.lineage.link import PATH_HORIZON_SECONDS, Coverage, Link, LinkInfo, link_kind
from kubewake.lineage.reference import refer
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

PERSON_GRANT_NATS = 1.0
SELF_GRANT_NATS = 1.5
MAX_USES = 64
"""Requests of one binding that are linked one by one; an attacker's first ones tell the story."""
_REASON = re.compile(
    r'RBAC: allowed by (?P<kind>ClusterRoleBinding|RoleBinding) "(?P<binding>[^"]*)" '
    r'of (?P<role_kind>ClusterRole|Role) "(?P<role>[^"]*)" to (?P<subject_kind>\w+) "(?P<subject>.*)"$'
)
WRITES = frozenset({"create", "update", "patch"})


@lru_cache(maxsize=8192)
def grant_of(reason: str) -> tuple[str, str, str, str, str] | None:
    """Binding kind, binding key, role kind, role and subject that a reason names; None where it names no binding.

    The server writes a RoleBinding as "name/namespace".
    """
    found = _REASON.match(reason)
    if found is None:
        return None
    name, _, namespace = found["binding"].partition("/")
    subject = f"{found['subject_kind']} {found['subject']}"
    return (found["kind"], binding_key(found["kind"], namespace, name), found["role_kind"], found["role"], subject)


def binding_key(kind: str, namespace: str, name: str) -> str:
    """Key of a binding in the ledger, from an object or from a reason."""
    return f"RoleBinding {namespace}/{name}" if kind == "RoleBinding" else f"ClusterRoleBinding {name}"


def granting_nats(granter: str, user: str) -> float:
    """Evidence that a grant gives against its user: people who grant by hand, and what is granted to oneself."""
    if granter.startswith("system:"):
        return 0.0
    return PERSON_GRANT_NATS if granter != user else SELF_GRANT_NATS


@link_kind(
    LinkInfo(
        "L4",
        "binding written, then a request allowed by it",
        "annotation authorization.k8s.io/reason names the binding; an older grant may mask it",
        "Metadata",
        1.0,
    ),
    [("rolebindings", ""), ("clusterrolebindings", "")],
)
class BindingUse:
    """Fresh bindings by kind, namespace and name."""

    def __init__(self, state: State) -> None:
        self.coverage = Coverage()
        self._state = state
        self._bindings = state.ledger("binding", PATH_HORIZON_SECONDS)

    def record(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """Remember who wrote a binding."""
        if stub.verb in WRITES and stub.outcome == "allowed" and not session.machine:
            kind = "RoleBinding" if stub.resource == "rolebindings" else "ClusterRoleBinding"
            ref = refer(stub, session.number)
            self._bindings.put(binding_key(kind, stub.namespace, ref.name), Cause(ref, now))
        return ()

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]:
        """This request, where a fresh binding allowed it, to someone new to it and to the deed.

        A new grant may come to answer for what an older one allowed before; that is no effect of it.
        """
        if not self._bindings.size:
            return ()
        grant = grant_of(stub.reason)
        if grant is None:
            return ()
        kind, key, role_kind, role, _ = grant
        name = key.partition(" ")[2]
        links = []
        for cause in self._bindings.get(key, now):
            if self._state.grant_seconds < cause.seconds or self._state.habit_seconds < cause.seconds:
                continue
            if cause.uses >= MAX_USES or (stub.resource, stub.key) == (cause.ref.resource, cause.ref.key):
                continue
            cause.uses += 1
            links.append(
                Link(
                    id="L4",
                    cause=cause.ref.session,
                    effect=session.number,
                    strength=1.0,
                    scope="request",
                    text=f"allowed by {kind} {name}, which {cause.ref.user} had written",
                    source=Entity("binding", name),
                    target=Entity("role", f"{role_kind}/{role}"),
                    cause_ref=cause.ref,
                    effect_ref=refer(stub, session.number),
                    nats=granting_nats(cause.ref.user, session.user),
                    tactic="privilege-escalation",
                    seconds=now,
                ),
            )
        return links
