"""Events that Filebeat or Elastic Agent has normalised, whole documents or search hits.

https://www.elastic.co/docs/reference/integrations/kubernetes/audit-logs
"""

from collections.abc import Iterable
from typing import Any

from kubewake.formats.aks import cluster_of
from kubewake.formats.format import Inner, Outcome, Record, Skip, format_, mapping, text

_PATHS = (
    ("kubernetes", "audit"),
    ("aws", "eks", "audit"),
    ("azure", "platformlogs", "properties", "log"),
    ("gcp", "audit"),
)
_FLAT = tuple(".".join(path) for path in _PATHS)
_DOTTED = tuple(f"{name}." for name in _FLAT)
_NO_AUDIT = "Elastic document without an audit event"
_GCP_KEYS = {
    "service_name": "serviceName",
    "method_name": "methodName",
    "resource_name": "resourceName",
    "authentication_info": "authenticationInfo",
    "authorization_info": "authorizationInfo",
    "request_metadata": "requestMetadata",
    "principal_email": "principalEmail",
    "authority_selector": "authoritySelector",
    "caller_ip": "callerIp",
    "caller_supplied_user_agent": "callerSuppliedUserAgent",
}


def _at(record: Record, path: tuple[str, ...]) -> Any:
    value: Any = record
    for key in path:
        value = mapping(value).get(key)
    return value


def _beside(record: Record, name: str) -> Any:
    """What the document says beside the audit fields, in nested or flat keys."""
    value = _at(record, tuple(name.split(".")))
    return record.get(name) if value is None else value


def _nested(record: Record) -> Record:
    """The document with dotted keys, as exports write them, unfolded."""
    nested: Record = {}
    for key, value in record.items():
        if not key.startswith(_DOTTED) and key not in _FLAT:
            nested.setdefault(key, value)
            continue
        holder, parts = nested, key.split(".")
        # Annotation keys hold dots themselves: everything behind `annotations` is one key.
        if "annotations" in parts[:-1]:
            at = parts.index("annotations") + 1
            parts = [*parts[:at], ".".join(parts[at:])]
        for part in parts[:-1]:
            inner = holder.get(part)
            if not isinstance(inner, dict):
                inner = holder[part] = {}
            holder = inner
        holder[parts[-1]] = value
    return nested


def dotted(key: str) -> str:
    """An annotation key with the dots of its domain, which Filebeat replaces by underscores, restored."""
    domain, slash, name = key.partition("/")
    return key if not slash or "." in domain else domain.replace("_", ".") + slash + name


def _restore(event: Record) -> Record:
    restored = dict(event)
    annotations = event.get("annotations")
    if isinstance(annotations, dict):
        restored["annotations"] = {dotted(key): value for key, value in annotations.items()}
    for key in ("user", "impersonatedUser"):
        user = event.get(key)
        if isinstance(user, dict) and isinstance(user.get("extra"), dict):
            restored[key] = {**user, "extra": {dotted(name): value for name, value in user["extra"].items()}}
    return restored


@format_
class Hits:
    """The answer of a search."""

    name = "elastic-answer"
    title = "an answer of Elasticsearch"
    order = 6

    def recognises(self, record: Record) -> bool:
        """By hits inside hits."""
        return isinstance(mapping(record.get("hits")).get("hits"), list)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The hits."""
        yield Inner(record["hits"]["hits"])


@format_
class Elastic:
    """One document, or one hit of a search."""

    name = "elastic"
    title = "Elastic-normalised Kubernetes audit event"
    order = 7

    def recognises(self, record: Record) -> bool:
        """By the object that holds the audit fields."""
        source = record.get("_source")
        if isinstance(source, dict):
            return self.recognises(source)
        if any(isinstance(_at(record, path), dict | str) for path in _PATHS):
            return True
        return any(key.startswith(_DOTTED) or key in _FLAT for key in record)

    def read(self, record: Record) -> Iterable[Outcome]:
        """The audit fields as a native event, or as a GKE entry."""
        record = _nested(mapping(record.get("_source")) or record)
        cluster = text(_beside(record, "orchestrator.cluster.name")) or cluster_of(_beside(record, "azure.resource.id"))
        time = record.get("@timestamp")
        gcp = _at(record, ("gcp", "audit"))
        if isinstance(gcp, dict):
            yield Inner(_google(record, gcp), cluster=cluster)
            return
        found = next((event for path in _PATHS if isinstance(event := _at(record, path), dict | str)), None)
        if isinstance(found, str):
            yield Inner(found, cluster=cluster, time=time, text_means=_NO_AUDIT)
            return
        if found is None:
            yield Skip(_NO_AUDIT)
            return
        event = _restore(found)
        address, agent = _client(record)
        if event.get("sourceIPs") is None and address is not None:
            event["sourceIPs"] = [address]
        if event.get("userAgent") is None and agent is not None:
            event["userAgent"] = agent
        yield Inner(event, cluster=cluster, time=time)


def _client(record: Record) -> tuple[str | None, str | None]:
    """Address and user agent of the client."""
    return text(_beside(record, "source.ip")), text(_beside(record, "user_agent.original"))


def _google(record: Record, audit: Record) -> Record:
    """The log entry of which Elastic has made the document: it takes some fields out of the audit payload."""
    payload = _camel(audit)
    payload.setdefault("serviceName", _beside(record, "service.name"))
    address, agent = _client(record)
    stated = {"callerIp": address, "callerSuppliedUserAgent": agent}
    payload["requestMetadata"] = stated | mapping(payload.get("requestMetadata"))
    payload.setdefault("authenticationInfo", {"principalEmail": _beside(record, "client.user.email")})
    entry: Record = {
        "protoPayload": payload,
        "timestamp": record.get("@timestamp"),
        "operation": audit.get("logentry_operation"),
        "insertId": _beside(record, "event.id"),
    }
    labels = audit.get("labels")
    if isinstance(labels, dict):
        entry["labels"] = {dotted(key): value for key, value in labels.items()}
    return entry


def _camel(value: Any) -> Any:
    """Google's names for the keys that Elastic writes in snake_case; bodies stay as they are."""
    if not isinstance(value, dict):
        return [_camel(item) for item in value] if isinstance(value, list) else value
    return {
        _GCP_KEYS.get(key, key): item if key in ("request", "response") else _camel(item) for key, item in value.items()
    }
