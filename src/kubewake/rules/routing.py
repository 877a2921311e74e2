"""The index: which rules an event can match at all, from a few cheap atoms that the rules require."""

from collections.abc import Container, Iterable, Mapping

from kubewake.facts import Facts
from kubewake.facts.registry import READERS
from kubewake.rules.condition import FALSE, And, Condition, Match, Named, Or
from kubewake.rules.predicate import text_of

_COMMON_VERBS = {"get": 0.4, "watch": 0.15, "list": 0.15, "update": 0.2, "patch": 0.08, "create": 0.05}
_COMMON_RESOURCES = {"leases": 0.3, "pods": 0.15, "nodes": 0.08, "configmaps": 0.1, "events": 0.05, "endpoints": 0.05}
_COMMON_KINDS = {"serviceaccount": 0.4, "control-plane": 0.3, "node": 0.2}
_COMMON_CODES = {"200": 0.85, "201": 0.05, "404": 0.02, "403": 0.02, "409": 0.02}
_COMMON_OUTCOMES = {"allowed": 0.95}
_COMMON_SUBRESOURCES = {"status": 0.1}
_COMMON_GROUPS = {"coordination.k8s.io": 0.3, "apps": 0.08, "": 0.5}

FREQUENCIES: dict[str, tuple[float, Mapping[str, float]]] = {
    "user.username": (0.005, {}),
    "objectRef.subresource": (0.005, _COMMON_SUBRESOURCES),
    "objectRef.resource": (0.01, _COMMON_RESOURCES),
    "verb": (0.01, _COMMON_VERBS),
    "objectRef.apiGroup": (0.03, _COMMON_GROUPS),
    "responseStatus.code": (0.005, _COMMON_CODES),
    "actor.kind": (0.02, _COMMON_KINDS),
    "outcome": (0.03, _COMMON_OUTCOMES),
    "client.family": (0.03, {}),
    "workload.is_creation": (0.01, {"false": 0.99}),
    "workload.is_write": (0.02, {"false": 0.98}),
}
"""Indexed fields: how frequent a value of the field is in an ordinary cluster, by default and for common values.

Rough on purpose: they only choose the field that a rule is filed under.
"""


def required_atoms(tree: Condition) -> dict[str, frozenset[str]]:
    """For indexed fields, the (lower-cased) values one of which every matching event has."""
    match tree:
        case Match(name, "eq", values) if name in FREQUENCIES:
            return {name: frozenset(_text(value) for value in values)}
        case Named(_, part):
            return required_atoms(part)
        case And(parts):
            needed: dict[str, frozenset[str]] = {}
            for part in parts:
                for name, allowed in required_atoms(part).items():
                    needed[name] = needed[name] & allowed if name in needed else allowed
            return needed
        case Or(parts):
            choices = [required_atoms(part) for part in parts]
            shared = set.intersection(*(set(choice) for choice in choices))
            return {name: frozenset().union(*(choice[name] for choice in choices)) for name in sorted(shared)}
        case _:
            return {}


def _text(value: object) -> str:
    return (text_of(value) or "").lower()


def _frequency(name: str, values: Iterable[str]) -> float:
    default, common = FREQUENCIES[name]
    return sum(common.get(value, default) for value in values)


class Index:
    """Rules by number, each filed under the rarest field that it requires."""

    def __init__(self, trees: Iterable[Condition], fields: Container[str] = FREQUENCIES) -> None:
        """`fields` are those to look at."""
        self._filed: dict[str, dict[str, list[tuple[int, tuple[tuple[str, frozenset[str]], ...]]]]] = {}
        self._everywhere: list[int] = []
        for number, tree in enumerate(trees):
            if tree == FALSE:  # an empty list: nothing can match
                continue
            atoms = {name: values for name, values in required_atoms(tree).items() if name in fields}
            if not atoms:
                self._everywhere.append(number)
                continue
            home = min(atoms, key=lambda name: (_frequency(name, atoms[name]), name))
            checks = tuple((name, atoms[name]) for name in sorted(atoms) if name != home)
            for value in sorted(atoms[home]):
                self._filed.setdefault(home, {}).setdefault(value, []).append((number, checks))
        self._readers = {name: READERS[name] for name in FREQUENCIES}

    def candidates(self, facts: Facts) -> list[int]:
        """Numbers of the rules whose required atoms the event has, ascending."""
        values: dict[str, str | None] = {}
        found = list(self._everywhere)
        for name, by_value in self._filed.items():
            value = self._value(name, facts, values)
            for number, checks in by_value.get(value, ()) if value is not None else ():
                for other, allowed in checks:
                    if self._value(other, facts, values) not in allowed:
                        break
                else:
                    found.append(number)
        found.sort()
        return found

    def _value(self, name: str, facts: Facts, values: dict[str, str | None]) -> str | None:
        if name in values:
            return values[name]
        value = self._readers[name](facts)
        text = None if value is None else _text(value)
        values[name] = text
        return text
