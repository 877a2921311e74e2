"""What a role or binding that is written grants, and to whom."""

from collections.abc import Iterable
from typing import Any

from kubewake.facts.actor import service_account_of
from kubewake.facts.facts import Facts
from kubewake.facts.objects import metadata
from kubewake.facts.registry import Part, field
from kubewake.facts.shapes import dig, elements, mapping, optional_text, pairs, sequence, text, texts

RBAC_GROUP = "rbac.authorization.k8s.io"
ROLES = frozenset({"roles", "clusterroles"})
BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})

READ_VERBS = frozenset({"get", "list", "watch", "*"})
WRITE_VERBS = frozenset({"create", "update", "patch", "*"})
ESCALATION_VERBS = frozenset({"escalate", "bind", "impersonate"})
WORKLOADS = frozenset(
    {"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs"}
)
WEBHOOKS = frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"})

_RULE_PARTS = {
    "verbs": Part("list", "Verbs that the rule allows."),
    "resources": Part("list", "Resources (and resource/subresource) that the rule is about."),
    "api_groups": Part("list", "API groups; the core group is empty text."),
    "resource_names": Part("list", "Names that the rule is limited to; empty means all."),
    "non_resource_urls": Part("list", "Paths outside the resource API that the rule is about."),
}
_SUBJECT_PARTS = {
    "kind": Part("text", "User, Group or ServiceAccount; a user with a service account's username is that account."),
    "name": Part("text", "Name of the subject."),
    "namespace": Part("text", "Namespace of a service account."),
    "full": Part("text", "Name as it authenticates: system:serviceaccount:namespace:name, else the name."),
}

Rule = dict[str, list[str]]


def is_rbac_group(api_group: str) -> bool:
    """Whether a role or binding of this API group is RBAC's. Shortened exports leave the group out; the core group has
    no such kinds, and a custom resource always names its group.
    """
    return api_group in (RBAC_GROUP, "")


def _is_rbac(facts: Facts, resources: frozenset[str]) -> bool:
    return facts.resource in resources and is_rbac_group(facts.api_group) and facts.is_write


def rule_of(raw: dict[str, Any]) -> Rule:
    """One policy rule in this project's names."""
    return {
        "verbs": texts(raw.get("verbs")),
        "resources": texts(raw.get("resources")),
        "api_groups": texts(raw.get("apiGroups")),
        "resource_names": texts(raw.get("resourceNames")),
        "non_resource_urls": texts(raw.get("nonResourceURLs")),
    }


@field(
    "rbac.rules",
    "elements",
    "The policy rules that the client writes into a Role or ClusterRole; for a patch, those that the patch sets.",
    level="Request",
    example="[{verbs: [get], resources: [secrets], api_groups: ['']}]",
    parts=_RULE_PARTS,
)
def rules(facts: Facts) -> list[Rule] | None:
    if not _is_rbac(facts, ROLES):
        return None
    written = facts.written
    if written is None:
        return None
    found = [rule_of(rule) for rule in elements(written.get("rules"))]
    answer = facts.response_object
    if facts.verb == "patch" and found and answer is not None:
        whole = [rule_of(rule) for rule in elements(answer.get("rules"))]
        # A JSON Patch may name one verb of one rule: the rules of the answer that carry what it sets complete it.
        found = [_completed(rule, whole) for rule in found]
    return found


def _completed(rule: Rule, whole: list[Rule]) -> Rule:
    if rule["verbs"] and (rule["resources"] or rule["non_resource_urls"]):
        return rule
    for candidate in whole:
        if all(set(values) <= set(candidate[part]) for part, values in rule.items()) and candidate["verbs"]:
            return candidate
    return rule


@field("rbac.role_kind", "text", "For bindings, the kind of the role that they refer to; for roles, their own kind.",
       level="Request", example="ClusterRole")  # fmt: skip
def role_kind(facts: Facts) -> str | None:
    if _is_rbac(facts, ROLES):
        return "ClusterRole" if facts.resource == "clusterroles" else "Role"
    return optional_text(_role_ref(facts).get("kind"))


@field("rbac.role_name", "text", "For bindings, the name of the role that they refer to; for roles, their own name.",
       level="Request", example="cluster-admin")  # fmt: skip
def role_name(facts: Facts) -> str | None:
    if _is_rbac(facts, ROLES):
        return facts.name or optional_text(metadata(facts).get("name"))
    return optional_text(_role_ref(facts).get("name"))


def _role_ref(facts: Facts) -> dict[str, Any]:
    if not _is_rbac(facts, BINDINGS):
        return {}
    sent = mapping(mapping(facts.written).get("roleRef"))
    # roleRef is immutable and so missing from most patches; the answer names it.
    return sent if sent.get("name") else mapping(mapping(facts.response_object).get("roleRef"))


def subject_name(kind: str, namespace: str, name: str) -> str:
    """The username or group that a binding's subject stands for."""
    return f"system:serviceaccount:{namespace}:{name}" if kind == "ServiceAccount" else name


@field(
    "rbac.subjects",
    "elements",
    "The subjects that the client writes into a binding; for a patch, those that the patch sets.",
    level="Request",
    example="[{kind: Group, name: system:masters, full: system:masters}]",
    parts=_SUBJECT_PARTS,
)
def subjects(facts: Facts) -> list[dict[str, str]] | None:
    if not _is_rbac(facts, BINDINGS):
        return None
    written = facts.written
    if written is None:
        return None
    found = []
    for raw in elements(written.get("subjects")):
        kind, name, namespace = text(raw.get("kind")), text(raw.get("name")), text(raw.get("namespace"))
        account = service_account_of(name) if kind == "User" else None
        if account is not None:
            kind, (namespace, name) = "ServiceAccount", account
        if kind == "ServiceAccount" and not namespace:
            namespace = facts.namespace
        found.append({"kind": kind, "name": name, "namespace": namespace, "full": subject_name(kind, namespace, name)})
    return found


def covers_group(rule: Rule, *groups: str) -> bool:
    """Whether the rule reaches one of the API groups; a patch that names none may."""
    named = rule["api_groups"]
    return not named or "*" in named or any(group in named for group in groups)


def covers_resource(rule: Rule, resource: str) -> bool:
    """Whether the rule reaches the resource; `pods/*` and `*/exec` cover `pods/exec`. A patch that adds all verbs and
    names no resource may.
    """
    named = rule["resources"]
    if "*" in named or resource in named:
        return True
    if not named:
        return "*" in rule["verbs"] and not rule["non_resource_urls"]
    base, slash, subresource = resource.partition("/")
    return bool(slash) and (f"{base}/*" in named or f"*/{subresource}" in named)


def allows(rule: Rule, verbs: Iterable[str], resources: Iterable[str], *groups: str) -> bool:
    """Whether the rule allows one of the verbs on one of the resources of one of the groups; a patch that names no
    verb may.
    """
    named = rule["verbs"]
    return (
        (not named or "*" in named or any(verb in named for verb in verbs))
        and covers_group(rule, *groups)
        and any(covers_resource(rule, resource) for resource in resources)
    )


def _any_rule(facts: Facts, verbs: Iterable[str], resources: Iterable[str], *groups: str) -> bool | None:
    granted = rules(facts)
    if granted is None:
        return None
    return any(allows(rule, verbs, resources, *groups) for rule in granted)


@field("rbac.grants_wildcard", "boolean", "Whether a rule has `*` among its verbs or resources.", level="Request",
       example="true")  # fmt: skip
def grants_wildcard(facts: Facts) -> bool | None:
    granted = rules(facts)
    return None if granted is None else any("*" in rule["verbs"] or "*" in rule["resources"] for rule in granted)


@field("rbac.grants_secrets_read", "boolean", "Whether a rule lets Secrets be read.", level="Request", example="true")
def grants_secrets_read(facts: Facts) -> bool | None:
    return _any_rule(facts, ("get", "list", "watch"), ("secrets",), "")


@field("rbac.grants_escalation", "boolean", "Whether a rule allows escalate or bind on roles, or impersonate.",
       level="Request", example="true")  # fmt: skip
def grants_escalation(facts: Facts) -> bool | None:
    granted = rules(facts)
    if granted is None:
        return None
    return any(not ESCALATION_VERBS.isdisjoint(rule["verbs"]) for rule in granted) or any(
        allows(rule, ("escalate", "bind"), ("roles", "clusterroles"), RBAC_GROUP)
        or allows(rule, ("impersonate",), ("users", "groups", "serviceaccounts"), "")
        for rule in granted
    )


@field("rbac.grants_exec", "boolean", "Whether a rule lets containers be entered (exec, attach, ephemeral "
       "containers).", level="Request", example="true")  # fmt: skip
def grants_exec(facts: Facts) -> bool | None:
    return _any_rule(facts, ("create", "get"), ("pods/exec", "pods/attach"), "") or _any_rule(
        facts, ("update", "patch"), ("pods/ephemeralcontainers",), ""
    )


@field("rbac.grants_node_proxy", "boolean", "Whether a rule lets requests be sent through to kubelets.",
       level="Request", example="true")  # fmt: skip
def grants_node_proxy(facts: Facts) -> bool | None:
    return _any_rule(facts, ("get", "create"), ("nodes/proxy",), "")


@field("rbac.grants_token_create", "boolean", "Whether a rule lets tokens of service accounts be issued.",
       level="Request", example="true")  # fmt: skip
def grants_token_create(facts: Facts) -> bool | None:
    return _any_rule(facts, ("create",), ("serviceaccounts/token",), "")


@field("rbac.grants_workload_write", "boolean", "Whether a rule lets pods or what makes pods be written.",
       level="Request", example="true")  # fmt: skip
def grants_workload_write(facts: Facts) -> bool | None:
    return _any_rule(facts, ("create", "update", "patch"), WORKLOADS, "", "apps", "batch")


@field("rbac.grants_rbac_write", "boolean", "Whether a rule lets roles or bindings be written.", level="Request",
       example="true")  # fmt: skip
def grants_rbac_write(facts: Facts) -> bool | None:
    return _any_rule(facts, ("create", "update", "patch"), ROLES | BINDINGS, RBAC_GROUP)


@field("rbac.grants_csr_approve", "boolean", "Whether a rule lets certificate requests be approved or signed.",
       level="Request", example="true")  # fmt: skip
def grants_csr_approve(facts: Facts) -> bool | None:
    return _any_rule(
        facts,
        ("update", "patch", "approve", "sign"),
        ("certificatesigningrequests/approval", "certificatesigningrequests/status", "signers"),
        "certificates.k8s.io",
    )


@field("rbac.grants_webhook_write", "boolean", "Whether a rule lets admission webhooks be written.", level="Request",
       example="true")  # fmt: skip
def grants_webhook_write(facts: Facts) -> bool | None:
    return _any_rule(facts, ("create", "update", "patch"), WEBHOOKS, "admissionregistration.k8s.io")


@field("rbac.aggregates_to", "list", "Roles that a ClusterRole's labels add its rules to (admin, edit, view, …).",
       level="Request", example="[admin]")  # fmt: skip
def aggregates_to(facts: Facts) -> list[str] | None:
    if facts.resource != "clusterroles" or not facts.is_write:
        return None
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = pairs(dig(facts.written, "metadata", "labels"))
    return [name[len(prefix) :] for name, value in labels.items() if name.startswith(prefix) and value == "true"]


@field("rbac.aggregation_selectors", "number", "Number of label selectors by which a ClusterRole collects the rules "
       "of others.", level="Request", example="1")  # fmt: skip
def aggregation_selectors(facts: Facts) -> int | None:
    if facts.resource != "clusterroles" or not facts.is_write:
        return None
    return len(sequence(dig(facts.written, "aggregationRule", "clusterRoleSelectors")))
