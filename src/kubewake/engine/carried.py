"""Which derived fields a stub carries: those that can apply to what the request is about, redacted."""

from functools import lru_cache
from typing import Any

from kubewake.event import NO_BODY
from kubewake.facts import Facts
from kubewake.fields import CARRIED, level_of, reader, scope_of
from kubewake.redact import redact_value

WORKLOADS = frozenset(
    {
        "pods",
        "deployments",
        "daemonsets",
        "statefulsets",
        "replicasets",
        "replicationcontrollers",
        "jobs",
        "cronjobs",
        "podtemplates",
    },
)
RBAC = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings"})
REVIEWS = frozenset(
    {
        "subjectaccessreviews",
        "selfsubjectaccessreviews",
        "localsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "tokenreviews",
        "selfsubjectreviews",
    },
)
WRITES = frozenset({"create", "update", "patch"})

EMPTY: tuple[object, ...] = ("", [], {}, ())
ALWAYS = frozenset({"actor", "credential", "impersonation", "request", "source"})
"""First parts of field names that apply to any request."""
OF_PROXIES = frozenset({"request.kubelet_endpoint"})
USUAL_ANNOTATIONS = 2
"""Decision and reason; only events with more can carry those of a credential or of an admission webhook."""
OF_WRITES = frozenset({"admission", "object"})
BY_RESOURCE: dict[str, frozenset[str]] = {
    "rbac": RBAC,
    "token": frozenset({"serviceaccounts"}),
    "csr": frozenset({"certificatesigningrequests"}),
    "workload": WORKLOADS,
    "webhook": frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}),
    "secret": frozenset({"secrets"}),
    "review": REVIEWS,
    "service": frozenset({"services"}),
    "crd": frozenset({"customresourcedefinitions"}),
    "storage": WORKLOADS | {"persistentvolumes"},
}


def behaviour_values(facts: Facts) -> dict[str, Any]:
    """The carried fields that are the same for every event of the behaviour."""
    return _values(facts, carried_for(facts.resource, facts.subresource, facts.verb, "behaviour", True))


def event_values(facts: Facts) -> dict[str, Any]:
    """The carried fields that depend on the single event."""
    event = facts.event
    with_bodies = event.request_object is not NO_BODY or event.response_object is not NO_BODY
    annotated = event.annotations is not None and len(event.annotations) > USUAL_ANNOTATIONS
    return _values(facts, carried_for(facts.resource, facts.subresource, facts.verb, "event", with_bodies, annotated))


def _values(facts: Facts, fields: tuple[tuple[str, Any, bool], ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, read, is_text in fields:
        value = read(facts)
        if value is None or value is False or value in EMPTY:
            continue
        found[name] = redact_value(value) if is_text else value
    return found


@lru_cache(maxsize=4096)
def carried_for(
    resource: str,
    subresource: str,
    verb: str,
    scope: str,
    with_bodies: bool,
    annotated: bool = True,
) -> tuple[tuple[str, Any, bool], ...]:
    """Names and readers of the fields of a scope that can apply to such requests, and whether a value is free text."""
    chosen = []
    for name in CARRIED:
        first = name.partition(".")[0]
        if not with_bodies and level_of(name) != "Metadata":
            continue
        if (first == "admission" and not annotated) or (name in OF_PROXIES and subresource != "proxy"):
            continue
        if scope_of(name) == scope and (
            first in ALWAYS
            or (first in OF_WRITES and verb in WRITES)
            or (first == "exec" and subresource in {"exec", "attach", "portforward", "proxy"})
            or (first == "scale" and (subresource == "scale" or resource in WORKLOADS) and verb in WRITES)
            or (resource in BY_RESOURCE.get(first, ()) and (verb in WRITES or first == "secret"))
        ):
            chosen.append((name, reader(name), first in {"exec", "object", "webhook", "request"}))
    return tuple(chosen)
