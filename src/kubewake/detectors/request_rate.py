"""Identities whose volume of requests or of errors leaves their own past far behind."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import Detection, detector
from kubewake.detectors.ledger import Span
from kubewake.finding import Attack
from kubewake.observation import Stub
from kubewake.rules.model import RuleInfo

RATE = RuleInfo(
    id="api-rate-anomaly",
    title="Unusually many requests or errors",
    level="medium",
    kind="detector",
    tactic="impact",
    attack=Attack(tactics=["impact", "discovery"], techniques=["T1499", "T1613"]),
    description=(
        "An identity sent, within five minutes, many times the requests or errors of its own past (six standard "
        "deviations of a moving average over at least an hour)."
    ),
    falsepositives=("A load test; a program that starts anew or repeats failing requests without a pause.",),
    references=("https://attack.mitre.org/techniques/T1499/",),
    covers=("api-rate-anomaly",),
    confidence="low",
    audience="pedantic",
    story=(
        "{actor.name} sent {measured} {what} within five minutes; usual are about {usual}. That can slow the cluster down "
        "for everybody, and it can be somebody who searches or tries things out."
    ),
    remediation=(
        "Find out which program that is: kubectl get pods -A -o wide | grep -F {source.ip}",
        "Look at what it asked for and how it was answered.",
        "If it is a fault, limit it with API priority and fairness: kubectl get flowschemas",
    ),
    group_by=("user.username", "what"),
)

SPAN_MINUTES = 5
HISTORY_SPANS = 12
"""An hour of activity before anything counts as unusual."""
DEVIATIONS = 6.0
TIMES_USUAL = 5.0
"""Steady programs have almost no deviation; a jump must also be a multiple."""
REQUESTS_ENOUGH = 300
ERRORS_ENOUGH = 50
WEIGHT = 0.1
"""Weight of the newest span in the moving average: a jump is forgotten in about an hour."""
IDENTITIES_MAX = 20_000
ERROR_CODE = 400
ROUTINE_CODES = frozenset({404, 409})
"""Answers that controllers get all day: an object that is gone, or was changed meanwhile."""


class Pace:
    """Moving mean and variance of a count per span, and the span in progress."""

    __slots__ = ("bar", "current", "enough", "mean", "reported", "variance")

    def __init__(
        self, enough: int, mean: float = 0.0, variance: float = 0.0, current: int = 0, *, reported: bool = False
    ) -> None:
        self.enough = enough
        self.mean = mean
        self.variance = variance
        self.current = current
        self.reported = reported
        self.bar = self._bar()
        """At so many, the span in progress has left the past behind."""

    def close(self, spans: int) -> None:
        """Learn the span in progress, and `spans` - 1 empty ones after it."""
        for count in (float(self.current), *([0.0] * min(spans - 1, HISTORY_SPANS))):
            distance = count - self.mean
            self.mean += WEIGHT * distance
            self.variance = (1 - WEIGHT) * (self.variance + WEIGHT * distance * distance)
        self.current = 0
        self.reported = False
        self.bar = self._bar()

    def _bar(self) -> float:
        return max(self.enough, TIMES_USUAL * self.mean, self.mean + DEVIATIONS * math.sqrt(self.variance))


class Activity:
    """What one identity does."""

    __slots__ = ("errors", "first", "requests", "span")

    def __init__(self, first: int, span: int, requests: Pace, errors: Pace) -> None:
        self.first = first
        self.span = span
        self.requests = requests
        self.errors = errors

    def close(self, span: int) -> None:
        """Learn what was done until this span begins."""
        self.requests.close(span - self.span)
        self.errors.close(span - self.span)
        self.span = span


class _SavedPace(Struct, array_like=True):
    mean: float
    variance: float
    current: int
    reported: bool


class _Saved(Struct, array_like=True):
    first: int
    span: int
    requests: _SavedPace
    errors: _SavedPace


@detector(RATE, counts=True)
class RequestRate:
    """Keeps the pace of every identity."""

    def __init__(self) -> None:
        self._activities: dict[str, Activity] = {}
        self._span = Span(SPAN_MINUTES)

    def observe(self, stub: Stub) -> Iterable[Detection]:
        """Look at the next stub in event-time order; stubs of several events count at the time of their first."""
        user = stub.user
        if not user:
            return ()
        if not self._span.begins <= stub.time < self._span.ends:
            self._span.turn_to(stub.time)
        span = self._span.number
        activities = self._activities
        activity = activities.pop(user, None)
        if activity is None:
            activity = Activity(span, span, Pace(REQUESTS_ENOUGH), Pace(ERRORS_ENOUGH))
            if len(activities) >= IDENTITIES_MAX:
                del activities[next(iter(activities))]
        activities[user] = activity
        if span > activity.span:
            activity.close(span)
        found: tuple[Detection, ...] = ()
        requests = activity.requests
        requests.current += stub.count
        if requests.current >= requests.bar and not requests.reported:
            found = _report(stub, activity, requests, "requests")
        if stub.code >= ERROR_CODE and stub.code not in ROUTINE_CODES:
            errors = activity.errors
            errors.current += stub.count
            if errors.current >= errors.bar and not errors.reported:
                found += _report(stub, activity, errors, "errors")
        return found

    def snapshot(self) -> bytes:
        """The pace of all identities, longest idle first."""
        return msgspec.msgpack.encode(
            {
                user: _Saved(item.first, item.span, _saved(item.requests), _saved(item.errors))
                for user, item in self._activities.items()
            }
        )

    def restore(self, data: bytes) -> None:
        """Replace the state by that of a snapshot."""
        self._activities = {
            user: Activity(
                item.first, item.span, _pace(item.requests, REQUESTS_ENOUGH), _pace(item.errors, ERRORS_ENOUGH)
            )
            for user, item in msgspec.msgpack.decode(data, type=dict[str, _Saved]).items()
        }


def _report(stub: Stub, activity: Activity, pace: Pace, what: str) -> tuple[Detection, ...]:
    if activity.span - activity.first < HISTORY_SPANS:
        return ()
    pace.reported = True
    values: dict[str, Any] = {
        "what": what,
        "measured": pace.current,
        "usual": round(pace.mean),
        "user.username": stub.user,
    }
    return (Detection(rule=RATE.id, stub=stub, values=values),)


def _saved(pace: Pace) -> _SavedPace:
    return _SavedPace(pace.mean, pace.variance, pace.current, pace.reported)


def _pace(saved: _SavedPace, enough: int) -> Pace:
    return Pace(enough, saved.mean, saved.variance, saved.current, reported=saved.reported)
