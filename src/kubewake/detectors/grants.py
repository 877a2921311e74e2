"""Which grant allowed a request: parsed from the authorizer's reason (links L4 and L5)."""

import re
from functools import lru_cache

from msgspec import Struct

_REASON = re.compile(
    r'^RBAC: allowed by (ClusterRoleBinding|RoleBinding) "([^"]+)" of (ClusterRole|Role) "([^"]+)" to '
    r'(User|Group|ServiceAccount) "([^"]+)"'
)


class Grant(Struct, frozen=True):
    """A binding, the role that it gives, and to whom. A RoleBinding's name is `name/namespace`, as in the reason."""

    binding_kind: str
    binding: str
    role_kind: str
    role: str
    subject_kind: str
    subject: str

    @property
    def binding_path(self) -> str:
        """The binding as people write it: `namespace/name`, or the name alone."""
        name, _, namespace = self.binding.partition("/")
        return f"{namespace}/{name}" if namespace else name


@lru_cache(maxsize=16384)
def grant_of(reason: str) -> Grant | None:
    """The grant that an `authorization.k8s.io/reason` names; None for other authorizers and superusers."""
    match = _REASON.match(reason)
    return Grant(*match.groups()) if match is not None else None


@lru_cache(maxsize=16384)
def reason_keys(reason: str) -> tuple[str, ...]:
    """The keys of the binding and the role that a reason names, as `written_grant` makes them; none for others."""
    grant = grant_of(reason)
    return () if grant is None else keys_of(grant)


def written_grant(resource: str, namespace: str, name: str) -> str:
    """The key of a role or binding that is written: kind and name as a reason spells them; "" for other resources."""
    if resource == "clusterrolebindings":
        return f"ClusterRoleBinding {name}"
    if resource == "rolebindings":
        return f"RoleBinding {name}/{namespace}"
    if resource == "clusterroles":
        return f"ClusterRole {name}"
    return f"Role {name}/{namespace}" if resource == "roles" else ""


def keys_of(grant: Grant) -> tuple[str, str]:
    """The keys of a grant's binding and role, as `written_grant` makes them."""
    role = grant.role if grant.role_kind == "ClusterRole" else f"{grant.role}/{grant.binding.rpartition('/')[2]}"
    return f"{grant.binding_kind} {grant.binding}", f"{grant.role_kind} {role}"
