"""What a link is, and the one table of the kinds of link."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from msgspec import Struct

from kubewake.finding import Entity
from kubewake.lineage.ledger import Ledger
from kubewake.lineage.reference import EventRef
from kubewake.lineage.session import Session
from kubewake.lineage.state import State
from kubewake.observation import Stub

Scope = Literal["session", "novel", "request", "context"]
"""What follows from the cause: the whole session, what is new in it, this one request, or only a remark on it."""

Reads = Literal["", "reason", "admission.mutated_by", "impersonated"]
"""The field or carried value by which a stub tells of its authorization, mutation or impersonation."""

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS
PATH_HORIZON_SECONDS = 3 * DAY_SECONDS
EXACT_HORIZON_SECONDS = 14 * DAY_SECONDS
"""Exact credential links outlive the others: a token or certificate is the same one whenever it is used."""


class LinkInfo(Struct, frozen=True):
    """The card of one kind of link. `strength` is the probability that whoever caused the one controls the other."""

    id: str
    title: str
    joined_by: str
    level: Literal["Metadata", "Request", "RequestResponse"]
    strength: float
    horizon_seconds: float = PATH_HORIZON_SECONDS


class Link(Struct, frozen=True, kw_only=True, array_like=True):
    """One causal statement: `effect` follows from `cause`.

    Sessions are named by number; `cause` is 0 where the link is evidence about the effect alone (its `nats` then say
    how much, for `tactic`). `text` is a clause for the timeline: how the effect follows from the cause.
    """

    id: str
    cause: int
    effect: int
    strength: float
    scope: Scope
    text: str
    source: Entity
    target: Entity
    cause_ref: EventRef | None = None
    effect_ref: EventRef | None = None
    nats: float = 0.0
    tactic: str = ""
    seconds: float = 0.0


class Coverage(Struct):
    """How many requests a link could have applied to, and how many of them carried the fields that it joins on."""

    eligible: int = 0
    covered: int = 0


class LinkKind(Protocol):
    """One kind of link. Besides these it has one or more of three methods, each taking stub, session and event time.

    `record` sees the allowed stubs of its `targets` and `verbs`, which may be causes; `birth` the first stub of each
    session; `use` the stubs whose `reads` says something (see `Follower`). Each answers with links.
    """

    INFO: ClassVar[LinkInfo]
    targets: ClassVar[frozenset[tuple[str, str]]]
    """(resource, subresource) whose stubs may be causes."""
    verbs: ClassVar[frozenset[str] | None]
    """Verbs of such stubs; None for any."""
    reads: ClassVar[Reads]
    coverage: Coverage

    def __init__(self, state: State) -> None: ...


class Follower(LinkKind, Protocol):
    """A kind whose `use` follows named causes: it need not be asked where the name is not among them."""

    causes: Ledger

    def use(self, stub: Stub, session: Session, now: float) -> Iterable[Link]: ...


Observer = Callable[[Stub, Session, float], Iterable[Link]]
"""A bound `record`, `birth` or `use`."""

LINKS: dict[str, type[LinkKind]] = {}
"""Every kind of link by id, filled as the modules of this package are imported."""

K = TypeVar("K", bound=type[Any])


def link_kind(
    info: LinkInfo,
    targets: Iterable[tuple[str, str]] = (),
    verbs: frozenset[str] | None = None,
    reads: Reads = "",
) -> Callable[[K], K]:
    """Register a kind of link."""

    def register(cls: K) -> K:
        cls.INFO = info
        cls.targets, cls.verbs, cls.reads = frozenset(targets), verbs, reads
        if info.id in LINKS:
            raise ValueError(f"link {info.id} is registered twice")
        LINKS[info.id] = cls
        return cls

    return register


def link_number(link_id: str) -> int:
    """Position of a link in the table: 4 of "L4"."""
    return int(link_id[1:])
