"""How far an identity reaches: what it may do itself, whom it can become, and the shortest way to cluster-admin."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from kubewake.rbac.model import SERVICE_ACCOUNT_PREFIX, Grant, Request
from kubewake.rbac.state import RbacState

CLUSTER_ADMIN = "cluster-admin"
MAX_IDENTITIES = 2_000
"""Identities followed in one search; more than that is the whole cluster anyway."""

WORKLOADS = (
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)


class Step(Struct, frozen=True):
    """One way from an identity to another, or to cluster-admin, with the grant that opens it."""

    source: str
    target: str
    how: str
    grant: str


class Power(Struct, frozen=True):
    """Something dangerous that an identity may do. `namespace` "" means everywhere."""

    name: str
    text: str
    namespace: str
    grant: Grant


class Reach(Struct, frozen=True):
    """What an identity comes to: its own powers, whom it can become, and the way to cluster-admin if there is one."""

    identity: str
    powers: tuple[Power, ...]
    identities: tuple[str, ...]
    admin_path: tuple[Step, ...]

    @property
    def is_admin(self) -> bool:
        """Whether there is a way to cluster-admin."""
        return bool(self.admin_path)

    def lines(self) -> list[str]:
        """The blast radius in sentences, the worst first."""
        found = []
        if self.admin_path:
            steps = "; then ".join(step.how for step in self.admin_path)
            found.append(f"{self.identity} can take over the whole cluster: {steps}.")
        everything = {power.namespace for power in self.powers if power.name == "everything"}
        for power in self.powers:
            if power.name != "everything" and ({"", power.namespace} & everything):
                continue
            place = f" in namespace {power.namespace}" if power.namespace else " in every namespace"
            line = f"{self.identity} can {power.text}{place} (through {power.grant.text()})."
            if line not in found:
                found.append(line)
        if self.identities:
            shown = ", ".join(self.identities[:5])
            more = f" and {len(self.identities) - 5} more" if len(self.identities) > 5 else ""
            found.append(f"{self.identity} can act as {shown}{more}.")
        return found


POWERS: tuple[tuple[str, str, tuple[Request, ...]], ...] = (
    ("everything", "do everything", (Request(verb="*", resource="*", api_group="*"),)),
    (
        "escalate",
        "write roles with more rights than its own",
        (
            Request(verb="escalate", resource="clusterroles", api_group="rbac.authorization.k8s.io"),
            Request(verb="escalate", resource="roles", api_group="rbac.authorization.k8s.io"),
        ),
    ),
    (
        "bind",
        "bind roles that it does not hold",
        (
            Request(verb="bind", resource="clusterroles", api_group="rbac.authorization.k8s.io"),
            Request(verb="bind", resource="roles", api_group="rbac.authorization.k8s.io"),
        ),
    ),
    ("impersonate-users", "act as any user", (Request(verb="impersonate", resource="users"),)),
    ("impersonate-groups", "act as a member of any group", (Request(verb="impersonate", resource="groups"),)),
    (
        "impersonate-service-accounts",
        "act as service accounts",
        (Request(verb="impersonate", resource="serviceaccounts"),),
    ),
    (
        "nodes-proxy",
        "run commands in any pod through the nodes' proxy",
        (
            Request(verb="create", resource="nodes", subresource="proxy"),
            Request(verb="get", resource="nodes", subresource="proxy"),
        ),
    ),
    (
        "approve-certificates",
        "approve certificate requests for any identity",
        (
            Request(
                verb="update",
                resource="certificatesigningrequests",
                subresource="approval",
                api_group="certificates.k8s.io",
            ),
        ),
    ),
    (
        "admission",
        "change admission webhooks and so every object written",
        (
            Request(verb="create", resource="mutatingwebhookconfigurations", api_group="admissionregistration.k8s.io"),
            Request(verb="patch", resource="mutatingwebhookconfigurations", api_group="admissionregistration.k8s.io"),
        ),
    ),
    (
        "read-secrets",
        "read secrets",
        (Request(verb="get", resource="secrets"), Request(verb="list", resource="secrets")),
    ),
    (
        "create-tokens",
        "mint tokens for service accounts",
        (Request(verb="create", resource="serviceaccounts", subresource="token"),),
    ),
    (
        "enter-pods",
        "run commands inside pods",
        (
            Request(verb="create", resource="pods", subresource="exec"),
            Request(verb="get", resource="pods", subresource="exec"),
            Request(verb="patch", resource="pods", subresource="ephemeralcontainers"),
        ),
    ),
    (
        "create-workloads",
        "start workloads",
        tuple(Request(verb="create", resource=resource, api_group=group) for group, resource in WORKLOADS),
    ),
    (
        "change-workloads",
        "change workloads",
        tuple(Request(verb="patch", resource=resource, api_group=group) for group, resource in WORKLOADS),
    ),
)
"""Dangerous permissions, the worst first (https://kubernetes.io/docs/concepts/security/rbac-good-practices/)."""

_TO_ADMIN = {
    "everything": "it holds every permission",
    "escalate": "it may write itself a role with every permission",
    "bind": "it may bind itself to cluster-admin",
    "impersonate-groups": "it may act as a member of system:masters",
    "impersonate-users": "it may act as an administrator",
    "nodes-proxy": "it may run commands in every pod through the kubelets, control plane included",
    "approve-certificates": "it may approve a certificate for an administrator's name",
    "admission": "it may change every object that is written",
}
_BECOMES = {
    "create-tokens": "mint a token for",
    "impersonate-service-accounts": "act as",
    "create-workloads": "start a pod with the service account",
    "change-workloads": "change a workload to run as",
    "enter-pods": "enter a pod that runs as",
    "read-secrets": "read a stored token of",
}


def powers_of(state: RbacState, identity: str, groups: tuple[str, ...] = ()) -> list[Power]:
    """The dangerous things that an identity may do itself, the worst first."""
    grants = list(state.grants(identity, groups))
    found: list[Power] = []
    for name, text, requests in POWERS:
        places: dict[str, Grant] = {}
        for grant in grants:
            if grant.rule.resource_names:
                continue
            if any(grant.rule.allows(request) for request in requests):
                places.setdefault(grant.namespace, grant)
        if "" in places:
            places = {"": places[""]}
        found.extend(Power(name, text, namespace, grant) for namespace, grant in sorted(places.items()))
    return found


def reach(state: RbacState, identity: str, groups: tuple[str, ...] = ()) -> Reach:
    """Follow every way from an identity to others and to cluster-admin; shortest ways first, deterministic."""
    own = tuple(powers_of(state, identity, groups))
    came_by: dict[str, Step | None] = {identity: None}
    queue = deque([identity])
    admin: Step | None = None
    while queue and len(came_by) <= MAX_IDENTITIES:
        current = queue.popleft()
        powers = own if current == identity else tuple(powers_of(state, current))
        for step in steps_from(state, current, powers):
            if step.target == CLUSTER_ADMIN:
                admin = admin or step
            elif step.target not in came_by:
                came_by[step.target] = step
                queue.append(step.target)
    path: list[Step] = []
    step_back = admin
    while step_back is not None:
        path.append(step_back)
        step_back = came_by[step_back.source]
    others = tuple(other for other in came_by if other != identity)
    return Reach(identity, own, others, tuple(reversed(path)))


def steps_from(state: RbacState, identity: str, powers: tuple[Power, ...]) -> Iterator[Step]:
    """Where one identity can go next."""
    for power in powers:
        if power.name in _TO_ADMIN:
            if not power.namespace:
                yield Step(identity, CLUSTER_ADMIN, f"{identity}: {_TO_ADMIN[power.name]}", power.grant.text())
        elif power.name in _BECOMES:
            for namespace, name in sorted(state.service_accounts):
                if power.namespace in ("", namespace):
                    target = f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"
                    if target != identity:
                        yield Step(
                            identity,
                            target,
                            f"{identity} can {_BECOMES[power.name]} {target}",
                            power.grant.text(),
                        )
