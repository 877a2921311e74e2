"""The verbs and resources of the Kubernetes API, and what a question about others probably means."""

import difflib
from collections.abc import Iterable

from kubewake.rbac.model import ANY, Request, Rule

VERBS = frozenset(["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"])
SPECIAL_VERBS = frozenset(["impersonate", "bind", "escalate", "approve", "sign", "attest", "use", "proxy"])
"""Verbs that authorization alone knows, by resource (https://kubernetes.io/docs/reference/access-authn-authz/authorization/)."""
PATH_VERBS = frozenset(["get", "post", "put", "patch", "delete", "head", "options"])

RESOURCES: dict[str, tuple[str, ...]] = {
    "": (
        "bindings",
        "componentstatuses",
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "serviceaccounts",
        "services",
        "users",
        "groups",
    ),
    "admissionregistration.k8s.io": (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    ),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "apiregistration.k8s.io": ("apiservices",),
    "apps": ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"),
    "authentication.k8s.io": ("selfsubjectreviews", "tokenreviews", "uids", "userextras"),
    "authorization.k8s.io": (
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
    ),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "certificates.k8s.io": ("certificatesigningrequests", "clustertrustbundles", "podcertificaterequests", "signers"),
    "coordination.k8s.io": ("leasecandidates", "leases"),
    "discovery.k8s.io": ("endpointslices",),
    "events.k8s.io": ("events",),
    "flowcontrol.apiserver.k8s.io": ("flowschemas", "prioritylevelconfigurations"),
    "metrics.k8s.io": ("nodes", "pods"),
    "networking.k8s.io": ("ingressclasses", "ingresses", "ipaddresses", "networkpolicies", "servicecidrs"),
    "node.k8s.io": ("runtimeclasses",),
    "policy": ("poddisruptionbudgets", "podsecuritypolicies"),
    "rbac.authorization.k8s.io": ("clusterrolebindings", "clusterroles", "rolebindings", "roles"),
    "resource.k8s.io": ("deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"),
    "scheduling.k8s.io": ("priorityclasses",),
    "storage.k8s.io": ("csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"),
}
"""Resources by API group, as of Kubernetes 1.34."""

SUBRESOURCES = frozenset(
    [
        "approval",
        "attach",
        "binding",
        "configz",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "finalize",
        "healthz",
        "log",
        "metrics",
        "pods",
        "portforward",
        "proxy",
        "resize",
        "scale",
        "spec",
        "stats",
        "status",
        "token",
    ]
)

SHORT_NAMES = {
    "cj": "cronjobs",
    "cm": "configmaps",
    "crd": "customresourcedefinitions",
    "crds": "customresourcedefinitions",
    "csr": "certificatesigningrequests",
    "deploy": "deployments",
    "ds": "daemonsets",
    "ep": "endpoints",
    "ev": "events",
    "hpa": "horizontalpodautoscalers",
    "ing": "ingresses",
    "netpol": "networkpolicies",
    "no": "nodes",
    "ns": "namespaces",
    "pdb": "poddisruptionbudgets",
    "po": "pods",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "quota": "resourcequotas",
    "rc": "replicationcontrollers",
    "rs": "replicasets",
    "sa": "serviceaccounts",
    "sc": "storageclasses",
    "sts": "statefulsets",
    "svc": "services",
}
"""What kubectl takes for a resource; roles and the API do not."""


def doubts(request: Request, rules: Iterable[Rule], used: Iterable[tuple[str, str]] = ()) -> list[str]:
    """What in a question is probably not as it was meant, with what probably was.

    Known is what Kubernetes has built in, what the rules name, and what was `used`: (API group, resource) pairs.
    A verb or resource that is not known may still be a custom one.
    """
    rules = list(rules)
    verbs = (PATH_VERBS if request.path else VERBS | SPECIAL_VERBS) | {verb for rule in rules for verb in rule.verbs}
    found: list[str] = []
    if request.verb not in verbs | {ANY}:
        found.append(f"'{request.verb}' is no verb of the API and in no rule{_meant(request.verb, verbs)}")
    if request.path or request.resource == ANY:
        return found
    groups: dict[str, set[str]] = {}
    subresources = set(SUBRESOURCES)
    named = [(group, name) for group, names in RESOURCES.items() for name in names]
    named += [(group, name) for rule in rules for group in rule.api_groups for name in rule.resources]
    for group, name in [*named, *used]:
        kind, _, subresource = name.partition("/")
        if ANY not in (group, kind):
            groups.setdefault(kind, set()).add(group)
        subresources.add(subresource)
    if request.resource not in groups:
        short = SHORT_NAMES.get(request.resource.lower(), "")
        hint = f"; did you mean '{_qualified(short, groups[short])}'?" if short else _near(request.resource, groups)
        found.append(f"'{request.resource}' is not known as a resource, unless it is a custom one{hint}")
    elif request.api_group not in groups[request.resource]:
        right = " or ".join(f"'{_qualified(request.resource, {group})}'" for group in sorted(groups[request.resource]))
        where = f"API group '{request.api_group}'" if request.api_group else "the core API group"
        found.append(f"'{request.resource}' is not known in {where}; did you mean {right}?")
    if request.subresource not in subresources | {ANY}:
        found.append(
            f"'{request.subresource}' is not known as a subresource{_meant(request.subresource, subresources)}"
        )
    return found


def _near(resource: str, groups: dict[str, set[str]]) -> str:
    close = difflib.get_close_matches(resource.lower(), sorted(groups), n=1)
    return f"; did you mean '{_qualified(close[0], groups[close[0]])}'?" if close else ""


def _qualified(resource: str, groups: set[str]) -> str:
    """The resource as a question names it; the core group has no name."""
    group = min(groups)
    return f"{resource}.{group}" if group else resource


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower(), sorted(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
