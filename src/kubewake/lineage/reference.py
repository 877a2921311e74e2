"""A request remembered in brief, after its stub has gone: what stories and timelines are told from."""

from sys import intern
from typing import Any

from msgspec import Struct

from kubewake.observation import Stub

DETAIL_FIELDS = (
    "exec.command",
    "rbac.role_name",
    "workload.service_account",
    "csr.common_name",
    "token.subject",
    "webhook.urls",
    "service.external_ips",
)
"""Carried values worth a word in a timeline, first that applies."""

_DETAILS = frozenset(DETAIL_FIELDS)

MAX_DETAIL = 120
"""Characters of a carried value kept in a reference; it is a word in a sentence, not evidence."""


class EventRef(Struct, frozen=True, array_like=True, gc=False):
    """One request (or `count` like ones between `time` and `last_time`), without bodies, groups or annotations."""

    time: str
    last_time: str
    key: int
    last_key: int
    audit_id: str
    last_audit_id: str
    count: int
    session: int
    """Number of the session that sent it (see `session`)."""
    user: str
    verb: str
    resource: str
    subresource: str
    api_group: str
    namespace: str
    name: str
    uri: str
    code: int
    outcome: str
    reason: str
    source: str
    user_agent: str
    impersonated: str = ""
    detail: str = ""
    routine: bool = False
    """The identity had done the same kind of thing before, and often, when this request came."""
    notable: bool = False
    """It passed singly: a write, a refusal, a sensitive read or something that a rule named."""
    members: tuple[tuple[int, str], ...] = ()
    """Key and audit id of each of several like requests, where there are more than the first and the last."""

    @property
    def request(self) -> int:
        """Number of the request over all its stages."""
        return self.key >> 2

    @property
    def events(self) -> tuple[tuple[int, str], ...]:
        """Key and audit id of each event that is named, the first one first."""
        return (*(self.members or ((self.key, self.audit_id),)), (self.last_key, self.last_audit_id))


class Words(Struct, frozen=True, array_like=True, gc=False):
    """The texts of few values, of which references share one copy each: references are many."""

    user: str
    verb: str
    resource: str
    subresource: str
    api_group: str
    namespace: str
    outcome: str
    reason: str
    source: str
    user_agent: str


def words_of(stub: Stub) -> Words:
    """The texts that references to all stubs of one kind have in common."""
    return Words(
        intern(stub.user),
        intern(stub.verb),
        intern(stub.resource),
        intern(stub.subresource),
        intern(stub.api_group),
        intern(stub.namespace),
        intern(stub.outcome),
        intern(stub.reason),
        intern(stub.source),
        intern(stub.user_agent),
    )


def refer(stub: Stub, session: int, words: Words, *, routine: bool = False) -> EventRef:
    """Remember a stub that `session` sent; `words` are those of its kind."""
    resource = words.resource
    return EventRef(
        stub.time,
        stub.last_time or stub.time,
        stub.key,
        stub.last_key or stub.key,
        stub.audit_id,
        stub.last_audit_id or stub.audit_id,
        stub.count,
        session,
        words.user,
        words.verb,
        resource,
        words.subresource,
        words.api_group,
        words.namespace,
        stub.name or name_of(stub),
        "" if resource else stub.uri[:200],
        stub.code,
        words.outcome,
        words.reason,
        words.source,
        words.user_agent,
        stub.impersonated,
        detail_of(stub.values) if stub.values else "",
        routine,
        not stub.behaviour,
        tuple((key, audit_id) for _, key, audit_id in stub.members) if stub.members else (),
    )


def name_of(stub: Stub) -> str:
    """The name of the object, where the request path does not have it as a body gives it."""
    if stub.name:
        return stub.name
    name = stub.values.get("object.name") or stub.values.get("workload.name")
    return name if isinstance(name, str) else ""


def detail_of(values: dict[str, Any]) -> str:
    """The most telling carried value, as text; empty where there is none."""
    if _DETAILS.isdisjoint(values):
        return ""
    for field in DETAIL_FIELDS:
        value = values.get(field)
        if value:
            text = ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
            return text[:MAX_DETAIL]
    return ""
