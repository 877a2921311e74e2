"""Looking into rules: the problems of files, and why a rule does or does not match one event."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from kubewake.detectors import detector_infos
from kubewake.errors import InputError, RuleError
from kubewake.event import AuditEvent
from kubewake.facts import Context, Facts
from kubewake.formats import decode
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.explain import Part, describe_correlation, explain_condition, lines
from kubewake.rules.lint import Problem, lint_text, lint_together
from kubewake.rules.lists import fill_lists
from kubewake.rules.pack import (
    TESTS_FOLDER,
    builtin_sources,
    load_builtin,
    load_files,
    load_rules,
    read_source,
    rule_files,
)
from kubewake.rules.ruleset import RuleSet, nearest
from kubewake.workbench.replay import context_of


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a rule matches an event or not. Correlations explain each of the rules that they count."""

    rule: str
    title: str
    where: str
    matches: bool
    conditions: dict[str, Part]
    waits_for: str = ""
    """What a correlation needs beyond the one event, in words."""
    suppressed_by: str | None = None

    def text(self) -> str:
        """The explanation for a terminal."""
        verdict = "matches" if self.matches else "does not match"
        head = [f"{self.rule}: {self.title}", f"{self.where}: the event {verdict}"]
        if self.waits_for:
            head.append(f"The rule needs {self.waits_for}; one event alone does not report.")
        if self.suppressed_by:
            head.append(f"Filter '{self.suppressed_by}' marks it as suppressed.")
        body: list[str] = []
        for name, part in self.conditions.items():
            body.append("")
            if len(self.conditions) > 1 or name != self.rule:
                body.append(f"{name}:")
            body.extend(lines(part))
        return "\n".join([*head, *body])


def inspect(paths: Sequence[Path]) -> list[Problem]:
    """Problems of rule files and folders (the built-in pack when none are given), with those between files."""
    sources = [(str(file), read_source(file)) for path in paths for file in rule_files(path)]
    if not paths:
        sources = builtin_sources()
    problems = [problem for label, text in sources for problem in lint_text(text, label)]
    if any(problem.severity == "error" for problem in problems):
        return sorted(problems)
    files: list[CompiledFile] = load_builtin()
    if paths:
        files = [*files, *load_files(paths)]
    problems.extend(lint_together(files))
    problems.extend(_untested(paths))
    if not any(problem.severity == "error" for problem in problems):
        try:
            load_rules(paths)
        except RuleError as error:
            where, _, message = str(error).partition(": ")
            name, _, line = where.rpartition(":")
            problems.append(Problem(name, int(line) if line.isdigit() else 1, "load", message, "error"))
    return sorted(problems)


def _untested(paths: Sequence[Path]) -> list[Problem]:
    """Rules of folders that have a `tests` folder and no test of this rule in it."""
    found: list[Problem] = []
    for path in paths:
        tests = path / TESTS_FOLDER
        if not tests.is_dir():
            continue
        tested = {file.stem for file in tests.glob("*.yml")}
        for file in load_files([path]):
            for info in (*(r.info for r in file.rules if r.alerts), *(r.info for r in file.correlations)):
                if info.id not in tested:
                    text = f"the rule has no tests: write {tests / info.id}.yml"
                    found.append(Problem(info.file, info.line, "missing-tests", text))
    return found


def read_event(text: str) -> tuple[str, Facts]:
    """The event that a person named: JSON text, a file (its first event), `file:line`, or - for standard input.

    Answers with its place. Raises InputError where there is none, OSError where the file cannot be read.
    """
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        return _first(stripped.encode(), "event", 1)
    if text == "-":
        return _first(sys.stdin.buffer.read(), "standard input", 1)
    place = re.fullmatch(r"(.+):(\d+)", text)
    if place is not None and not Path(text).exists():
        wanted = int(place[2])
        with Path(place[1]).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if number == wanted:
                    return _first(line, place[1], wanted)
        raise InputError(f"{text}: the file has fewer lines")
    return _first(Path(text).read_bytes(), text, 1)


def _first(data: bytes, name: str, line: int) -> tuple[str, Facts]:
    batch = decode(data if data.endswith(b"\n") else data + b"\n", file=name, first_line=line)
    if not batch.events:
        reason = batch.malformed[0].reason if batch.malformed else "there is no Kubernetes audit event in it"
        raise InputError(f"{name}:{line}: {reason}")
    event: AuditEvent = batch.events[0]
    return f"{name}:{batch.lines[0]}", Facts(event, event.cluster or batch.cluster, Context())


def explain_event(rule: str, facts: Facts, rule_paths: Sequence[Path] = (), *, where: str = "event") -> Explanation:
    """Why the rule matches the event or not; RuleError for rules that do not exist or are Python detectors."""
    if rule in detector_infos():
        raise RuleError(
            f"'{rule}' is a detector in Python that looks at many events; `kubewake rules show {rule}` says what it does"
        )
    rules = load_rules(rule_paths)
    facts = Facts(facts.event, facts.cluster, context_of(rules))
    known = [*rules.rules, *(item.info.id for item in rules.correlations)]
    if rule not in known:
        raise RuleError(f"rule '{rule}' does not exist{nearest(rule, known)}; see `kubewake rules list`")
    correlation = next((item for item in rules.correlations if item.info.id == rule), None)
    if correlation is not None:
        parts = {name: _condition(rules, name, facts) for name in _bases(rules, correlation.rules)}
        matching = [name for name in parts if rules.rules[name].matches(facts)]
        return Explanation(
            rule=rule,
            title=correlation.info.title,
            where=where,
            matches=bool(matching),
            conditions=parts,
            waits_for=describe_correlation(correlation),
            suppressed_by=next((found for name in matching if (found := rules.suppressor(name, facts))), None),
        )
    compiled = rules.rules[rule]
    matches = compiled.matches(facts)
    return Explanation(
        rule=rule,
        title=compiled.info.title,
        where=where,
        matches=matches,
        conditions={rule: _condition(rules, rule, facts)},
        suppressed_by=rules.suppressor(rule, facts) if matches else None,
    )


def _bases(rules: RuleSet, names: Sequence[str]) -> list[str]:
    """The rules on single events that a correlation stands on, through other correlations."""
    inner = {item.info.id: item.rules for item in rules.correlations}
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_bases(rules, inner[name]) if name in inner else [name]))
    return list(found)


def _condition(rules: RuleSet, name: str, facts: Facts) -> Part:
    compiled = rules.rules[name]
    return explain_condition(fill_lists(compiled.source, rules.lists, name), facts)
