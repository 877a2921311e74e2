"""A request as baselines see it: the plain fields of its last stage, and the few facts of its body that their rules name."""

from collections.abc import Sequence

from msgspec import Struct

from bench.evaluation.recording import Line
from kubewake.event import AuditEvent
from kubewake.facts import Facts
from kubewake.formats.decoder import decode

BATCH_LINES = 5_000
WRITES = frozenset({"create", "update", "patch"})
TEMPLATED = frozenset({"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"})


class Body(Struct, frozen=True):
    """What the written object holds."""

    is_privileged: bool = False
    capabilities: bool = False
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_paths: list[str] = []
    repositories: list[str] = []
    role: str = ""
    role_verbs: list[str] = []
    role_resources: list[str] = []
    service_type: str = ""
    has_credentials: bool = False
    has_tls: bool = False


NO_BODY = Body()


class Request(Struct):
    """One request, its stages joined."""

    time: str
    audit_id: str
    user: str
    actor_kind: str
    verb: str
    resource: str
    subresource: str
    group: str
    namespace: str
    name: str
    uri: str
    client: str
    source: str
    code: int
    allowed: bool
    body: Body = NO_BODY

    @property
    def succeeded(self) -> bool:
        """Whether the answer was a success."""
        return 200 <= self.code < 300 or self.code == 101


def requests_of(lines: Sequence[Line]) -> list[Request]:
    """One request for each audit id, in the order of their first stage, with the answer of the last."""
    joined: dict[str, Request] = {}
    for start in range(0, len(lines), BATCH_LINES):
        data = b"\n".join(line.data for line in lines[start : start + BATCH_LINES]) + b"\n"
        for event in decode(data, file="recording").events:
            request = request_of(event)
            earlier = joined.get(request.audit_id)
            if earlier is not None:
                request.time = earlier.time
            joined[request.audit_id] = request
    return list(joined.values())


def request_of(event: AuditEvent) -> Request:
    """The plain fields of an event."""
    facts = Facts(event)
    ref = event.object_ref
    request = Request(
        time=event.stage_timestamp or "",
        audit_id=event.audit_id or "",
        user=(event.user.username or "") if event.user is not None else "",
        actor_kind=facts.value("actor.kind") or "",
        verb=event.verb or "",
        resource=(ref.resource or "") if ref is not None else "",
        subresource=(ref.subresource or "") if ref is not None else "",
        group=(ref.api_group or "") if ref is not None else "",
        namespace=(ref.namespace or "") if ref is not None else "",
        name=(ref.name or "") if ref is not None else "",
        uri=event.request_uri or "",
        client=event.user_agent or "",
        source=(event.source_ips or ("",))[-1],
        code=(event.response_status.code or 0) if event.response_status is not None else 0,
        allowed=(event.annotations or {}).get("authorization.k8s.io/decision", "allow") == "allow",
    )
    if request.verb in WRITES and event.request_object:
        request.body = body_of(facts, request.resource)
    return request


def body_of(facts: Facts, resource: str) -> Body:
    """What the written object holds, as far as a baseline asks."""
    if resource in TEMPLATED:
        containers = facts.value("workload.containers") or []
        return Body(
            is_privileged=any(one.get("privileged") for one in containers),
            capabilities=any(one.get("capabilities_add") for one in containers),
            host_network=bool(facts.value("workload.host_network")),
            host_pid=bool(facts.value("workload.host_pid")),
            host_ipc=bool(facts.value("workload.host_ipc")),
            host_paths=list(facts.value("workload.host_paths") or []),
            repositories=[f"{one.get('registry')}/{one.get('repository')}" for one in containers],
        )
    if resource in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
        rules = facts.value("rbac.rules") or []
        return Body(
            role=facts.value("rbac.role_name") or "",
            role_verbs=[verb for rule in rules for verb in rule.get("verbs") or []],
            role_resources=[one for rule in rules for one in rule.get("resources") or []],
        )
    if resource == "services":
        return Body(service_type=facts.value("service.type") or "")
    if resource == "configmaps":
        return Body(has_credentials=bool(facts.value("configmap.has_credentials")))
    if resource == "ingresses":
        return Body(has_tls=bool(facts.value("ingress.has_tls")))
    return NO_BODY
