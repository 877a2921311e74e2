"""What SigmaHQ's rules for the Kubernetes audit log ask for, restated as conditions.

Source of the facts: rules/application/kubernetes/audit of SigmaHQ/sigma.
"""

from bench.evaluation.baselines.rule import Rule

CHANGES = frozenset({"create", "delete", "patch", "replace", "update"})

RULES = [
    Rule(
        "admission-controller-change",
        "medium",
        "persistence",
        lambda r: (
            r.resource in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations") and r.verb in CHANGES
        ),
    ),
    Rule("cronjob-change", "medium", "persistence", lambda r: r.resource in ("cronjobs", "jobs") and r.verb in CHANGES),
    Rule("deployment-deleted", "low", "impact", lambda r: r.resource == "deployments" and r.verb == "delete"),
    Rule(
        "events-deleted",
        "medium",
        "defense-evasion",
        lambda r: r.resource == "events" and r.verb in ("delete", "deletecollection"),
    ),
    Rule(
        "exec-into-container",
        "medium",
        "execution",
        lambda r: r.resource == "pods" and r.subresource == "exec" and r.verb in ("create", "get"),
    ),
    Rule(
        "hostpath-mount",
        "low",
        "privilege-escalation",
        lambda r: r.resource == "pods" and r.verb == "create" and bool(r.body.host_paths),
    ),
    Rule(
        "pod-in-system-namespace",
        "medium",
        "defense-evasion",
        lambda r: r.resource == "pods" and r.verb == "create" and r.namespace == "kube-system" and not r.subresource,
    ),
    Rule(
        "privileged-pod",
        "low",
        "privilege-escalation",
        lambda r: r.resource == "pods" and r.verb == "create" and (r.body.capabilities or r.body.is_privileged),
    ),
    Rule(
        "permission-enumeration",
        "low",
        "discovery",
        lambda r: r.resource in ("selfsubjectrulesreviews", "selfsubjectaccessreviews") and r.verb == "create",
    ),
    Rule(
        "rolebinding-change",
        "medium",
        "privilege-escalation",
        lambda r: r.resource in ("rolebindings", "clusterrolebindings") and r.verb in CHANGES,
    ),
    Rule(
        "secrets-enumeration",
        "low",
        "credential-access",
        lambda r: r.resource == "secrets" and r.verb in ("list", "get"),
    ),
    Rule("secrets-change", "medium", "credential-access", lambda r: r.resource == "secrets" and r.verb in CHANGES),
    Rule(
        "serviceaccount-creation",
        "low",
        "persistence",
        lambda r: r.resource == "serviceaccounts" and r.verb == "create" and not r.subresource,
    ),
    Rule(
        "sidecar-injection",
        "low",
        "persistence",
        lambda r: r.resource == "deployments" and r.verb in ("patch", "update"),
    ),
    Rule("unauthorised", "low", "initial-access", lambda r: r.code in (401, 403)),
]
