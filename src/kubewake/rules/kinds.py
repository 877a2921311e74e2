"""Kinds of requests: what most rules can still say about a behaviour follows from little of it, and is worked out once."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kubewake.facts import Facts
from kubewake.facts.registry import READERS
from kubewake.fields import scope_of
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
        "client.is_script",
        "object.is_created",
        "request.is_resource",
        "source.is_public",
        "workload.is_creation",
        "workload.is_write",
    },
)
"""Those that follow from the others."""

_READERS = tuple(READERS[name] for name in sorted(KIND - FOLLOWING))

MAX_KINDS = 20_000
"""Kinds of requests remembered; when there are more, all are forgotten."""


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
        self._gates: dict[str, Narrow] = {}
        self._met: dict[tuple[object, ...], Kind] = {}

    def candidates(self, facts: Facts) -> "list[CompiledRule]":
        """The rules that the event can match at all, by id."""
        return sorted([*self._general_ones(facts), *self._special_ones(facts)], key=lambda rule: rule.id)

    def narrowed(self, facts: Facts) -> "list[Narrowed]":
        """The rules that events of this behaviour can match, by id, each with its answer or with what is left of it."""
        key = tuple([tuple(value) if type(value := read(facts)) is list else value for read in _READERS])
        kind = self._met.get(key)
        if kind is None:
            if len(self._met) >= MAX_KINDS:
                self._met.clear()
            general = _narrowed(self._general_ones(facts), facts)
            kind = self._met[key] = general, [rule for rule in self._special_ones(facts) if self._is_open(rule, facts)]
        general, special = kind
        others = _narrowed(special, facts)
        return sorted([*general, *others], key=lambda item: item[0].id) if others else general

    def _is_open(self, rule: "CompiledRule", facts: Facts) -> bool:
        """Whether the kind alone does not rule it out that the rule matches."""
        gate = self._gates.get(rule.id)
        if gate is None:
            gate = self._gates[rule.id] = plan_narrowing(rule.tree, KIND.__contains__)
        return gate(facts) != FALSE

    def _general_ones(self, facts: Facts) -> "list[CompiledRule]":
        return [self._general[number] for number in self._general_index.candidates(facts)]

    def _special_ones(self, facts: Facts) -> "list[CompiledRule]":
        return [self._special[number] for number in self._special_index.candidates(facts)]


def _narrowed(rules: "Iterable[CompiledRule]", facts: Facts) -> "list[Narrowed]":
    return [(rule, narrowed) for rule in rules if (narrowed := rule.narrow(facts)) is not False]
