"""What stands between a request and storage: admission webhooks, aggregated APIs, conversion, and their traces."""

from typing import Any

from kubewake.facts.facts import Facts
from kubewake.facts.registry import Part, field
from kubewake.facts.shapes import dig, elements, mapping, optional_text, pairs, text, texts, unique

WEBHOOKS = frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"})

MUTATION = "mutation.webhook.admission.k8s.io/"
PATCH = "patch.webhook.admission.k8s.io/"
FAILED_OPEN = ("failed-open.mutation.webhook.admission.k8s.io/", "failed-open.validating.webhook.admission.k8s.io/",
               "failed-open.validation.webhook.admission.k8s.io/")  # fmt: skip


def _webhooks(facts: Facts) -> list[dict[str, Any]] | None:
    if facts.resource not in WEBHOOKS or not facts.is_write or facts.written is None:
        return None
    return list(elements(facts.written.get("webhooks")))


@field("webhook.names", "list", "Names of the admission webhooks that are written.", level="Request",
       example="[inject.example.com]")  # fmt: skip
def names(facts: Facts) -> list[str] | None:
    hooks = _webhooks(facts)
    return None if hooks is None else texts([hook.get("name") for hook in hooks])


@field("webhook.urls", "list", "URLs outside the cluster that the webhooks send objects to.", level="Request",
       example="[https://hook.example.com/mutate]")  # fmt: skip
def urls(facts: Facts) -> list[str] | None:
    hooks = _webhooks(facts)
    return None if hooks is None else texts([dig(hook, "clientConfig", "url") for hook in hooks])


@field("webhook.services", "list", "Services that the webhooks send objects to, as namespace/name.", level="Request",
       example="[policy/webhook]")  # fmt: skip
def services(facts: Facts) -> list[str] | None:
    hooks = _webhooks(facts)
    if hooks is None:
        return None
    targets = [mapping(dig(hook, "clientConfig", "service")) for hook in hooks]
    return unique([f"{text(to.get('namespace'))}/{text(to.get('name'))}" for to in targets if to])


@field("webhook.failure_policies", "list", "What happens when a webhook fails: Fail or Ignore.", level="Request",
       example="[Fail]")  # fmt: skip
def failure_policies(facts: Facts) -> list[str] | None:
    hooks = _webhooks(facts)
    return None if hooks is None else texts([hook.get("failurePolicy") for hook in hooks])


@field(
    "webhook.rules",
    "elements",
    "What requests the webhooks are asked about.",
    level="Request",
    example="[{operations: [CREATE], resources: [pods], api_groups: ['']}]",
    parts={
        "operations": Part("list", "Operations: CREATE, UPDATE, DELETE, CONNECT or *."),
        "resources": Part("list", "Resources."),
        "api_groups": Part("list", "API groups."),
    },
)
def rules(facts: Facts) -> list[dict[str, list[str]]] | None:
    hooks = _webhooks(facts)
    if hooks is None:
        return None
    return [
        {
            "operations": texts(rule.get("operations")),
            "resources": texts(rule.get("resources")),
            "api_groups": texts(rule.get("apiGroups")),
        }
        for hook in hooks
        for rule in elements(hook.get("rules"))
    ]


@field("webhook.intercepts_all", "boolean", "Whether a webhook is asked about all resources of all API groups.",
       level="Request", example="true")  # fmt: skip
def intercepts_all(facts: Facts) -> bool | None:
    found = rules(facts)
    if found is None:
        return None
    return any(
        any(resource in ("*", "*/*") for resource in rule["resources"]) and "*" in rule["api_groups"] for rule in found
    )


@field("webhook.intercepts_secrets", "boolean", "Whether a webhook is sent Secrets or tokens that are written.",
       level="Request", example="true")  # fmt: skip
def intercepts_secrets(facts: Facts) -> bool | None:
    found = rules(facts)
    if found is None:
        return None
    watched = {"*", "*/*", "secrets", "serviceaccounts/token", "serviceaccounts/*"}
    return any(
        not watched.isdisjoint(rule["resources"]) and not {"", "*"}.isdisjoint(rule["api_groups"]) for rule in found
    )


@field("webhook.namespace_selector", "list", "Conditions on namespaces, each as key operator values.",
       level="Request", example="[kubernetes.io/metadata.name NotIn kube-system]")  # fmt: skip
def namespace_selector(facts: Facts) -> list[str] | None:
    hooks = _webhooks(facts)
    if hooks is None:
        return None
    found = []
    for hook in hooks:
        chosen = mapping(hook.get("namespaceSelector"))
        found += [f"{key} In {value}" for key, value in pairs(chosen.get("matchLabels")).items()]
        found += [
            f"{text(item.get('key'))} {text(item.get('operator'))} {','.join(texts(item.get('values')))}".strip()
            for item in elements(chosen.get("matchExpressions"))
        ]
    return unique(found)


@field("webhook.exempts_kube_system", "boolean", "Whether the namespace conditions leave kube-system out.",
       level="Request", example="true")  # fmt: skip
def exempts_kube_system(facts: Facts) -> bool | None:
    found = namespace_selector(facts)
    if found is None:
        return None
    return any(" NotIn " in item and "kube-system" in item.rpartition(" ")[2].split(",") for item in found)


@field("apiservice.service", "text", "Service that answers for an API group, as namespace/name; none for the API "
       "server itself.", level="Request", example="monitoring/metrics")  # fmt: skip
def apiservice_service(facts: Facts) -> str | None:
    if facts.resource != "apiservices" or not facts.is_write:
        return None
    target = mapping(dig(facts.written, "spec", "service"))
    return f"{text(target.get('namespace'))}/{text(target.get('name'))}" if target else None


@field("crd.scope", "text", "Scope of the custom resource that is defined: Namespaced or Cluster.", level="Request",
       example="Cluster")  # fmt: skip
def crd_scope(facts: Facts) -> str | None:
    if facts.resource != "customresourcedefinitions":
        return None
    return optional_text(dig(facts.object, "spec", "scope"))


@field("crd.plural", "text", "Plural name of the custom resource that is defined.", level="Request",
       example="widgets")  # fmt: skip
def crd_plural(facts: Facts) -> str | None:
    if facts.resource != "customresourcedefinitions":
        return None
    return optional_text(dig(facts.object, "spec", "names", "plural")) or (facts.name.partition(".")[0] or None)


@field("crd.conversion_webhook", "text", "URL or namespace/name of the service that converts the custom resource.",
       level="Request", example="https://hook.example.com")  # fmt: skip
def crd_conversion_webhook(facts: Facts) -> str | None:
    if facts.resource != "customresourcedefinitions" or not facts.is_write:
        return None
    conversion = dig(facts.written, "spec", "conversion")
    target = dig(conversion, "webhook", "clientConfig") or dig(conversion, "webhookClientConfig")
    service = mapping(dig(target, "service"))
    if service:
        return f"{text(service.get('namespace'))}/{text(service.get('name'))}"
    return optional_text(dig(target, "url"))


def _keys(facts: Facts, prefix: str | tuple[str, ...]) -> list[str]:
    return [key for key in facts.event.annotations or () if key.startswith(prefix)]


@field("admission.failed_open", "boolean", "Whether a webhook failed and the request went on without it.",
       example="true")  # fmt: skip
def failed_open(facts: Facts) -> bool:
    return bool(_keys(facts, FAILED_OPEN))


def _webhook_names(facts: Facts, prefix: str) -> list[str]:
    found = []
    for key in _keys(facts, prefix):
        value = (facts.event.annotations or {}).get(key) or ""
        # The value is {"configuration":"c","webhook":"w","mutated":true} or, for patches, the same with "patch".
        if prefix == MUTATION and '"mutated":true' not in value.replace(" ", ""):
            continue
        _, mark, rest = value.partition('"webhook":')
        found.append(rest.lstrip().lstrip('"').partition('"')[0] if mark else key.removeprefix(prefix))
    return unique([name for name in found if name])


@field("admission.mutated_by", "list", "Webhooks that changed the object.", example="[inject.example.com]")
def mutated_by(facts: Facts) -> list[str]:
    return _webhook_names(facts, MUTATION)


@field("admission.patched", "list", "Webhooks whose patch of the object is in the event.", level="Request",
       example="[inject.example.com]")  # fmt: skip
def patched_by(facts: Facts) -> list[str]:
    return _webhook_names(facts, PATCH)


@field("admission.webhook_configurations", "list", "Webhook configurations that changed the object.",
       example="[injector]")  # fmt: skip
def mutating_configurations(facts: Facts) -> list[str]:
    found = []
    for key in _keys(facts, MUTATION):
        value = (facts.event.annotations or {}).get(key) or ""
        if '"mutated":true' in value.replace(" ", ""):
            found.append(value.partition('"configuration":')[2].lstrip().lstrip('"').partition('"')[0])
    return unique([name for name in found if name])
