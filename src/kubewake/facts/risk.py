"""What makes a workload dangerous to the node and to its neighbours, in short names."""

from typing import Any

from kubewake.facts.facts import Facts
from kubewake.facts.hostpath import RUNTIME_SOCKETS, normal_path
from kubewake.facts.registry import field
from kubewake.facts.template import of_spec, spec_of
from kubewake.facts.workload import (
    containers,
    host_ipc,
    host_network,
    host_paths,
    host_pid,
    pinned_to_control_plane,
    security_context_run_as_user,
    sensitive_host_paths,
)

DANGEROUS_CAPABILITIES = frozenset(
    {
        "ALL", "AUDIT_CONTROL", "BPF", "CHECKPOINT_RESTORE", "DAC_OVERRIDE", "DAC_READ_SEARCH", "LINUX_IMMUTABLE",
        "MAC_ADMIN", "MAC_OVERRIDE", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE",
        "SYS_RAWIO", "SYS_TIME", "SYSLOG",
    }
)  # fmt: skip
"""Capabilities that lead out of a container or into others; those that runtimes grant anyway are left out."""


@field(
    "workload.risks",
    "list",
    "Short names of what makes the workload dangerous: privileged, host-pid, host-network, host-ipc, host-path, "
    "sensitive-host-path, runtime-socket, dangerous-capability, run-as-root, privilege-escalation, unconfined, "
    "unmasked-proc, control-plane-pinned, host-port.",
    level="Request",
    example="[privileged, host-pid]",
)
def risks(facts: Facts) -> list[str] | None:
    spec, found = spec_of(facts), containers(facts)
    if spec is None or found is None:
        return None
    return of_spec(facts, "risks", lambda: _risks(facts, found))


def _risks(facts: Facts, found: list[dict[str, Any]]) -> list[str]:
    paths = host_paths(facts) or []
    root = any(item["run_as_user"] == 0 or item["run_as_non_root"] is False for item in found)
    claims = (
        ("privileged", any(item["privileged"] for item in found)),
        ("host-pid", host_pid(facts)),
        ("host-network", host_network(facts)),
        ("host-ipc", host_ipc(facts)),
        ("host-path", bool(paths)),
        ("sensitive-host-path", bool(sensitive_host_paths(facts))),
        ("runtime-socket", any(normal_path(path).endswith(RUNTIME_SOCKETS) for path in paths)),
        (
            "dangerous-capability",
            any(not DANGEROUS_CAPABILITIES.isdisjoint(item["capabilities_add"]) for item in found),
        ),
        ("run-as-root", root or security_context_run_as_user(facts) == 0),
        ("privilege-escalation", any(item["allow_privilege_escalation"] for item in found)),
        ("unconfined", any(item["seccomp_type"] == "Unconfined" for item in found)),
        ("unmasked-proc", any(item["proc_mount"] == "Unmasked" for item in found)),
        ("control-plane-pinned", pinned_to_control_plane(facts)),
        ("host-port", any(item["host_ports"] for item in found)),
    )
    return [name for name, holds in claims if holds]
