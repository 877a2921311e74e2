"""Which service accounts are busiest, and which come to life after a long silence: hunting material."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Span
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

ACTIVE = RuleInfo(
    id="service-accounts-most-active",
    title="Notable activity of a service account",
    level="informational",
    kind="detector",
    tactic="discovery",
    attack=Attack(tactics=["discovery"], techniques=["T1078"]),
    description=(
        "A service account came among the five busiest of the day with a thousand requests, or sent its first request after "
        "two weeks of silence."
    ),
    falsepositives=("Ordinary work.",),
    references=("https://kubernetes.io/docs/concepts/security/service-accounts/",),
    covers=("service-accounts-most-active",),
    confidence="low",
    audience="pedantic",
    story="The program identity {actor.name} is notable today: {why}.",
    remediation=(
        "kubectl auth can-i --list --as={user.username}",
        "kubectl get pods -A -o custom-columns=NS:.metadata.namespace,POD:.metadata.name,SA:.spec.serviceAccountName",
    ),
    group_by=("user.username", "why"),
    window_seconds=86_400,
)

DAY_MINUTES = 24 * 60
RANKS = 5
BUSY_REQUESTS = 1000
SILENCE_DAYS = 14
ACCOUNTS_MAX = 20_000


class _Saved(Struct, array_like=True):
    day: int
    requests: dict[str, int]
    last_days: dict[str, int]
    ranked: set[str]


@detector(ACTIVE, counts=True, wants=lambda scene: scene.actor_kind == "serviceaccount")
class AccountActivity:
    """Counts the requests of each service account by day."""

    def __init__(self) -> None:
        self._span = Span(DAY_MINUTES)
        self._day = -1
        self._requests: dict[str, int] = {}
        self._last_days: dict[str, int] = {}
        self._ranked: set[str] = set()

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order."""
        if not self._span.begins <= stub.time < self._span.ends:
            self._span.turn_to(stub.time)
            self._begin(self._span.number)
        day = self._span.number
        user = stub.user
        last = self._last_days.pop(user, None)
        self._last_days[user] = day
        if len(self._last_days) > ACCOUNTS_MAX:
            del self._last_days[next(iter(self._last_days))]
        found: tuple[Detection, ...] = ()
        if last is not None and day - last > SILENCE_DAYS:
            found = (_detection(stub, f"its first request after {day - last} days"),)
        if len(self._ranked) < RANKS and user not in self._ranked and self._count(user, stub.count) >= BUSY_REQUESTS:
            self._ranked.add(user)
            found += (_detection(stub, f"among the {RANKS} busiest service accounts of the day"),)
        return found

    def _count(self, user: str, requests: int) -> int:
        known = self._requests.get(user)
        if known is None:
            if len(self._requests) < ACCOUNTS_MAX:
                self._requests[user] = requests
            return requests
        self._requests[user] = known + requests
        return known + requests

    def _begin(self, day: int) -> None:
        if day > self._day:
            self._day = day
            self._requests.clear()
            self._ranked.clear()

    def snapshot(self) -> bytes:
        """The counts of the day and the last day of each account."""
        return msgspec.msgpack.encode(_Saved(self._day, self._requests, self._last_days, self._ranked))

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._span = Span(DAY_MINUTES)
        self._day, self._requests = saved.day, saved.requests
        self._last_days, self._ranked = saved.last_days, saved.ranked


def _detection(stub: Stub, why: str) -> Detection:
    values: dict[str, Any] = {"why": why, "user.username": stub.user}
    return Detection(rule=ACTIVE.id, stub=stub, values=values)
