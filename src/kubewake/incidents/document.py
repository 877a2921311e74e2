"""From a campaign to the incident that people see."""

from collections.abc import Mapping
from typing import Protocol

from kubewake.event import key_text
from kubewake.finding import SEVERITIES, SEVERITY_RANK, Attack, Confidence, Entity, Incident, Severity
from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.incidents.phrase import actor_name
from kubewake.incidents.remedy import commands_of
from kubewake.incidents.story import tell, title_of
from kubewake.incidents.timeline import allowed_by, ordered, steps_of
from kubewake.incidents.wording import cards_of, said_of
from kubewake.lineage.link import Link
from kubewake.lineage.session import UNNAMED, Sessions, identity_entity
from kubewake.rules.model import TACTICS, RuleInfo

MAX_REACH = 20
LINK_SEVERITY_NATS = 3.5
"""A link that weighs this much is as loud as a high rule."""
CRITICAL_NATS = 5.0
"""A story this far above the bar is critical whatever its single pieces are."""
ENTITY_KINDS = {
    "secrets": "secret",
    "rolebindings": "binding",
    "clusterrolebindings": "binding",
    "roles": "role",
    "clusterroles": "role",
    "pods": "pod",
    "nodes": "node",
    "namespaces": "namespace",
    "mutatingwebhookconfigurations": "webhook",
    "validatingwebhookconfigurations": "webhook",
    "deployments": "workload",
    "daemonsets": "workload",
    "statefulsets": "workload",
    "jobs": "workload",
    "cronjobs": "workload",
}
MAX_ENTITIES = 60


class Reach(Protocol):
    """What the identities of an incident can do, from RBAC."""

    changes: int
    """Grows whenever what it says may have changed."""

    def reach(self, identity: str) -> list[str]:
        """Plain sentences on what this username can reach."""
        ...


def build_incident(
    campaign: Campaign, sessions: Sessions, infos: dict[str, RuleInfo], bar: float, reach: Reach | None
) -> Incident:
    """The incident as of now; the same campaign always gives the same incident."""
    events = ordered(campaign.events.values())
    first, last = events[0].ref, max((event.ref.last_time for event in events), default="")
    users = list(dict.fromkeys(event.ref.user for event in events))
    severity = severity_of(campaign, infos, bar)
    audit_ids: dict[str, None] = {}
    keys: dict[str, None] = {}
    for event in events:
        for key, audit_id in event.ref.events:
            if audit_id:
                audit_ids[audit_id] = None
            keys[key_text(key)] = None
    grants = [text for text in dict.fromkeys(allowed_by(event.ref) for event in events) if text]
    commands = commands_of(campaign, sessions)
    cards = cards_of(campaign, infos)
    said = said_of(campaign, cards)
    return Incident(
        id=campaign.id,
        title=title_of(campaign, users, said),
        severity=severity,
        confidence=confidence_of(campaign, infos),
        score=campaign.score,
        score_parts=score_parts(campaign, said),
        bar=round(bar, 3),
        state="closed" if campaign.closed else "new",
        opened_at=campaign.opened_time,
        first_time=first.time,
        last_time=last,
        cluster=campaign.cluster,
        root_cause=root_of(events),
        entities=entities_of(campaign, sessions, events),
        findings=list(campaign.findings),
        audit_ids=list(audit_ids),
        event_keys=list(keys),
        timeline=steps_of(campaign, cards),
        allowed_by=grants,
        blast_radius=blast_radius(users, reach),
        story=tell(campaign, events, users, commands, said),
        remediation=commands,
        attack=attack_of(campaign, infos),
        links=[edge_of(link, sessions) for link in campaign.links],
    )


def root_of(events: list[StoryEvent]) -> Entity:
    """The identity of the story's first act, and why it counts as the root."""
    first = events[0].ref
    place = f" from {first.source}" if first.source else ""
    return identity_entity(first.user, f"first step of the story at {first.time}{place}")


def severity_of(campaign: Campaign, infos: dict[str, RuleInfo], bar: float) -> Severity:
    """The loudest of its rules for everyone, links on the same scale; one step up for a story far above the bar."""
    rank = SEVERITY_RANK["medium"]
    for piece in campaign.pieces:
        info = infos.get(piece.detector)
        if info is not None and info.audience == "everyone":
            rank = max(rank, SEVERITY_RANK[info.level])
        elif piece.kind == "link" and piece.nats >= LINK_SEVERITY_NATS:
            rank = max(rank, SEVERITY_RANK["high"])
    if campaign.score >= bar + CRITICAL_NATS:
        rank = max(rank + 1, SEVERITY_RANK["high"])
    return SEVERITIES[min(rank, len(SEVERITIES) - 1)]


def confidence_of(campaign: Campaign, infos: dict[str, RuleInfo]) -> Confidence:
    """High where kinds of evidence agree, low where only unsure rules speak."""
    kinds = {part.kind for part in campaign.parts if part.kind != "order"}
    tactics = {part.tactic for part in campaign.parts if part.tactic}
    sure = any(infos[piece.detector].confidence == "high" for piece in campaign.pieces if piece.detector in infos)
    if len(kinds) > 1 or (sure and len(tactics) > 1):
        return "high"
    return "medium" if sure or kinds == {"link"} or len(tactics) > 1 else "low"


def score_parts(campaign: Campaign, said: Mapping[str, str]) -> list[dict[str, object]]:
    """The parts of the score, in nats; they add up to it."""
    return [
        {
            "tactic": part.tactic,
            "detector": part.detector,
            "kind": part.kind,
            "nats": part.nats,
            "text": said.get(part.text, part.text),
        }
        for part in campaign.parts
    ]


def entities_of(campaign: Campaign, sessions: Sessions, events: list[StoryEvent]) -> list[Entity]:
    """Who and what takes part: identities first, then credentials, places and the objects that were acted upon."""
    found: dict[tuple[str, str], Entity] = {}

    def put(kind: str, name: str, role: str) -> None:
        if name and (kind, name) not in found and len(found) < MAX_ENTITIES:
            found[kind, name] = Entity(kind, name, role)

    for user in dict.fromkeys(event.ref.user for event in events):
        put("identity", user or UNNAMED, "acted")
    for event in events:
        if event.ref.impersonated:
            put("identity", event.ref.impersonated, "impersonated")
    for number in dict.fromkeys(event.ref.session for event in events):
        session = sessions.get(number)
        if session is None:
            continue
        put("credential", session.credential, f"used by {actor_name(session.user)}")
        put("address", session.source, f"used by {actor_name(session.user)}")
        if session.pod:
            put("pod", f"{session.namespace}/{session.pod}", "its token was used")
        put("node", session.node, "runs the pod")
    for event in events:
        ref = event.ref
        kind = ENTITY_KINDS.get(ref.resource)
        if kind is not None and ref.name:
            put(kind, f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name, f"{ref.verb} {ref.outcome}")
    for link in campaign.links:
        for entity in (link.source, link.target):
            put(entity.kind, entity.name, entity.role or f"link {link.id}")
    return list(found.values())


def attack_of(campaign: Campaign, infos: dict[str, RuleInfo]) -> Attack:
    """ATT&CK tactics in the order of the kill chain, techniques and Threat Matrix ids of all evidence."""
    tactics: set[str] = set()
    techniques: set[str] = set()
    matrix: set[str] = set()
    for piece in campaign.pieces:
        if piece.tactic:
            tactics.add(piece.tactic)
        info = infos.get(piece.detector)
        if info is not None:
            techniques.update(info.attack.techniques)
            matrix.update(info.attack.threat_matrix)
    rank = {tactic: position for position, tactic in enumerate(TACTICS)}
    return Attack(
        sorted(tactics, key=lambda tactic: (rank.get(tactic, len(rank)), tactic)), sorted(techniques), sorted(matrix)
    )


def blast_radius(users: list[str], reach: Reach | None) -> list[str]:
    """What the identities of the story can reach, where RBAC is known."""
    if reach is None:
        return []
    lines: list[str] = []
    for user in users:
        for line in reach.reach(user):
            text = f"{actor_name(user)}: {line}"
            if text not in lines:
                lines.append(text)
    return lines[:MAX_REACH]


def edge_of(link: Link, sessions: Sessions) -> dict[str, object]:
    """A link as an edge of the incident's graph."""
    cause, effect = sessions.get(link.cause), sessions.get(link.effect)
    return {
        "link": link.id,
        "from": {"kind": link.source.kind, "name": link.source.name},
        "to": {"kind": link.target.kind, "name": link.target.name},
        "strength": round(link.strength, 3),
        "text": link.text,
        "cause": cause.user if cause is not None else "",
        "effect": effect.user if effect is not None else "",
    }
