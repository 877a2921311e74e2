"""What a pod, or anything that makes pods, would run: from a create, an update or a patch.

For an update or a patch the fields tell what the client sent, so that a rule sees what this write introduces.
"""

from typing import Any

from kubewake.facts.authorization import code_of
from kubewake.facts.container import CONTAINER_PARTS, read_containers
from kubewake.facts.facts import Facts
from kubewake.facts.hostpath import is_sensitive_path
from kubewake.facts.objects import KINDS, controller_of, is_builtin, metadata, sent_metadata
from kubewake.facts.registry import Part, field
from kubewake.facts.shapes import (
    dig,
    elements,
    flag,
    mapping,
    optional_text,
    pairs,
    sequence,
    text,
    texts,
    unique,
    whole,
)
from kubewake.facts.template import TEMPLATES, WORKLOAD_SUBRESOURCES, of_spec, spec_of, template_of

CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master",
                        "node-role.kubernetes.io/etcd", "node-role.kubernetes.io/controlplane")  # fmt: skip

_ANY_SPEC_MARKERS = ("containers", "initContainers", "ephemeralContainers")


@field("workload.kind", "text", "Kind of the pod or of what makes pods; none for other writes and for reads.",
       level="Request", example="DaemonSet")  # fmt: skip
def kind(facts: Facts) -> str | None:
    if template_of(facts) is None:
        return None
    if is_builtin(facts.api_group):
        return KINDS.get(facts.resource)
    return optional_text(mapping(facts.written).get("kind")) or facts.resource


@field("workload.is_write", "boolean", "Whether the request writes a pod or something that makes pods; true as well "
       "for custom resources, which may.", scope="behaviour", example="true")  # fmt: skip
def is_workload_write(facts: Facts) -> bool:
    if not facts.is_write or facts.subresource not in WORKLOAD_SUBRESOURCES or not facts.resource:
        return False
    return facts.resource in TEMPLATES or not is_builtin(facts.api_group)


@field("workload.is_creation", "boolean", "Whether such a write makes something new rather than changes what exists: a "
       "create, an apply that the server answered with 201, or an added ephemeral container.", scope="behaviour",
       example="true")  # fmt: skip
def is_creation(facts: Facts) -> bool:
    if not is_workload_write(facts):
        return False
    return facts.verb == "create" or code_of(facts) == 201 or facts.subresource == "ephemeralcontainers"


@field("workload.is_template", "boolean", "Whether it is something that makes pods rather than a pod.",
       level="Request", example="true")  # fmt: skip
def is_template(facts: Facts) -> bool | None:
    return None if template_of(facts) is None else facts.resource != "pods"


@field("workload.name", "text", "Name of the workload: from the request, the body, or the answer.", level="Request",
       example="web")  # fmt: skip
def name(facts: Facts) -> str | None:
    if template_of(facts) is None:
        return None
    return (
        facts.name or optional_text(metadata(facts).get("name")) or optional_text(metadata(facts).get("generateName"))
    )


@field(
    "workload.containers",
    "elements",
    "Containers that the write sets; for a patch only the parts that it sets.",
    level="Request",
    example="[{name: main, image: nginx, privileged: true}]",
    parts=CONTAINER_PARTS,
)
def containers(facts: Facts) -> list[dict[str, Any]] | None:
    spec = spec_of(facts)
    return None if spec is None else of_spec(facts, "containers", lambda: read_containers(spec))


@field("workload.images", "list", "Images that the write sets.", level="Request", example="[nginx:1.27]")
def images(facts: Facts) -> list[str] | None:
    found = containers(facts)
    return None if found is None else unique([item["image"] for item in found if item["image"]])


def _spec_flag(facts: Facts, key: str) -> bool | None:
    spec = spec_of(facts)
    return None if spec is None else flag(spec.get(key)) is True


@field("workload.host_network", "boolean", "Whether it shares the node's network.", level="Request", example="true")
def host_network(facts: Facts) -> bool | None:
    return _spec_flag(facts, "hostNetwork")


@field("workload.host_pid", "boolean", "Whether it sees the node's processes.", level="Request", example="true")
def host_pid(facts: Facts) -> bool | None:
    return _spec_flag(facts, "hostPID")


@field("workload.host_ipc", "boolean", "Whether it shares the node's inter-process memory.", level="Request",
       example="true")  # fmt: skip
def host_ipc(facts: Facts) -> bool | None:
    return _spec_flag(facts, "hostIPC")


@field("workload.share_process_namespace", "boolean", "Whether its containers see each other's processes.",
       level="Request", example="true")  # fmt: skip
def share_process_namespace(facts: Facts) -> bool | None:
    return _spec_flag(facts, "shareProcessNamespace")


def _volumes(facts: Facts) -> list[dict[str, Any]] | None:
    spec = spec_of(facts)
    return None if spec is None else list(elements(spec.get("volumes")))


@field("workload.host_paths", "list", "Paths of the node that it mounts.", level="Request", example="[/var/log]")
def host_paths(facts: Facts) -> list[str] | None:
    volumes = _volumes(facts)
    return None if volumes is None else texts([dig(volume, "hostPath", "path") for volume in volumes])


@field("workload.host_path_writable", "boolean", "Whether a path of the node is mounted writable.", level="Request",
       example="true")  # fmt: skip
def host_path_writable(facts: Facts) -> bool | None:
    volumes, spec = _volumes(facts), spec_of(facts)
    if volumes is None or spec is None:
        return None
    from_host = {text(volume.get("name")) for volume in volumes if isinstance(volume.get("hostPath"), dict)}
    return any(
        mount.get("name") in from_host and mount.get("readOnly") is not True
        for key in _ANY_SPEC_MARKERS
        for container in elements(spec.get(key))
        for mount in elements(container.get("volumeMounts"))
        if isinstance(mount.get("name"), str)
    )


@field("workload.sensitive_host_paths", "list", "Those of the mounted paths from which the node, its credentials or "
       "its other containers can be taken over.", level="Request", example="[/etc/kubernetes]")  # fmt: skip
def sensitive_host_paths(facts: Facts) -> list[str] | None:
    paths = host_paths(facts)
    return None if paths is None else [path for path in paths if is_sensitive_path(path)]


@field("workload.volume_types", "list", "Types of the volumes.", level="Request", example="[configMap, hostPath]")
def volume_types(facts: Facts) -> list[str] | None:
    volumes = _volumes(facts)
    if volumes is None:
        return None
    return unique([key for volume in volumes for key, value in volume.items() if key != "name" and value is not None])


@field("workload.secrets_mounted", "list", "Secrets that volumes hold.", level="Request", example="[db-password]")
def secrets_mounted(facts: Facts) -> list[str] | None:
    volumes = _volumes(facts)
    if volumes is None:
        return None
    found = [dig(volume, "secret", "secretName") for volume in volumes]
    for volume in volumes:
        found += [dig(source, "secret", "name") for source in elements(dig(volume, "projected", "sources"))]
    return unique(texts(found))


@field(
    "workload.projected_tokens",
    "elements",
    "Service account tokens that volumes project, each with audience and lifetime.",
    level="Request",
    example="[{audience: vault, expiration_seconds: 3600, path: token}]",
    parts={
        "audience": Part("text", "Whom the token is meant for; empty text means the API server."),
        "expiration_seconds": Part("number", "Lifetime asked for, in seconds."),
        "path": Part("text", "File name of the token."),
    },
)
def projected_tokens(facts: Facts) -> list[dict[str, Any]] | None:
    volumes = _volumes(facts)
    if volumes is None:
        return None
    tokens = [
        source["serviceAccountToken"]
        for volume in volumes
        for source in elements(dig(volume, "projected", "sources"))
        if isinstance(source.get("serviceAccountToken"), dict)
    ]
    return [
        {
            "audience": text(token.get("audience")),
            "expiration_seconds": whole(token.get("expirationSeconds")),
            "path": optional_text(token.get("path")),
        }
        for token in tokens
    ]


@field("workload.service_account", "text", "Service account that it runs as, where the write states one.",
       level="Request", example="builder")  # fmt: skip
def service_account(facts: Facts) -> str | None:
    spec = spec_of(facts)
    if spec is None:
        return None
    return optional_text(spec.get("serviceAccountName")) or optional_text(spec.get("serviceAccount"))


@field("workload.automount", "boolean", "Whether the service account's token is mounted: the write's own setting, "
       "none where it states none.", level="Request", example="false")  # fmt: skip
def automount(facts: Facts) -> bool | None:
    spec = spec_of(facts)
    return None if spec is None else flag(spec.get("automountServiceAccountToken"))


@field("workload.node_name", "text", "Node that it is pinned to by name, past the scheduler.", level="Request",
       example="node-1")  # fmt: skip
def node_name(facts: Facts) -> str | None:
    spec = spec_of(facts)
    return None if spec is None else optional_text(spec.get("nodeName"))


@field("workload.node_selector", "mapping", "Labels that its node must have.", level="Request",
       example="{disk: ssd}")  # fmt: skip
def node_selector(facts: Facts) -> dict[str, str] | None:
    spec = spec_of(facts)
    return None if spec is None else pairs(spec.get("nodeSelector"))


@field("workload.tolerates_control_plane", "boolean", "Whether it may run on control-plane nodes: it tolerates their "
       "taint or all taints.", level="Request", example="true")  # fmt: skip
def tolerates_control_plane(facts: Facts) -> bool | None:
    spec = spec_of(facts)
    if spec is None:
        return None
    for toleration in elements(spec.get("tolerations")):
        key, effect = text(toleration.get("key")), text(toleration.get("effect"))
        if effect in ("", "NoSchedule") and (
            key in CONTROL_PLANE_LABELS or (not key and toleration.get("operator") == "Exists")
        ):
            return True
    return False


@field("workload.pinned_to_control_plane", "boolean", "Whether a node selector or required affinity sends it to "
       "control-plane nodes.", level="Request", example="true")  # fmt: skip
def pinned_to_control_plane(facts: Facts) -> bool | None:
    spec = spec_of(facts)
    if spec is None:
        return None
    if any(label in mapping(spec.get("nodeSelector")) for label in CONTROL_PLANE_LABELS):
        return True
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in elements(dig(required, "nodeSelectorTerms")):
        for expression in elements(term.get("matchExpressions")):
            if expression.get("operator") in ("Exists", "In") and text(expression.get("key")) in CONTROL_PLANE_LABELS:
                return True
    return False


@field("workload.runtime_class", "text", "Runtime class that it asks for.", level="Request", example="gvisor")
def runtime_class(facts: Facts) -> str | None:
    spec = spec_of(facts)
    return None if spec is None else optional_text(spec.get("runtimeClassName"))


@field("workload.security_context_run_as_user", "number", "User id that the pod's own security context sets.",
       level="Request", example="0")  # fmt: skip
def security_context_run_as_user(facts: Facts) -> int | None:
    return whole(dig(spec_of(facts), "securityContext", "runAsUser"))


@field(
    "workload.git_repos",
    "elements",
    "Volumes of the removed type gitRepo.",
    level="Request",
    example="[{repository: 'https://example.com/x.git', directory: src}]",
    parts={
        "repository": Part("text", "URL or path of the repository."),
        "directory": Part("text", "Directory that it is cloned to."),
    },
)
def git_repos(facts: Facts) -> list[dict[str, Any]] | None:
    volumes = _volumes(facts)
    if volumes is None:
        return None
    return [
        {
            "repository": optional_text(volume["gitRepo"].get("repository")),
            "directory": optional_text(volume["gitRepo"].get("directory")),
        }
        for volume in volumes
        if isinstance(volume.get("gitRepo"), dict)
    ]


@field("workload.owner_kind", "text", "Kind of what controls the workload; none for one that stands alone.",
       level="Request", example="ReplicaSet")  # fmt: skip
def owner_kind(facts: Facts) -> str | None:
    return None if template_of(facts) is None else optional_text(controller_of(facts).get("kind"))


@field("workload.owner_name", "text", "Name of what controls the workload.", level="Request", example="web-7d4b9")
def owner_name(facts: Facts) -> str | None:
    return None if template_of(facts) is None else optional_text(controller_of(facts).get("name"))


@field("workload.is_mirror", "boolean", "Whether it is the mirror of a static pod, which a kubelet shows but does "
       "not take orders for.", level="Request", example="true")  # fmt: skip
def is_mirror(facts: Facts) -> bool | None:
    if template_of(facts) is None:
        return None
    return "kubernetes.io/config.mirror" in mapping(sent_metadata(facts).get("annotations"))


@field("workload.replicas", "number", "Replicas that the write asks for.", level="Request", example="3")
def replicas(facts: Facts) -> int | None:
    return None if template_of(facts) is None else whole(dig(facts.written, "spec", "replicas"))


@field("workload.priority_class", "text", "Priority class that it asks for.", level="Request",
       example="system-node-critical")  # fmt: skip
def priority_class(facts: Facts) -> str | None:
    spec = spec_of(facts)
    return None if spec is None else optional_text(spec.get("priorityClassName"))


@field("workload.last_applied_privileged", "boolean", "Whether the last-applied annotation that the client sent has "
       "a privileged container.", level="Request", example="true")  # fmt: skip
def last_applied_privileged(facts: Facts) -> bool | None:
    if template_of(facts) is None:
        return None
    last = text(
        mapping(sent_metadata(facts).get("annotations")).get("kubectl.kubernetes.io/last-applied-configuration")
    )
    return '"privileged":true' in last.replace(" ", "")


@field("workload.resource_claims", "list", "Names of the devices (resource claims) that the pod asks for.",
       level="Request", example="[gpu]")  # fmt: skip
def resource_claims(facts: Facts) -> list[str] | None:
    spec = spec_of(facts)
    if spec is None:
        return None
    named = [text(claim.get("name")) or "?" for claim in elements(spec.get("resourceClaims"))]
    statuses = sequence(dig(facts.written, "status", "resourceClaimStatuses"))
    return unique(named + [text(status.get("name")) or "?" for status in elements(statuses)])
