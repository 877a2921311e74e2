"""What a baseline knows, as a file: exported, imported and merged, commutatively and associatively."""

import shlex

import msgspec
from msgspec import Struct

from kubewake.baseline.birth import Births
from kubewake.baseline.budget import Budget
from kubewake.baseline.calibration import Flow, Histogram
from kubewake.baseline.identity import Identity
from kubewake.baseline.probation import Novelty, Probation
from kubewake.baseline.verdict import Verdict
from kubewake.baseline.volume import Volume
from kubewake.errors import StoreError
from kubewake.finding import Notice
from kubewake.snapshot import decode_state

ARCHIVE_VERSION = 1
REFUSED_MAX = 10_000
"""Behaviours that verdicts called malicious; the one seen longest ago goes."""

_MAPPING = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})
"""First bytes of a mapping in msgpack, as every baseline file is one; no text or compressed log begins with them."""


class Archive(Struct):
    """Everything learnt of one cluster. Merging two is exact below the caps; open windows are not part of it."""

    version: int = ARCHIVE_VERSION
    identities: dict[str, Identity] = {}
    births: Births = msgspec.field(default_factory=lambda: Births({}))
    strata: dict[str, Histogram] = {}
    identities_evicted: int = 0
    keys_refused: int = 0
    refused: dict[int, Novelty] = {}
    """Behaviours that a verdict called malicious: never learnt."""

    def merge(self, other: "Archive") -> "Archive":
        """What either knows."""
        identities = {}
        for user in sorted(self.identities.keys() | other.identities.keys()):
            one, two = self.identities.get(user), other.identities.get(user)
            either = one or two
            assert either is not None
            identities[user] = one.merge(two) if one is not None and two is not None else either.merge(_blank(either))
        strata = {
            name: self.strata.get(name, Histogram({})).merge(other.strata.get(name, Histogram({})))
            for name in sorted(self.strata.keys() | other.strata.keys())
        }
        return Archive(
            identities=identities,
            births=self.births.merge(other.births),
            strata=strata,
            identities_evicted=self.identities_evicted + other.identities_evicted,
            keys_refused=self.keys_refused + other.keys_refused,
            refused=_either(self.refused, other.refused),
        )


class Running(Struct):
    """What is under way: probations, today's flows and volumes."""

    day: int = 0
    probation: Probation = msgspec.field(default_factory=lambda: Probation({}, {}, {}))
    flows: dict[str, Flow] = {}
    volumes: dict[str, Volume] = {}
    volumes_evicted: int = 0
    budget: Budget = msgspec.field(default_factory=Budget)
    openings: int = 0
    spoken: dict[str, tuple[str, int, float]] = {}
    """Topics with the ten minutes, the number and the loudest of the statements made on them."""
    told: dict[int, str] = {}
    """Strangers spoken of, each with the ten minutes of the last time."""
    notices: list[Notice] = []
    verdicts: list[Verdict] = []
    """On days that are hardly over: what they speak of may not all have been seen."""


class _Saved(Struct):
    version: int
    archive: Archive
    running: Running


def _either(one: dict[int, Novelty], other: dict[int, Novelty]) -> dict[int, Novelty]:
    """What either refuses, at most so many; of the same behaviour the earlier sight."""
    both = dict(one)
    for key, novelty in other.items():
        both[key] = min(
            both.get(key, novelty), novelty, key=lambda item: (item.first_seconds, msgspec.msgpack.encode(item))
        )
    kept = sorted(both, key=lambda key: (both[key].first_seconds, key))[-REFUSED_MAX:]
    return {key: both[key] for key in kept}


def _blank(identity: Identity) -> Identity:
    return Identity(identity.user, identity.kind, identity.first_seconds, identity.teams)


def pack(archive: Archive, running: Running) -> bytes:
    """Versioned msgpack of the whole state."""
    return msgspec.msgpack.encode(_Saved(ARCHIVE_VERSION, archive, running))


def unpack(data: bytes, what: str = "saved baseline") -> tuple[Archive, Running]:
    """The state again; raises StoreError, which says what cannot be read."""
    saved = decode_state(data, _Saved, what, version=ARCHIVE_VERSION)
    return saved.archive, saved.running


def encode(archives: dict[str, Archive]) -> bytes:
    """A file of baselines by cluster."""
    return msgspec.msgpack.encode(dict(sorted(archives.items())))


def train_anew(logs: str) -> str:
    """What to do where there is no baseline yet."""
    return f"to learn one from audit logs: `kubewake baseline train {shlex.quote(logs)} --out house.kwb`"


def decode(data: bytes, place: str) -> dict[str, Archive]:
    """Baselines of a file; raises StoreError with `place` where they cannot be read."""
    if not data or data[0] not in _MAPPING:
        raise StoreError(
            f"{place}: {'is no baseline file' if data else 'is empty'}; {train_anew(place if data else 'LOGS')}"
        )
    archives = decode_state(data, dict[str, Archive], f"{place}: the baseline", remedy=train_anew("LOGS"))
    for cluster, archive in archives.items():
        if archive.version != ARCHIVE_VERSION:
            raise StoreError(
                f"{place}: the baseline of cluster '{cluster}' has version {archive.version}, this kubewake reads "
                f"{ARCHIVE_VERSION}; train it again",
            )
    return archives
