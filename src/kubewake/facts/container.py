"""Containers of a pod specification, one flat element each."""

from typing import Any

from kubewake.facts.registry import Part
from kubewake.facts.shapes import dig, elements, flag, mapping, optional_text, text, texts, unique, whole

KINDS = (("containers", "regular"), ("initContainers", "init"), ("ephemeralContainers", "ephemeral"))
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

CONTAINER_PARTS = {
    "kind": Part("text", "regular, init or ephemeral."),
    "name": Part("text", "Name of the container."),
    "image": Part("text", "Image as written."),
    "registry": Part("text", "Registry of the image; docker.io where none is written."),
    "repository": Part("text", "Repository of the image without registry, tag and digest."),
    "familiar_name": Part(
        "text", "Registry and repository of the image; of Docker Hub as people write it: nginx, bitnami/redis."
    ),
    "full_name": Part("text", "Registry and repository of the image; docker.io/library/nginx for nginx."),
    "tag": Part("text", "Tag of the image; latest where neither tag nor digest is written."),
    "digest": Part("text", "Digest that the image is pinned to."),
    "privileged": Part("boolean", "Whether it runs privileged."),
    "run_as_user": Part("number", "User id that it runs as, its own or the pod's."),
    "run_as_non_root": Part("boolean", "Whether root is refused, its own or the pod's setting."),
    "allow_privilege_escalation": Part("boolean", "Whether a process may gain more rights than its parent."),
    "capabilities_add": Part("list", "Capabilities added, upper case without CAP_."),
    "capabilities_set": Part("boolean", "Whether capabilities are set at all."),
    "command": Part("text", "Command and arguments, joined by spaces."),
    "hook_commands": Part("list", "Commands of its lifecycle hooks and probes, each joined by spaces."),
    "env_secrets": Part("list", "Secrets that environment variables take single keys from."),
    "env_from_secrets": Part("list", "Secrets that are put into the environment whole."),
    "env_names": Part("list", "Names of environment variables."),
    "env": Part("mapping", "Environment variables that have a literal value."),
    "mount_paths": Part("list", "Paths that volumes are mounted at."),
    "sub_paths": Part("list", "Paths inside volumes that are mounted."),
    "seccomp_type": Part("text", "Type of the seccomp profile, its own or the pod's."),
    "seccomp_localhost_profile": Part("text", "File of a Localhost seccomp profile; empty text where it is missing."),
    "host_ports": Part("list", "Ports of the node that it takes."),
    "proc_mount": Part("text", "How /proc is mounted."),
    "stdin": Part("boolean", "Whether it keeps standard input open."),
}


def split_image(image: str) -> tuple[str, str, str, str]:
    """Registry, repository, tag and digest of an image reference; the defaults are those of container runtimes."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    name = f"{head}{slash}{last}"
    registry, slash, repository = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = "docker.io", name
    return registry.lower(), repository, tag if colon else ("" if digest else "latest"), digest


HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def familiar_name(registry: str, repository: str) -> str:
    """An image without tag and digest in its shortest form, which no image of another registry shares."""
    if registry not in HUB:
        return f"{registry}/{repository}"
    short = repository.removeprefix("library/")
    first, slash, _ = short.partition("/")
    names_registry = slash and ("." in first or ":" in first or first == "localhost")
    return f"docker.io/{repository}" if names_registry else short


def full_name(registry: str, repository: str) -> str:
    """An image without tag and digest, with its registry: docker.io/library/nginx for nginx."""
    if registry not in HUB:
        return f"{registry}/{repository}"
    return f"docker.io/{repository}" if "/" in repository else f"docker.io/library/{repository}"


def _words(raw: dict[str, Any]) -> str:
    return " ".join(texts(raw.get("command")) + texts(raw.get("args")))


def _hook_commands(raw: dict[str, Any]) -> list[str]:
    hooks = [raw.get(name) for name in _PROBES]
    lifecycle = raw.get("lifecycle")
    if isinstance(lifecycle, dict):
        hooks += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    commands = [texts(dig(hook, "exec", "command")) for hook in hooks if hook is not None]
    return [" ".join(words) for words in commands if words]


def read_container(raw: dict[str, Any], kind: str, pod_security: dict[str, Any]) -> dict[str, Any]:
    """One container as an element with the parts of `CONTAINER_PARTS`; parts that it does not state are None."""
    security = mapping(raw.get("securityContext"))
    image = optional_text(raw.get("image"))
    registry, repository, tag, digest = split_image(image) if image else (None, None, None, None)
    capabilities = security.get("capabilities")
    seccomp = mapping(security.get("seccompProfile")) or mapping(pod_security.get("seccompProfile"))
    run_as_user = whole(security.get("runAsUser"))
    non_root = flag(security.get("runAsNonRoot"))
    env = list(elements(raw.get("env")))
    env_from = list(elements(raw.get("envFrom")))
    mounts = list(elements(raw.get("volumeMounts")))
    seccomp_type = optional_text(seccomp.get("type"))
    return {
        "kind": kind,
        "name": optional_text(raw.get("name")),
        "image": image,
        "registry": registry,
        "repository": repository,
        "familiar_name": familiar_name(registry, repository) if registry and repository else None,
        "full_name": full_name(registry, repository) if registry and repository else None,
        "tag": tag or None,
        "digest": digest or None,
        "privileged": flag(security.get("privileged")),
        "run_as_user": run_as_user if run_as_user is not None else whole(pod_security.get("runAsUser")),
        "run_as_non_root": non_root if non_root is not None else flag(pod_security.get("runAsNonRoot")),
        "allow_privilege_escalation": flag(security.get("allowPrivilegeEscalation")),
        "capabilities_add": [
            name.upper().removeprefix("CAP_") for name in texts(mapping(capabilities).get("add"))
        ],
        "capabilities_set": isinstance(capabilities, dict),
        "command": _words(raw) or None,
        "hook_commands": _hook_commands(raw),
        "env_secrets": unique(texts([dig(entry, "valueFrom", "secretKeyRef", "name") for entry in env])),
        "env_from_secrets": unique(texts([dig(entry, "secretRef", "name") for entry in env_from])),
        "env_names": texts([entry.get("name") for entry in env]),
        "env": {
            text(entry.get("name")): entry["value"] for entry in env if isinstance(entry.get("value"), str)
        },
        "mount_paths": texts([mount.get("mountPath") for mount in mounts]),
        "sub_paths": texts([mount.get("subPath") for mount in mounts])
        + texts([mount.get("subPathExpr") for mount in mounts]),
        "seccomp_type": seccomp_type,
        "seccomp_localhost_profile": text(seccomp.get("localhostProfile")) if seccomp_type == "Localhost" else None,
        "host_ports": [port for entry in elements(raw.get("ports")) if (port := whole(entry.get("hostPort")))],
        "proc_mount": optional_text(security.get("procMount")),
        "stdin": flag(raw.get("stdin")),
    }  # fmt: skip


def read_containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod specification, regular ones first."""
    pod_security = mapping(spec.get("securityContext"))
    return [read_container(raw, kind, pod_security) for key, kind in KINDS for raw in elements(spec.get(key))]
