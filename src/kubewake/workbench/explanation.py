"""Why a rule does or does not match the events of a log: which it matches, and one of them part by part."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from kubewake.detectors import detector_infos
from kubewake.engine.stub import make_stub
from kubewake.errors import InputError, RuleError
from kubewake.event import AuditEvent, Batch
from kubewake.facts import Facts
from kubewake.formats import decode
from kubewake.observation import Stub
from kubewake.pipeline.detection import Knowledge
from kubewake.reports.wording import one_line
from kubewake.rules.condition import And, Condition, Or, unnamed
from kubewake.rules.explain import Part, describe_correlation, explain_condition, lines
from kubewake.rules.lists import fill_lists
from kubewake.rules.predicate import READER, compile_within
from kubewake.rules.ruleset import RuleSet, nearest
from kubewake.sources.files import STDIN, STDIN_NAME
from kubewake.workbench.replay import Match, log_batches, what, windows

MAX_PLACES = 20
"""Matching events that are named; the rest are counted."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a rule matches an event or not. Correlations explain each of the rules that they count."""

    rule: str
    title: str
    where: str
    matches: bool
    """Whether the event at `where` matches."""
    conditions: dict[str, Part]
    waits_for: str = ""
    """What a correlation needs beyond the one event, in words."""
    suppressed_by: str | None = None
    events: int = 1
    """How many events were judged; `where` is the first that matches, or else the one that comes nearest."""
    matching: int = 0
    places: tuple[Match, ...] = ()
    """The first `MAX_PLACES` of the matching events."""
    reports: tuple[Match, ...] = ()
    """Where a correlation reports."""

    @property
    def holds(self) -> bool:
        """Whether the rule reports: for one event, and for a rule on single events, whether any matches."""
        return bool(self.reports) if self.waits_for and self.events > 1 else self.matching > 0

    def text(self) -> str:
        """The explanation for a terminal."""
        head = [f"{self.rule}: {self.title}"]
        if self.waits_for:
            alone = "; one event alone does not report" if self.events == 1 else ""
            head.append(f"The rule needs {self.waits_for}{alone}.")
        if self.events > 1:
            head.extend(self._survey())
        head.append(f"{self.where}: the event {'matches' if self.matches else 'does not match'}")
        if self.suppressed_by:
            head.append(f"Filter '{self.suppressed_by}' marks it as suppressed.")
        body: list[str] = []
        for name, part in self.conditions.items():
            body.append("")
            if len(self.conditions) > 1 or name != self.rule:
                body.append(f"{name}:")
            body.extend(lines(part))
        return "\n".join(map(one_line, [*head, *body]))

    def _survey(self) -> Iterator[str]:
        match self.matching:
            case 0:
                yield f"None of {self.events:,} events matches. This one comes nearest:"
                yield ""
                return
            case 1:
                yield f"1 of {self.events:,} events matches."
            case _:
                yield f"{self.matching:,} of {self.events:,} events match:"
                yield from (f"  {_place(match)}" for match in self.places)
                if self.matching > len(self.places):
                    yield f"  and {self.matching - len(self.places):,} more"
        if self.waits_for:
            yield "The rule reports at:" if self.reports else "That is not enough for the rule to report."
            yield from (f"  {_place(match)}" for match in self.reports[:MAX_PLACES])
            if len(self.reports) > MAX_PLACES:
                yield f"  and {len(self.reports) - MAX_PLACES:,} more"
        yield ""


def _place(match: Match) -> str:
    return f"{match.where}  {match.what}  {match.audit_id}".rstrip()


class Named(NamedTuple):
    """An event with its place, `file:line`."""

    where: str
    event: AuditEvent
    cluster: str


def events_at(text: str, audit_id: str = "") -> Iterator[Named]:
    """The events that a person named: JSON text, `file:line`, - for standard input, or a log in any form.

    With an audit id, only that request's. Raises InputError where there is none.
    """
    found = skipped = 0
    reason = ""
    for batch in _batches(text):
        reason = reason or next((item.reason for item in batch.malformed), "")
        for event, line in zip(batch.events, batch.lines, strict=True):
            if audit_id and event.audit_id != audit_id:
                skipped += 1
                continue
            found += 1
            yield Named(f"{batch.file}:{line}", event, event.cluster or batch.cluster)
    if skipped and not found:
        raise InputError(f"{text}: none of {skipped:,} events has the audit id {audit_id}; check the id and the log")
    if not found:
        raise InputError(f"{text}: {reason or 'there is no Kubernetes audit event in it'}")


def _batches(text: str) -> Iterator[Batch]:
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        yield decode(stripped.encode() + b"\n", file="event")
        return
    if text == STDIN:
        yield decode(sys.stdin.buffer.read(), file=STDIN_NAME)
        return
    place = re.fullmatch(r"(.+):(\d+)", text)
    if place is None or Path(text).exists():
        yield from log_batches([text])
        return
    yield from _line(place[1], int(place[2]))


def _line(file: str, wanted: int) -> Iterator[Batch]:
    """The events of one line, and what is wrong with it; InputError where the file ends before it."""
    for batch in log_batches([file]):
        chosen = [index for index, line in enumerate(batch.lines) if line == wanted]
        malformed = [item for item in batch.malformed if item.line == wanted]
        if chosen or malformed:
            yield Batch(
                file=batch.file,
                events=[batch.events[index] for index in chosen],
                lines=[wanted] * len(chosen),
                malformed=malformed,
                cluster=batch.cluster,
            )
            return
        if batch.lines and batch.lines[-1] > wanted:
            raise InputError(f"{file}:{wanted}: there is no audit event on this line")
    raise InputError(f"{file}:{wanted}: the file has fewer lines")


def explain(
    rule: str, events: Iterable[Named], rule_paths: Sequence[Path] = (), intelligence: Path | None = None
) -> Explanation:
    """Which of the events the rule matches, and why the first of them does, or why the nearest does not.

    RuleError for rules that do not exist or are Python detectors, InputError where there is no event.
    """
    if rule in detector_infos():
        raise RuleError(
            f"'{rule}' is a detector in Python that looks at many events; `kubewake rules show {rule}` says what it "
            f"does, `kubewake scan --rule {rule} LOG` what it finds"
        )
    rules, context = Knowledge(rule_paths=tuple(rule_paths), intelligence=intelligence).load()
    known = {name: compiled.info for name, compiled in rules.rules.items()}
    known |= {item.info.id: item.info for item in rules.correlations}
    if rule not in known:
        raise RuleError(f"rule '{rule}' does not exist{nearest(rule, known)}; see `kubewake rules list`")
    correlation = next((item for item in rules.correlations if item.info.id == rule), None)
    bases = [rule] if correlation is None else _bases(rules, correlation.rules)
    closeness = _closeness(Or(tuple(unnamed(_source(rules, name)) for name in bases)))
    shown: tuple[str, Facts] | None = None
    best = -1.0
    count = matching = 0
    places: list[Match] = []
    stubs: list[Stub] = []
    for where, event, cluster in events:
        count += 1
        facts = Facts(event, cluster, context)
        hits = [name for name in bases if rules.rules[name].matches(facts)]
        if hits:
            if not matching:
                shown = where, facts
            matching += 1
            if len(places) < MAX_PLACES:
                places.append(Match(where, rule, event.audit_id or "", what(facts)))
            if correlation is not None:
                stubs.append(_stub(rules, where, facts, hits))
        elif not matching and (score := closeness(facts)) > best:
            best, shown = score, (where, facts)
    if shown is None:
        raise InputError("there is no Kubernetes audit event to judge")
    where, facts = shown
    suppressors = (rules.hit(name, facts).marked_for(rule) for name in bases) if matching else ()
    return Explanation(
        rule=rule,
        title=known[rule].title,
        where=where,
        matches=matching > 0,
        conditions={name: _condition(rules, name, facts) for name in bases},
        waits_for=describe_correlation(correlation) if correlation is not None else "",
        suppressed_by=next(filter(None, suppressors), None),
        events=count,
        matching=matching,
        places=tuple(places),
        reports=tuple(sorted(match for match in windows(rules, stubs) if match.rule == rule)),
    )


def _closeness(tree: Condition) -> Callable[[Facts], float]:
    """How much of a condition holds for an event, from 0 to 1: of alternatives, the one that holds most."""
    match tree:
        case And(parts):
            inner = [_closeness(part) for part in parts]
            return lambda facts: sum(part(facts) for part in inner) / len(inner)
        case Or(parts):
            inner = [_closeness(part) for part in parts]
            return lambda facts: max(part(facts) for part in inner)
        case _:
            return compile_within(tree, READER)


def _stub(rules: RuleSet, where: str, facts: Facts, names: Sequence[str]) -> Stub:
    file, _, line = where.rpartition(":")
    hits = tuple(rules.hit(name, facts) for name in names)
    return make_stub(facts.event, facts, file, int(line), hits)


def _bases(rules: RuleSet, names: Sequence[str]) -> list[str]:
    """The rules on single events that a correlation stands on, through other correlations."""
    inner = {item.info.id: item.rules for item in rules.correlations}
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_bases(rules, inner[name]) if name in inner else [name]))
    return list(found)


def _condition(rules: RuleSet, name: str, facts: Facts) -> Part:
    return explain_condition(_source(rules, name), facts)


def _source(rules: RuleSet, name: str) -> Condition:
    return fill_lists(rules.rules[name].source, rules.lists, name)
