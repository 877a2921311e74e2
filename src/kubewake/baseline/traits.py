"""The traits of a request that surprise is measured on: what, where, on which object, by which program, from where."""

from functools import lru_cache

import xxhash
from msgspec import Struct

from kubewake.baseline.action import WORKLOADS, action_of
from kubewake.baseline.birth import NEW, Births
from kubewake.baseline.template import NAMED, template_of
from kubewake.detectors.network import network_of
from kubewake.detectors.novelty_table import registry_of
from kubewake.observation import Stub

GRANTS = (
    "wildcard",
    "secrets_read",
    "escalation",
    "exec",
    "node_proxy",
    "token_create",
    "workload_write",
    "rbac_write",
)
LADEN = WORKLOADS | {"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
"""Kinds of objects whose bodies count."""
MAX_VALUE = 160
"""Characters of a trait's value that count."""
HOUR_BLOCK = 3
"""Hours of the day that count as one: people come earlier or later."""
WHAT, WHO = "unusual-action", "unusual-origin"
"""The two statements that can be made of one request, and the names under which they enter incidents."""


class Trait(Struct, frozen=True, array_like=True):
    """One facet of a request. `context` is where it is compared: the facet, and the class or kind it depends on."""

    facet: str
    context: str
    value: str
    statement: str
    weight: float = 1.0


class Portrait(Struct, frozen=True):
    """A request as the baseline sees it: `key` says whether it is known at all, `traits` what it is like."""

    user: str
    kind: str
    key: int
    action: str
    action_class: str
    tactic: str
    threat: float
    traits: tuple[Trait, ...]
    sentence: str
    volume: str
    """Whose objects are counted, of which action."""
    young: bool = False
    """Of or about somebody or something newborn: the same will look different in an hour."""


def origin_of(stub: Stub) -> str:
    """Where a request came from: for people the address range, inside too; for programs, whose addresses change, inside."""
    asn = stub.values.get("source.asn")
    if asn:
        return f"AS{asn}"
    if stub.actor_kind == "human" and "." in stub.source:
        return f"{stub.source.rpartition('.')[0]}.0/24"
    return network_of(stub.source)


def name_in(stub: Stub) -> str:
    """The object's name: as the request has it, else as the API server made it."""
    return stub.name or str(stub.values.get("object.name") or "")


def payload_of(stub: Stub) -> str:
    """What the body brings: where images come from and which risks they take, or what a role grants."""
    values = stub.values
    if stub.resource in WORKLOADS:
        images, risks = values.get("workload.images"), values.get("workload.risks")
        if not images and not risks:
            return ""
        return _burden_of(tuple(images or ()), tuple(risks or ()))
    if stub.resource in ("roles", "clusterroles"):
        return " ".join(name for name in GRANTS if values.get(f"rbac.grants_{name}"))
    if stub.resource in ("rolebindings", "clusterrolebindings"):
        return template_of(str(values.get("rbac.role_name") or ""))
    return ""


@lru_cache(maxsize=4096)
def _burden_of(images: tuple[str, ...], risks: tuple[str, ...]) -> str:
    return " ".join((*sorted(set(map(registry_of, images))), *sorted(risks)))


def portray(stub: Stub, births: Births, now: float) -> Portrait:
    """The portrait of a request at this time (seconds since 1970)."""
    resource = f"{stub.resource}/{stub.subresource}" if stub.subresource else stub.resource
    action = f"{stub.verb} {resource or path_of(stub.uri)}"
    namespace = stub.namespace
    scope = NEW if namespace and births.is_young(f"ns {namespace}", now) else namespace or "the whole cluster"
    named = name_in(stub)
    name = template_of(named) if stub.resource in NAMED else ""
    young = namespace if scope == NEW else ""
    if stub.resource == "namespaces" and name:
        name = scope = NEW if births.is_young(f"ns {named}", now) else name
    origin = origin_of(stub)
    payload = payload_of(stub)[:MAX_VALUE]
    kind, tactic, threat = action_of(
        stub.verb, stub.resource, stub.subresource, namespace, bool(stub.impersonated), stub.outcome
    )
    who = NEW if births.is_young(f"user {stub.user}", now) else stub.user
    words = (who, action, scope, name, stub.client, origin, stub.outcome, payload, template_of(stub.impersonated))
    traits = [
        Trait("action", "action", action, WHAT),
        Trait("scope", f"scope {kind}", scope, WHAT),
        Trait("outcome", f"outcome {kind}", stub.outcome, WHAT, 0.5),
    ]
    if young:
        traits.append(Trait("scope", f"scope {kind}", young, WHAT, 0.0))
    if name:
        traits.append(Trait("object", f"object {stub.resource}", name, WHAT, 0.5))
    if payload:
        traits.append(Trait("payload", f"payload {stub.resource}", payload, WHAT))
    if stub.impersonated:
        traits.append(Trait("identity acted for", "impersonated", template_of(stub.impersonated), WHAT))
    if stub.client:
        traits.append(Trait("program", "client", stub.client, WHO))
    if origin:
        traits.append(Trait("origin", "origin", origin, WHO))
    if stub.actor_kind == "human":
        hour = int(now % 86_400 // 3600) // HOUR_BLOCK * HOUR_BLOCK
        traits.append(Trait("hour", "hour", f"{hour:02d}-{hour + HOUR_BLOCK:02d} h UTC", WHAT, 0.3))
    return Portrait(
        stub.user,
        stub.actor_kind,
        xxhash.xxh3_64_intdigest("\0".join(words).encode()),
        action,
        kind,
        tactic,
        threat,
        tuple(traits),
        _sentence(stub, resource),
        f"{stub.user}\0{action}",
        NEW in (who, scope),
    )


def path_of(uri: str) -> str:
    """The first two steps of a path that is no resource."""
    return "/".join(uri.partition("?")[0].split("/")[:3])[:MAX_VALUE]


def _sentence(stub: Stub, resource: str) -> str:
    where = f" in namespace {stub.namespace}" if stub.namespace else ""
    return f"{_VERBS.get(stub.verb, stub.verb)} {resource or path_of(stub.uri)}{where}"


_VERBS = {
    "get": "read",
    "update": "change",
    "patch": "change",
    "deletecollection": "delete all",
}
