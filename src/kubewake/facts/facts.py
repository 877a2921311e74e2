"""Facts: what one request means, worked out on demand and remembered for as long as the event is judged."""

from collections.abc import Callable
from typing import Any, TypedDict

import msgspec
from msgspec import Raw, Struct

from kubewake.event import NO_BODY, AuditEvent, ObjectRef
from kubewake.facts.context import EMPTY, Context
from kubewake.facts.patch import Patched, read_patch
from kubewake.facts.registry import READERS
from kubewake.facts.shapes import NOTHING, mapping
from kubewake.facts.specification import decode_object, decode_patch

_decode = msgspec.json.Decoder().decode
_NO_REF = ObjectRef()

WRITES = frozenset({"create", "update", "patch"})
"""Verbs whose request body is (part of) the object written."""

BUILTIN_GROUPS = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})
"""API groups of the API server itself that have no dot-k8s.io name."""


class _Metadata(TypedDict, total=False):
    """ObjectMeta without `managedFields`, which can be longer than all the rest and is asked for by nobody."""

    name: Any
    generateName: Any
    namespace: Any
    uid: Any
    resourceVersion: Any
    generation: Any
    creationTimestamp: Any
    deletionTimestamp: Any
    labels: Raw
    annotations: Any
    ownerReferences: Raw
    finalizers: Any


class _Answer(Struct, gc=False):
    """What tells whether an answer is an object, and which."""

    kind: Any = None
    metadata: _Metadata | list[Raw] | str | float | bool | None = None
    items: Raw = NO_BODY


_decode_answer = msgspec.json.Decoder(_Answer).decode


def _is_no_object(kind: Any, has_items: bool) -> bool:
    """Whether an answer of this kind is a Status or a list."""
    return kind == "Status" or (has_items and isinstance(kind, str) and kind.endswith("List"))


class Facts:
    """What one request means. `value(name)` gives any field; the attributes serve the modules that derive fields.

    Cheap to make: nothing is decoded or derived before it is asked for.
    """

    __slots__ = (
        "api_group",
        "cache",
        "cluster",
        "context",
        "event",
        "name",
        "namespace",
        "resource",
        "subresource",
        "unknown",
        "verb",
    )

    def __init__(self, event: AuditEvent, cluster: str = "", context: Context = EMPTY) -> None:
        self.event = event
        self.cluster = cluster
        self.context = context
        self.cache: dict[str, Any] = {}
        self.unknown: tuple[str, ...] = ()
        """Fields and bodies that could not be read, in addition to `event.unknown`."""
        self.verb = event.verb or ""
        """The verb in lower case as logged; empty where the event has none."""
        ref = event.object_ref or _NO_REF
        self.resource = ref.resource or ""
        """Plural resource name; empty for non-resource requests."""
        self.subresource = ref.subresource or ""
        self.api_group = ref.api_group or ""
        """API group; empty for the core group."""
        self.namespace = ref.namespace or ""
        """Namespace of the object; empty where the request names none."""
        self.name = ref.name or ""
        """Name of the object as the request names it; empty for generateName creates and collections."""

    def value(self, name: str) -> Any:
        """The value of a native or derived field; None where it does not apply or is unknown."""
        return READERS[name](self)

    def mark_unknown(self, name: str) -> None:
        """Remember that a field or body could not be read."""
        if name not in self.unknown:
            self.unknown += (name,)

    @property
    def username(self) -> str:
        """Authenticated user; empty for a failed login."""
        user = self.event.user
        return (user.username or "") if user is not None else ""

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the authenticated user."""
        user = self.event.user
        return (user.groups or ()) if user is not None else ()

    @property
    def actor_kind(self) -> str:
        """Short for `value("actor.kind")`."""
        kind: str = READERS["actor.kind"](self)
        return kind

    @property
    def client_family(self) -> str:
        """Short for `value("client.family")`."""
        family: str = READERS["client.family"](self)
        return family

    @property
    def outcome(self) -> str:
        """Short for `value("outcome")`."""
        outcome: str = READERS["outcome"](self)
        return outcome

    @property
    def is_write(self) -> bool:
        """Whether the request creates or changes an object and may so carry its content."""
        return self.verb in WRITES

    def _body(self, key: str, raw: Raw, decode: Callable[[Raw], Any]) -> Any:
        cache = self.cache
        if key in cache:
            return cache[key]
        body: Any = None
        if raw is not NO_BODY and memoryview(raw).nbytes:
            try:
                body = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.mark_unknown(key)
            if not isinstance(body, (dict, list)):
                if body is not None:
                    self.mark_unknown(key)
                body = None
        cache[key] = body
        return body

    def may_say(self, word: bytes) -> bool:
        """Whether the request's body can hold a word, in a key or elsewhere; True where the body was not logged."""
        body = self.event.request_object
        return body is NO_BODY or word in (text := bytes(body)) or b"\\u" in text

    @property
    def request_body(self) -> dict[str, Any] | list[Any] | None:
        """The decoded request body; None where it was not logged or is unreadable (then named in `unknown`)."""
        event = self.event
        decode = decode_patch if event.verb == "patch" else decode_object
        body: dict[str, Any] | list[Any] | None = self._body("requestObject", event.request_object, decode)
        return body

    @property
    def response_body(self) -> dict[str, Any] | list[Any] | None:
        """The decoded response body; None where it was not logged or is unreadable (then named in `unknown`)."""
        body: dict[str, Any] | list[Any] | None = self._body("responseObject", self.event.response_object, _decode)
        return body

    @property
    def response_object(self) -> dict[str, Any] | None:
        """The response body where it is a single object, not a Status or a list."""
        body = self.response_body
        if not isinstance(body, dict) or _is_no_object(body.get("kind"), isinstance(body.get("items"), list)):
            return None
        return body

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the best view of the object; of an answer, little else is decoded for it."""
        cache = self.cache
        if "metadata" not in cache:
            answered = self.answered_metadata
            if answered is not None:
                found = {key: self._part(part) if type(part) is Raw else part for key, part in answered.items()}
            else:
                written = self.written
                found = mapping(written.get("metadata")) if written is not None else NOTHING
            cache["metadata"] = found
        result: dict[str, Any] = cache["metadata"]
        return result

    def _part(self, raw: Raw) -> Any:
        try:
            return _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.mark_unknown("responseObject")
            return None

    @property
    def answered_metadata(self) -> dict[str, Any] | None:
        """Metadata of the answer, with labels and owners as they were written; None where the answer is no object."""
        cache = self.cache
        if "answered" not in cache:
            cache["answered"] = self._answered_metadata()
        found: dict[str, Any] | None = cache["answered"]
        return found

    def _answered_metadata(self) -> dict[str, Any] | None:
        raw = self.event.response_object
        if raw is NO_BODY:
            return None
        try:
            answer = _decode_answer(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # no object, or broken
            return None
        if _is_no_object(answer.kind, bytes(memoryview(answer.items)[:1]) == b"["):
            return None
        return mapping(answer.metadata)

    @property
    def patched(self) -> Patched | None:
        """What the patch says; None where the request is no patch or its body was not logged."""
        if self.event.verb != "patch":
            return None
        cache = self.cache
        if "patch" in cache:
            found: Patched | None = cache["patch"]
            return found
        body = self.request_body
        try:
            patched = read_patch(body, lambda: self.response_object) if body is not None else None
        except RecursionError:
            self.mark_unknown("requestObject")
            patched = None
        cache["patch"] = patched
        return patched

    @property
    def written(self) -> dict[str, Any] | None:
        """What the client sent: the object of a create or update, the sparse view of a patch.

        Falls back to the answer for creates whose request body was not logged. None for everything but writes.
        """
        if self.verb not in WRITES:
            return None
        if self.verb == "patch":
            patched = self.patched
            if patched is not None:
                return patched.view
        body = self.request_body
        if isinstance(body, dict):
            return body
        return self.response_object if self.verb == "create" else None

    @property
    def object(self) -> dict[str, Any] | None:
        """The best view of the object: the answer where it is the object, else what the client sent."""
        answer = self.response_object
        if answer is not None:
            return answer
        return self.written
