"""A set of rules, linked and ready to judge: index, predicates, filters, correlations."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from msgspec.structs import replace

from kubewake.errors import RuleError
from kubewake.facts import Facts
from kubewake.facts.registry import READERS
from kubewake.fields import (
    is_gone_without_bodies,
    is_known,
    is_told_by_question,
    is_told_by_specification,
    scope_of,
)
from kubewake.observation import Hit, Stub
from kubewake.redact import redact_value
from kubewake.rules.compiled import CompiledFile, CorrelationRule, EventRule, Filter
from kubewake.rules.condition import Always, Condition, Keyword, fields_of, leaves, unnamed
from kubewake.rules.correlation import STUB_FIELDS, Correlator, stub_reader
from kubewake.rules.guards import guarded
from kubewake.rules.kinds import Kinds
from kubewake.rules.lists import fill_lists
from kubewake.rules.model import RuleInfo, words_needed
from kubewake.rules.narrowing import Narrow, plan_narrowing
from kubewake.rules.predicate import Predicate, compile_condition, compile_within

COUNTS = frozenset({"event_count", "value_count"})


def is_shared(name: str) -> bool:
    """Whether like requests with one question (see `fields.is_told_by_question`) have the same value of a field."""
    return name != "auditID" and (name in STUB_FIELDS or is_told_by_question(name))


class CompiledRule:
    """A rule on single events, or what is left of one after `narrow`. Compiled when first asked."""

    __slots__ = (
        "_fields",
        "_narrow",
        "_narrow_bare",
        "_narrow_written",
        "_predicate",
        "_residues",
        "id",
        "info",
        "source",
        "tree",
    )

    def __init__(self, info: RuleInfo, tree: Condition, source: Condition | None = None) -> None:
        """`source` is the tree as written, with the names of its searches."""
        self.source = tree if source is None else source
        self.info = info
        self.id = info.id
        self.tree = tree
        self._predicate: Predicate | None = None
        self._narrow: Narrow | None = None
        self._narrow_bare: Narrow | None = None
        self._narrow_written: Narrow | None = None
        self._residues: dict[Condition, CompiledRule] = {}
        self._fields: frozenset[str] | None = None

    @property
    def open_fields(self) -> frozenset[str]:
        """The fields that it depends on, in what is left of a rule after `narrow`; "" among them for keywords."""
        if self._fields is None:
            self._fields = _open_fields(self.tree)
        return self._fields

    def matches(self, facts: Facts) -> bool:
        """Whether the rule's condition holds for the event."""
        predicate = self._predicate
        if predicate is None:
            predicate = self._predicate = compile_condition(self.tree)
        return predicate(facts)

    def narrow(self, facts: Facts) -> "bool | CompiledRule":
        """What the event's behaviour alone decides: the answer, or the rule on the fields that are still open."""
        if self._narrow is None:
            self._narrow = plan_narrowing(self.tree, lambda name: scope_of(name) == "behaviour")
        return self._rest(self._narrow(facts))

    def narrow_bare(self, facts: Facts) -> "bool | CompiledRule":
        """As `narrow`, for the behaviour's events without bodies; `facts` must be those of such an event."""
        if self._narrow_bare is None:
            self._narrow_bare = plan_narrowing(
                self.tree, lambda name: scope_of(name) == "behaviour" or is_gone_without_bodies(name)
            )
        return self._rest(self._narrow_bare(facts))

    def narrow_written(self, facts: Facts) -> "bool | CompiledRule":
        """What is decided by the specification that a workload was written with, of what `narrow` left open."""
        if self._narrow_written is None:
            self._narrow_written = plan_narrowing(self.tree, is_told_by_specification)
        return self._rest(self._narrow_written(facts))

    def _rest(self, residue: Condition) -> "bool | CompiledRule":
        if isinstance(residue, Always):
            return residue.value
        known = self._residues.get(residue)
        if known is None:
            known = self._residues[residue] = CompiledRule(self.info, residue)
        return known


def _open_fields(tree: Condition) -> frozenset[str]:
    keywords = {name for name, leaf in leaves(tree) if isinstance(leaf, Keyword)}
    return frozenset(fields_of(tree) | keywords)


class _CompiledFilter:
    __slots__ = ("_on_stubs", "_predicate", "_tree", "id", "open_fields")

    def __init__(self, id_: str, tree: Condition) -> None:
        self.id = id_
        self._tree = tree
        self.open_fields = _open_fields(tree)
        self._predicate: Predicate | None = None
        self._on_stubs: Callable[[Stub], bool] | None = None

    def holds_for_stub(self, stub: Stub) -> bool:
        """Whether the event passes, as far as its stub tells: what stubs do not carry counts as absent."""
        if self._on_stubs is None:
            self._on_stubs = compile_within(self._tree, stub_reader)
        return self._on_stubs(stub)

    def holds(self, facts: Facts) -> bool:
        if self._predicate is None:
            self._predicate = compile_condition(self._tree)
        return self._predicate(facts)


class RuleSet:
    """Rules, correlations and filters that were loaded together.

    `lists` fill the rules' `%name%` references; `today` (ISO date) is what filters expire against, "" for never.
    `only` keeps the rules with these ids, and what their correlations need; `asked` are those ids. `others` are ids that
    filters may name beside those of the rules: Python detectors'.
    """

    def __init__(
        self,
        files: Iterable[CompiledFile],
        *,
        lists: Mapping[str, tuple[str, ...]] | None = None,
        today: str = "",
        only: Iterable[str] | None = None,
        others: Iterable[str] = (),
    ) -> None:
        kept = tuple(files)
        self.lists = dict(lists or {})
        self.notices: list[str] = []
        """What a user should hear about the rules themselves, such as expired filters."""
        names = self.names = {name: name for name in others} | _names(kept)
        """Everything that a rule, correlation or detector may be called, to its id."""
        correlations = {rule.info.id: _linked(rule, names) for file in kept for rule in file.correlations}
        documents = {rule.info.id: rule for file in kept for rule in file.rules}
        self.asked: frozenset[str] = frozenset()
        """The only rules and detectors that may report; empty: all may."""
        if only is not None:
            only = list(only)
            wanted = _closure(only, correlations, documents, names)
            correlations = {key: rule for key, rule in correlations.items() if key in wanted}
            documents = {key: rule for key, rule in documents.items() if key in wanted}
            self.asked = frozenset(names[reference] for reference in only)
        feeding = {name for rule in correlations.values() for name in rule.rules}
        generating = {name for rule in correlations.values() if rule.generate for name in rule.rules}
        self.correlations: tuple[CorrelationRule, ...] = tuple(correlations.values())
        self.rules: dict[str, CompiledRule] = {}
        self.infos: dict[str, RuleInfo] = {}
        """The cards of everything that can report, by rule id; rules that only feed correlations are not among them."""
        for key, document in documents.items():
            alerts = document.alerts or key in generating
            if not alerts and key not in feeding:
                continue
            where = f"{document.info.file}:{document.info.line}"
            tree = fill_lists(unnamed(document.tree), self.lists, where)
            self.rules[key] = CompiledRule(document.info, tree, document.tree)
            if alerts:
                self.infos[key] = document.info
        for key, correlation in correlations.items():
            if correlation.alerts:
                self.infos[key] = correlation.info
        self.infos = dict(sorted(self.infos.items()))
        self._ordered = tuple(self.rules[key] for key in sorted(self.rules))
        self._kinds: Kinds | None = None
        self._general_filters: list[_CompiledFilter] = []
        self._filters: dict[str, list[_CompiledFilter]] = {}
        self._left_out: dict[str, dict[str, list[_CompiledFilter]]] = {}
        """Filters that take the events of a rule out of one correlation's count alone, by rule and correlation."""
        self._link_filters((item for file in kept for item in file.filters), today)
        self._words: dict[str, tuple[str, ...]] = {}
        self._told: dict[tuple[str, bool], bool] = {}

    def route(self, facts: Facts) -> list[CompiledRule]:
        """The rules that the event can match at all, by id."""
        return self._routes_by_kind().candidates(facts)

    def narrowed(self, facts: Facts) -> list[tuple[CompiledRule, bool | CompiledRule]]:
        """The rules that events of this behaviour can match, by id, each with its answer or with what is left of it."""
        return self._routes_by_kind().narrowed(facts)

    def _routes_by_kind(self) -> Kinds:
        if self._kinds is None:
            for rule in self._ordered:
                rule.tree = guarded(rule.tree)
            self._kinds = Kinds(self._ordered)
        return self._kinds

    def matches(self, facts: Facts) -> tuple[str, ...]:
        """Ids of the rules that match the event, rules that only feed correlations included."""
        return tuple(rule.id for rule in self.route(facts) if rule.matches(facts))

    def hit(self, rule: str, facts: Facts) -> Hit:
        """The hit of a rule on an event that it matches."""
        left_out: dict[str, str] = {}
        for correlation, filters in self._left_out.get(rule, {}).items():
            item = next((item for item in filters if not item.holds(facts)), None)
            if item is not None:
                left_out[correlation] = item.id
        return Hit(rule, self.suppressor(rule, facts), self.words(rule, facts), left_out)

    def suppressor(self, rule: str, facts: Facts) -> str | None:
        """The id of the first filter that takes the event out of the rule, if any."""
        for item in self._filters.get(rule, ()):
            if not item.holds(facts):
                return item.id
        return None

    def suppressor_of_stub(self, rule: str, stub: Stub) -> str | None:
        """The id of the first filter that takes the event behind a stub out of a Python detector's findings."""
        for item in chain(self._filters.get(rule, ()), self._general_filters):
            if not item.holds_for_stub(stub):
                return item.id
        return None

    def words(self, rule: str, facts: Facts) -> dict[str, Any]:
        """The values that the rule's words, its grouping and its correlations name, without credentials."""
        found: dict[str, Any] = {}
        for name in self._names_needed(rule):
            value = READERS[name](facts)
            if value is not None:
                found[name] = redact_value(value)
        return found

    def is_told(self, rule: str, *, asked: bool) -> bool:
        """Whether `hit` says the same of all events of a behaviour; of those with one question if `asked`."""
        known = self._told.get((rule, asked))
        if known is None:
            known = self._told[rule, asked] = not self._is_filtered(rule) and all(
                scope_of(name) == "behaviour" or (asked and is_told_by_question(name))
                for name in self._names_needed(rule)
            )
        return known

    def new_correlator(self) -> Correlator:
        """Fresh windows for one cluster."""
        return Correlator(self.correlations)

    def feeders(self) -> frozenset[str]:
        """Rules that report nothing and only feed counts of what requests with one question share.

        Their hits may be told in sums: it is enough to know how many came in a moment.
        """
        feeding: dict[str, list[CorrelationRule]] = {}
        for correlation in self.correlations:
            for rule in correlation.rules:
                feeding.setdefault(rule, []).append(correlation)
        return frozenset(
            rule
            for rule, fed in feeding.items()
            if rule in self.rules
            and rule not in self.infos
            and not self._is_filtered(rule)
            and all(
                correlation.type in COUNTS
                and not correlation.aliases
                and all(map(is_shared, (*correlation.group_by, *correlation.fields)))
                for correlation in fed
            )
        )

    def _names_needed(self, rule: str) -> tuple[str, ...]:
        known = self._words.get(rule)
        if known is not None:
            return known
        names: dict[str, None] = {}
        compiled = self.rules.get(rule)
        if compiled is not None:
            names.update(dict.fromkeys(words_needed(compiled.info)))
        for correlation in self.correlations:
            if rule in correlation.rules:
                names.update(dict.fromkeys(words_needed(correlation.info)))
                grouping = [correlation.aliases.get(name, {}).get(rule, name) for name in correlation.group_by]
                aggregated = (*grouping, *correlation.fields)
                names.update(dict.fromkeys(name for name in aggregated if name not in STUB_FIELDS))
        needed = self._words[rule] = tuple(name for name in names if is_known(name))
        return needed

    def is_marked_alike(self, rule: str) -> bool:
        """Whether filters say the same of all events that look alike (see `Behaviour.counted_as`)."""
        filters = chain(self._filters.get(rule, ()), *self._left_out.get(rule, {}).values())
        return all(
            name in STUB_FIELDS and scope_of(name) == "behaviour" for item in filters for name in item.open_fields
        )

    def _is_filtered(self, rule: str) -> bool:
        return rule in self._filters or rule in self._left_out

    def _link_filters(self, filters: Iterable[Filter], today: str) -> None:
        for item in filters:
            where = f"{item.file}:{item.line}"
            if item.is_expired(today):
                self.notices.append(f"{where}: filter '{item.id}' expired on {item.expires} and is ignored")
                continue
            compiled = _CompiledFilter(item.id, fill_lists(unnamed(item.tree), self.lists, where))
            if item.rules is None:
                self._general_filters.append(compiled)
            for rule, correlation in self._filtered(item, where):
                if correlation is None:
                    linked = self._filters.setdefault(rule, [])
                else:
                    linked = self._left_out.setdefault(rule, {}).setdefault(correlation, [])
                if compiled not in linked:
                    linked.append(compiled)

    def _filtered(self, item: Filter, where: str) -> Iterator[tuple[str, str | None]]:
        """The rules that a filter is about, each with the correlation whose count alone it concerns, if any."""
        if item.rules is None:
            yield from ((rule, None) for rule in self.rules)
            return
        correlations = {rule.info.id: rule for rule in self.correlations}
        for reference in item.rules:
            key = self.names.get(reference)
            if key is None:
                raise RuleError(f"{where}: filter names unknown rule '{reference}'{nearest(reference, self.names)}")
            if key not in correlations:
                yield key, None
                continue
            for rule in correlations[key].rules:
                feeds = [name for name, correlation in correlations.items() if rule in correlation.rules]
                yield rule, key if rule in self.infos or len(feeds) > 1 else None


def _names(files: Iterable[CompiledFile]) -> dict[str, str]:
    """Everything that a rule may be called, to its id; RuleError where two rules claim one id."""
    names: dict[str, str] = {}
    owners: dict[str, RuleInfo] = {}
    items: list[EventRule | CorrelationRule] = []
    for file in files:
        items.extend(file.rules)
        items.extend(file.correlations)
    for rule in items:
        info = rule.info
        if info.id in owners:
            other = owners[info.id]
            raise RuleError(
                f"{info.file}:{info.line}: rule id '{info.id}' is taken by {other.file}:{other.line}; "
                "ids come from file names and must be unique, so rename the file"
            )
        owners[info.id] = info
        names[info.id] = info.id
    for rule in items:
        for name in rule.names:
            names.setdefault(name, rule.info.id)
    return names


def _linked(rule: CorrelationRule, names: Mapping[str, str]) -> CorrelationRule:
    where = f"{rule.info.file}:{rule.info.line}"

    def resolve(reference: str) -> str:
        found = names.get(reference)
        if found is None:
            raise RuleError(f"{where}: correlation names unknown rule '{reference}'{nearest(reference, names)}")
        return found

    return replace(
        rule,
        rules=tuple(resolve(name) for name in rule.rules),
        aliases={
            alias: {resolve(name): meaning for name, meaning in meanings.items()}
            for alias, meanings in rule.aliases.items()
        },
        alternatives=tuple(
            replace(
                way,
                present=tuple(resolve(name) for name in way.present),
                absent=tuple(resolve(name) for name in way.absent),
            )
            for way in rule.alternatives
        ),
    )


def nearest(reference: str, names: Iterable[str]) -> str:
    """A hint at the name that was most likely meant, or ""."""
    close = difflib.get_close_matches(reference, list(names), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _closure(
    only: Iterable[str],
    correlations: Mapping[str, CorrelationRule],
    documents: Mapping[str, EventRule],
    names: Mapping[str, str],
) -> set[str]:
    wanted: set[str] = set()
    stack: list[str] = []
    for reference in only:
        key = names.get(reference)
        if key is None:
            known = [*documents, *correlations]
            raise RuleError(f"rule '{reference}' does not exist{nearest(reference, known)}; see `kubewake rules list`")
        stack.append(key)
    while stack:
        key = stack.pop()
        if key not in wanted:
            wanted.add(key)
            if key in correlations:
                stack.extend(correlations[key].rules)
    return wanted
