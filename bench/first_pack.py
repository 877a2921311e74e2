"""The rules for the attacks that a cluster meets first: what the whole pack's cost is measured against."""

from pathlib import Path

import kubewake.rules

FIRST_PACK = (
    # anonymous access
    "anonymous-request-allowed",
    "anonymous-resource-created",
    "anonymous-resource-modified",
    "anonymous-pod-write",
    "anonymous-discovery",
    "anonymous-cluster-admin",
    "anonymous-scan-403",
    "anonymous-credential-access",
    "binding-to-anonymous",
    "binding-to-authenticated",
    # entering pods
    "exec-in-system-namespace",
    "shell-in-system-namespace",
    "exec-reverse-shell",
    "exec-sa-token-read",
    "exec-sensitive-file",
    "exec-cloud-metadata",
    "exec-download-and-run",
    "exec-by-system-identity",
    "exec-without-command",
    "pod-attach",
    "pod-portforward",
    # reading Secrets
    "secret-burst",
    "secret-denied-burst",
    "secrets-dump-cluster-wide",
    "secrets-dump-by-program",
    "secrets-list-sensitive-namespace",
    "secret-scripting-user-agent",
    "secret-unusual-user",
    "platform-secrets-listed-by-program",
    # tokens and certificates
    "sa-token-request",
    "token-farming",
    "long-lived-token",
    "token-secret-created",
    "csr-approved",
    "csr-privileged-identity",
    "csr-api-client-signer",
    "csr-bootstrap-credential",
    # RBAC
    "cluster-admin-binding",
    "role-wildcard",
    "role-wildcard-on-existing",
    "role-escalation-verbs",
    "privileged-role-binding",
    "admin-to-default-sa",
    "system-role-modified",
    "rbac-escalation-by-system-account",
    "namespace-admin-binding",
    # impersonation
    "impersonation-privileged",
    "impersonation-denied",
    "secret-impersonated-access",
    # risky workloads
    "privileged-container",
    "host-pid-pod",
    "host-ipc-pod",
    "sensitive-hostpath",
    "dangerous-capabilities",
    "privileged-daemonset",
    "risky-workload-by-system-account",
    "mirror-pod-created",
    "attack-tool-workload",
    # node proxy
    "node-proxy-request",
    "node-proxy-command-endpoint",
    "kubelet-exec-through-node-proxy",
    # admission
    "admission-webhook-change",
    "admission-weakened",
    "api-interception",
    "admission-webhook-intercepts-secrets",
    # critical ConfigMaps, deletions
    "coredns-config-modified",
    "aws-auth-modified",
    "events-bulk-deleted",
    "namespace-deleted",
    "events-deleted",
    # attack tools
    "exploit-tool-name",
    "pentest-tool-fingerprint",
    "scanner-image-pulled",
    # reconnaissance
    "user-denied-burst",
    "source-ip-403-burst",
    "service-account-denied-burst",
    "workload-rules-enumeration",
    "multi-resource-discovery",
)


def first_pack() -> tuple[Path, ...]:
    """The files of these rules, and the lists that they name."""
    folder = Path(kubewake.rules.__file__).parent
    paths = {path.stem: path for path in (folder / "builtin").rglob("*.yml")}
    return (folder / "lists", *(paths[name] for name in FIRST_PACK))
