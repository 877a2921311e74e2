"""Which derived fields a stub carries: those that can apply to what the request is about, redacted."""

import secrets
from functools import lru_cache, partial
from typing import Any

import xxhash

from kubewake.event import NO_BODY
from kubewake.facts import Facts
from kubewake.facts.admission import MUTATION
from kubewake.facts.rbac import BINDINGS, ROLES
from kubewake.facts.specification import remembered
from kubewake.facts.template import TEMPLATES, specification_of, template_of
from kubewake.fields import CARRIED, Reader, is_told_by_specification, level_of, reader, scope_of
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
OF_PATCHES = frozenset({"object.changed_paths"})
USUAL_ANNOTATIONS = 2
"""Decision and reason; only events with more can carry those of a credential or of an admission webhook."""
OF_WRITES = frozenset({"admission", "object"})
BY_RESOURCE: dict[str, frozenset[str]] = {
    "rbac": ROLES | BINDINGS,
    "token": frozenset({"serviceaccounts"}),
    "csr": frozenset({"certificatesigningrequests"}),
    "workload": WORKLOADS,
    "webhook": frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}),
    "secret": frozenset({"secrets"}),
    "review": REVIEWS,
    "service": frozenset({"services"}),
    "crd": frozenset({"customresourcedefinitions"}),
    "namespace": frozenset({"namespaces"}),
    "storage": WORKLOADS | {"persistentvolumes"},
    "storage.host_path": frozenset({"persistentvolumes"}),
    "storage.local_path": frozenset({"persistentvolumes"}),
    "rbac.aggregates_to": frozenset({"clusterroles"}),
    "rbac.subjects.full": BINDINGS,
    "workload.replicas": WORKLOADS - {"pods"},
    **{name: ROLES for name in CARRIED if name == "rbac.rules" or name.startswith("rbac.grants_")},
}
"""Resources that a field, or a family of fields, can have a value for."""

TOLD_BY_METADATA = frozenset(
    {
        "object.owner_kinds",
        "object.owner_names",
        "workload.owner_kind",
        "workload.owner_name",
        *(name for name in CARRIED if name.startswith("object.labels.")),
    },
)
"""Fields that follow from labels and owners of the object, which are the same for all that one owner has made."""

MAX_MADE_ALIKE = 4_000
"""Labels and owners remembered, with what follows from them; when there are more, all are forgotten."""


def behaviour_values(facts: Facts) -> dict[str, Any]:
    """The carried fields that are the same for every event of the behaviour."""
    return _values(facts, carried_for(facts.resource, facts.subresource, facts.verb, "behaviour", True).others)


def event_values(facts: Facts) -> dict[str, Any]:
    """The carried fields that depend on the single event."""
    event = facts.event
    annotations = event.annotations
    plan = carried_for(
        facts.resource,
        facts.subresource,
        facts.verb,
        "event",
        event.request_object is not NO_BODY or event.response_object is not NO_BODY,
        annotations is not None and len(annotations) > USUAL_ANNOTATIONS and _is_mutated(annotations),
    )
    found = _values(facts, plan.others)
    if plan.by_metadata:
        found.update(_metadata_values(facts, plan))
    if plan.by_specification:
        derive = partial(_values, facts, plan.by_specification)
        found.update(remembered(specification_of(facts), plan, derive))
    return found


def _is_mutated(annotations: dict[str, str]) -> bool:
    for name in annotations:  # noqa: SIM110  # half the time of any()
        if name.startswith(MUTATION):
            return True
    return False


def _metadata_values(facts: Facts, plan: "Plan") -> dict[str, Any]:
    answered = facts.answered_metadata
    metadata = facts.metadata if answered is None else answered
    if "labels" not in metadata and "ownerReferences" not in metadata:
        return {}
    if answered is None:
        return _values(facts, plan.by_metadata)
    labels, owners = metadata.get("labels", NO_BODY), metadata.get("ownerReferences", NO_BODY)
    key = (_digest(labels, _seed), _digest(owners, _seed), template_of(facts) is None, plan)
    known = _made_alike.get(key)
    if known is None:
        if len(_made_alike) >= MAX_MADE_ALIKE:
            _made_alike.clear()
        known = _made_alike[key] = _values(facts, plan.by_metadata)
    return known


def _values(facts: Facts, fields: "Fields") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, read, is_text in fields:
        value = read(facts)
        if not value and (value is None or value is False or value in EMPTY):
            continue
        found[name] = redact_value(value) if is_text else value
    return found


Fields = tuple[tuple[str, Reader, bool], ...]
"""Names and readers of fields, and whether their values are free text."""


class Plan:
    """The fields that can apply to requests of one kind, by what they follow from."""

    __slots__ = ("by_metadata", "by_specification", "others")

    def __init__(self, fields: Fields, *, of_workload: bool) -> None:
        self.by_specification = tuple(field for field in fields if of_workload and is_told_by_specification(field[0]))
        self.by_metadata = tuple(field for field in fields if field[0] in TOLD_BY_METADATA)
        remembered_ones = (*self.by_specification, *self.by_metadata)
        self.others = tuple(field for field in fields if field not in remembered_ones)


_made_alike: dict[tuple[bytes, bytes, bool, Plan], dict[str, Any]] = {}
_digest = xxhash.xxh3_128_digest
_seed = secrets.randbits(64)
"""Keeps anyone from writing labels that pass for others."""


@lru_cache(maxsize=4096)
def carried_for(
    resource: str,
    subresource: str,
    verb: str,
    scope: str,
    with_bodies: bool,
    is_mutated: bool = True,
) -> Plan:
    """The fields of a scope that can apply to such requests; those of admission only where a webhook changed something."""
    chosen = []
    for name in CARRIED:
        first = name.partition(".")[0]
        if not with_bodies and level_of(name) != "Metadata":
            continue
        if (first == "admission" and not is_mutated) or (name in OF_PROXIES and subresource != "proxy"):
            continue
        if name in OF_PATCHES and verb != "patch":
            continue
        if scope_of(name) == scope and (
            first in ALWAYS
            or (first in OF_WRITES and verb in WRITES)
            or (first == "exec" and subresource in {"exec", "attach", "portforward", "proxy"})
            or (first == "scale" and subresource == "scale" and verb in WRITES)
            or (resource in BY_RESOURCE.get(name, BY_RESOURCE.get(first, ())) and (verb in WRITES or first == "secret"))
        ):
            is_text = first in {"exec", "object", "webhook", "request"}
            chosen.append((name, reader(name), is_text))
    return Plan(tuple(chosen), of_workload=resource in TEMPLATES)
