"""The fields that rules may name: native ones of the audit event, and derived ones from the one table `FIELDS`."""

import difflib
from collections.abc import Iterator
from functools import lru_cache

from kubewake.facts import FIELD_MODULES, Facts
from kubewake.facts.native import BEHAVIOUR, LEVELS, NATIVE, OPEN, is_native, plain_name
from kubewake.facts.registry import FIELDS, READERS, Field, Kind, Level, Part, Reader, Scope, owner_of
from kubewake.facts.template import TOLD_BY_SPECIFICATION

__all__ = [
    "CARRIED",
    "FIELDS",
    "NATIVE",
    "OPEN",
    "Facts",
    "Field",
    "Part",
    "Reader",
    "document",
    "element_of",
    "is_known",
    "kind_of",
    "level_of",
    "names",
    "reader",
    "scope_of",
    "suggest",
]

CARRIED: tuple[str, ...] = (
    "rbac.role_kind",
    "rbac.role_name",
    "rbac.grants_wildcard",
    "rbac.grants_secrets_read",
    "rbac.grants_escalation",
    "rbac.grants_exec",
    "rbac.grants_node_proxy",
    "rbac.grants_token_create",
    "rbac.grants_workload_write",
    "rbac.grants_rbac_write",
    "rbac.aggregates_to",
    "rbac.subjects.full",
    "rbac.rules",
    "token.expiration_seconds",
    "token.audiences",
    "token.bound_kind",
    "token.bound_name",
    "token.subject",
    "csr.signer",
    "csr.common_name",
    "csr.organizations",
    "csr.approved",
    "csr.requester",
    "csr.certificate_sha256",
    "exec.command",
    "exec.container",
    "exec.is_shell",
    "exec.tty",
    "workload.kind",
    "workload.service_account",
    "workload.images",
    "workload.risks",
    "workload.owner_kind",
    "workload.owner_name",
    "workload.node_name",
    "workload.replicas",
    "object.name",
    "object.owner_kinds",
    "object.owner_names",
    "object.labels.app",
    "object.labels.app.kubernetes.io/name",
    "object.labels.app.kubernetes.io/instance",
    "object.changed_paths",
    "webhook.names",
    "webhook.urls",
    "webhook.services",
    "admission.mutated_by",
    "admission.webhook_configurations",
    "secret.type",
    "secret.name_kind",
    "scale.replicas",
    "review.user",
    "review.verb",
    "review.resource",
    "review.subresource",
    "review.namespace",
    "review.allowed",
    "credential.kind",
    "impersonation.groups",
    "request.kubelet_endpoint",
    "request.dry_run",
    "request.all_namespaces",
    "service.type",
    "actor.component",
    "actor.in_profile",
    "source.asn",
    "source.country",
    "crd.scope",
    "crd.plural",
    "namespace.pod_security_enforce",
    "storage.host_path",
    "storage.local_path",
    "storage.claims",
)
"""Fields that a Stub carries in `values` where they apply: what correlations, links and baselines need.

A carrier leaves out None, False and empty values, and passes texts through `redact`.
"""


def reader(name: str) -> Reader:
    """The function that reads a field from Facts, native or derived; compiled once per name."""
    return READERS[name]


def element_of(name: str) -> tuple[str, str] | None:
    """The elements field and the part that a name such as `workload.containers.image` means; None for any other."""
    owner = owner_of(plain_name(name))
    if owner is None or owner[0].kind != "elements":
        return None
    return owner[0].name, owner[1]


def is_known(name: str) -> bool:
    """Whether events can have this field: derived, a part of a derived one, or native."""
    plain = plain_name(name)
    if plain in FIELDS or is_native(plain):
        return True
    owner = owner_of(plain)
    if owner is None:
        return False
    field, rest = owner
    return (
        field.kind == "mapping"
        or rest in field.parts
        or field.parts.get(rest.partition(".")[0], _TEXT).kind == "mapping"
    )


_TEXT = Part("text", "")


def kind_of(name: str) -> Kind | None:
    """Kind of a field; parts of elements answer with their own kind, open native paths with None."""
    plain = plain_name(name)
    if plain in FIELDS:
        return FIELDS[plain].kind
    owner = owner_of(plain)
    if owner is not None:
        field, rest = owner
        return field.parts[rest].kind if rest in field.parts else "text"
    return NATIVE.get(plain)  # type: ignore[return-value]


@lru_cache(maxsize=4096)
def scope_of(name: str) -> Scope:
    """Whether a field follows from the behaviour key alone ("behaviour") or needs the event ("event")."""
    plain = plain_name(name)
    if plain in FIELDS:
        return FIELDS[plain].scope
    owner = owner_of(plain)
    if owner is not None:
        return owner[0].scope
    return "behaviour" if plain in BEHAVIOUR else "event"


TOLD_BY_QUESTION = frozenset(
    {
        "objectRef.name",
        "request.dry_run",
        "request.field_selector",
        "request.is_discovery",
        "request.is_health",
        "request.is_namespaced_path",
        "request.kubelet_endpoint",
        "request.label_selector",
        "request.params",
        "request.path",
        "request.proxy_path",
        "request.query",
        "requestURI",
        "responseStatus.message",
    },
)
"""What follows from an event's behaviour, URI, object name and the answer's message, whatever else it holds."""


TOLD_BY_ANNOTATIONS = frozenset(
    {
        "admission.failed_open",
        "admission.mutated_by",
        "admission.webhook_configurations",
        "audit.truncated",
    },
)
"""What only bodies, and annotations that behaviour does not depend on, can tell."""


@lru_cache(maxsize=4096)
def is_told_by_question(name: str, *, plain: bool = False) -> bool:
    """Whether requests of one behaviour to one URI, for one object and answered alike, have the same value.

    `plain` asks of those that have no bodies, and no annotations but those that behaviour depends on.
    """
    told = TOLD_BY_QUESTION | TOLD_BY_ANNOTATIONS if plain else TOLD_BY_QUESTION
    field = plain_name(name)
    owner = owner_of(field)
    return (
        field in told or (plain and field.startswith("annotations.")) or (owner is not None and owner[0].name in told)
    )


@lru_cache(maxsize=4096)
def is_told_by_specification(name: str) -> bool:
    """Whether workloads of one kind that are written with one specification have the same value."""
    plain = plain_name(name)
    owner = owner_of(plain)
    return plain in TOLD_BY_SPECIFICATION or (owner is not None and owner[0].name in TOLD_BY_SPECIFICATION)


NAMED_WITHOUT_BODIES = frozenset({"crd.plural", "rbac.role_name"})
"""Fields that need a body for some requests, and for others fall back on the object's name."""


def is_gone_without_bodies(name: str) -> bool:
    """Whether the field is the same for all events of one behaviour that have no bodies: unknown, mostly."""
    return level_of(name) != "Metadata" and plain_name(name) not in NAMED_WITHOUT_BODIES


@lru_cache(maxsize=4096)
def level_of(name: str) -> Level:
    """The audit level that an event must be logged at for the field to be known."""
    plain = plain_name(name)
    if plain in FIELDS:
        return FIELDS[plain].level
    owner = owner_of(plain)
    if owner is not None:
        return owner[0].level
    return LEVELS.get(plain.partition(".")[0], "Metadata")  # type: ignore[return-value]


def names() -> Iterator[str]:
    """Every name that can be listed: native fields, derived fields, and parts of elements."""
    yield from NATIVE
    for field in FIELDS.values():
        yield field.name
        for part in field.parts:
            yield f"{field.name}.{part}"


_COMMON_MISTAKES = {
    "user": "user.username",
    "username": "user.username",
    "sourceip": "sourceIPs",
    "sourceips": "sourceIPs",
    "sourceipaddress": "sourceIPs",
    "useragent": "userAgent",
    "requesturi": "requestURI",
    "uri": "requestURI",
    "resource": "objectRef.resource",
    "namespace": "objectRef.namespace",
    "subresource": "objectRef.subresource",
    "name": "objectRef.name",
    "apigroup": "objectRef.apiGroup",
    "code": "responseStatus.code",
    "status": "responseStatus.code",
    "statuscode": "responseStatus.code",
    "responsestatus.code": "responseStatus.code",
    "hostip": "source.ip",
    "capabilities": "workload.containers.capabilities_add",
    "hostpath": "workload.host_paths",
    "command": "exec.command",
    "decision": "annotations.authorization.k8s.io/decision",
}


def suggest(name: str) -> str | None:
    """The known field that a wrong name most likely means; None where nothing is near."""
    plain = plain_name(name)
    lowered = plain.lower()
    by_lower = {known.lower(): known for known in names()}
    if lowered in by_lower:
        return by_lower[lowered]
    if lowered in _COMMON_MISTAKES:
        return _COMMON_MISTAKES[lowered]
    squeezed = lowered.replace("_", "").replace("-", "")
    for known_lower, known in by_lower.items():
        if known_lower.replace("_", "") == squeezed:
            return known
    near = difflib.get_close_matches(lowered, by_lower, n=1, cutoff=0.7)
    if near:
        return by_lower[near[0]]
    last = lowered.rpartition(".")[2]
    ends = [known for known_lower, known in by_lower.items() if known_lower.rpartition(".")[2] == last]
    return ends[0] if ends else None


def document() -> str:
    """The reference of all fields as Markdown."""
    lines = [
        "# Fields",
        "",
        "Generated from the table of fields; do not edit.",
        "",
        (
            "Rules name native fields of the audit event and the derived fields below. A field of kind *elements* is a list"
            " of things: conditions on its parts inside one selection hold for one and the same element."
        ),
        (
            "Scope *behaviour* means that the value is the same for all requests of one behaviour, which makes conditions"
            " on it cheap. Level is the audit level that an event must be logged at for the field to be known."
        ),
        "",
        "## Native fields",
        "",
        "| field | kind | scope |",
        "| --- | --- | --- |",
    ]
    for name, kind in NATIVE.items():
        path = f"{name}.…" if name in OPEN else name
        lines.append(f"| `{path}` | {kind} | {scope_of(name)} |")
    lines += [
        "",
        (
            "Below the open ones any path may stand, through lists (any element) and through keys with dots, with or"
            " without escapes: `annotations.authorization\\.k8s\\.io/decision`."
        ),
        "",
        "## Derived fields",
    ]
    for module in FIELD_MODULES:
        summary = (module.__doc__ or "").strip().partition("\n")[0]
        fields = [field for field in FIELDS.values() if field.module == module.__name__]
        if not fields:
            continue
        lines += ["", f"### {summary}", "", "| field | kind | scope | level | meaning | example |",
                  "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        for field in fields:
            example = field.example.replace("|", "\\|")
            lines.append(
                f"| `{field.name}` | {field.kind} | {field.scope} | {field.level} | {field.doc.replace('|', chr(92) + '|')}"
                f" | `{example}` |"
            )
            for part_name, part in field.parts.items():
                lines.append(f"| `{field.name}.{part_name}` | {part.kind} | | | {part.doc} | |")
    return "\n".join(lines) + "\n"
