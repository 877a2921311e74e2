"""Which versions a cluster runs, as its own components state, and what that means for findings about vulnerabilities."""

import re

import msgspec

from kubewake.finding import Finding
from kubewake.observation import Stub
from kubewake.rules.affected import read_affected
from kubewake.rules.model import RuleInfo
from kubewake.snapshot import decode_state

MAX_VERSIONS = 32
"""Versions remembered per component; a cluster in the middle of an upgrade has two or three."""
MAX_CLIENTS = 4096

CONTROL_PLANE = frozenset({"kube-controller-manager", "kube-scheduler", "kube-apiserver"})
"""Client families whose version is the control plane's; they are at most one minor release older than the API server."""
COMPONENTS = ("kube-apiserver", "kube-controller-manager")

_VERSION = re.compile(r"/(v?\d+\.\d+\.\d+)")


class Versions:
    """Versions by component: `kube-apiserver`, `kube-controller-manager`, `kubelet`."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}
        self._clients: set[str] = set()

    def observe(self, stub: Stub) -> None:
        """Learn from the user agents of kubelets and of the control plane's own identities."""
        family = stub.client
        if family == "kubelet":
            if stub.actor_kind != "node":
                return
        elif family not in CONTROL_PLANE or not (
            stub.actor_kind == "control-plane" or stub.user.startswith("system:serviceaccount:kube-system:")
        ):
            return
        if stub.user_agent in self._clients:
            return
        if len(self._clients) < MAX_CLIENTS:
            self._clients.add(stub.user_agent)
        match = _VERSION.search(stub.user_agent)
        if match is None:
            return
        for component in ("kubelet",) if family == "kubelet" else COMPONENTS:
            versions = self._seen.setdefault(component, [])
            if match[1] not in versions and len(versions) < MAX_VERSIONS:
                versions.append(match[1])

    def explain(self, info: RuleInfo, finding: Finding) -> None:
        """Note in a finding about a vulnerability whether what runs here is vulnerable; if not, lower its confidence.

        The severity stays: who tries to exploit a hole that has been closed is an attacker all the same. The story is
        told anew when a later request succeeds.
        """
        if not info.affected:
            return
        if "vulnerable" not in finding.explain:
            self._judge(info, finding)
        verdict, _, reason = finding.explain["vulnerable"].partition(": ")
        if verdict == "no" and not finding.story.endswith(f"{reason}."):
            finding.story += f" The hole is closed here: {reason}."

    def _judge(self, info: RuleInfo, finding: Finding) -> None:
        affected = read_affected(info.affected)
        versions = self._seen.get(affected.component, []) if affected is not None else []
        if affected is None or not versions:
            finding.explain["vulnerable"] = "unknown: the stream does not show the version"
            return
        open_to = sorted(version for version in versions if affected.includes(version))
        finding.explain["versions_seen"] = sorted(versions)
        if open_to:
            finding.explain["vulnerable"] = f"yes: {affected.component} {', '.join(open_to)}"
        else:
            finding.explain["vulnerable"] = f"no: {affected.component} {', '.join(sorted(versions))} is not affected"
            finding.confidence = "low"

    def snapshot(self) -> bytes:
        """All state."""
        return msgspec.msgpack.encode(self._seen)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot."""
        self._seen = decode_state(data, dict[str, list[str]], "saved versions of components")
        self._clients = set()
