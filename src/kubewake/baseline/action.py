"""What a request does, in three coarse classes, with the ATT&CK tactic it would serve and how much it could harm."""

from functools import lru_cache

READS = frozenset({"get", "list", "watch", "head", "options"})
READ, WRITE, SENSITIVE = "read", "write", "sensitive"
SENSITIVE_WEIGHT = 0.8
"""Actions that weigh at least this much are a class of their own."""
FAILED_FACTOR = 0.6
"""What failed or was refused is tried but not done."""

BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
ROLES = frozenset({"roles", "clusterroles"})
WEBHOOKS = frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"})
POLICIES = frozenset({"networkpolicies", "validatingadmissionpolicies", "validatingadmissionpolicybindings"})
REVIEWS = frozenset(
    {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews", "selfsubjectreviews"}
)
LASTING = frozenset({"daemonsets", "cronjobs"})
WORKLOADS = (
    frozenset({"pods", "deployments", "statefulsets", "replicasets", "replicationcontrollers", "jobs"}) | LASTING
)
EXPOSING = frozenset({"services", "ingresses", "endpoints", "endpointslices"})
ENTERING = frozenset({"exec", "attach", "portforward", "ephemeralcontainers", "proxy"})
ROUTINE = frozenset({"leases", "events", "tokenreviews", "nodes/status", "pods/status"})
TELLING_READS = frozenset({"nodes", "namespaces", "serviceaccounts", "pods"}) | BINDINGS | ROLES | WEBHOOKS | POLICIES

Action = tuple[str, str, float]
"""Class, tactic slug, threat weight from 0 to 1."""


@lru_cache(maxsize=16_384)
def action_of(verb: str, resource: str, subresource: str, namespace: str, impersonated: bool, outcome: str) -> Action:
    """Class, tactic and threat weight of an action; the weights say how much an attacker gains by it."""
    tactic, weight = _threat(verb, resource, subresource, namespace)
    if impersonated and weight < 1:
        tactic, weight = "privilege-escalation", max(weight, SENSITIVE_WEIGHT)
    kind = SENSITIVE if weight >= SENSITIVE_WEIGHT else READ if verb in READS else WRITE
    return kind, tactic, weight if outcome == "allowed" else weight * FAILED_FACTOR


def _threat(verb: str, resource: str, subresource: str, namespace: str) -> tuple[str, float]:
    if resource in ROUTINE or f"{resource}/{subresource}" in ROUTINE or subresource in ("status", "finalize"):
        return "impact", 0.0
    if not resource:
        return "discovery", 0.2
    if resource == "secrets":
        if verb in READS:
            return "credential-access", 0.8 if verb == "get" else 1.0
        return ("impact", 0.6) if verb.startswith("delete") else ("persistence", 0.5)
    if subresource == "token":
        return "credential-access", 1.0
    if subresource in ENTERING:
        return "execution", 1.0
    if resource in REVIEWS:
        return "discovery", 0.5
    if verb in READS:
        return "discovery", 0.4 if resource in TELLING_READS else 0.2
    return _threat_of_write(verb, resource, namespace)


def _threat_of_write(verb: str, resource: str, namespace: str) -> tuple[str, float]:
    if verb == "deletecollection":
        return "impact", 0.9
    if verb == "delete":
        if resource in POLICIES or resource in WEBHOOKS:
            return "defense-evasion", 0.9
        return "impact", 0.6
    if resource in BINDINGS:
        return "privilege-escalation", 1.0
    if resource in ROLES or verb in ("escalate", "bind", "impersonate"):
        return "privilege-escalation", 0.9
    if resource in WEBHOOKS or resource == "certificatesigningrequests":
        return "persistence", 1.0
    if resource in POLICIES:
        return "defense-evasion", 0.6
    if resource in WORKLOADS:
        return ("persistence", 0.8) if resource in LASTING else ("execution", 0.7)
    if resource == "serviceaccounts":
        return "persistence", 0.6
    if resource == "configmaps":
        return "impact", 0.8 if namespace == "kube-system" else 0.3
    if resource in EXPOSING:
        return "persistence", 0.5
    return "persistence", 0.3
