"""RBAC as the stream shows it: roles and bindings of one cluster, kept current from the writes that pass."""

from typing import Any

from kubewake.facts import Facts
from kubewake.observation import Stub
from kubewake.rbac import RbacState
from kubewake.rbac.reach import reach

KINDS = {
    "roles": "Role",
    "clusterroles": "ClusterRole",
    "rolebindings": "RoleBinding",
    "clusterrolebindings": "ClusterRoleBinding",
    "serviceaccounts": "ServiceAccount",
}
OBJECT = "rbac.object"
"""Name under which a stub carries the whole role, binding or service account that a request left behind."""

RBAC_WRITES = frozenset({"create", "update", "patch"})
KEPT_KEYS = ("kind", "rules", "roleRef", "subjects", "aggregationRule")


def written_object(facts: Facts) -> dict[str, Any] | None:
    """The role, binding or service account as it stands after the request; None where the log does not show it whole."""
    kind = KINDS.get(facts.resource)
    if kind is None or facts.subresource or facts.verb not in RBAC_WRITES or facts.outcome != "allowed":
        return None
    found = facts.response_object
    if found is None and facts.verb != "patch":
        found = facts.written
    if found is None:
        return None
    metadata = found.get("metadata")
    kept: dict[str, Any] = {key: found[key] for key in KEPT_KEYS if key in found}
    kept["kind"] = kind
    kept["metadata"] = {
        "name": facts.name or (metadata.get("name") if isinstance(metadata, dict) else None),
        "namespace": facts.namespace,
        "labels": metadata.get("labels") if isinstance(metadata, dict) else None,
    }
    return kept


class Access:
    """What identities of one cluster can do, as far as a dump or the stream has shown it."""

    def __init__(self, state: RbacState | None = None) -> None:
        self.state = RbacState() if state is None else state
        self.changes = 0

    def observe(self, stub: Stub) -> None:
        """Learn from a write or a deletion; other requests say nothing."""
        kind = KINDS.get(stub.resource)
        if kind is None or stub.subresource or stub.outcome != "allowed":
            return
        written = stub.values.get(OBJECT)
        if written is not None:
            self.state.put(written, stub.namespace)
            self.changes += 1
        elif stub.verb == "delete":
            self.state.remove(kind, stub.namespace, stub.name)
            self.changes += 1

    def reach(self, identity: str) -> list[str]:
        """The blast radius of an identity in plain sentences; empty where nothing is known."""
        return reach(self.state, identity).lines()
