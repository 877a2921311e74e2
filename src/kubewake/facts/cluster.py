"""Nodes, namespaces, configuration and the stream itself."""

import re
from typing import Any

from kubewake.event import NO_BODY
from kubewake.facts.container import familiar_name, full_name, split_image
from kubewake.facts.facts import Facts
from kubewake.facts.objects import metadata, sent_metadata
from kubewake.facts.registry import Part, field
from kubewake.facts.shapes import dig, elements, flag, mapping, optional_text, pairs, sequence, text, texts, whole
from kubewake.facts.workload import is_mirror, resource_claims

POD_SECURITY = "pod-security.kubernetes.io/enforce"
_POD_SECURITY_RANK = {"privileged": 0, "baseline": 1, "restricted": 2}

_CREDENTIAL = re.compile(
    r"aws[_-](?:s3[_-])?(?:access[_-]key[_-]id|secret[_-]access[_-]key)|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|passphrase|(?:password|passwd|secret[_-]?key|api[_-]?key|access[_-]?token|client[_-]?secret)[\"']?\s*[:=]",
    re.IGNORECASE,
)
_CREDENTIAL_KEY = re.compile(r"(?:^|[_.-])(?:password|passwd|passphrase|secret[_-]?key|api[_-]?key|"
                             r"access[_-]?key(?:[_-]id)?|private[_-]?key|client[_-]?secret)$", re.IGNORECASE)  # fmt: skip


def _node(facts: Facts, about: bytes) -> dict[str, Any] | None:
    """A node that is written, if anything `about` it; kubelets report its status all the time, at length."""
    if facts.resource != "nodes" or not facts.is_write or not facts.may_say(about):
        return None
    return facts.written


@field(
    "node.addresses",
    "elements",
    "Addresses that a write gives to a node.",
    level="Request",
    example="[{type: InternalIP, address: 10.0.0.5}]",
    parts={
        "type": Part("text", "InternalIP, ExternalIP, Hostname, InternalDNS or ExternalDNS."),
        "address": Part("text", "Address or host name."),
    },
)
def node_addresses(facts: Facts) -> list[dict[str, str]] | None:
    written = _node(facts, b"addresses")
    if written is None:
        return None
    return [
        {"type": text(item.get("type")), "address": text(item.get("address"))}
        for item in elements(dig(written, "status", "addresses"))
    ]


@field("node.unschedulable", "boolean", "Whether the write takes the node out of scheduling, or back in.",
       level="Request", example="true")  # fmt: skip
def node_unschedulable(facts: Facts) -> bool | None:
    return flag(dig(_node(facts, b"unschedulable"), "spec", "unschedulable"))


@field("node.taints", "list", "Taints that the write sets, as key=value:effect.", level="Request",
       example="[dedicated=gpu:NoSchedule]")  # fmt: skip
def node_taints(facts: Facts) -> list[str] | None:
    written = _node(facts, b"taints")
    if written is None:
        return None
    return [
        f"{text(taint.get('key'))}={text(taint.get('value'))}:{text(taint.get('effect'))}"
        for taint in elements(dig(written, "spec", "taints"))
    ]


@field("node.owner_set", "boolean", "Whether the write gives the node an owner, which lets the garbage collector "
       "delete it (CVE-2025-5187).", level="Request", example="true")  # fmt: skip
def node_owner_set(facts: Facts) -> bool | None:
    written = _node(facts, b"ownerReferences")
    return None if written is None else bool(sequence(dig(written, "metadata", "ownerReferences")))


@field("node.claims", "list", "Devices (resource claims) that a mirror pod takes (CVE-2025-4563).", level="Request",
       example="[gpu]")  # fmt: skip
def node_claims(facts: Facts) -> list[str] | None:
    return resource_claims(facts) if is_mirror(facts) else None


def _namespace_labels(facts: Facts) -> dict[str, str]:
    if facts.resource != "namespaces" or not facts.is_write:
        return {}
    return pairs(mapping(mapping(facts.written).get("metadata")).get("labels"))


@field("namespace.pod_security_enforce", "text", "Pod security level that the write sets for the namespace: "
       "privileged, baseline or restricted.", level="Request", example="privileged")  # fmt: skip
def pod_security_enforce(facts: Facts) -> str | None:
    return _namespace_labels(facts).get(POD_SECURITY)


@field("namespace.pod_security_removed", "boolean", "Whether a patch removes the namespace's pod security label.",
       level="Request", example="true")  # fmt: skip
def pod_security_removed(facts: Facts) -> bool | None:
    patched = facts.patched
    if facts.resource != "namespaces" or patched is None:
        return None
    marks = (
        "/metadata/labels/pod-security.kubernetes.io~1enforce",
        "/metadata/labels/pod-security.kubernetes.io/enforce",
    )
    return any(path in (*marks, "/metadata/labels", "/metadata") for path in patched.removed)


@field("namespace.pod_security_lowered", "boolean", "Whether the write sets the namespace's pod security to "
       "privileged, or to less than the audit or warn level that it also states.", level="Request",
       example="true")  # fmt: skip
def pod_security_lowered(facts: Facts) -> bool | None:
    if facts.resource != "namespaces" or not facts.is_write or facts.written is None:
        return None
    labels = _namespace_labels(facts)
    enforced = _POD_SECURITY_RANK.get(labels.get(POD_SECURITY, ""))
    if enforced is None:
        return bool(pod_security_removed(facts))
    others = pairs(metadata(facts).get("labels")) | labels
    stated = [
        _POD_SECURITY_RANK.get(others.get(f"pod-security.kubernetes.io/{mode}", ""), 0) for mode in ("audit", "warn")
    ]
    return enforced == 0 or enforced < max(stated)


@field("configmap.keys", "list", "Keys that the write sets in the ConfigMap.", level="Request", example="[Corefile]")
def configmap_keys(facts: Facts) -> list[str] | None:
    if facts.resource != "configmaps" or not facts.is_write or facts.written is None:
        return None
    return [key for part in ("data", "binaryData") for key in mapping(facts.written.get(part))]


@field("configmap.has_credentials", "boolean", "Whether the ConfigMap that is written holds what looks like a "
       "password, key or token.", level="Request", example="true")  # fmt: skip
def configmap_has_credentials(facts: Facts) -> bool | None:
    if facts.resource != "configmaps" or not facts.is_write or facts.written is None:
        return None
    for key, value in pairs(facts.written.get("data")).items():
        if (value.strip() and _CREDENTIAL_KEY.search(key)) or _CREDENTIAL.search(value[:262144]):
            return True
    return False


@field("scale.replicas", "number", "Replicas that a write to a scale subresource asks for.", level="Request",
       example="0")  # fmt: skip
def scale_replicas(facts: Facts) -> int | None:
    if facts.subresource != "scale" or not facts.is_write:
        return None
    return whole(dig(facts.written, "spec", "replicas"))


@field("event.message", "text", "Message of a Kubernetes Event object.", level="Request",
       example='Pulling image "nginx:1.27"')  # fmt: skip
def event_message(facts: Facts) -> str | None:
    if facts.resource != "events":
        return None
    written = mapping(facts.object)
    return optional_text(written.get("message")) or optional_text(written.get("note"))


PULLING = re.compile(r'Pulling image "([^"]+)"')


@field("event.image", "text", "Image that a kubelet says it pulls, as written, in a Kubernetes Event object.",
       level="Request", example="nginx:1.27")  # fmt: skip
def event_image(facts: Facts) -> str | None:
    found = PULLING.match(event_message(facts) or "")
    return found[1] if found is not None else None


def _pulled(facts: Facts) -> tuple[str, str] | None:
    """Registry and repository of the image that a Kubernetes Event says is pulled."""
    image = event_image(facts)
    return split_image(image)[:2] if image else None


@field("event.image_familiar_name", "text",
       "Registry and repository of the image that is pulled; of Docker Hub as people write it.",
       level="Request", example="bitnami/redis")  # fmt: skip
def event_image_familiar_name(facts: Facts) -> str | None:
    found = _pulled(facts)
    return familiar_name(*found) if found is not None else None


@field("event.image_full_name", "text", "Registry and repository of the image that is pulled.",
       level="Request", example="docker.io/library/nginx")  # fmt: skip
def event_image_full_name(facts: Facts) -> str | None:
    found = _pulled(facts)
    return full_name(*found) if found is not None else None


@field("event.reason", "text", "Reason of a Kubernetes Event object.", level="Request", example="Pulling")
def event_reason(facts: Facts) -> str | None:
    return optional_text(mapping(facts.object).get("reason")) if facts.resource == "events" else None


@field("audit.truncated", "boolean", "Whether the audit log left out or cut off this event's bodies.", example="true")
def is_truncated(facts: Facts) -> bool:
    annotations = facts.event.annotations
    if annotations is not None and annotations.get("audit.k8s.io/truncated") == "true":
        return True
    for raw in (facts.event.request_object, facts.event.response_object):
        if raw is not NO_BODY and len(memoryview(raw)) < 100 and b"skipped-too-big-size-object" in bytes(raw):
            return True
    return False


@field("audit.level", "text", "Level that the event was logged at.", scope="behaviour", example="Metadata")
def audit_level(facts: Facts) -> str | None:
    return facts.event.level


@field("server.version", "text", "Version of the cluster's software where the stream shows it: what /version "
       "answers, or a kubelet's own node status.", level="Request", example="v1.36.2")  # fmt: skip
def server_version(facts: Facts) -> str | None:
    if facts.resource == "nodes":
        return optional_text(dig(facts.object, "status", "nodeInfo", "kubeletVersion"))
    if not facts.resource and (facts.event.request_uri or "").startswith("/version"):
        return optional_text(mapping(facts.response_body).get("gitVersion"))
    return None


@field("object.labels_sent", "mapping", "Labels that the client sent.", level="Request", example="{app: web}")
def labels_sent(facts: Facts) -> dict[str, str]:
    return pairs(sent_metadata(facts).get("labels"))


@field("serviceaccount.secrets", "list", "Secrets and pull secrets that a write attaches to a service account.",
       level="Request", example="[builder-token]")  # fmt: skip
def serviceaccount_secrets(facts: Facts) -> list[str] | None:
    if facts.resource != "serviceaccounts" or facts.subresource or not facts.is_write or facts.written is None:
        return None
    named = [item.get("name") for key in ("secrets", "imagePullSecrets") for item in elements(facts.written.get(key))]
    return texts(named)


@field("list.configured", "list", "Names of the user lists that have entries; rules that ask whether something is on an "
       "allow-list stay silent until there is one.", scope="behaviour", example="[allowed_images]")  # fmt: skip
def configured_lists(facts: Facts) -> list[str]:
    return [name for name, entries in facts.context.names.items() if entries]
