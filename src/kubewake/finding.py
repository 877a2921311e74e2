"""What a person sees: findings, incidents, notices, and the one document that every output is a view of.

The names and types here are the output contract (`kubewake.result/1`): stable, new keys may be added.
Times are RFC 3339 UTC with microseconds.
"""

from collections.abc import Collection, Iterable
from typing import Any, Literal

import xxhash
from msgspec import Struct, field

from kubewake.event import Malformed

SCHEMA = "kubewake.result/1"

Severity = Literal["informational", "low", "medium", "high", "critical"]
Confidence = Literal["low", "medium", "high"]
Audience = Literal["everyone", "pedantic", "auditor"]
Outcome = Literal["allowed", "denied", "failed"]
State = Literal["new", "acknowledged", "closed", "false_positive"]

MAX_EVIDENCE = 1_000
"""Audit ids kept for one finding: a burst stays provable without one finding holding the whole log."""

SEVERITIES: tuple[Severity, ...] = ("informational", "low", "medium", "high", "critical")
SEVERITY_RANK: dict[str, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}
CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")
AUDIENCES: tuple[Audience, ...] = ("everyone", "pedantic", "auditor")


class Actor(Struct, frozen=True):
    """Who acted. `kind` is one of human, serviceaccount, node, control-plane, anonymous, cloud, unknown."""

    kind: str
    name: str
    groups: list[str] = []
    source_ips: list[str] = []
    user_agent: str = ""
    impersonating: str = ""


class Target(Struct, frozen=True):
    """What was acted upon; empty parts are unknown or do not apply."""

    verb: str
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""


class Attack(Struct, frozen=True):
    """MITRE ATT&CK tactics (slugs) and technique ids, and Microsoft Threat Matrix ids."""

    tactics: list[str] = []
    techniques: list[str] = []
    threat_matrix: list[str] = []


class Location(Struct, frozen=True, gc=False):
    """Where the evidence stands in the input."""

    file: str
    line: int


class Finding(Struct, kw_only=True):
    """What one detection saw: one or more events of one actor, grouped. See docs/output.md."""

    id: str
    rule: str
    covers: list[str]
    title: str
    severity: Severity
    confidence: Confidence
    audience: Audience
    time: str
    last_time: str
    count: int
    cluster: str
    actor: Actor
    target: Target
    outcome: Outcome
    story: str
    remediation: list[str] = []
    attack: Attack = field(default_factory=Attack)
    audit_ids: list[str] = []
    """Evidence, at most `MAX_EVIDENCE` ids; `audit_ids_total` says how many there are."""
    audit_ids_total: int = 0
    event_keys: list[str] = []
    locations: list[Location] = []
    incident: str | None = None
    suppressed_by: str | None = None
    explain: dict[str, Any] = {}


class Step(Struct, frozen=True):
    """One line of an incident's timeline; `link` says how it follows from an earlier step."""

    time: str
    text: str
    audit_id: str
    link: str = ""
    allowed_by: str = ""
    context: bool = False
    """True for innocent context that is shown but does not belong to `audit_ids`."""


class Entity(Struct, frozen=True):
    """Something that takes part in an attack: kind (identity, credential, pod, node, binding, …) and name."""

    kind: str
    name: str
    role: str = ""


class Incident(Struct, kw_only=True):
    """One attack as one story. `audit_ids` are all events of the story and nothing else."""

    id: str
    title: str
    severity: Severity
    confidence: Confidence
    score: float
    score_parts: list[dict[str, Any]] = []
    bar: float
    state: State = "new"
    opened_at: str
    first_time: str
    last_time: str
    cluster: str
    root_cause: Entity
    entities: list[Entity] = []
    findings: list[str] = []
    audit_ids: list[str] = []
    event_keys: list[str] = []
    timeline: list[Step] = []
    allowed_by: list[str] = []
    blast_radius: list[str] = []
    story: str
    remediation: list[str] = []
    attack: Attack = field(default_factory=Attack)
    links: list[dict[str, Any]] = []
    """Edges of the incident's graph: {"link": "L4", "from": entity, "to": entity, "text": str}."""


def growth_of(item: Finding | Incident, audit_ids_added: list[str]) -> dict[str, Any]:
    """What JSON Lines say of an item that was told before: its id, the new evidence, and all that may have changed."""
    growth: dict[str, Any] = {
        "id": item.id,
        "severity": item.severity,
        "last_time": item.last_time,
        "audit_ids_added": audit_ids_added,
    }
    if isinstance(item, Finding):
        return {**growth, "count": item.count}
    return {
        **growth,
        "title": item.title,
        "confidence": item.confidence,
        "score": item.score,
        "state": item.state,
        "story": item.story,
        "findings": item.findings,
    }


class Notice(Struct, frozen=True):
    """Something about the stream or the tool itself: blind detections, baseline shifts, gaps, evictions."""

    id: str
    time: str
    title: str
    detail: str


class InputSummary(Struct, kw_only=True):
    """What was read. `malformed` holds the first 100."""

    events: int = 0
    bytes: int = 0
    files: list[str] = []
    malformed: list[Malformed] = []
    malformed_total: int = 0
    partial: int = 0
    """Events judged although fields of them are unknown; `faults` holds the first 100 places."""
    faults: list[Malformed] = []
    skipped: int = 0
    """Sound records of other kinds; `skipped_reasons` counts them by reason."""
    skipped_reasons: dict[str, int] = {}
    recognised: dict[str, str] = {}
    """By file: what it was recognised as, in words."""
    duplicates: int = 0
    late: int = 0
    first_time: str | None = None
    last_time: str | None = None
    clusters: list[str] = []
    levels: list[str] = []
    """Audit levels that events were logged at."""


class Summary(Struct, kw_only=True):
    """Counts by severity, and the number of rules that judged."""

    findings: dict[str, int] = {}
    incidents: dict[str, int] = {}
    suppressed: int = 0
    rules: int = 0


class ResultDocument(Struct, kw_only=True):
    """The whole result of a scan; every output is a view of it."""

    schema: str = SCHEMA
    input: InputSummary = field(default_factory=InputSummary)
    findings: Collection[Finding] = ()
    incidents: Collection[Incident] = ()
    notices: list[Notice] = []
    summary: Summary = field(default_factory=Summary)


def stable_id(prefix: str, *parts: object) -> str:
    """An id that is the same for the same evidence on every machine: `prefix-` and 16 hex digits."""
    return f"{prefix}-{xxhash.xxh3_64_hexdigest(chr(0).join(map(str, parts)).encode())}"


def count_severities(items: Iterable[Finding | Incident]) -> dict[str, int]:
    """How many items there are of each severity, every severity named."""
    counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for item in items:
        counts[item.severity] += 1
    return counts
