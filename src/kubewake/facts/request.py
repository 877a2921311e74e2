"""What was asked for: the request's path, parameters and size."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")
DISCOVERY_PATHS = ("/api", "/apis", "/openapi", "/version", "/.well-known/", "/swagger")

CLUSTER_SCOPED = frozenset(
    {
        "apiservices", "certificatesigningrequests", "clusterrolebindings", "clusterroles", "componentstatuses",
        "csidrivers", "csinodes", "customresourcedefinitions", "flowschemas", "ingressclasses", "ipaddresses",
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations", "namespaces",
        "nodes", "persistentvolumes", "podsecuritypolicies", "prioritylevelconfigurations", "priorityclasses",
        "runtimeclasses", "selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews", "servicecidrs",
        "storageclasses", "subjectaccessreviews", "tokenreviews", "validatingadmissionpolicies",
        "validatingadmissionpolicybindings", "validatingwebhookconfigurations", "volumeattachments",
        "volumeattributesclasses", "deviceclasses", "resourceslices", "clustertrustbundles",
    }
)  # fmt: skip
"""Kinds of the API server itself that live in no namespace."""

MAX_PARAMS = 1000

_SINGLE_DOTS = re.compile(r"(?:^|[/\\])\.\.(?:[/\\?#]|$)")
_KUBELET_ENDPOINTS = {
    "attach": "attach", "checkpoint": "checkpoint", "configz": "configz", "containerlogs": "containerLogs",
    "cri": "cri", "debug": "debug", "exec": "exec", "healthz": "healthz", "logs": "logs", "metrics": "metrics",
    "pods": "pods", "portforward": "portForward", "run": "run", "runningpods": "runningpods", "spec": "spec",
    "stats": "stats", "flagz": "flagz", "statusz": "statusz",
}  # fmt: skip


@field("request.path", "text", "Path of the request URI, without the query.", example="/api/v1/namespaces/shop/pods")
def path(facts: Facts) -> str:
    return (facts.event.request_uri or "").partition("?")[0]


@field("request.query", "text", "Query of the request URI, decoded.", example="command=id&stdout=true")
def query(facts: Facts) -> str | None:
    text = (facts.event.request_uri or "").partition("?")[2]
    return unquote(text.replace("+", " ")) if text else None


def raw_params(facts: Facts) -> list[tuple[str, str]]:
    """The query's parameters in order, decoded, repeats kept."""
    text = (facts.event.request_uri or "").partition("?")[2]
    if not text:
        return []
    return parse_qsl(text[:65536], keep_blank_values=True)[:MAX_PARAMS]


@field("request.params", "mapping", "The query's parameters, decoded; repeated ones joined by a space.",
       example="{labelSelector: app=web}")  # fmt: skip
def params(facts: Facts) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw_params(facts):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


@field("request.dry_run", "boolean", "Whether the request was a dry run: nothing was stored.", example="true")
def is_dry_run(facts: Facts) -> bool:
    return "dryRun=" in (facts.event.request_uri or "") and bool(params(facts).get("dryRun"))


@field("request.is_health", "boolean", "Whether the request asked for the API server's health.", example="true")
def is_health(facts: Facts) -> bool:
    return not facts.resource and path(facts).startswith(HEALTH_PATHS)


@field("request.is_discovery", "boolean", "Whether the request asked what the API server offers: its API groups, "
       "schema or version.", example="true")  # fmt: skip
def is_discovery(facts: Facts) -> bool:
    where = path(facts)
    return not facts.resource and (where == "/" or where.startswith(DISCOVERY_PATHS))


@field("request.is_resource", "boolean", "Whether the request is about an object or kind of objects.",
       scope="behaviour", example="true")  # fmt: skip
def is_resource(facts: Facts) -> bool:
    return bool(facts.resource)


@field("request.has_traversal", "boolean", "Whether the path, decoded up to three times, or the object's name has a "
       "`..` step.", scope="behaviour", example="true")  # fmt: skip
def has_traversal(facts: Facts) -> bool:
    # The behaviour key holds the whole URI where it has dots of this kind (see `engine.gathering`), so the scope is true.
    ref = facts.event.object_ref
    if ref is not None and (".." in (ref.name or "").split("/") or ".." in (ref.namespace or "").split("/")):
        return True
    where = path(facts)
    if ".." not in where and "%" not in where:
        return False
    for _ in range(3):
        if _SINGLE_DOTS.search(where):
            return True
        decoded = unquote(where)
        if decoded == where:
            return False
        where = decoded
    return bool(_SINGLE_DOTS.search(where))


@field("request.proxy_path", "text", "For proxied requests (nodes, pods, services): what was asked of the proxied "
       "target, its path decoded, with query.", example="/run/shop/web-0/main?cmd=id")  # fmt: skip
def proxy_path(facts: Facts) -> str | None:
    if facts.subresource != "proxy":
        return None
    where, mark, tail = (facts.event.request_uri or "").partition("?")
    where = unquote(where)  # as the API server does, once
    # A redirect-safe client may ask for .../proxy without a final slash.
    _, found, rest = where.partition("/proxy/")
    if not found:
        return "/" if where.endswith("/proxy") else None
    return f"/{rest}{mark}{tail}"


@field("request.kubelet_endpoint", "text", "For requests proxied to a node: the kubelet endpoint (run, exec, attach, "
       "portForward, containerLogs, checkpoint, logs, pods, metrics, …).", example="run")  # fmt: skip
def kubelet_endpoint(facts: Facts) -> str | None:
    if facts.resource != "nodes":
        return None
    target = proxy_path(facts)
    if target is None:
        return None
    step = target.lstrip("/").partition("?")[0].partition("/")[0]
    return _KUBELET_ENDPOINTS.get(step.lower(), step) or None


@field("request.size", "number", "Bytes of the logged request body, 0 where none was logged.", level="Request",
       example="18230")  # fmt: skip
def size(facts: Facts) -> int:
    return len(memoryview(facts.event.request_object))


@field("request.latency_seconds", "number", "Seconds from receiving the request to this stage.", example="0.012")
def latency_seconds(facts: Facts) -> float | None:
    received, stage = facts.event.request_received_timestamp, facts.event.stage_timestamp
    if not received or not stage:
        return None
    return (datetime.fromisoformat(stage) - datetime.fromisoformat(received)).total_seconds()


def _first(facts: Facts, name: str) -> str | None:
    """The parameter's value; of repeated ones the API server takes the first."""
    return next((value for key, value in raw_params(facts) if key == name), None)


@field("request.label_selector", "text", "Label selector of a list, watch or delete collection; of several, the "
       "first, as the API server does.", example="app=web")  # fmt: skip
def label_selector(facts: Facts) -> str | None:
    return _first(facts, "labelSelector")


@field("request.field_selector", "text", "Field selector of a list, watch or delete collection; of several, the "
       "first, as the API server does.", example="type=kubernetes.io/service-account-token")  # fmt: skip
def field_selector(facts: Facts) -> str | None:
    return _first(facts, "fieldSelector")


@field("request.all_namespaces", "boolean", "Whether a collection of a namespaced kind was asked for over all "
       "namespaces.", scope="behaviour", example="true")  # fmt: skip
def all_namespaces(facts: Facts) -> bool:
    return (
        facts.verb in ("list", "watch", "deletecollection")
        and bool(facts.resource)
        and not facts.namespace
        and facts.resource not in CLUSTER_SCOPED
    )


@field("request.is_namespaced_path", "boolean", "Whether the path runs through a namespace.", example="true")
def is_namespaced_path(facts: Facts) -> bool:
    return "/namespaces/" in path(facts)


def envelope_text(facts: Facts, *names: str) -> str | None:
    """The first of the envelope's facts that is text."""
    envelope: dict[str, Any] = facts.event.envelope
    for name in names if envelope else ():
        value = envelope.get(name)
        if isinstance(value, str) and value:
            return value
    return None
