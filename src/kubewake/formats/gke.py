"""Google GKE: Cloud Logging LogEntry with an AuditLog payload of the service `k8s.io`.

https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging. An entry names the method and the object in Google's
words; they are translated back. It has no groups, no level and no request URI, and its status is a gRPC code. A request
that lasts has an entry for the start and one for the end of its operation, of which the second does not know the time of
the first; the command is what tells it from another with the same id, which the client may choose.
"""

import base64
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Raw, Struct

from kubewake.event import NO_BODY, AuditEvent, EnvelopedEvent, ObjectRef, Status, User
from kubewake.formats.coercion import enveloped
from kubewake.formats.format import Inner, Outcome, Record, Reject, Skip, format_, listed, mapping, parse, text
from kubewake.formats.times import normalise

HTTP_OF_GRPC = {
    0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
"""https://cloud.google.com/apis/design/errors#http_mapping, and 409 for what Kubernetes calls AlreadyExists."""

VERBS = frozenset(
    (
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "post",
        "put",
        "head",
        "options",
    )
)
_BUILT_IN = "io.k8s."
_BIGQUERY = "protopayload_auditlog"
"""The column of a BigQuery table of log entries that holds the payload."""
_SHORT_GROUPS = {"rbac": "rbac.authorization.k8s.io"}
"""Groups of the API server whose first word alone stands in a method, without what follows it."""
_GROUPS_WITHOUT_DOMAIN = frozenset(("apps", "batch", "autoscaling", "policy", "extensions"))


class Call(Struct, frozen=True):
    """What a method and a resource name say about a request."""

    verb: str | None
    object_ref: ObjectRef | None
    path: str | None
    """Path of the URI, without the query, which Google leaves out."""


def _group_of(words: list[str]) -> str:
    """The API group of a method's reversed group words, as in `io.k8s.authorization.rbac`."""
    if words[:2] == ["io", "k8s"]:
        rest = words[2:]
        if rest == ["core"] or not rest:
            return ""
        if len(rest) == 1 and rest[0] in _GROUPS_WITHOUT_DOMAIN:
            return rest[0]
        if len(rest) == 1 and rest[0] in _SHORT_GROUPS:
            return _SHORT_GROUPS[rest[0]]
    return ".".join(reversed(words))


def _is_version(word: str) -> bool:
    return len(word) > 1 and word[0] == "v" and word[1].isdigit()


def read_call(method: str, resource_name: str) -> Call:
    """Translate `io.k8s.core.v1.pods.exec.create` and `core/v1/namespaces/ns/pods/p/exec` back to a request."""
    words = method.split(".")
    verb = words[-1] if words[-1] in VERBS else None
    version_at = next((place for place, word in enumerate(words) if _is_version(word)), -1)
    if version_at < 0:
        path = "/" + resource_name.strip("/") if resource_name and method.startswith(_BUILT_IN) else None
        return Call(verb, None, path)
    group, version = _group_of(words[:version_at]), words[version_at]
    named = words[version_at + 1 : len(words) - 1 if verb else len(words)]
    resource = named[0] if named else None
    subresource = ".".join(named[1:]) or None
    parts = [part for part in resource_name.split("/") if part]
    if len(parts) == 2 and parts[:1] == ["core"] and parts[1] == resource:
        parts = []
    namespace = name = path = None
    if len(parts) >= 2 and _is_version(parts[1]):
        group, version = ("" if parts[0] == "core" else parts[0]), parts[1]
        rest = parts[2:]
        if rest[:1] == ["namespaces"] and len(rest) > 1:
            namespace = rest[1]
            if len(rest) > 2 and resource != "namespaces":
                rest = rest[2:]
        if rest:
            resource = resource or rest[0]
            name = rest[1] if len(rest) > 1 else None
            subresource = rest[2] if len(rest) > 2 else subresource
        if verb == "create" and len(rest) == 2:
            parts.pop()
        path = "/".join(("/api" if not group else f"/apis/{group}", version, *parts[2:]))
    return Call(
        verb,
        ObjectRef(
            resource=resource,
            namespace=namespace,
            name=name,
            api_group=group or None,
            api_version=version,
            subresource=subresource,
        ),
        path,
    )


@format_
class LogEntry:
    """One audit LogEntry."""

    name = "gke"
    title = "Google GKE audit log entry"
    order = 10

    def recognises(self, record: Record) -> bool:
        """By an audit payload, or by what Cloud Logging puts around one."""
        if isinstance(record.get("protoPayload") or record.get(_BIGQUERY), dict):
            return True
        if "logName" in record or "insertId" in record:
            return "resource" in record or "jsonPayload" in record or "textPayload" in record
        return mapping(record.get("operation")).get("producer") == "k8s.io"

    def read(self, record: Record) -> Iterable[Outcome]:
        """The event; entries of other logs and services are skipped."""
        payload = mapping(record.get("protoPayload")) or _row(mapping(record.get(_BIGQUERY)))
        if not payload and mapping(record.get("operation")).get("producer") != "k8s.io":
            log = text(record.get("logName")) or ""
            yield Skip(
                "Kubernetes events in Cloud Logging" if log.endswith("events") else "another log of Google Cloud"
            )
            return
        method = _method(record, payload)
        service = payload.get("serviceName")
        if payload and service not in (None, "k8s.io") and not method.startswith(_BUILT_IN):
            yield Skip("Google Cloud audit log of another service")
            return
        yield _event(record, payload, method)


def _row(payload: Record) -> Record:
    """The payload in a row of BigQuery, which holds the bodies as text."""
    whole = dict(payload)
    for key in ("request", "response"):
        try:
            whole[key] = parse(payload[f"{key}Json"])
        except (KeyError, TypeError, ValueError):
            continue
    return whole


@format_
class PubSub:
    """A log entry that a Pub/Sub subscription delivers: pushed, pulled, or the message alone."""

    name = "gke-pubsub"
    title = "Google Pub/Sub messages with audit log entries"
    order = 10

    def recognises(self, record: Record) -> bool:
        """By the id or the time that Pub/Sub gives a message, or a list of received ones."""
        message = self._message(record)
        return isinstance(record.get("receivedMessages"), list) or (
            any(key in message for key in ("messageId", "publishTime"))
            and ("data" in message or "attributes" in message)
        )

    def _message(self, record: Record) -> Record:
        return mapping(record.get("message")) or record

    def read(self, record: Record) -> Iterable[Outcome]:
        """The entry in the data, base64 as a rule."""
        if "receivedMessages" in record:
            yield Inner(listed(record["receivedMessages"]))
            return
        message = self._message(record)
        data = message.get("data")
        if data is None or data == "":
            yield Skip("Pub/Sub message without data")
            return
        try:
            content = base64.b64decode(data, validate=True) if isinstance(data, str) and data[:1] != "{" else data
        except ValueError:
            yield Reject("a Pub/Sub message whose data is no base64")
            return
        if isinstance(content, bytes) and content.lstrip()[:1] not in (b"{", b"["):
            yield Skip("Pub/Sub message of another log")
        elif isinstance(content, str | bytes | dict):
            yield Inner(content, time=message.get("publishTime"))
        else:
            yield Reject("a Pub/Sub message whose data is no text")


def _method(record: Record, payload: Record) -> str:
    """The method; that of the permission where the entry names a method of another service."""
    method = text(payload.get("methodName")) or ""
    if method.startswith(_BUILT_IN) or payload.get("serviceName") == "k8s.io":
        return method
    for grant in listed(payload.get("authorizationInfo")) + listed(record.get("authorizationInfo")):
        permission = text(mapping(grant).get("permission"))
        if permission is not None and permission.startswith(_BUILT_IN):
            return permission
    return method


def _event(record: Record, payload: Record, method: str) -> AuditEvent | EnvelopedEvent:
    unknown = ["level", "user.groups"]
    call = read_call(method, text(payload.get("resourceName")) or "")
    if call.verb is None:
        unknown.append("verb")
    if call.path is None or call.object_ref is not None:
        unknown.append("requestURI")
    user, impersonated = _identities(mapping(payload.get("authenticationInfo")))
    if user is None:
        unknown.append("user")
    metadata = mapping(payload.get("requestMetadata"))
    address = text(metadata.get("callerIp")) or text(metadata.get("callerIP"))
    if not _is_address(address):
        unknown.append("sourceIPs")
    operation = mapping(record.get("operation"))
    is_first, is_last = operation.get("first") is True, operation.get("last") is True
    grants = listed(payload.get("authorizationInfo")) + listed(record.get("authorizationInfo"))
    verdicts = [value for grant in grants if isinstance(value := mapping(grant).get("granted"), bool)]
    granted = True in verdicts or (bool(payload) and not grants)
    status = _status(payload, call.verb, granted=granted, refused=False in verdicts and True not in verdicts)
    if status is None or status.status is None:
        unknown.append("responseStatus.code")
    time = normalise(record.get("timestamp")) or normalise(payload.get("timestamp"))
    time = time or normalise(record.get("receiveTimestamp"))
    if time is None:
        unknown.append("stageTimestamp")
    audit_id = text(operation.get("id")) or text(record.get("insertId"))
    if audit_id is None:
        unknown.append("auditID")
    labels = {key: value for key, value in mapping(record.get("labels")).items() if isinstance(value, str)}
    command = labels.get("command.gke.io/command")
    received = time
    if is_last and not is_first:
        received = None
        unknown.append("requestReceivedTimestamp")
    event = AuditEvent(
        audit_id=audit_id,
        stage="ResponseStarted" if is_first and not is_last and _is_long(call) else "ResponseComplete",
        request_uri=call.path,
        verb=call.verb,
        user=user,
        impersonated_user=impersonated,
        source_ips=(address,) if address is not None and _is_address(address) else None,
        user_agent=text(metadata.get("callerSuppliedUserAgent")),
        object_ref=call.object_ref,
        response_status=status,
        request_object=_body(payload.get("request")),
        response_object=_body(payload.get("response")),
        request_received_timestamp=received,
        stage_timestamp=time,
        annotations=labels or None,
    )
    return enveloped(
        event,
        cluster=_cluster(mapping(mapping(record.get("resource")).get("labels"))),
        unknown=tuple(unknown),
        envelope={"command.gke.io/command": command} if command else None,
        operation=f"operation {command or ''}" if is_first != is_last and time is not None else "",
    )


def _is_long(call: Call) -> bool:
    return call.verb == "watch" or (
        call.object_ref is not None and call.object_ref.subresource in ("exec", "attach", "portforward", "proxy")
    )


def _identities(info: Record) -> tuple[User | None, User | None]:
    """Who sent the request, and whom that one impersonated: the authority selector, beside a principal."""
    principal = text(info.get("principalEmail")) or text(info.get("principalSubject"))
    selector = text(info.get("authoritySelector"))
    if principal is None:
        return (None if selector is None else User(username=selector)), None
    impersonated = User(username=selector) if selector and selector != principal else None
    return User(username=principal), impersonated


def _is_address(value: str | None) -> bool:
    """Whether the caller is an address: Google also writes `private` and `gce-internal-ip`."""
    try:
        ip_address(value or "")
    except ValueError:
        return False
    return True


def _status(payload: Record, verb: str | None, *, granted: bool, refused: bool) -> Status | None:
    """The HTTP status of a gRPC one. `status` (the text) is set only where the entry states a failure: an empty status
    means success, and the code then is what the API server answers to that verb. Without a status, a refused permission
    or an answer that is a failure tells; an entry without permissions either has had both left out, as only failures
    need them.
    """
    stated = payload.get("status")
    code = mapping(stated).get("code")
    if isinstance(code, int) and not isinstance(code, bool) and code != 0:
        http = HTTP_OF_GRPC.get(code, code if 100 <= code < 600 else 500)
        return Status(code=http, status="Failure", message=text(mapping(stated).get("message")))
    answer = mapping(payload.get("response"))
    if answer.get("status") == "Failure":
        answered = answer.get("code")
        http = answered if isinstance(answered, int) and 400 <= answered < 600 else 500
        return Status(code=http, status="Failure", message=text(answer.get("message")))
    if refused and not isinstance(stated, dict):
        return Status(code=403, status="Failure")
    if isinstance(stated, dict) or granted:
        return Status(code=201 if verb == "create" else 200)
    return None


def _body(value: Any) -> Raw:
    """A body without Google's type mark, which names kind and API version where the body itself does not."""
    if not isinstance(value, dict) or not value:
        return NO_BODY if not value else Raw(msgspec.json.encode(value))
    mark = text(value.get("@type")) or text(value.get("at_sign_type")) or ""
    body = {key: item for key, item in value.items() if key not in ("@type", "at_sign_type")}
    api, _, kind = mark.rpartition(".")
    group, _, version = api.removeprefix("type.googleapis.com/").rpartition("/")
    if kind and _is_version(version):
        plain = group.removesuffix(".k8s.io")
        group = "" if plain == "core" else plain if plain in _GROUPS_WITHOUT_DOMAIN else group
        body.setdefault("kind", kind)
        body.setdefault("apiVersion", f"{group}/{version}" if group else version)
    return Raw(msgspec.json.encode(body)) if body else NO_BODY


def _cluster(labels: Record) -> str:
    """`project/location/cluster`, of what the entry states; empty without a cluster name."""
    parts = [text(labels.get(key)) for key in ("project_id", "location", "cluster_name")]
    return "/".join(part for part in parts if part) if parts[2] else ""
