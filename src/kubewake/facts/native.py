"""Native fields: dotted paths into the audit event as Kubernetes names it, bodies and annotations included."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubewake.facts.facts import Facts

_USER = {"username": "text", "uid": "text", "groups": "list", "extra": "mapping"}

NATIVE: dict[str, str] = {
    "kind": "text",
    "apiVersion": "text",
    "level": "text",
    "auditID": "text",
    "stage": "text",
    "requestURI": "text",
    "verb": "text",
    "user": "mapping",
    **{f"user.{name}": kind for name, kind in _USER.items()},
    "impersonatedUser": "mapping",
    **{f"impersonatedUser.{name}": kind for name, kind in _USER.items()},
    "sourceIPs": "list",
    "userAgent": "text",
    "objectRef": "mapping",
    "objectRef.resource": "text",
    "objectRef.namespace": "text",
    "objectRef.name": "text",
    "objectRef.uid": "text",
    "objectRef.apiGroup": "text",
    "objectRef.apiVersion": "text",
    "objectRef.resourceVersion": "text",
    "objectRef.subresource": "text",
    "responseStatus": "mapping",
    "responseStatus.code": "number",
    "responseStatus.status": "text",
    "responseStatus.reason": "text",
    "responseStatus.message": "text",
    "responseStatus.details": "mapping",
    "responseStatus.metadata": "mapping",
    "requestObject": "mapping",
    "responseObject": "mapping",
    "requestReceivedTimestamp": "text",
    "stageTimestamp": "text",
    "annotations": "mapping",
}
"""Every field of audit.k8s.io/v1 Event by dotted name, with its kind; open mappings take any path below them."""

OPEN = (
    "user.extra",
    "impersonatedUser.extra",
    "responseStatus.details",
    "responseStatus.metadata",
    "requestObject",
    "responseObject",
    "annotations",
)
"""Native fields below which any path may stand."""

BEHAVIOUR = frozenset(
    {
        "kind",
        "apiVersion",
        "level",
        "stage",
        "verb",
        "user.username",
        "user.groups",
        "user.extra.authentication.kubernetes.io/credential-id",
        "impersonatedUser.username",
        "impersonatedUser.groups",
        "impersonatedUser.uid",
        "sourceIPs",
        "userAgent",
        "objectRef.resource",
        "objectRef.subresource",
        "objectRef.apiGroup",
        "objectRef.namespace",
        "responseStatus.code",
        "annotations.authorization.k8s.io/decision",
        "annotations.authorization.k8s.io/reason",
    }
)
"""Native fields that follow from the behaviour key."""

LEVELS = {"requestObject": "Request", "responseObject": "RequestResponse"}

_ATTRIBUTES = {
    "auditID": "audit_id",
    "requestURI": "request_uri",
    "impersonatedUser": "impersonated_user",
    "sourceIPs": "source_ips",
    "userAgent": "user_agent",
    "objectRef": "object_ref",
    "responseStatus": "response_status",
    "requestReceivedTimestamp": "request_received_timestamp",
    "stageTimestamp": "stage_timestamp",
    "apiGroup": "api_group",
    "apiVersion": "api_version",
    "resourceVersion": "resource_version",
}
_STRUCTS = ("user", "impersonatedUser", "objectRef", "responseStatus")

Reader = Callable[["Facts"], Any]

MAX_NESTED_LISTS = 16


def plain_name(name: str) -> str:
    """The field name without the escapes of dots inside keys."""
    return name.replace("\\.", ".")


def walk(value: Any, steps: tuple[str, ...]) -> Any:
    """What stands behind the steps: through lists every element, through keys with dots the one that fits.

    A path that crosses a list answers with a flat list of what it found, or None when that is nothing. Lists nested
    deeper than `MAX_NESTED_LISTS` are no Kubernetes object and read as absent.
    """
    return _behind(value, _keys_of(steps), 0, 0) if steps else value


_Keys = tuple[tuple[tuple[str, int], ...], ...]


@lru_cache(maxsize=4096)
def _keys_of(steps: tuple[str, ...]) -> _Keys:
    """For each step, the keys that it may be or begin, the shortest first, each with the number of the step behind it."""
    count = len(steps)
    return tuple(
        tuple((".".join(steps[start:end]), end) for end in range(start + 1, count + 1)) for start in range(count)
    )


def _behind(value: Any, keys: _Keys, start: int, nested: int) -> Any:
    if isinstance(value, dict):
        for key, end in keys[start]:
            found = value.get(key)
            if found is not None and end < len(keys):
                found = _behind(found, keys, end, 0)
            if found is not None:
                return found
        return None
    if not isinstance(value, (list, tuple)) or nested >= MAX_NESTED_LISTS:
        return None
    step = keys[start][0][0]
    if step.isdigit() and int(step) < len(value):
        item = value[int(step)]
        return item if start + 1 == len(keys) else _behind(item, keys, start + 1, 0)
    results: list[Any] = []
    for item in value:
        found = _behind(item, keys, start, nested + 1)
        if isinstance(found, list):
            results.extend(found)
        elif found is not None:
            results.append(found)
    return results or None


def _struct_mapping(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    names = value.__struct_encode_fields__
    return {
        name: item
        for name, attribute in zip(names, value.__struct_fields__, strict=True)
        if (item := getattr(value, attribute)) is not None
    }


def _struct_reader(root: str, member: str, rest: tuple[str, ...]) -> Reader:
    outer, inner = _ATTRIBUTES.get(root, root), _ATTRIBUTES.get(member, member)

    def read(facts: "Facts") -> Any:
        owner = getattr(facts.event, outer)
        return getattr(owner, inner, None) if owner is not None else None

    if not rest:
        return read
    key = ".".join(rest)

    def read_below(facts: "Facts") -> Any:
        value = read(facts)
        if isinstance(value, dict):
            entry = value.get(key)
            return entry if entry is not None else walk(value, rest)
        return None

    return read_below


def compile_native(name: str) -> Reader:
    """Make the function that reads a native field; an unknown first step is looked up in the envelope."""
    plain = plain_name(name)
    root, *below = plain.split(".")
    rest = tuple(below)
    if root in ("requestObject", "responseObject"):
        if root == "requestObject":
            return lambda facts: walk(facts.request_body, rest)
        return lambda facts: walk(facts.response_body, rest)
    if root == "annotations":
        key = ".".join(rest)
        if not key:
            return lambda facts: facts.event.annotations

        def read_annotation(facts: "Facts") -> Any:
            annotations = facts.event.annotations
            return annotations.get(key) if annotations is not None else None

        return read_annotation
    if root in _STRUCTS:
        attribute = _ATTRIBUTES.get(root, root)
        if not rest:
            return lambda facts: _struct_mapping(getattr(facts.event, attribute))
        if f"{root}.{rest[0]}" in NATIVE:
            return _struct_reader(root, rest[0], rest[1:])
    if root in NATIVE and not rest:
        if root == "kind":
            return lambda _: "Event"
        if root == "apiVersion":
            return lambda _: "audit.k8s.io/v1"
        attribute = _ATTRIBUTES.get(root, root)
        return lambda facts: getattr(facts.event, attribute)
    steps = tuple(plain.split("."))

    def read_envelope(facts: "Facts") -> Any:
        envelope: Mapping[str, Any] = facts.event.envelope
        if not envelope:
            return None
        value = envelope.get(plain)
        return value if value is not None else walk(envelope, steps)

    return read_envelope


def is_native(name: str) -> bool:
    """Whether audit events can have a field of this name."""
    plain = plain_name(name)
    return plain in NATIVE or any(plain.startswith(f"{root}.") for root in OPEN)
