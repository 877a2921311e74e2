"""The table of well-known components: names, homes, clients and rights, after upstream manifests and charts.

A right is one line: verbs, then resources as group/resource[/subresource] (core for the core group, `*` for any),
then optionally `@own` (only in the component's own namespace) or `@namespace[,namespace]`. Verb shortcuts: `r` get, list, watch;
`w` create, update, patch; `d` delete; `rw` and `rwd` together. Requests outside the resource API are reads for all.
"""

from functools import lru_cache

from msgspec import Struct

from kubewake.facts.actor import NODE, service_account_of
from kubewake.facts.profile_table import ANY, COMPONENTS, Row

_SHORT = {
    "r": ("get", "list", "watch"),
    "w": ("create", "update", "patch"),
    "d": ("delete",),
    "rw": ("get", "list", "watch", "create", "update", "patch"),
    "rwd": ("get", "list", "watch", "create", "update", "patch", "delete"),
    "c": ("create", "patch"),
}

NEVER = frozenset(
    {
        ("pods", "exec"), ("pods", "attach"), ("pods", "portforward"), ("pods", "ephemeralcontainers"),
        ("pods", "proxy"), ("services", "proxy"), ("nodes", "proxy"), ("serviceaccounts", "token"),
        ("certificatesigningrequests", "approval"), ("users", ""), ("groups", ""),
    }
)  # fmt: skip
"""What a `*` of a profile does not cover: a component that needs one of these names it."""

COMMON = (
    "rw coordination.k8s.io/leases",
    "w core/events events.k8s.io/events",
    "create authentication.k8s.io/tokenreviews authorization.k8s.io/subjectaccessreviews",
    "create authorization.k8s.io/selfsubjectaccessreviews",
    "rw core/configmaps core/endpoints @own",
)
"""What almost every controller does: leader election, events, authentication of its own callers."""


class Right(Struct, frozen=True, gc=False):
    """One right of a profile."""

    verbs: frozenset[str]
    targets: frozenset[tuple[str, str, str]]
    namespaces: frozenset[str]

    def covers(self, verb: str, target: tuple[str, str, str], namespace: str, own: str) -> bool:
        """Whether the right allows the verb on the target there."""
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        if self.namespaces and namespace not in self.namespaces and not ("own" in self.namespaces and namespace == own):
            return False
        if target in self.targets:
            return True
        group, resource, subresource = target
        if (resource, subresource) in NEVER:
            return False
        return any(
            (candidate_group, candidate, part) in self.targets
            for candidate_group, candidate in ((group, resource), (group, "*"), ("*", "*"))
            for part in (subresource, "*")
        )


def parse_right(line: str) -> Right:
    """Read one right; ValueError where it has no target."""
    words = line.split()
    namespaces = words.pop()[1:].split(",") if words[-1].startswith("@") else []
    verbs = [verb for word in words[0].split(",") for verb in _SHORT.get(word, (word,))]
    targets = []
    for word in words[1:]:
        group, _, rest = word.partition("/")
        resource, _, subresource = rest.partition("/")
        targets.append(("" if group == "core" else group, resource or "*", subresource or ("*" if not rest else "")))
    if not targets:
        raise ValueError(f"profile right {line!r} names no resource")
    return Right(frozenset(verbs), frozenset(targets), frozenset(namespaces))


class Profile(Struct, frozen=True):
    """A component: its name, its home, the clients it uses and what it may do."""

    component: str
    own: str
    clients: tuple[str, ...]
    origin: str
    rights: tuple[Right, ...]

    def allows(self, verb: str, api_group: str, resource: str, subresource: str, namespace: str) -> bool:
        """Whether this request is part of the component's job."""
        if not resource:
            return verb in ("get", "head")
        target = (api_group, resource, subresource)
        return any(right.covers(verb, target, namespace, self.own) for right in self.rights)


_BY_USER = {user: row for row in COMPONENTS for user in row.users}
_BY_ACCOUNT = {
    (namespace, account): row
    for row in COMPONENTS
    for account in row.accounts
    for namespace in row.namespaces
    if account != ANY
}
_BY_NAMESPACE = {namespace: row for row in COMPONENTS if ANY in row.accounts for namespace in row.namespaces}


def _row_of(username: str) -> tuple[Row, str] | None:
    account = service_account_of(username)
    if account is not None:
        namespace, name = account
        # Helm puts the name of the release before the chart's: my-cert-manager.
        while name:
            row = _BY_ACCOUNT.get((namespace, name))
            if row is not None:
                return row, namespace
            name = name.partition("-")[2]
        row = _BY_NAMESPACE.get(namespace)
        return (row, namespace) if row is not None else None
    row = _BY_USER.get(NODE if username.startswith(NODE) else username)
    return (row, "kube-system") if row is not None else None


@lru_cache(maxsize=64)
def _rights(lines: tuple[str, ...]) -> tuple[Right, ...]:
    return tuple(parse_right(line) for line in (*lines, *COMMON))


@lru_cache(maxsize=4096)
def profile_of(username: str) -> Profile | None:
    """The profile of the component whose name the username bears, in one of the namespaces where it lives."""
    found = _row_of(username)
    if found is None:
        return None
    row, own = found
    return Profile(row.component, own, row.clients, row.origin, _rights(row.rights))
