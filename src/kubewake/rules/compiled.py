"""What rule files compile to: plain data that is cached, shipped in the wheel, and linked into a rule set."""

from typing import Literal

from msgspec import Struct

from kubewake.rules.condition import Condition
from kubewake.rules.model import RuleInfo

CorrelationType = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
Operator = Literal["lt", "lte", "gt", "gte", "eq", "neq"]


class EventRule(Struct, frozen=True):
    """A rule on single events. `alerts` is False for rules that only feed correlations.

    `names` are what correlations and filters may call it: id, Sigma name, UUID and title.
    """

    info: RuleInfo
    tree: Condition
    alerts: bool
    names: tuple[str, ...]
    own: bool = True
    """It has a kubewake block or stands alone in its file: it alerts whatever correlations refer to it."""


class Alternative(Struct, frozen=True, array_like=True):
    """One way to satisfy a temporal correlation: rules that must occur (in this order), and rules that must not."""

    present: tuple[str, ...]
    absent: tuple[str, ...] = ()


class Threshold(Struct, frozen=True, array_like=True):
    """What the aggregate of a window is compared with."""

    operator: Operator
    bound: float


class CorrelationRule(Struct, frozen=True):
    """A rule on several events in a window of event time."""

    info: RuleInfo
    type: CorrelationType
    rules: tuple[str, ...]
    """References to rules or other correlations; ids once linked."""
    timespan_seconds: int
    group_by: tuple[str, ...] = ()
    aliases: dict[str, dict[str, str]] = {}
    """Alias to rule reference to field: what a group-by name means in each rule's events."""
    threshold: Threshold | None = None
    fields: tuple[str, ...] = ()
    """The fields whose values are counted, summed, …"""
    percentile: int = 95
    alternatives: tuple[Alternative, ...] = ()
    generate: bool = False
    names: tuple[str, ...] = ()
    alerts: bool = True


class Filter(Struct, frozen=True):
    """A Sigma filter: the exception of a user, as code. Events for which `tree` does not hold are marked, not lost.

    `rules` are references, None stands for all. `expires` is an ISO date after which it is ignored.
    """

    id: str
    title: str
    tree: Condition
    rules: tuple[str, ...] | None
    owner: str = ""
    reason: str = ""
    expires: str = ""
    file: str = ""
    line: int = 0

    def is_expired(self, today: str) -> bool:
        """Whether it no longer holds on this ISO date; "" is before all."""
        return bool(self.expires and today and self.expires < today)


class CompiledFile(Struct, frozen=True):
    """Everything that one YAML file defines."""

    file: str
    rules: tuple[EventRule, ...] = ()
    correlations: tuple[CorrelationRule, ...] = ()
    filters: tuple[Filter, ...] = ()
    lists: dict[str, tuple[str, ...]] = {}
    skipped: tuple[str, ...] = ()
    """Rules that are about other log sources: where, and which."""

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing in it, not even a rule about another log source."""
        return not (self.rules or self.correlations or self.filters or self.lists or self.skipped)
