"""The pods that a write is about: their template, its specification, and what follows from that alone."""

from collections.abc import Callable
from typing import Any, TypeVar

from kubewake.facts.facts import Facts
from kubewake.facts.objects import is_builtin
from kubewake.facts.shapes import dig, mapping
from kubewake.facts.specification import NO_SPECIFICATION, Specification, remembered

Derived = TypeVar("Derived")

TEMPLATES = {
    "pods": (),
    "podtemplates": ("template",),
    "cronjobs": ("spec", "jobTemplate", "spec", "template"),
    "deployments": ("spec", "template"),
    "daemonsets": ("spec", "template"),
    "statefulsets": ("spec", "template"),
    "replicasets": ("spec", "template"),
    "replicationcontrollers": ("spec", "template"),
    "jobs": ("spec", "template"),
}
"""Where the pod template stands in each kind that makes pods."""

CUSTOM_TEMPLATES = (
    ("spec", "template"),
    ("spec", "jobTemplate", "spec", "template"),
    ("spec", "jobTargetRef", "template"),
    ("spec", "podTemplate"),
    ("spec", "workload", "template"),
)
"""Where custom resources (rollouts, serverless services, scaled jobs, …) keep a pod template."""

POD_KEYS = frozenset(
    {"containers", "initContainers", "hostPID", "hostNetwork", "hostIPC", "serviceAccountName", "volumes"}
)
"""Keys of a specification that show it to be a pod's."""

WORKLOAD_SUBRESOURCES = frozenset({"", "ephemeralcontainers", "resize"})


def _template(facts: Facts) -> dict[str, Any] | None:
    """The pod or pod template that is written, as far as the write shows; None where it writes none."""
    written = facts.written if facts.subresource in WORKLOAD_SUBRESOURCES else None
    if written is None:
        return None
    if not is_builtin(facts.api_group):
        candidates = (mapping(dig(written, *path)) for path in CUSTOM_TEMPLATES)
        return next((found for found in candidates if not POD_KEYS.isdisjoint(mapping(found.get("spec")))), None)
    steps = TEMPLATES.get(facts.resource)
    if steps is None:
        return None
    return mapping(dig(written, *steps)) if steps else written


def template_of(facts: Facts) -> dict[str, Any] | None:
    """The pod or pod template that is written, remembered per event."""
    cache = facts.cache
    if "workload" not in cache:
        cache["workload"] = _template(facts)
    found: dict[str, Any] | None = cache["workload"]
    return found


def spec_of(facts: Facts) -> dict[str, Any] | None:
    """Specification of the pod or pod template that is written."""
    template = template_of(facts)
    return mapping(template.get("spec", NO_SPECIFICATION)) if template is not None else None


def specification_of(facts: Facts) -> Specification | None:
    """Specification of the pods of a built-in kind; None for anything else, and where it is not remembered.

    The fields of `TOLD_BY_SPECIFICATION` follow from it and the resource.
    """
    if facts.resource not in TEMPLATES or not is_builtin(facts.api_group):
        return None
    template = template_of(facts)
    if template is None:
        return None
    specification = template.get("spec", NO_SPECIFICATION)
    return specification if type(specification) is Specification else None


TOLD_BY_SPECIFICATION = frozenset(
    {
        "storage.claims",
        "storage.hosts",
        "workload.automount",
        "workload.containers",
        "workload.git_repos",
        "workload.host_ipc",
        "workload.host_network",
        "workload.host_path_writable",
        "workload.host_paths",
        "workload.host_pid",
        "workload.images",
        "workload.is_template",
        "workload.kind",
        "workload.node_name",
        "workload.node_selector",
        "workload.pinned_to_control_plane",
        "workload.priority_class",
        "workload.projected_tokens",
        "workload.risks",
        "workload.runtime_class",
        "workload.secrets_mounted",
        "workload.security_context_run_as_user",
        "workload.sensitive_host_paths",
        "workload.service_account",
        "workload.share_process_namespace",
        "workload.tolerates_control_plane",
        "workload.volume_types",
    },
)
"""Fields that are the same for all workloads of a kind that are written with one specification of their pods."""


def of_spec(facts: Facts, name: str, derive: Callable[[], Derived]) -> Derived:
    """What follows from the specification of the pods alone; once for all that are written with the same."""
    return remembered(spec_of(facts), name, derive)
