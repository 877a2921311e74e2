"""RBAC as far as it is known: loaded from a dump, learnt from the stream, or both."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.errors import InputError
from kubewake.rbac.model import Binding, Grant, Request, Role, Rule, Subject, binding_of, groups_of, role_of
from kubewake.snapshot import decode_state

ROLE_KINDS = frozenset({"Role", "ClusterRole"})
BINDING_KINDS = frozenset({"RoleBinding", "ClusterRoleBinding"})
MASTERS_ROLE = Role("(built in)", rules=(Rule(("*",), ("*",), ("*",)), Rule(("*",), non_resource_urls=("*",))))
MASTERS_BINDING = Binding("(built in)", "", "ClusterRole", "(built in)", (Subject("Group", "system:masters"),))
"""Members of system:masters pass every check without RBAC; no binding can take that away."""


class _Saved(Struct):
    roles: list[Role]
    bindings: list[Binding]
    service_accounts: list[tuple[str, str]]


class RbacState:
    """Roles and bindings of one cluster, with what they allow."""

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], Role] = {}
        self._bindings: dict[tuple[str, str], Binding] = {}
        self.service_accounts: set[tuple[str, str]] = set()
        """(namespace, name) of known service accounts."""
        self._by_subject: dict[Subject, set[tuple[str, str]]] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known yet."""
        return not self._roles and not self._bindings

    @property
    def roles(self) -> Iterable[Role]:
        """Every role, by namespace and name."""
        return (self._roles[key] for key in sorted(self._roles))

    @property
    def bindings(self) -> Iterable[Binding]:
        """Every binding, by namespace and name."""
        return (self._bindings[key] for key in sorted(self._bindings))

    def put(self, value: Mapping[str, Any], namespace: str = "") -> None:
        """Take in one API object: a role, a binding, a service account, or a List of such; others are ignored."""
        kind = value.get("kind")
        items = value.get("items")
        if isinstance(items, list) and isinstance(kind, str) and kind.endswith("List"):
            for item in items:
                if isinstance(item, Mapping):
                    self.put({"kind": kind.removesuffix("List"), **item} if kind != "List" else item, namespace)
        elif kind in ROLE_KINDS:
            role = role_of(value, namespace if kind == "Role" else "")
            self._roles[role.namespace, role.name] = role
        elif kind in BINDING_KINDS:
            binding = binding_of(value, namespace if kind == "RoleBinding" else "")
            self._bindings[binding.namespace, binding.name] = binding
            self._by_subject = None
        elif kind == "ServiceAccount":
            metadata = value.get("metadata")
            if isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str):
                self.service_accounts.add((str(metadata.get("namespace") or namespace), metadata["name"]))

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Forget a deleted object."""
        if kind in ROLE_KINDS:
            self._roles.pop((namespace, name), None)
        elif kind in BINDING_KINDS:
            self._bindings.pop((namespace, name), None)
            self._by_subject = None
        elif kind == "ServiceAccount":
            self.service_accounts.discard((namespace, name))

    def role(self, kind: str, namespace: str, name: str) -> Role | None:
        """The role that a binding in `namespace` refers to."""
        return self._roles.get((namespace if kind == "Role" else "", name))

    def rules_of(self, role: Role) -> tuple[Rule, ...]:
        """The role's rules, aggregated ClusterRoles included even where the controller has not filled them in yet."""
        if not role.aggregates:
            return role.rules
        rules = dict.fromkeys(role.rules)
        for other in self._roles.values():
            if other.namespace or other.name == role.name:
                continue
            if any(selector.items() <= other.labels.items() for selector in role.aggregates):
                rules.update(dict.fromkeys(other.rules))
        return tuple(rules)

    def grants(self, identity: str, groups: tuple[str, ...] = ()) -> Iterator[Grant]:
        """Every rule that an identity has, with the binding, role and subject through which it has it."""
        if self._by_subject is None:
            self._by_subject = {}
            for key, binding in self._bindings.items():
                for subject in binding.subjects:
                    self._by_subject.setdefault(subject, set()).add(key)
        member_of = groups_of(identity, groups)
        if "system:masters" in member_of:
            for rule in MASTERS_ROLE.rules:
                yield Grant(MASTERS_BINDING, MASTERS_ROLE, rule, MASTERS_BINDING.subjects[0])
        subjects = [Subject("User", identity), *(Subject("Group", group) for group in sorted(member_of))]
        if identity.startswith("system:serviceaccount:") and identity.count(":") == 3:
            _, _, namespace, name = identity.split(":")
            subjects.append(Subject("ServiceAccount", name, namespace))
        for subject in subjects:
            for key in sorted(self._by_subject.get(subject, ())):
                binding = self._bindings[key]
                role = self.role(binding.role_kind, binding.namespace, binding.role_name)
                if role is not None:
                    for rule in self.rules_of(role):
                        yield Grant(binding, role, rule, subject)

    def why(self, request: Request, identity: str, groups: tuple[str, ...] = ()) -> Grant | None:
        """The grant that allows the request, cluster-wide ones first as the API server looks; None if there is none."""
        found = None
        for grant in self.grants(identity, groups):
            if grant.namespace and grant.namespace != request.namespace:
                continue
            if grant.namespace and request.path:
                continue
            if grant.rule.allows(request):
                if not grant.namespace:
                    return grant
                found = found or grant
        return found

    def who_can(self, request: Request) -> list[Grant]:
        """Every subject that may do it, each with one grant; a namespaced grant counts only for its namespace."""
        found: dict[Subject, Grant] = {}
        for binding in self.bindings:
            if binding.namespace and binding.namespace != request.namespace:
                continue
            role = self.role(binding.role_kind, binding.namespace, binding.role_name)
            if role is None:
                continue
            rule = next((rule for rule in self.rules_of(role) if rule.allows(request)), None)
            if rule is not None and not (binding.namespace and request.path):
                for subject in binding.subjects:
                    found.setdefault(subject, Grant(binding, role, rule, subject))
        found.setdefault(
            MASTERS_BINDING.subjects[0],
            Grant(MASTERS_BINDING, MASTERS_ROLE, MASTERS_ROLE.rules[0], MASTERS_BINDING.subjects[0]),
        )
        return [found[subject] for subject in sorted(found)]

    def dangling(self) -> list[Binding]:
        """Bindings whose role is not there: harmless today, a grant the day someone creates a role of that name."""
        return [
            binding
            for binding in self.bindings
            if self.role(binding.role_kind, binding.namespace, binding.role_name) is None
        ]

    def copy(self) -> "RbacState":
        """A state that can change on its own; roles and bindings are immutable and shared."""
        other = RbacState()
        other._roles = dict(self._roles)
        other._bindings = dict(self._bindings)
        other.service_accounts = set(self.service_accounts)
        return other

    def snapshot(self) -> bytes:
        """All roles, bindings and service accounts."""
        return msgspec.msgpack.encode(
            _Saved(list(self.roles), list(self.bindings), sorted(self.service_accounts)),
        )

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        saved = decode_state(data, _Saved, "saved RBAC")
        self._roles = {(role.namespace, role.name): role for role in saved.roles}
        self._bindings = {(binding.namespace, binding.name): binding for binding in saved.bindings}
        self.service_accounts = set(saved.service_accounts)
        self._by_subject = None


def load_dump(path: Path) -> RbacState:
    """RBAC from `kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts -A -o yaml|json`.

    Raises InputError where the file cannot be read or holds no RBAC object.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        documents = (
            [msgspec.json.decode(text)] if text.lstrip().startswith("{") else list(yaml.load_all(text, _loader()))
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check --rbac") from error
    except (UnicodeDecodeError, yaml.YAMLError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as YAML or JSON ({error}); give a `kubectl get … -o yaml` dump"
        ) from error
    state = RbacState()
    for document in documents:
        if isinstance(document, Mapping):
            state.put(document)
    if state.is_empty:
        raise InputError(
            f"{path}: holds no role or binding; make it with "
            "`kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts -A -o yaml`",
        )
    return state


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
