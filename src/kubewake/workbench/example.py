"""Audit events for rule tests: a complete ordinary request, and what a case changes of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
"""Event time of the first event of a case: a Wednesday morning."""

DEFAULT: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "stage": "ResponseComplete",
    "verb": "get",
    "user": {"username": "alice", "groups": ["developers", "system:authenticated"]},
    "sourceIPs": ["10.0.3.7"],
    "userAgent": "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9",
    "responseStatus": {"code": 200},
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
}
"""What a case starts from: alice reads something with kubectl from inside, and may."""


def merge(base: Any, change: Any, *, keep_nulls: bool = False) -> Any:
    """`base` with `change` laid over it: mappings merge, null deletes a key, everything else replaces.

    `keep_nulls` keeps the nulls, for a result that is itself laid over something.
    """
    if not isinstance(base, Mapping) or not isinstance(change, Mapping):
        return change
    result = dict(base)
    for key, value in change.items():
        if value is None and not keep_nulls:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key) if isinstance(result.get(key), Mapping) else {}
            result[key] = merge(below, value, keep_nulls=keep_nulls)
        else:
            result[key] = value
    return result


def complete(change: Mapping[str, Any], *, number: int = 0, seconds: float = 0.0) -> dict[str, Any]:
    """A whole audit event: the default one with `change`, and with everything that follows from it filled in.

    What follows: status code and decision, request URI, level, audit id and times. 401s are as API servers log them.
    """
    event: dict[str, Any] = merge(DEFAULT, change)
    status = change.get("responseStatus") or {}
    code = status.get("code")
    if code is None and "responseStatus" in event and event.get("verb") == "create":
        event["responseStatus"] = {**event["responseStatus"], "code": 201}
    annotations = change.get("annotations") or {}
    if code == 403 and "authorization.k8s.io/decision" not in annotations and "annotations" in event:
        event["annotations"] = {**event["annotations"], "authorization.k8s.io/decision": "forbid"}
    if code == 401:
        event.setdefault("stage", "ResponseStarted")
        if "stage" not in change:
            event["stage"] = "ResponseStarted"
        if "user" not in change:
            event["user"] = {}
        if "annotations" not in change:
            event.pop("annotations", None)
    if "requestURI" not in event:
        event["requestURI"] = _uri(event)
    if "level" not in change:
        has_answer, has_request = "responseObject" in event, "requestObject" in event
        event["level"] = "RequestResponse" if has_answer else "Request" if has_request else "Metadata"
    moment = START + timedelta(seconds=seconds)
    event.setdefault("auditID", f"00000000-0000-4000-8000-{number:012d}")
    event.setdefault("requestReceivedTimestamp", _time(moment))
    event.setdefault("stageTimestamp", _time(moment + timedelta(milliseconds=4)))
    return event


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _uri(event: Mapping[str, Any]) -> str:
    ref = event.get("objectRef")
    if not isinstance(ref, Mapping) or not ref.get("resource"):
        return "/api"
    group, version = ref.get("apiGroup"), ref.get("apiVersion") or "v1"
    parts = ["apis", group, version] if group else ["api", version]
    if ref.get("namespace") and ref["resource"] != "namespaces":
        parts += ["namespaces", ref["namespace"]]
    parts.append(ref["resource"])
    if event.get("verb") not in {"create", "list", "watch", "deletecollection"} or ref.get("subresource"):
        parts += [part for part in (ref.get("name"), ref.get("subresource")) if part]
    query = "?watch=true" if event.get("verb") == "watch" else ""
    return "/" + "/".join(str(part) for part in parts) + query
