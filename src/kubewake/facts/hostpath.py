"""Paths of a node, and which of them give the node away to a container that mounts them."""

SENSITIVE_HOST_PATHS = (
    "/bin", "/etc", "/home", "/lib", "/lib64", "/opt/cni", "/proc", "/root", "/run/containerd", "/run/crio", "/run/docker",
    "/run/k3s", "/run/systemd", "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/var/lib/cni",
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/dockershim", "/var/lib/etcd",
    "/var/lib/kubelet", "/var/lib/rancher", "/var/run/containerd", "/var/run/crio", "/var/run/docker",
    "/var/snap/microk8s", "/var/spool/cron", "/dev/mem", "/dev/kmem", "/dev/sda", "/dev/nvme0n1", "/dev/vda", "/dev/xvda",
    "/dev/disk",
)  # fmt: skip
"""Directories of a node from which it, its credentials or its other containers can be taken over; so can all that
contain them.
"""

HARMLESS_HOST_PATHS = (
    "/etc/ca-certificates", "/etc/hosts", "/etc/localtime", "/etc/machine-id", "/etc/os-release", "/etc/pki/ca-trust",
    "/etc/pki/tls", "/etc/resolv.conf", "/etc/ssl", "/etc/timezone", "/lib/modules", "/sys/fs/bpf", "/usr/lib/modules",
    "/usr/lib/os-release", "/usr/local/share/ca-certificates", "/var/lib/docker/containers",
    "/var/lib/kubelet/device-plugins", "/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins_registry",
    "/var/lib/kubelet/pod-resources",
)  # fmt: skip
"""Paths below those that give nothing away and that ordinary agents mount."""

RUNTIME_SOCKETS = (
    "docker.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock", "dockershim.sock", "podman.sock", "kubelet.sock",
    "frakti.sock", "buildkitd.sock",
)  # fmt: skip


def normal_path(path: str) -> str:
    """A path without repeated or trailing slashes, with `.` and `..` steps taken."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    return "/" + "/".join(steps)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def is_sensitive_path(path: str) -> bool:
    """Whether a mount of this path of a node gives away the node, its credentials or its other containers."""
    normal = normal_path(path)
    if normal in ("/", "/run", "/var/run", "/dev") or normal.endswith(RUNTIME_SOCKETS):
        return True
    if any(_is_below(normal, harmless) for harmless in HARMLESS_HOST_PATHS):
        return False
    return any(_is_below(normal, directory) or _is_below(directory, normal) for directory in SENSITIVE_HOST_PATHS)
