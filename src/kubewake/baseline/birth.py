"""Who and what is newborn: namespaces and accounts in their first hour are one token, `<new>`.

A GitOps controller that always makes bindings in new namespaces is familiar then, although each namespace is new.
"""

from msgspec import Struct

from kubewake.bounds import forget_oldest

NEW = "<new>"
YOUTH_SECONDS = 3600.0
MAX_KNOWN = 50_000


class Births(Struct):
    """First sights in seconds since 1970, by kind and name ("ns shop", "user alice"). Merging keeps the earliest."""

    first: dict[str, float] = {}
    begun: float = 0.0
    """First event of the cluster: what is seen in the first hour may be old, unless its creation was seen."""
    evicted: int = 0

    def see(self, name: str, now: float, *, created: bool = False) -> bool:
        """Note a sight, and tell whether it is the first; only a creation makes young within the first hour of the log."""
        if name in self.first:
            return False
        if len(self.first) >= MAX_KNOWN:
            self.evicted += forget_oldest(self.first)
        self.first[name] = now if created or now - self.begun >= YOUTH_SECONDS else now - YOUTH_SECONDS
        return True

    def is_young(self, name: str, now: float) -> bool:
        """Whether it is younger than an hour."""
        return now - self.first.get(name, now - YOUTH_SECONDS) < YOUTH_SECONDS

    def merge(self, other: "Births") -> "Births":
        """What either knows."""
        first = dict(self.first)
        for name, seconds in other.first.items():
            first[name] = min(seconds, first.get(name, seconds))
        begun = min((at for at in (self.begun, other.begun) if at), default=0.0)
        return Births(dict(sorted(first.items())), begun, self.evicted + other.evicted)
