"""The timeline: each step in plain words, how it follows from an earlier one, and how it was allowed."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from kubewake.detectors.grants import grant_of
from kubewake.finding import Step
from kubewake.incidents.campaign import Campaign, StoryEvent
from kubewake.incidents.phrase import actor_name, describe
from kubewake.incidents.wording import titles_of
from kubewake.lineage.reference import EventRef
from kubewake.rules.model import RuleInfo

NODE_AUTHORIZER = "the rights of a cluster machine (node authorizer)"


def allowed_by(ref: EventRef) -> str:
    """What let a request through: binding, role and subject of the authorization reason; empty where unknown."""
    if ref.outcome == "denied" or not ref.reason:
        return ""
    return _said_of(ref.reason, is_node=ref.user.startswith("system:node:"))


@lru_cache(maxsize=4096)
def _said_of(reason: str, *, is_node: bool) -> str:
    grant = grant_of(reason)
    if grant is not None:
        binding, subject = f"{grant.binding_kind} {grant.binding_path}", f"{grant.subject_kind} {grant.subject}"
        return f"{binding} gives {subject} the {grant.role_kind} {grant.role}"
    return NODE_AUTHORIZER if is_node and "node" in reason.lower() else reason[:200]


def ordered(events: Iterable[StoryEvent]) -> list[StoryEvent]:
    """Events in the order of time."""
    return sorted(events, key=lambda event: (event.ref.time, event.ref.key))


def steps_of(campaign: Campaign, cards: Mapping[str, RuleInfo]) -> list[Step]:
    """Every event of the story and its context, in order; `cards` are the rules that speak in it, by title."""
    steps = []
    last_user: dict[str, str] = {}
    context = {id(event) for event in campaign.context.values()}
    previous_session = 0
    for event in ordered([*campaign.events.values(), *campaign.context.values()]):
        ref = event.ref
        beside = id(event) in context
        text = f"{actor_name(ref.user)} {describe(ref)}"
        if event.titles:
            text += f" [{'; '.join(titles_of(event, cards)[:3])}]"
        link = event.why or ""
        if not link and not beside:
            link = follows(campaign, ref, previous_session, last_user)
        steps.append(Step(ref.time, text, ref.audit_id, link, allowed_by(ref), beside))
        if not beside:
            previous_session = ref.session
            last_user[ref.user] = ref.time
    return steps


def follows(campaign: Campaign, ref: EventRef, previous_session: int, seen: dict[str, str]) -> str:
    """How a step without a link of its own follows from those before it."""
    if not seen:
        return "the first step known"
    if ref.session == previous_session:
        return "the same login, address and program as the step before"
    for link in campaign.links:
        if link.effect == ref.session and link.cause:
            return link.text
    if ref.user in seen:
        return f"the same identity as earlier ({actor_name(ref.user)})"
    return "part of the same story"
