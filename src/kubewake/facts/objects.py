"""The object written: its name, labels, owners, and what a patch changed."""

from typing import Any

from kubewake.facts.actor import is_system_namespace
from kubewake.facts.authorization import code_of
from kubewake.facts.facts import BUILTIN_GROUPS, Facts
from kubewake.facts.patch import patch_type
from kubewake.facts.registry import field
from kubewake.facts.shapes import elements, mapping, optional_text, pairs, texts

KINDS = {
    "apiservices": "APIService", "certificatesigningrequests": "CertificateSigningRequest",
    "clusterrolebindings": "ClusterRoleBinding", "clusterroles": "ClusterRole", "configmaps": "ConfigMap",
    "cronjobs": "CronJob", "customresourcedefinitions": "CustomResourceDefinition", "daemonsets": "DaemonSet",
    "deployments": "Deployment", "endpoints": "Endpoints", "endpointslices": "EndpointSlice", "events": "Event",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler", "ingresses": "Ingress", "jobs": "Job", "leases": "Lease",
    "limitranges": "LimitRange", "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "namespaces": "Namespace", "networkpolicies": "NetworkPolicy", "nodes": "Node",
    "persistentvolumeclaims": "PersistentVolumeClaim", "persistentvolumes": "PersistentVolume",
    "poddisruptionbudgets": "PodDisruptionBudget", "pods": "Pod", "podtemplates": "PodTemplate",
    "priorityclasses": "PriorityClass", "replicasets": "ReplicaSet", "replicationcontrollers": "ReplicationController",
    "resourcequotas": "ResourceQuota", "rolebindings": "RoleBinding", "roles": "Role",
    "runtimeclasses": "RuntimeClass", "secrets": "Secret", "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview", "serviceaccounts": "ServiceAccount", "services": "Service",
    "statefulsets": "StatefulSet", "storageclasses": "StorageClass", "subjectaccessreviews": "SubjectAccessReview",
    "tokenreviews": "TokenReview", "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
}  # fmt: skip
"""Kind of a resource, for events whose body is a patch or was not logged."""

MAX_TEXT = 1 << 20
"""Bytes of a body that keyword rules look at."""


def is_builtin(api_group: str) -> bool:
    """Whether the API group is the API server's own, not a custom resource's."""
    return api_group in BUILTIN_GROUPS or api_group.endswith(".k8s.io")


def metadata(facts: Facts) -> dict[str, Any]:
    """Metadata of the best view of the object."""
    return facts.metadata


def sent_metadata(facts: Facts) -> dict[str, Any]:
    """Metadata as the client sent it; of the answer for reads and deletes."""
    written = facts.written
    return mapping(written.get("metadata")) if written is not None else metadata(facts)


@field("object.kind", "text", "Kind of the object that the request is about.", example="Deployment")
def object_kind(facts: Facts) -> str | None:
    known = KINDS.get(facts.resource)
    if known is not None and is_builtin(facts.api_group):
        return known
    return optional_text(mapping(facts.object).get("kind"))


@field("object.name", "text", "Name of the object: from the request, else from the answer (generated names).",
       example="web-7d4b9")  # fmt: skip
def object_name(facts: Facts) -> str | None:
    if facts.name:
        return facts.name
    if not facts.is_write:
        return None
    answered = facts.answered_metadata
    return optional_text((facts.metadata if answered is None else answered).get("name"))


@field("object.namespace", "text", "Namespace of the object.", scope="behaviour", example="shop")
def object_namespace(facts: Facts) -> str | None:
    return facts.namespace or None


@field("object.in_system_namespace", "boolean", "Whether the object lives in a namespace that the platform keeps for "
       "itself, such as kube-system.", scope="behaviour", example="true")  # fmt: skip
def in_system_namespace(facts: Facts) -> bool:
    return is_system_namespace(facts.namespace)


@field("object.is_created", "boolean", "Whether the request made a new object: a create, or an apply that the server "
       "answered with 201. Subresources do not count.", scope="behaviour", example="true")  # fmt: skip
def is_created(facts: Facts) -> bool:
    if facts.subresource or not facts.resource:
        return False
    return facts.verb == "create" or (facts.verb == "patch" and code_of(facts) == 201)


@field("object.labels", "mapping", "Labels of the object as far as the event shows them.", level="Request",
       example="{app: web}")  # fmt: skip
def labels(facts: Facts) -> dict[str, str]:
    return pairs(metadata(facts).get("labels"))


@field("object.annotations", "mapping", "Annotations of the object as far as the event shows them.", level="Request",
       example="{kubernetes.io/description: a shop}")  # fmt: skip
def annotations(facts: Facts) -> dict[str, str]:
    return pairs(metadata(facts).get("annotations"))


@field("object.annotation_values", "list", "Values of the annotations that the client sent.", level="Request",
       example="[a shop]")  # fmt: skip
def annotation_values(facts: Facts) -> list[str]:
    return list(pairs(sent_metadata(facts).get("annotations")).values())


@field("object.owner_kinds", "list", "Kinds of the object's owners.", level="Request", example="[ReplicaSet]")
def owner_kinds(facts: Facts) -> list[str]:
    return texts([owner.get("kind") for owner in elements(metadata(facts).get("ownerReferences"))])


@field("object.owner_names", "list", "Names of the object's owners.", level="Request", example="[web-7d4b9]")
def owner_names(facts: Facts) -> list[str]:
    return texts([owner.get("name") for owner in elements(metadata(facts).get("ownerReferences"))])


@field("object.finalizers", "list", "Finalizers that the client set.", level="Request", example="[example.com/hold]")
def finalizers(facts: Facts) -> list[str]:
    return texts(sent_metadata(facts).get("finalizers"))


@field("object.generate_name", "text", "Prefix that the server completes to a name.", level="Request", example="web-")
def generate_name(facts: Facts) -> str | None:
    return optional_text(metadata(facts).get("generateName"))


@field("object.text", "text", "The whole request body as logged, for keyword searches.", level="Request",
       example='{"kind":"Pod"}')  # fmt: skip
def body_text(facts: Facts) -> str | None:
    raw = memoryview(facts.event.request_object)
    return bytes(raw[:MAX_TEXT]).decode("utf-8", "replace") if raw else None


@field("object.has_escape", "boolean", "Whether the request body contains a terminal escape character (ESC).",
       scope="behaviour", level="Request", example="true")  # fmt: skip
def has_escape(facts: Facts) -> bool:
    # Part of the behaviour key (see `engine.gathering`), so the scope is true.
    raw = bytes(facts.event.request_object)
    if not raw:
        return False
    return b"\\u001b" in raw or b"\\u001B" in raw or b"\x1b" in raw


@field("object.changed_paths", "list", "Paths that a patch sets, as JSON pointers.", level="Request",
       example="[/spec/replicas]")  # fmt: skip
def changed_paths(facts: Facts) -> list[str] | None:
    patched = facts.patched
    return list(patched.changed) if patched is not None else None


@field("object.removed_paths", "list", "Paths that a patch removes, as JSON pointers.", level="Request",
       example="[/metadata/labels/app]")  # fmt: skip
def removed_paths(facts: Facts) -> list[str] | None:
    patched = facts.patched
    return list(patched.removed) if patched is not None else None


@field("patch.type", "text", "Kind of a patch: json, merge, strategic, apply or unknown. Audit events do not carry "
       "it; this is what the body shows.", level="Request", example="json")  # fmt: skip
def type_of_patch(facts: Facts) -> str | None:
    if facts.verb != "patch" or facts.request_body is None:
        return None
    return patch_type(
        facts.request_body,
        has_field_manager="fieldManager=" in (facts.event.request_uri or ""),
        is_builtin=is_builtin(facts.api_group),
    )


@field("patch.operations", "number", "Number of operations of a JSON Patch; 1 for other kinds of patch.",
       level="Request", example="3")  # fmt: skip
def operations(facts: Facts) -> int | None:
    patched = facts.patched
    return patched.operations if patched is not None else None


def controller_of(facts: Facts) -> dict[str, Any]:
    """The owner that controls the object, else the first owner, else nothing."""
    owners = list(elements(metadata(facts).get("ownerReferences")))
    for owner in owners:
        if owner.get("controller") is True:
            return owner
    return owners[0] if owners else {}
