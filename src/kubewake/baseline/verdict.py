"""What a person says of an incident, for the baseline to learn from, and what it made of that."""

from msgspec import Struct

from kubewake.finding import Incident
from kubewake.rules.correlation import microseconds


class Verdict(Struct, frozen=True):
    """Whether what some identities of a cluster did between two times (RFC 3339 UTC) was benign."""

    cluster: str
    users: tuple[str, ...]
    benign: bool
    since: str
    until: str

    @property
    def since_seconds(self) -> float:
        """`since` in seconds since 1970."""
        return microseconds(self.since) / 1e6

    @property
    def until_seconds(self) -> float:
        """`until` in seconds since 1970."""
        return microseconds(self.until) / 1e6


class Lesson(Struct, frozen=True):
    """What a verdict did for one identity.

    `behaviours` are learnt now, or for malicious ones never will be; `traits` are what is new about them, as facet and
    value. Both are empty where all that it did then is known already, or was not seen.
    """

    identity: str
    known: bool
    """Whether the identity was ever seen."""
    behaviours: int = 0
    traits: list[str] = []


def verdict_on(incident: Incident, *, benign: bool) -> Verdict:
    """The verdict on all that was new of the actors of an incident while it lasted."""
    actors = [item.name for item in incident.entities if item.kind == "identity" and item.role == "acted"]
    root = [incident.root_cause.name] if incident.root_cause.kind == "identity" else []
    return Verdict(
        incident.cluster, tuple(dict.fromkeys([*root, *actors])), benign, incident.first_time, incident.last_time
    )
