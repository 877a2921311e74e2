"""Who acted: what kind of identity it is, and its plain name. What it claims, not what is proven."""

from functools import lru_cache

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field

SERVICE_ACCOUNT = "system:serviceaccount:"
NODE = "system:node:"

CONTROL_PLANE = frozenset(
    {
        "system:apiserver",
        "system:kube-apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
        "system:cloud-controller-manager",
        "system:kube-aggregator",
        "system:aggregator",
        "system:konnectivity-server",
        "system:volume-scheduler",
        "system:monitoring",
        "system:k3s-controller",
        "system:k3s-supervisor",
        "system:rke2-controller",
        "system:rke2-supervisor",
        "system:addon-manager",
    }
)
"""Usernames that Kubernetes and its common distributions give to their own components."""

CONTROL_PLANE_PREFIXES = ("system:openshift-", "system:microk8s-")

CLOUD = frozenset(
    {
        "aksService",
        "aks-support",
        "hcpService",
        "acsService",
        "system:cluster-autoscaler",
        "system:clustermetrics",
        "system:gcp-controller-manager",
        "system:glbc",
        "system:l7-lb-controller",
        "system:kubestore-collector",
        "system:managed-certificate-controller",
        "system:resource-tracker",
        "system:snapshot-controller",
        "system:storageversionmigrator",
        "system:vpa-recommender",
        "system:vpa-updater",
    }
)
"""Usernames of the managed services' own components on AKS and GKE."""

CLOUD_PREFIXES = ("eks:", "aks:", "system:gke-", "system:gcp-", "system:managed-")
CLOUD_SUFFIXES = ("@container-engine-robot.iam.gserviceaccount.com", "@security-center-api.iam.gserviceaccount.com")

UNAUTHORIZED = 401
"""The answer to a failed login, whose audit event names nobody."""

ANONYMOUS = frozenset({"", "system:anonymous", "system:unauthenticated"})
UNKNOWN = "unknown"

SYSTEM_NAMESPACES = frozenset(
    {
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "gke-system",
        "gke-managed-system",
        "gmp-system",
        "config-management-system",
        "calico-system",
        "tigera-operator",
        "amazon-cloudwatch",
        "azure-arc",
        "cattle-system",
        "cattle-fleet-system",
    }
)
"""Namespaces that platforms keep for themselves."""

SYSTEM_NAMESPACE_PREFIXES = ("openshift-", "gke-managed-", "aks-")


def is_system_namespace(namespace: str) -> bool:
    """Whether a platform keeps this namespace for itself."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith(SYSTEM_NAMESPACE_PREFIXES)


@lru_cache(maxsize=8192)
def kind_of(username: str, unauthenticated: bool) -> str:
    """What kind of identity a username is: one of the values of `actor.kind`."""
    if username in ANONYMOUS or unauthenticated:
        return "anonymous"
    if username.startswith(SERVICE_ACCOUNT):
        return "serviceaccount"
    if username.startswith((NODE, "system:bootstrap:")):
        return "node"
    if username in CONTROL_PLANE or username.startswith(CONTROL_PLANE_PREFIXES):
        return "control-plane"
    if username in CLOUD or username.startswith(CLOUD_PREFIXES) or username.endswith(CLOUD_SUFFIXES):
        return "cloud"
    return "human"


@lru_cache(maxsize=8192)
def service_account_of(username: str) -> tuple[str, str] | None:
    """Namespace and name of a service account's username; None for any other."""
    if not username.startswith(SERVICE_ACCOUNT):
        return None
    namespace, _, name = username[len(SERVICE_ACCOUNT) :].partition(":")
    return (namespace, name) if namespace and name else None


@field(
    "actor.kind",
    "text",
    "What kind of identity sent the request: human, serviceaccount, node, control-plane, anonymous or cloud "
    "(a managed service's own component). Follows from the authenticated name; failed logins are anonymous. unknown where "
    "the log does not say who it was: the API server names whoever it lets in, if only as system:anonymous.",
    scope="behaviour",
    example="serviceaccount",
)
def actor_kind(facts: Facts) -> str:
    username, unauthenticated = facts.username, "system:unauthenticated" in facts.groups
    if not (username or unauthenticated):
        status = facts.event.response_status
        if status is None or status.code != UNAUTHORIZED:
            return UNKNOWN
    return kind_of(username, unauthenticated)


@field(
    "actor.name",
    "text",
    "The identity's plain name: a service account's or node's name without its prefix, else the username.",
    scope="behaviour",
    example="argocd-server",
)
def actor_name(facts: Facts) -> str:
    username = facts.username
    account = service_account_of(username)
    if account is not None:
        return account[1]
    return username.removeprefix(NODE)


@field(
    "actor.namespace",
    "text",
    "Namespace of the service account that sent the request; none for other identities.",
    scope="behaviour",
    example="argocd",
)
def actor_namespace(facts: Facts) -> str | None:
    account = service_account_of(facts.username)
    return account[0] if account is not None else None


@field(
    "actor.is_system",
    "boolean",
    "Whether the identity claims to be part of the platform: control plane, node, cloud, or a service account of a "
    "platform namespace. Says nothing about whether the request is its own job; see actor.in_profile.",
    scope="behaviour",
    example="true",
)
def is_system(facts: Facts) -> bool:
    kind = actor_kind(facts)
    if kind == "serviceaccount":
        account = service_account_of(facts.username)
        return account is not None and is_system_namespace(account[0])
    return kind in ("control-plane", "node", "cloud")
