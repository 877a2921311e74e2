"""Kinds of requests: what most rules can still say about a behaviour follows from little of it, and is worked out once."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kubewake.facts import Context, Facts
from kubewake.facts.registry import READERS
from kubewake.fields import CARRIED, FIELDS, scope_of
from kubewake.rules.condition import FALSE, fields_of
from kubewake.rules.narrowing import Narrow, plan_narrowing
from kubewake.rules.routing import Index

if TYPE_CHECKING:
    from kubewake.rules.ruleset import CompiledRule

    Narrowed = tuple[CompiledRule, bool | CompiledRule]
    Kind = tuple[list[Narrowed], list[CompiledRule]]

KIND = frozenset(
    {
        "actor.client_fits",
        "actor.component",
        "actor.in_profile",
        "actor.is_system",
        "actor.job_fits",
        "actor.kind",
        "actor.origin_fits",
        "authorization.decision",
        "client.family",
        "client.is_script",
        "impersonatedUser.username",
        "impersonation.is_privileged",
        "impersonation.user",
        "list.configured",
        "object.has_escape",
        "object.in_system_namespace",
        "object.is_created",
        "objectRef.apiGroup",
        "objectRef.resource",
        "objectRef.subresource",
        "outcome",
        "request.all_namespaces",
        "request.has_traversal",
        "request.is_resource",
        "responseStatus.code",
        "source.is_public",
        "source.lists",
        "source.scope",
        "source.tor",
        "verb",
        "workload.is_creation",
        "workload.is_write",
    },
)
"""Fields of scope behaviour that have few values; most rules look at no others of that scope."""

FOLLOWING = frozenset(
    {
        "actor.in_profile",
        "client.is_script",
        "object.is_created",
        "outcome",
        "request.is_resource",
        "source.is_public",
        "workload.is_creation",
        "workload.is_write",
    },
)
"""Those that follow from the others."""

TOLD_BY_SENDER = frozenset(
    {
        "actor.client_fits",
        "actor.component",
        "actor.is_system",
        "actor.kind",
        "actor.name",
        "actor.namespace",
        "actor.origin_fits",
        "client.attack_tool",
        "client.family",
        "client.is_script",
        "client.platform",
        "client.version",
        "effective.groups",
        "effective.user",
        "impersonatedUser.groups",
        "impersonatedUser.uid",
        "impersonatedUser.username",
        "impersonation.groups",
        "impersonation.is_privileged",
        "impersonation.uid",
        "impersonation.user",
        "list.configured",
        "source.as_org",
        "source.asn",
        "source.country",
        "source.forwarded",
        "source.ip",
        "source.ips",
        "source.is_public",
        "source.lists",
        "source.scope",
        "source.tor",
        "sourceIPs",
        "user.groups",
        "user.username",
        "userAgent",
    },
)
"""Fields that follow from who sends a request, on whose behalf, from where and with what program, and from nothing else;
where the log names nobody also from the answer."""

_OF_SENDERS = tuple(sorted((KIND - FOLLOWING) & TOLD_BY_SENDER))
_OF_REQUESTS = tuple(READERS[name] for name in sorted(KIND - FOLLOWING - TOLD_BY_SENDER))
_KEPT = tuple(name for name in sorted(TOLD_BY_SENDER) if name in FIELDS and (name in KIND or name in CARRIED))

MAX_KINDS = 20_000
"""Kinds of requests remembered, and senders; when there are more, all are forgotten."""


class _Sender:
    """What is known of all requests of one sender."""

    __slots__ = ("kind", "opens", "values")

    def __init__(self, facts: Facts) -> None:
        self.kind = tuple([_hashable(READERS[name](facts)) for name in _OF_SENDERS])
        """Its part in the kind of a request."""
        self.values = {name: READERS[name](facts) for name in _KEPT}
        self.opens: dict[str, bool] = {}
        """Rules by id, and whether the sender leaves it open that they match."""


class Kinds:
    """The way from an event to the rules that it can match: those that its kind decides on, and all others."""

    def __init__(self, rules: Iterable["CompiledRule"]) -> None:
        """`rules` are in the order of their ids."""
        self._general: list[CompiledRule] = []
        self._special: list[CompiledRule] = []
        for rule in rules:
            seen = {name for name in fields_of(rule.tree) if scope_of(name) == "behaviour"}
            (self._general if seen <= KIND else self._special).append(rule)
        self._general_index = Index(rule.tree for rule in self._general)
        self._special_index = Index((rule.tree for rule in self._special), KIND)
        self._kind_gates = _Gates(KIND.__contains__)
        self._sender_gates = _Gates(TOLD_BY_SENDER.__contains__)
        self._met: dict[tuple[object, ...], Kind] = {}
        self._senders: dict[tuple[object, ...], _Sender] = {}
        self._context: Context | None = None
        """The one in which the senders were met."""

    def candidates(self, facts: Facts) -> "list[CompiledRule]":
        """The rules that the event can match at all, by id."""
        return sorted([*self._general_ones(facts), *self._special_ones(facts)], key=lambda rule: rule.id)

    def narrowed(self, facts: Facts) -> "list[Narrowed]":
        """The rules that events of this behaviour can match, by id, each with its answer or with what is left of it."""
        sender = self._sender(facts)
        key = (sender.kind, *[read(facts) for read in _OF_REQUESTS])
        kind = self._met.get(key)
        if kind is None:
            if len(self._met) >= MAX_KINDS:
                self._met.clear()
            general = _narrowed(self._general_ones(facts), facts)
            gates = self._kind_gates
            kind = self._met[key] = general, [rule for rule in self._special_ones(facts) if gates.are_open(rule, facts)]
        general, special = kind
        others = (
            _narrowed([rule for rule in special if self._is_open(sender, rule, facts)], facts) if special else special
        )
        return sorted([*general, *others], key=lambda item: item[0].id) if others else general

    def _sender(self, facts: Facts) -> _Sender:
        """The sender of the event, with what is known of it put among the facts."""
        event = facts.event
        if event.impersonated_user is not None or event.envelope or not facts.username:
            return _Sender(facts)  # rare, and there is more that tells them apart
        if facts.context is not self._context:
            self._senders.clear()
            self._context = facts.context
        user = event.user
        key = None if user is None else (user.username, user.groups), event.source_ips, event.user_agent
        sender = self._senders.get(key)
        if sender is None:
            if len(self._senders) >= MAX_KINDS:
                self._senders.clear()
            sender = self._senders[key] = _Sender(facts)
        else:
            facts.cache.update(sender.values)
        return sender

    def _is_open(self, sender: _Sender, rule: "CompiledRule", facts: Facts) -> bool:
        """Whether the sender alone does not rule it out that the rule matches."""
        known = sender.opens.get(rule.id)
        if known is None:
            known = sender.opens[rule.id] = self._sender_gates.are_open(rule, facts)
        return known

    def _general_ones(self, facts: Facts) -> "list[CompiledRule]":
        return [self._general[number] for number in self._general_index.candidates(facts)]

    def _special_ones(self, facts: Facts) -> "list[CompiledRule]":
        return [self._special[number] for number in self._special_index.candidates(facts)]


class _Gates:
    """Tells of rules whether some fields alone do not rule it out that they match."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """`is_known` tells which fields."""
        self._is_known = is_known
        self._gates: dict[str, Narrow] = {}

    def are_open(self, rule: "CompiledRule", facts: Facts) -> bool:
        gate = self._gates.get(rule.id)
        if gate is None:
            gate = self._gates[rule.id] = plan_narrowing(rule.tree, self._is_known)
        return gate(facts) != FALSE


def _hashable(value: object) -> object:
    return tuple(value) if type(value) is list else value


def _narrowed(rules: "Iterable[CompiledRule]", facts: Facts) -> "list[Narrowed]":
    return [(rule, narrowed) for rule in rules if (narrowed := rule.narrow(facts)) is not False]
