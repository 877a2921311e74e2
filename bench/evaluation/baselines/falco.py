"""What Falco's stock rules for Kubernetes audit events ask for, restated as conditions.

Source of the facts: the rule file of the k8saudit plug-in (falcosecurity/plugins). Its allow-lists of users and images are
at their defaults. Rules that ship switched off are left out.
"""

from bench.evaluation.baselines.request import Request
from bench.evaluation.baselines.rule import Rule

MODIFY = frozenset({"create", "update", "patch"})
ROLES = frozenset({"roles", "clusterroles"})
BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public"})
KNOWN_NAMESPACES = SYSTEM_NAMESPACES | {"default"}
KNOWN_USERS = frozenset(
    {"minikube", "minikube-user", "kubelet", "kops", "admin", "kube", "kube-proxy", "kubernetes-admin"}
    | {"kube-apiserver-healthcheck", "vertical-pod-autoscaler", "cluster-autoscaler", "eks:node-manager"}
)
SENSITIVE_PATHS = frozenset(
    {
        "/proc",
        "/",
        "/etc",
        "/root",
        "/var/run/docker.sock",
        "/var/run/crio/crio.sock",
        "/run/containerd/containerd.sock",
    }
    | {"/home/admin", "/var/lib/kubelet", "/var/lib/kubelet/pki", "/etc/kubernetes", "/etc/kubernetes/manifests"}
)
WRITING_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
UPSTREAM_REPOSITORIES = ("registry.k8s.io/", "k8s.gcr.io/", "docker.io/falcosecurity/", "gcr.io/google_containers/")


def _is(request: Request, resource: str, *verbs: str) -> bool:
    return request.resource == resource and not request.subresource and request.verb in verbs


def _is_person(request: Request) -> bool:
    return not request.user.startswith("system:")


def _is_foreign_image(request: Request) -> bool:
    return any(not name.startswith(UPSTREAM_REPOSITORIES) for name in request.body.repositories)


def _lifecycle(resource: str, label: str) -> list[Rule]:
    """The pairs of informational rules that tell of every object made or deleted."""

    def told(request: Request, verb: str) -> bool:
        return _is(request, resource, verb) and request.succeeded

    return [
        Rule(f"{label} Created", "info", "persistence", lambda request: told(request, "create")),
        Rule(f"{label} Deleted", "info", "impact", lambda request: told(request, "delete")),
    ]


RULES = [
    Rule(
        "Disallowed K8s User",
        "warning",
        "initial-access",
        lambda r: _is_person(r) and r.user not in KNOWN_USERS,
    ),
    Rule("Create Disallowed Pod", "warning", "execution", lambda r: _is(r, "pods", "create") and _is_foreign_image(r)),
    Rule(
        "Create Privileged Pod",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "pods", "create") and r.body.is_privileged and _is_foreign_image(r),
    ),
    Rule(
        "Create Sensitive Mount Pod",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "pods", "create") and not SENSITIVE_PATHS.isdisjoint(r.body.host_paths),
    ),
    Rule(
        "Create HostNetwork Pod",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "pods", "create") and r.body.host_network and _is_foreign_image(r),
    ),
    Rule(
        "Create HostPid Pod",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "pods", "create") and r.body.host_pid and _is_foreign_image(r),
    ),
    Rule(
        "Create HostIPC Pod",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "pods", "create") and r.body.host_ipc and _is_foreign_image(r),
    ),
    Rule(
        "Create NodePort Service",
        "warning",
        "persistence",
        lambda r: _is(r, "services", "create") and r.body.service_type == "NodePort",
    ),
    Rule(
        "Create/Modify Configmap With Private Credentials",
        "warning",
        "credential-access",
        lambda r: _is(r, "configmaps", *MODIFY) and r.body.has_credentials,
    ),
    Rule(
        "Anonymous Request Allowed",
        "warning",
        "initial-access",
        lambda r: (
            r.user == "system:anonymous" and r.allowed and not r.uri.startswith(("/healthz", "/livez", "/readyz"))
        ),
    ),
    Rule(
        "Attach/Exec Pod",
        "notice",
        "execution",
        lambda r: r.resource == "pods" and r.subresource in ("exec", "attach") and r.verb == "create",
    ),
    Rule(
        "EphemeralContainers Created",
        "notice",
        "execution",
        lambda r: r.resource == "pods" and r.subresource == "ephemeralcontainers" and r.verb in MODIFY,
    ),
    Rule(
        "Create Disallowed Namespace",
        "warning",
        "persistence",
        lambda r: _is(r, "namespaces", "create") and r.name not in KNOWN_NAMESPACES,
    ),
    Rule(
        "Pod Created in Kube Namespace",
        "warning",
        "persistence",
        lambda r: _is(r, "pods", "create") and r.namespace in SYSTEM_NAMESPACES and _is_foreign_image(r),
    ),
    Rule(
        "Service Account Created in Kube Namespace",
        "warning",
        "persistence",
        lambda r: _is(r, "serviceaccounts", "create") and r.namespace in SYSTEM_NAMESPACES and r.succeeded,
    ),
    Rule(
        "System ClusterRole Modified/Deleted",
        "warning",
        "privilege-escalation",
        lambda r: (
            r.resource in ROLES
            and r.verb in ("update", "patch", "delete")
            and (r.name.startswith("system:") or r.name in ("cluster-admin", "admin", "edit", "view"))
        ),
    ),
    Rule(
        "Attach to cluster-admin Role",
        "warning",
        "privilege-escalation",
        lambda r: _is(r, "clusterrolebindings", "create") and r.body.role == "cluster-admin",
    ),
    Rule(
        "ClusterRole With Wildcard Created",
        "warning",
        "privilege-escalation",
        lambda r: r.resource in ROLES and r.verb == "create" and "*" in [*r.body.role_verbs, *r.body.role_resources],
    ),
    Rule(
        "ClusterRole With Write Privileges Created",
        "notice",
        "privilege-escalation",
        lambda r: r.resource in ROLES and r.verb == "create" and not WRITING_VERBS.isdisjoint(r.body.role_verbs),
    ),
    Rule(
        "ClusterRole With Pod Exec Created",
        "warning",
        "privilege-escalation",
        lambda r: r.resource in ROLES and r.verb == "create" and "pods/exec" in r.body.role_resources,
    ),
    Rule(
        "Ingress Object without TLS Certificate Created",
        "warning",
        "persistence",
        lambda r: _is(r, "ingresses", "create") and not r.body.has_tls,
    ),
    Rule("Node Joined", "error", "persistence", lambda r: _is(r, "nodes", "create")),
    Rule(
        "K8s Secret Created",
        "info",
        "credential-access",
        lambda r: _is(r, "secrets", "create") and r.succeeded and r.namespace not in SYSTEM_NAMESPACES,
    ),
    Rule("K8s Secret Deleted", "info", "impact", lambda r: _is(r, "secrets", "delete") and r.succeeded),
    Rule(
        "K8s Secret Get Successfully", "error", "credential-access", lambda r: _is(r, "secrets", "get") and r.succeeded
    ),
    Rule(
        "K8s Secret Get Unsuccessfully Tried",
        "warning",
        "credential-access",
        lambda r: _is(r, "secrets", "get") and not r.succeeded,
    ),
    *_lifecycle("deployments", "K8s Deployment"),
    *_lifecycle("services", "K8s Service"),
    *_lifecycle("configmaps", "K8s ConfigMap"),
    *_lifecycle("namespaces", "K8s Namespace"),
    *_lifecycle("serviceaccounts", "K8s Serviceaccount"),
    *(rule for resource in sorted(ROLES) for rule in _lifecycle(resource, f"K8s Role/Clusterrole ({resource})")),
    *(rule for resource in sorted(BINDINGS) for rule in _lifecycle(resource, f"K8s Binding ({resource})")),
]
