"""What was used of what is granted, from allowed requests: unused grants, and a role with just what was needed."""

from collections.abc import Iterable

from msgspec import Struct

from kubewake.observation import Stub
from kubewake.rbac.model import Binding, Request, Rule
from kubewake.rbac.state import RbacState

MAX_USES = 200_000
"""Distinct uses remembered; further ones are counted in `RbacUsage.forgotten`."""


class Use(Struct, frozen=True, order=True):
    """One thing that an identity did and was allowed to do. Names are left out: least privilege by type."""

    identity: str
    verb: str
    api_group: str
    resource: str
    namespace: str
    path: str = ""

    def request(self) -> Request:
        """The use as a request; `resource` splits at the slash into resource and subresource."""
        resource, _, subresource = self.resource.partition("/")
        return Request(
            verb=self.verb,
            resource=resource,
            subresource=subresource,
            api_group=self.api_group,
            namespace=self.namespace,
            path=self.path,
        )


class RbacUsage:
    """Uses by identity. Feed it stubs; a refused request is no use."""

    def __init__(self) -> None:
        self._uses: dict[Use, int] = {}
        self._groups: dict[str, set[str]] = {}
        self.forgotten = 0

    def observe(self, stub: Stub) -> None:
        """Count the request if it was allowed (anything but 401 and 403: a 404 needed the permission too)."""
        identity = stub.impersonated or stub.user
        if stub.outcome == "denied" or not identity or not stub.verb:
            return
        if not stub.impersonated:
            self._groups.setdefault(identity, set()).update(stub.groups)
        resource = f"{stub.resource}/{stub.subresource}" if stub.subresource else stub.resource
        use = Use(
            identity,
            stub.verb,
            stub.api_group,
            resource,
            stub.namespace,
            "" if resource else stub.uri.partition("?")[0],
        )
        if use not in self._uses and len(self._uses) >= MAX_USES:
            self.forgotten += stub.count
            return
        self._uses[use] = self._uses.get(use, 0) + stub.count

    @property
    def identities(self) -> list[str]:
        """Everyone who did anything."""
        return sorted({use.identity for use in self._uses})

    @property
    def resources(self) -> set[tuple[str, str]]:
        """API group and resource, with its subresource, of everything that was used."""
        return {(use.api_group, use.resource) for use in self._uses if use.resource}

    def groups(self, identity: str) -> tuple[str, ...]:
        """The groups that the identity came with."""
        return tuple(sorted(self._groups.get(identity, ())))

    def uses(self, identity: str) -> list[tuple[Use, int]]:
        """What an identity did, with counts."""
        return sorted((use, count) for use, count in self._uses.items() if use.identity == identity)

    def unused(self, state: RbacState) -> list[tuple[Binding, list[Rule]]]:
        """Bindings with the rules that nobody used through them, by binding; a wholly unused binding lists all rules."""
        used: dict[tuple[str, str], set[Rule]] = {}
        for use in self._uses:
            request = use.request()
            for grant in state.grants(use.identity, self.groups(use.identity)):
                if grant.namespace and (grant.namespace != request.namespace or request.path):
                    continue
                if grant.rule.allows(request) or (grant.rule.resource_names and allows_some(grant.rule, request)):
                    used.setdefault((grant.binding.namespace, grant.binding.name), set()).add(grant.rule)
        found = []
        for binding in state.bindings:
            role = state.role(binding.role_kind, binding.namespace, binding.role_name)
            if role is None:
                continue
            seen = used.get((binding.namespace, binding.name), set())
            left = [rule for rule in state.rules_of(role) if rule not in seen]
            if left:
                found.append((binding, left))
        return found

    def least_privilege(self, identity: str) -> list[dict[str, object]]:
        """API objects (Role, ClusterRole, bindings) that allow what the identity did, and nothing else."""
        by_place: dict[str, list[Use]] = {}
        for use, _ in self.uses(identity):
            by_place.setdefault(use.namespace, []).append(use)
        name = "least-privilege-" + "".join(c if c.isalnum() else "-" for c in identity.lower()).strip("-")[-200:]
        documents: list[dict[str, object]] = []
        for namespace, uses in sorted(by_place.items()):
            kind = "Role" if namespace else "ClusterRole"
            metadata: dict[str, str] = {"name": name} | ({"namespace": namespace} if namespace else {})
            documents.append(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": kind,
                    "metadata": metadata,
                    "rules": rules_for(uses),
                },
            )
            documents.append(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": f"{kind}Binding",
                    "metadata": metadata,
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                    "subjects": [subject_for(identity)],
                },
            )
        return documents


def allows_some(rule: Rule, request: Request) -> bool:
    """Whether the rule allows the request for some object name (uses do not keep names)."""
    return any(
        rule.allows(
            Request(
                verb=request.verb,
                resource=request.resource,
                subresource=request.subresource,
                api_group=request.api_group,
                namespace=request.namespace,
                name=name,
                path=request.path,
            ),
        )
        for name in rule.resource_names
    )


def rules_for(uses: Iterable[Use]) -> list[dict[str, list[str]]]:
    """Policy rules for uses of one place: verbs that go with the same resources stand together."""
    verbs_of: dict[tuple[str, str], set[str]] = {}
    paths: dict[str, set[str]] = {}
    for use in uses:
        if use.resource:
            verbs_of.setdefault((use.api_group, use.resource), set()).add(use.verb)
        else:
            paths.setdefault(use.path, set()).add(use.verb)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), verbs in sorted(verbs_of.items()):
        grouped.setdefault((group, tuple(sorted(verbs))), []).append(resource)
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
        for (group, verbs), resources in sorted(grouped.items())
    ]
    by_verbs: dict[tuple[str, ...], list[str]] = {}
    for path, verbs in sorted(paths.items()):
        by_verbs.setdefault(tuple(sorted(verbs)), []).append(path)
    rules += [{"nonResourceURLs": urls, "verbs": list(verbs)} for verbs, urls in sorted(by_verbs.items())]
    return rules


def subject_for(identity: str) -> dict[str, str]:
    """The subject of a binding for an identity."""
    if identity.startswith("system:serviceaccount:") and identity.count(":") == 3:
        _, _, namespace, name = identity.split(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User", "name": identity, "apiGroup": "rbac.authorization.k8s.io"}
