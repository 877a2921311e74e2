"""What is settled: learning behaviours with their traits, keeping scores, letting go of what is old or too much."""

from kubewake.baseline import days
from kubewake.baseline.archive import REFUSED_MAX, Archive
from kubewake.baseline.calibration import Histogram
from kubewake.baseline.identity import COMMON_GROUPS, CONTEXTS_MAX, Context, Identity
from kubewake.baseline.population import Population
from kubewake.baseline.probation import Novelty
from kubewake.baseline.traits import WHAT, WHO, Portrait
from kubewake.observation import Stub

KEYS_MAX = 200_000
CONTEXTS_TOTAL_MAX = 100_000
IDENTITIES_MAX = 20_000


class Memory:
    """What is learnt of one cluster: an archive, written to within its bounds, with the groups of peers it gives."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.identities = archive.identities
        self._strata = archive.strata
        self.population = Population(archive.identities.values())
        self._recount()

    def _recount(self) -> None:
        self._keys = sum(len(identity.keys) for identity in self.identities.values())
        self._contexts = sum(len(identity.contexts) for identity in self.identities.values())

    @property
    def is_full(self) -> bool:
        """Whether one more identity takes the place of another."""
        return len(self.identities) >= IDENTITIES_MAX

    def enrol(self, stub: Stub, now: float) -> Identity:
        """Make the acquaintance of a stub's identity, seen first at `now` (seconds)."""
        teams = ", ".join(sorted(set(stub.groups) - COMMON_GROUPS)) if stub.actor_kind == "human" else ""
        identity = Identity(stub.user, stub.actor_kind, now, teams)
        self.identities[stub.user] = identity
        self.population.enrol(identity)
        return identity

    def meet(self, stranger: Identity) -> Identity:
        """The identity of that name as it is known here, else made known by name and kind only."""
        known = self.identities.get(stranger.user)
        if known is None:
            if self.is_full:
                self.forget_identity()
            known = Identity(stranger.user, stranger.kind, stranger.first_seconds, stranger.teams)
            self.identities[stranger.user] = known
            self.population.enrol(known)
        return known

    def forget_identity(self) -> None:
        """The identity first met longest ago goes; a known and busy one comes back within its next request."""
        victim = next(iter(self.identities.values()))
        self.population.dismiss(victim)
        self._keys -= len(victim.keys)
        self._contexts -= len(victim.contexts)
        del self.identities[victim.user]
        self.archive.identities_evicted += 1

    def learn(
        self, identity: Identity, key: int, seen: tuple[int, int], portrait: Portrait | Novelty, role: str
    ) -> None:
        """Know a behaviour, and all its traits, as seen on these days."""
        packed = days.join(days.on_day(seen[0]), days.on_day(seen[1]))
        before = len(identity.keys)
        if key not in identity.keys and self._keys >= KEYS_MAX:
            self.archive.keys_refused += 1
            return
        identity.add_key(key, packed)
        self._keys += len(identity.keys) - before
        if role and role not in identity.roles:
            identity.roles[role] = packed
            self.population.enrol(identity)
        elif role:
            identity.roles[role] = days.join(identity.roles[role], packed)
        for trait in portrait.traits:
            context = identity.contexts.get(trait.context)
            if context is None:
                if len(identity.contexts) >= CONTEXTS_MAX or self._contexts >= CONTEXTS_TOTAL_MAX:
                    identity.contexts_evicted += 1
                    continue
                context = identity.contexts[trait.context] = Context({})
                self._contexts += 1
            known = context.values.get(trait.value)
            if known is not None:
                context.values[trait.value] = days.join(known, packed)
                continue
            victim = context.add(trait.value, packed)
            if victim != trait.value:
                self.population.add(identity.user, trait.context, trait.value)
                if victim is not None:
                    self.population.drop(identity.user, trait.context, victim)

    def accept(self, novelty: Novelty, today: int) -> None:
        """Learn a behaviour that was on probation, and count its scores as ordinary ones of today."""
        identity = self.identities.get(novelty.user)
        if identity is None:
            return
        self.learn(identity, novelty.key, (novelty.first_day, novelty.last_day), novelty, novelty.role)
        for statement, score in ((WHAT, novelty.what), (WHO, novelty.who)):
            self.histogram(stratum_of(identity.kind, novelty.action_class, statement)).add(today, max(0.0, score))

    def refuse(self, novelty: Novelty) -> None:
        """Never learn a behaviour, until a verdict calls it benign."""
        refused = self.archive.refused
        if novelty.key not in refused and len(refused) >= REFUSED_MAX:
            del refused[next(iter(refused))]
        refused[novelty.key] = novelty

    def lacks(self, novelty: Novelty) -> list[str]:
        """Which traits of a behaviour its identity has not shown yet, as facet and value."""
        identity = self.identities.get(novelty.user)
        contexts = {} if identity is None else identity.contexts
        return [
            f"{trait.facet} {trait.value}"
            for trait in novelty.traits
            if trait.context not in contexts or trait.value not in contexts[trait.context].values
        ]

    def note_hour(self, identity: Identity, portrait: Portrait, today: int) -> None:
        """A known behaviour at another hour: hours are no part of a behaviour, but of what a person is like."""
        for trait in portrait.traits:
            context = identity.contexts.get(trait.context) if trait.facet == "hour" else None
            if context is None:
                continue
            if trait.value not in context.values:
                self.population.add(identity.user, trait.context, trait.value)
            context.add(trait.value, days.on_day(today))

    def histogram(self, stratum: str) -> Histogram:
        """The scores of a stratum, to be written to."""
        histogram = self._strata.get(stratum)
        if histogram is None:
            histogram = self._strata[stratum] = Histogram({})
        return histogram

    def scores_of(self, stratum: str) -> Histogram | None:
        """The scores of a stratum, if there are any."""
        return self._strata.get(stratum)

    def forget_old(self, today: int) -> None:
        """Let go of what lies outside the window."""
        for identity in list(self.identities.values()):
            identity.forget(today)
            if not identity.requests_in() and not identity.keys:
                del self.identities[identity.user]
        for histogram in self._strata.values():
            histogram.forget(today)
        self.population = Population(self.identities.values())
        self._recount()


def stratum_of(kind: str, action_class: str, statement: str) -> str:
    """Among which scores one is ranked: a strange place or program is one whatever is done there."""
    return f"{kind} {statement}" if statement == WHO else f"{kind} {action_class} {statement}"
