"""What is usual among others: for each group and context, how many different identities have shown a value.

Continuation counts: one identity counts once, however often it does something, so that no flood by one shifts what is
usual for others. All of it follows from the identities, so it is neither saved nor merged.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from kubewake.baseline.identity import EVERYBODY, PEER_MINIMUM, Identity


class Usage(Struct):
    """How many identities of a group show each value of a context; `total` is the sum."""

    values: dict[str, int]
    total: int = 0


class Population:
    """Groups, their members, and what they do."""

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self.members: dict[str, int] = {}
        self._usages: dict[str, dict[str, Usage]] = {}
        """By context and group."""
        self._groups: dict[str, tuple[str, ...]] = {}
        for identity in identities:
            self.enrol(identity)

    def levels(self, identity: Identity) -> tuple[str, ...]:
        """Groups to ask, from the closest to everybody; those with too few members are left out."""
        groups = self._groups.get(identity.user)
        if groups is None:
            groups = _groups_of(identity)
        members = self.members
        return tuple([group for group in groups if group == EVERYBODY or members.get(group, 0) >= PEER_MINIMUM])

    def usages(self, context: str) -> Mapping[str, Usage]:
        """What each group does in a context."""
        return self._usages.get(context, {})

    def enrol(self, identity: Identity) -> None:
        """Count an identity in its groups, anew where they have changed."""
        groups = _groups_of(identity)
        before = self._groups.get(identity.user, ())
        if groups == before:
            return
        self._groups[identity.user] = groups
        for group in before:
            if group not in groups:
                self._count(group, identity, -1)
        for group in groups:
            if group not in before:
                self._count(group, identity, 1)

    def dismiss(self, identity: Identity) -> None:
        """Take an identity out of all groups."""
        for group in self._groups.pop(identity.user, ()):
            self._count(group, identity, -1)

    def add(self, user: str, context: str, value: str) -> None:
        """An identity shows a value for the first time."""
        for group in self._groups.get(user, ()):
            self._change(group, context, value, 1)

    def drop(self, user: str, context: str, value: str) -> None:
        """A value of an identity is forgotten."""
        for group in self._groups.get(user, ()):
            self._change(group, context, value, -1)

    def _count(self, group: str, identity: Identity, step: int) -> None:
        self.members[group] = self.members.get(group, 0) + step
        if not self.members[group]:
            del self.members[group]
        for context, held in identity.contexts.items():
            for value in held.values:
                self._change(group, context, value, step)

    def _change(self, group: str, context: str, value: str, step: int) -> None:
        usages = self._usages.get(context)
        if usages is None:
            usages = self._usages[context] = {}
        usage = usages.get(group)
        if usage is None:
            usage = usages[group] = Usage({})
        usage.total += step
        left = usage.values.get(value, 0) + step
        if left > 0:
            usage.values[value] = left
        else:
            usage.values.pop(value, None)
            if not usage.values:
                del usages[group]
                if not usages:
                    del self._usages[context]


def _groups_of(identity: Identity) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*identity.groups(), f"{identity.kind} identities", EVERYBODY)))
