"""What one identity is like: its known behaviours, the values of every facet with their days, its requests by class."""

import re
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct

from kubewake.baseline import days
from kubewake.baseline.template import account_template

VALUES_MAX = 64
"""Values of one facet remembered in one context; the one seen longest ago makes room, and is counted."""
CONTEXTS_MAX = 256
"""Contexts of one identity."""
KEYS_MAX = 5_000
"""Known behaviours of one identity: what it makes up beyond that crowds out only its own."""
PEER_MINIMUM = 3
"""Smaller groups say nothing about anybody."""
COMMON_ROLES = frozenset({"system:discovery", "system:basic-user", "system:public-info-viewer", ""})
"""Roles that everybody has."""
COMMON_GROUPS = frozenset({"system:authenticated", "system:unauthenticated", "system:serviceaccounts"})
EVERYBODY = "everybody"
Key = TypeVar("Key", int, str)
_ROLE = re.compile(r'of (?:Cluster)?Role "([^"]+)"')


@lru_cache(maxsize=4096)
def role_of(reason: str) -> str:
    """The role that the authorizer names as what allowed a request; "" where it names none worth a word."""
    found = _ROLE.search(reason)
    return found.group(1) if found is not None and found.group(1) not in COMMON_ROLES else ""


class Context(Struct, array_like=True):
    """Values of a facet in one context, each with its days (see `days`), and how many values had to go."""

    values: dict[str, int]
    evicted: int = 0

    @property
    def distinct(self) -> int:
        """Number of different values ever seen, forgotten ones included."""
        return len(self.values) + self.evicted

    def add(self, value: str, packed: int) -> str | None:
        """Note a value; returns the value that made room, if any."""
        known = self.values.get(value)
        if known is not None:
            self.values[value] = days.join(known, packed)
            return None
        self.values[value] = packed
        if len(self.values) <= VALUES_MAX:
            return None
        victim = min(self.values, key=lambda name: (self.values[name], name))
        del self.values[victim]
        self.evicted += 1
        return victim


class Identity(Struct):
    """All that is learnt of one identity. `requests` counts by class of action and day."""

    user: str
    kind: str
    first_seconds: float
    teams: str = ""
    roles: dict[str, int] = {}
    keys: dict[int, int] = {}
    contexts: dict[str, Context] = {}
    requests: dict[str, dict[int, int]] = {}
    keys_evicted: int = 0
    contexts_evicted: int = 0

    def tally(self, action_class: str, today: int) -> dict[int, int]:
        """Requests of a class by day, with today's entry made."""
        by_day = self.requests.get(action_class)
        if by_day is None:
            by_day = self.requests[action_class] = {}
        by_day.setdefault(today, 0)
        return by_day

    def requests_in(self, action_class: str = "") -> int:
        """Requests of a class, or of all, over the window."""
        if action_class:
            return sum(self.requests.get(action_class, {}).values())
        return sum(sum(by_day.values()) for by_day in self.requests.values())

    def days_known(self) -> int:
        """Days on which it was active."""
        return len({day for by_day in self.requests.values() for day in by_day})

    def groups(self) -> tuple[str, ...]:
        """The groups of peers that it belongs to, closest first, without its class and everybody."""
        found = []
        if self.roles:
            found.append("identities with the roles " + ", ".join(sorted(self.roles)))
        if self.teams:
            found.append(f"members of {self.teams}")
        found.append(account_template(self.user))
        return tuple(found)

    def add_key(self, key: int, packed: int) -> None:
        """Know a behaviour on these days; the oldest goes where there are too many."""
        known = self.keys.get(key)
        if known is None and len(self.keys) >= KEYS_MAX:
            del self.keys[next(iter(self.keys))]
            self.keys_evicted += 1
        self.keys[key] = packed if known is None else days.join(known, packed)

    def forget(self, today: int) -> None:
        """Let go of what lies outside the window."""
        self.keys = {key: packed for key, packed in self.keys.items() if not days.is_over(packed, today)}
        self.roles = {role: packed for role, packed in self.roles.items() if not days.is_over(packed, today)}
        for by_day in self.requests.values():
            for day in [day for day in by_day if today - day >= days.WINDOW_DAYS]:
                del by_day[day]
        for name in list(self.contexts):
            context = self.contexts[name]
            context.values = {value: at for value, at in context.values.items() if not days.is_over(at, today)}
            if not context.values:
                del self.contexts[name]

    def merge(self, other: "Identity") -> "Identity":
        """What either knows of the same identity; exact below the caps."""
        merged = Identity(
            self.user,
            min(self.kind, other.kind),
            min(self.first_seconds, other.first_seconds),
            max(self.teams, other.teams),
            joined(self.roles, other.roles),
            newest(joined(self.keys, other.keys), KEYS_MAX),
            keys_evicted=self.keys_evicted + other.keys_evicted,
            contexts_evicted=self.contexts_evicted + other.contexts_evicted,
        )
        for name in sorted(self.contexts.keys() | other.contexts.keys()):
            one, two = self.contexts.get(name), other.contexts.get(name)
            values = joined(one.values if one else {}, two.values if two else {})
            evicted = (one.evicted if one else 0) + (two.evicted if two else 0)
            merged.contexts[name] = Context(newest(values, VALUES_MAX), evicted)
        for name in sorted(self.requests.keys() | other.requests.keys()):
            merged.requests[name] = added(self.requests.get(name, {}), other.requests.get(name, {}))
        return merged


def joined(one: dict[Key, int], other: dict[Key, int]) -> dict[Key, int]:
    """Packed days of both, sorted by key."""
    both = dict(one)
    for key, packed in other.items():
        both[key] = days.join(both[key], packed) if key in both else packed
    return dict(sorted(both.items()))


def added(one: dict[Key, int], other: dict[Key, int]) -> dict[Key, int]:
    """Counts of both, sorted by key."""
    both = dict(one)
    for key, number in other.items():
        both[key] = both.get(key, 0) + number
    return dict(sorted(both.items()))


def newest(values: dict[Key, int], limit: int) -> dict[Key, int]:
    """The `limit` entries seen last."""
    if len(values) <= limit:
        return values
    kept = sorted(values, key=lambda key: (values[key], key))[-limit:]
    return {key: values[key] for key in sorted(kept)}
