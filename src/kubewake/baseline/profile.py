"""What is usual for one identity, for people to read."""

from datetime import UTC, datetime

from msgspec import Struct

from kubewake.baseline import days
from kubewake.baseline.archive import Archive
from kubewake.baseline.identity import EVERYBODY
from kubewake.baseline.population import Population


class Custom(Struct, frozen=True):
    """One value of one facet: on how many days, and how many of its peers show it too."""

    facet: str
    value: str
    days: int
    last_day: str
    peers: int


class Peers(Struct, frozen=True):
    """A group that the identity is compared with."""

    group: str
    members: int


class Profile(Struct, frozen=True):
    """The whole picture of an identity."""

    identity: str
    kind: str
    since: str
    days: int
    requests: dict[str, int]
    behaviours: int
    peers: list[Peers]
    customs: list[Custom]

    def lines(self, most: int) -> list[str]:
        """As text, with at most so many values for each facet."""
        requests = ", ".join(f"{number:,} {name}" for name, number in self.requests.items()) or "none"
        found = [
            f"{self.identity} ({self.kind})",
            f"  known since {self.since}, active on {self.days} of the last {days.WINDOW_DAYS} days",
            f"  requests: {requests}; {self.behaviours:,} different behaviours",
        ]
        found += [f"  compared with {peers.members:,} {peers.group}" for peers in self.peers]
        for facet in dict.fromkeys(custom.facet for custom in self.customs):
            customs = [custom for custom in self.customs if custom.facet == facet]
            found.append(f"  {facet}:")
            found += [
                f"    {custom.value}  ({custom.days} day{'s' * (custom.days != 1)}, {custom.peers} of its peers too)"
                for custom in customs[:most]
            ]
            if len(customs) > most:
                found.append(f"    and {len(customs) - most} more")
        return found


def profile_of(archive: Archive, user: str) -> Profile | None:
    """The profile of a username; None where it is unknown."""
    identity = archive.identities.get(user)
    if identity is None:
        return None
    population = Population(archive.identities.values())
    groups = population.levels(identity)
    closest = groups[0] if groups else EVERYBODY
    customs = []
    for context in sorted(identity.contexts):
        usage = population.usages(context).get(closest)
        values = identity.contexts[context].values
        for value in sorted(values, key=lambda value: (-days.count(values[value]), value)):
            others = (usage.values.get(value, 0) if usage is not None else 0) - 1
            last = datetime.fromtimestamp(days.last_day(values[value]) * days.DAY_SECONDS, UTC)
            customs.append(Custom(context, value, days.count(values[value]), last.date().isoformat(), max(0, others)))
    return Profile(
        user,
        identity.kind,
        datetime.fromtimestamp(identity.first_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        identity.days_known(),
        {name: identity.requests_in(name) for name in sorted(identity.requests)},
        len(identity.keys),
        [Peers(group, population.members.get(group, 0)) for group in groups],
        customs,
    )
