"""Rule tests: for each rule, events that must and near misses that must not fire it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from kubewake.detectors import DetectorSet, detector_infos
from kubewake.engine.stub import make_stub
from kubewake.errors import RuleError
from kubewake.event import Batch, decode_event
from kubewake.facts import Facts
from kubewake.formats import decode
from kubewake.intelligence import make_context
from kubewake.observation import Hit, Stub
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.document import Document, read_documents
from kubewake.rules.lists import merged
from kubewake.rules.model import RuleInfo
from kubewake.rules.pack import lists_named, load_builtin, load_files
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.example import complete, merge

SPACING_SECONDS = 0.05
"""Between events of a case that name no time."""

Observe = Callable[[Stub], Iterable[str]]
"""A stateful detector: rule ids that a stub makes it report."""


class Case(Struct, frozen=True):
    """One test: what happens, and whether the rule must fire."""

    rule: str
    name: str
    fires: bool
    documents: tuple[dict[str, Any], ...]
    """Whole events, or whole envelope documents when `raw`."""
    raw: bool
    lists: dict[str, tuple[str, ...]]
    file: str
    line: int


class Outcome(Struct, frozen=True):
    """What became of a case. `error` is "" when it passed."""

    case: Case
    error: str = ""


class Laboratory:
    """Judges the events of cases with a rule set, as the engine would: formats, facts, rules, windows, detectors.

    `detectors` makes fresh stateful detectors for one case.
    """

    def __init__(self, rules: RuleSet, detectors: Callable[[], Observe] | None = None) -> None:
        self._rules = rules
        self._detectors = detectors

    def fired(self, case: Case) -> set[str]:
        """Ids of everything that reports on the case's events."""
        found: set[str] = set()
        names = merged(self._rules.lists, case.lists)
        context = make_context(names)
        stateful = bool(self._rules.correlations) or self._detectors is not None
        stubs: list[Stub] = []
        for batch in _batches(case):
            for event, line in zip(batch.events, batch.lines, strict=True):
                facts = Facts(event, event.cluster or batch.cluster, context)
                matching = self._rules.matches(facts)
                found.update(matching)
                if stateful:
                    stubs.append(self._stub(facts, matching, batch.file, line))
        if stateful:
            found.update(self._follow(stubs))
        return found

    def _stub(self, facts: Facts, matching: Iterable[str], file: str, line: int) -> Stub:
        rules = self._rules
        hits = tuple(Hit(rule, rules.suppressor(rule, facts), rules.words(rule, facts)) for rule in matching)
        return make_stub(facts.event, facts, file, line, hits)

    def _follow(self, stubs: list[Stub]) -> Iterator[str]:
        correlator = self._rules.new_correlator()
        observe = self._detectors() if self._detectors is not None else None
        for stub in sorted(stubs, key=lambda stub: (stub.time, stub.key)):
            yield from (match.rule for match in correlator.observe(stub))
            if observe is not None:
                yield from observe(stub)


def default_detectors() -> Observe:
    """A fresh set of every Python detector."""
    group = DetectorSet()

    def observe(stub: Stub) -> Iterable[str]:
        rules = [detection.rule for detection in group.observe(stub)]
        for failure in group.failures.values():
            raise RuleError(f"detector {failure.part} raised {failure.error} at {failure.place}")
        return rules

    return observe


def _batches(case: Case) -> Iterator[Batch]:
    if case.raw:
        for document in case.documents:
            yield decoded(msgspec.json.encode(document), case)
        return
    for number, document in enumerate(case.documents, 1):
        data = msgspec.json.encode(document)
        try:
            yield Batch(case.file, [decode_event(data)], [number])
        except msgspec.ValidationError:
            yield decoded(data, case)


def decoded(data: bytes, case: Case) -> Batch:
    """What the formats make of a case's document; RuleError where that is nothing."""
    batch = decode(data + b"\n", file=case.file)
    if batch.malformed or not batch.events:
        reason = batch.malformed[0].reason if batch.malformed else "no audit event in it"
        raise RuleError(f"{case.file}:{case.line}: case '{case.name}' cannot be read: {reason}")
    return batch


def read_cases(path: Path) -> list[Case]:
    """The cases of a rule's test file; RuleError with file:line for what is wrong with it."""
    documents = read_documents(path.read_text(encoding="utf-8"), str(path))
    if len(documents) != 1:
        raise RuleError(f"{path}:1: a test file holds one document with base, fires and quiet")
    document = documents[0]
    unknown = document.data.keys() - {"base", "fires", "quiet", "lists"}
    if unknown:
        name = min(unknown)
        raise document.error(f"unknown key '{name}' (there are: base, fires, quiet, lists)", name)
    base = document.data.get("base") or {}
    if not isinstance(base, Mapping):
        raise document.error("'base' must be a mapping: part of an event", "base")
    cases: list[Case] = []
    for kind in ("fires", "quiet"):
        items = document.data.get(kind, [])
        if not isinstance(items, list):
            raise document.error(f"'{kind}' must be a list of cases", kind)
        for index, item in enumerate(items):
            cases.append(_case(document, path.stem, base, kind, index, item))
    return cases


def _case(document: Document, rule: str, base: Mapping[str, Any], kind: str, index: int, item: Any) -> Case:
    if not isinstance(item, Mapping):
        raise document.error("a case must be a mapping with 'name' and 'event', 'events' or 'raw'", kind, index)
    unknown = item.keys() - {"name", "event", "events", "raw", "lists"}
    if unknown:
        key = min(unknown)
        raise document.error(f"unknown key '{key}' in a case", kind, index, key)
    raw = item.get("raw")
    documents = tuple(raw if isinstance(raw, list) else [raw]) if raw is not None else _events(base, item)
    lists = {**(document.data.get("lists") or {}), **(item.get("lists") or {})}
    return Case(
        rule=rule,
        name=str(item.get("name") or f"{kind} {index + 1}"),
        fires=kind == "fires",
        documents=documents,
        raw=raw is not None,
        lists={name: tuple(str(value) for value in values) for name, values in lists.items()},
        file=document.file,
        line=document.line(kind, index),
    )


def _events(base: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    changes = item.get("events")
    if changes is None:
        changes = [item.get("event") or {}]
    events: list[dict[str, Any]] = []
    seconds = 0.0
    for change in changes:
        plain = {key: value for key, value in change.items() if key not in {"at", "repeat"}}
        if "at" in change:
            seconds = max(seconds, float(change["at"]))
        for _ in range(int(change.get("repeat", 1))):
            whole = merge(base, plain, keep_nulls=True)
            events.append(complete(whole, number=len(events) + 1, seconds=seconds))
            seconds += SPACING_SECONDS
    return tuple(events)


def run_cases(cases: Sequence[Case], build: Callable[[dict[str, tuple[str, ...]]], Laboratory]) -> list[Outcome]:
    """Run cases; `build` makes the laboratory for the lists that cases set (cases without lists share one)."""
    outcomes: list[Outcome] = []
    laboratories: dict[str, Laboratory] = {}
    for case in cases:
        key = repr(sorted(case.lists.items()))
        laboratory = laboratories.get(key)
        if laboratory is None:
            laboratory = laboratories[key] = build(case.lists)
        try:
            fired = laboratory.fired(case)
        except RuleError as error:
            outcomes.append(Outcome(case, str(error)))
            continue
        if (case.rule in fired) == case.fires:
            outcomes.append(Outcome(case))
            continue
        what = "must fire and does not" if case.fires else "must stay quiet and fires"
        others = sorted(fired - {case.rule})
        also = f" (rules that fire: {', '.join(others)})" if others else ""
        outcomes.append(Outcome(case, f"{case.file}:{case.line}: {case.rule}: '{case.name}' {what}{also}"))
    return outcomes


def missing_cases(rule: str, cases: Sequence[Case], where: str) -> list[str]:
    """What a rule's tests lack: at least two cases that fire and two near misses."""
    fires = sum(case.fires for case in cases)
    quiet = len(cases) - fires
    problems = []
    if fires < 2:
        problems.append(f"{where}: {rule} has {fires} cases under 'fires'; add events until there are two")
    if quiet < 2:
        problems.append(f"{where}: {rule} has {quiet} cases under 'quiet'; add near misses until there are two")
    return problems


def find_tests(folders: Iterable[Path], ids: Sequence[str] = ()) -> list[Path]:
    """The test files of the named rules, or all; RuleError for a rule without one."""
    available = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yml"))}
    if not ids:
        if not available:
            raise RuleError("no rule tests found; name their folder with --tests")
        return list(available.values())
    for name in ids:
        if name not in available:
            raise RuleError(f"rule '{name}' has no test file {name}.yml; write one, or name its folder with --tests")
    return [available[name] for name in ids]


class Bench:
    """Compiled rules and detectors, loaded once, from which each test gets the few that it is about."""

    def __init__(self, rule_paths: Sequence[Path] = ()) -> None:
        self._files = [*load_builtin(), *load_files(rule_paths)]
        self._empty: dict[str, tuple[str, ...]] = dict.fromkeys(lists_named(self._files), ())
        self._lists = merged(self._empty, *(file.lists for file in self._files))
        self._all: RuleSet | None = None
        self.detectors = frozenset(detector_infos())
        self._homes = {info.id: file for file in self._files for info in infos_of(file)}

    @property
    def ids(self) -> list[str]:
        """Every rule that reports, and every detector."""
        return sorted({*self._everything().infos, *self.detectors})

    def laboratory(self, rule: str, lists: dict[str, tuple[str, ...]]) -> Laboratory:
        """What a test of the rule needs: the rule and what its windows count; for a detector, everything."""
        if rule in self.detectors:
            rules = (
                RuleSet(self._files, lists=merged(self._lists, lists), others=self.detectors)
                if lists
                else self._everything()
            )
            return Laboratory(rules, default_detectors)
        home = self._homes.get(rule)
        files = self._files if home is None or home.correlations else [home]
        return Laboratory(RuleSet(files, lists=merged(self._lists, lists), only=[rule], others=self.detectors))

    def _everything(self) -> RuleSet:
        if self._all is None:
            self._all = RuleSet(self._files, lists=self._lists, others=self.detectors)
        return self._all


def infos_of(file: CompiledFile) -> list[RuleInfo]:
    """The cards of everything that a file defines, rules that only feed correlations included."""
    return [*(rule.info for rule in file.rules), *(rule.info for rule in file.correlations)]


def run_tests(files: Iterable[Path], rule_paths: Sequence[Path] = ()) -> Iterator[Outcome]:
    """Run whole test files, each with the rule it is named after (and what its windows need)."""
    bench = Bench(rule_paths)
    for path in files:
        rule = path.stem

        def build(lists: dict[str, tuple[str, ...]], rule: str = rule) -> Laboratory:
            return bench.laboratory(rule, lists)

        try:
            yield from run_cases(read_cases(path), build)
        except RuleError as error:
            yield Outcome(Case(rule, "", True, (), False, {}, str(path), 1), str(error))
