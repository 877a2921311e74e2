"""What L4 and L5 share: who wrote a binding or a role, and the requests that it allowed."""

from collections.abc import Iterable

from kubewake.detectors.grants import written_grant
from kubewake.finding import Entity
from kubewake.lineage.ledger import Cause, Ledger
from kubewake.lineage.link import Link, LinkInfo
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

PERSON_GRANT_NATS = 1.0
SELF_GRANT_NATS = 1.5
MAX_USES = 64
"""Requests of one binding or role that are linked one by one; an attacker's first ones tell the story."""
WRITES = frozenset({"create", "update", "patch"})


def granting_nats(granter: str, user: str) -> float:
    """Evidence that a grant gives against its user: people who grant by hand, and what is granted to oneself."""
    if granter.startswith("system:"):
        return 0.0
    return PERSON_GRANT_NATS if granter != user else SELF_GRANT_NATS


def remember_write(state: State, ledger: Ledger, stub: Stub, session: Session, now: float) -> None:
    """Remember who wrote a binding or a role, by its key as `keys_of` a grant makes it."""
    if not session.machine:
        ref = state.refer(stub, session)
        ledger.put(written_grant(stub.resource, stub.namespace, ref.name), Cause(ref, now))


def uses_of(
    state: State,
    causes: Iterable[Cause],
    info: LinkInfo,
    stub: Stub,
    session: Session,
    now: float,
    *,
    what: str,
    done: str,
    source: Entity,
    target: Entity,
) -> list[Link]:
    """Links from those who wrote something to a request that it allowed: `what` that is, and what was `done` to it."""
    links = []
    for cause in causes:
        if cause.uses >= MAX_USES or stub.key == cause.ref.key:
            continue
        cause.uses += 1
        links.append(
            Link(
                id=info.id,
                cause=cause.ref.session,
                effect=session.number,
                strength=info.strength,
                scope="request",
                text=f"allowed by {what}, which {cause.ref.user} had {done}",
                source=source,
                target=target,
                cause_ref=cause.ref,
                effect_ref=state.refer(stub, session),
                nats=granting_nats(cause.ref.user, session.user),
                tactic="privilege-escalation",
                seconds=now,
            ),
        )
    return links
