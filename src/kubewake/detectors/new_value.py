"""First times: something that an identity, or the whole cluster, with a past did not do before (see `novelty_table`)."""

from collections.abc import Iterable

import msgspec
import xxhash
from msgspec import Struct

from kubewake.bounds import forget_oldest
from kubewake.detectors import Detection, detector
from kubewake.detectors.novelty_table import ENTRIES, Entry, entries_about, words_of
from kubewake.observation import Stub
from kubewake.rules.correlation import microseconds

HISTORY_REQUESTS = 20
HISTORY_MICROSECONDS = 3600 * 1_000_000
"""A past begins after an hour and some requests: before, everything is new and nothing is news."""
DAY_MICROSECONDS = 86_400 * 1_000_000
SEEN_MAX = 200_000
USERS_MAX = 20_000
FAMILIAR_MAX = 100_000

_encode = msgspec.msgpack.Encoder().encode


def behaviour_of(stub: Stub) -> int:
    """A hash of everything in a request that its body and names do not decide: for stubs whose kind was not worked out."""
    words = (
        stub.user,
        stub.verb,
        stub.resource,
        stub.subresource,
        stub.namespace,
        stub.user_agent,
        stub.source,
        stub.outcome,
        stub.code,
        stub.reason,
        stub.stage,
        stub.client,
        stub.groups,
    )
    return xxhash.xxh3_64_intdigest(_encode(words))


class Past(Struct, array_like=True):
    """How long and how busily somebody has been seen."""

    first: int
    requests: int = 0

    def is_known(self, now: int) -> bool:
        """Whether there is enough past to call anything new."""
        return self.requests >= HISTORY_REQUESTS and now - self.first >= HISTORY_MICROSECONDS


class _Saved(Struct, array_like=True):
    cluster: Past | None
    users: dict[str, Past]
    seen: dict[int, int]


@detector(*(entry.info for entry in ENTRIES), of_people=True)
class NewValue:
    """Remembers, as hashes with the day of their last use, which values every entry has seen."""

    def __init__(self) -> None:
        self._cluster: Past | None = None
        self._users: dict[str, Past] = {}
        self._seen: dict[int, int] = {}
        self._day = 0
        self._familiar: dict[int, tuple[Entry, ...]] = {}
        """Kinds of stubs that came this day already, each with the entries that say more of it: from bodies and names."""

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        now = microseconds(stub.time)
        user = self._users.get(stub.user) or self._meet(stub, now)
        if self._cluster is None:
            self._cluster = Past(now)
        cluster = self._cluster
        day = now // DAY_MICROSECONDS
        if day != self._day:
            self._day = day
            self._familiar.clear()
        behaviour = stub.kind or behaviour_of(stub)
        entries = self._familiar.get(behaviour)
        if entries is None:
            entries = self._concerning(stub, behaviour)
        found: list[Detection] = []
        for entry in entries:
            new = self._learn(entry, stub, day)
            if new is not None and (user if entry.history == "user" else cluster).is_known(now):
                found.append(Detection(rule=entry.info.id, stub=stub, values=dict(words_of(stub, new))))
        if user.requests < HISTORY_REQUESTS:  # more do not matter
            user.requests += stub.count
        if cluster.requests < HISTORY_REQUESTS:
            cluster.requests += stub.count
        return found

    def _concerning(self, stub: Stub, behaviour: int) -> tuple[Entry, ...]:
        """The entries that concern the first stub of a kind this day; some concern later ones, too."""
        entries = tuple(entry for entry in entries_about(stub.resource) if entry.applies(stub))
        if len(self._familiar) >= FAMILIAR_MAX:
            self._familiar.clear()
        self._familiar[behaviour] = tuple(entry for entry in entries if entry.from_body)
        return entries

    def _meet(self, stub: Stub, now: int) -> Past:
        if len(self._users) >= USERS_MAX:
            del self._users[next(iter(self._users))]
        past = self._users[stub.user] = Past(now)
        return past

    def _learn(self, entry: Entry, stub: Stub, day: int) -> tuple[str, ...] | None:
        """Note the values as seen on this day; returns the first that was not seen within the entry's days."""
        whose = stub.user if entry.history == "user" else ""
        found: tuple[str, ...] | None = None
        for value in entry.values(stub):
            number = xxhash.xxh3_64_intdigest("\0".join((entry.info.id, whose, *value)).encode())
            last = self._seen.pop(number, None)
            self._seen[number] = day
            if found is None and (last is None or day - last > entry.days):
                found = value
        if len(self._seen) > SEEN_MAX:
            forget_oldest(self._seen)
        return found

    def snapshot(self) -> bytes:
        """Pasts and seen values; which behaviours are familiar is worked out anew."""
        return msgspec.msgpack.encode(_Saved(self._cluster, self._users, self._seen))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._cluster, self._users, self._seen = saved.cluster, saved.users, saved.seen
        self._familiar = {}
