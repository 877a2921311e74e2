"""How the request ended, on whose behalf it was made, and what allowed it."""

import re
from functools import lru_cache

from msgspec import Struct

from kubewake.facts.actor import CLOUD_PREFIXES, CONTROL_PLANE, NODE, is_system_namespace, service_account_of
from kubewake.facts.facts import Facts
from kubewake.facts.registry import field

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"

_RBAC_REASON = re.compile(
    r'RBAC: allowed by (?P<binding_kind>\w+) "(?P<binding>[^"]*)" of (?P<role_kind>\w+) "(?P<role>[^"]*)"'
)


class Grant(Struct, frozen=True, gc=False):
    """The binding and role that an authorization reason names."""

    binding_kind: str
    binding: str
    role_kind: str
    role: str


@lru_cache(maxsize=4096)
def parse_reason(reason: str) -> Grant | None:
    """The grant that an RBAC reason names; None for other authorizers and refusals."""
    match = _RBAC_REASON.match(reason)
    return Grant(**match.groupdict()) if match is not None else None


def _annotation(facts: Facts, key: str) -> str | None:
    annotations = facts.event.annotations
    return annotations.get(key) if annotations is not None else None


def code_of(facts: Facts) -> int:
    """The HTTP status of the answer, 0 where the event does not say."""
    status = facts.event.response_status
    return (status.code or 0) if status is not None else 0


@field(
    "outcome",
    "text",
    "How the request ended: denied (401, 403, or the authorizer forbade it), failed (any other status from 400), "
    "else allowed. Where no status is known the authorizer's decision counts.",
    scope="behaviour",
    example="allowed",
)
def outcome(facts: Facts) -> str:
    code = code_of(facts)
    if code in (401, 403):
        return "denied"
    if code >= 400:
        return "failed"
    decision = _annotation(facts, DECISION)
    if decision in ("forbid", "deny") and code == 0:
        return "denied"
    return "allowed"


@field("authorization.decision", "text", "The authorizer's decision: allow or forbid.", scope="behaviour",
       example="allow")  # fmt: skip
def decision(facts: Facts) -> str | None:
    return _annotation(facts, DECISION)


@field("authorization.reason", "text", "The authorizer's reason; empty for members of system:masters.",
       scope="behaviour", example='RBAC: allowed by RoleBinding "view" of ClusterRole "view" to User "ann"')  # fmt: skip
def reason(facts: Facts) -> str | None:
    return _annotation(facts, REASON)


def _grant(facts: Facts) -> Grant | None:
    text = _annotation(facts, REASON)
    return parse_reason(text) if text else None


@field("authorization.binding_kind", "text", "Kind of the binding that allowed the request: RoleBinding or "
       "ClusterRoleBinding.", scope="behaviour", example="ClusterRoleBinding")  # fmt: skip
def binding_kind(facts: Facts) -> str | None:
    grant = _grant(facts)
    return grant.binding_kind if grant is not None else None


@field("authorization.binding", "text", "Name of the binding that allowed the request; namespace/name order is the "
       "server's: name/namespace for RoleBindings.", scope="behaviour", example="edit-team/shop")  # fmt: skip
def binding(facts: Facts) -> str | None:
    grant = _grant(facts)
    return grant.binding if grant is not None else None


@field("authorization.role_kind", "text", "Kind of the role that allowed the request: Role or ClusterRole.",
       scope="behaviour", example="ClusterRole")  # fmt: skip
def role_kind(facts: Facts) -> str | None:
    grant = _grant(facts)
    return grant.role_kind if grant is not None else None


@field("authorization.role", "text", "Name of the role that allowed the request.", scope="behaviour",
       example="edit")  # fmt: skip
def role(facts: Facts) -> str | None:
    grant = _grant(facts)
    return grant.role if grant is not None else None


@field("impersonation.user", "text", "The identity that the request was made as, by impersonation; none without.",
       scope="behaviour", example="system:admin")  # fmt: skip
def impersonation_user(facts: Facts) -> str | None:
    user = facts.event.impersonated_user
    return (user.username or "") if user is not None else None


@field(
    "impersonation.groups",
    "list",
    "Groups of the impersonated identity.",
    scope="behaviour",
    example="[system:masters]",
)
def impersonation_groups(facts: Facts) -> list[str] | None:
    user = facts.event.impersonated_user
    return list(user.groups or ()) if user is not None else None


@field("impersonation.uid", "text", "UID that the client asked to impersonate.", scope="behaviour", example="1234")
def impersonation_uid(facts: Facts) -> str | None:
    user = facts.event.impersonated_user
    return user.uid if user is not None else None


@field("impersonation.extra", "mapping", "Extra attributes that the client asked to impersonate.",
       example="{scopes: [admin]}")  # fmt: skip
def impersonation_extra(facts: Facts) -> dict[str, list[str]] | None:
    user = facts.event.impersonated_user
    return user.extra if user is not None else None


PRIVILEGED_GROUPS = frozenset({"system:masters", "cluster-admin", "cluster-admins", "system:nodes",
                               "system:cluster-admins", "kubeadm:cluster-admins"})  # fmt: skip
PRIVILEGED_USERS = frozenset({"admin", "cluster-admin", "kubernetes-admin", "kubernetes-super-admin", "system:admin",
                              "kube:admin", "system:masters", "kubernetes-admin@kubernetes"})  # fmt: skip


@field(
    "impersonation.is_privileged",
    "boolean",
    "Whether the impersonated identity is an administrator, a control-plane component, a node, a member of "
    "system:masters, or a service account of a platform namespace; none without impersonation.",
    scope="behaviour",
    example="true",
)
def is_privileged(facts: Facts) -> bool | None:
    user = facts.event.impersonated_user
    if user is None:
        return None
    name = user.username or ""
    if not PRIVILEGED_GROUPS.isdisjoint(user.groups or ()):
        return True
    if name in PRIVILEGED_USERS or name in CONTROL_PLANE or name.startswith((NODE, *CLOUD_PREFIXES, "system:kube-")):
        return True
    account = service_account_of(name)
    return account is not None and is_system_namespace(account[0])


@field("effective.user", "text", "The identity whose rights counted: the impersonated one, else the authenticated.",
       scope="behaviour", example="alice")  # fmt: skip
def effective_user(facts: Facts) -> str:
    user = facts.event.impersonated_user
    return (user.username or "") if user is not None else facts.username


@field(
    "effective.groups",
    "list",
    "Groups of the identity whose rights counted.",
    scope="behaviour",
    example="[developers]",
)
def effective_groups(facts: Facts) -> list[str]:
    user = facts.event.impersonated_user
    return list(user.groups or ()) if user is not None else list(facts.groups)
