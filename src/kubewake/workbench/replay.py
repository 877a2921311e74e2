"""Running rules over recorded logs: what changed rules gain and lose."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from kubewake.engine.stub import make_stub
from kubewake.errors import InputError, RuleError
from kubewake.event import Batch
from kubewake.facts import Context, Facts
from kubewake.formats import batches
from kubewake.observation import Hit, Stub
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.lists import merged
from kubewake.rules.pack import NOTHING, lists_named, load_builtin, load_files
from kubewake.rules.ruleset import RuleSet
from kubewake.sources.files import FileSource, loaded

Log = Callable[[], Iterable[Batch]]
"""A log that can be read more than once."""


class Match(Struct, frozen=True, order=True):
    """One event that one rule reports, or no longer does."""

    where: str
    rule: str
    audit_id: str
    what: str


class Difference(Struct, frozen=True):
    """What changed rules gain and lose on a log, and each rule's number of reported events before and after."""

    gained: tuple[Match, ...]
    lost: tuple[Match, ...]
    counts: dict[str, tuple[int, int]]


def log_batches(paths: Sequence[str]) -> Iterator[Batch]:
    """The events of files, directories and globs, in any envelope, in small batches; what cannot be read in its own.

    InputError where there is none at all.
    """
    events = 0
    reason = ""
    for chunk, first_line, data, malformed in loaded(FileSource(list(paths)).chunks()):
        reason = reason or next((item.reason for item in malformed), "")
        if malformed:
            yield Batch(file=chunk.file, events=[], lines=[], malformed=malformed)
        for batch in batches(data, file=chunk.file, first_line=first_line, cluster=chunk.cluster, hint=chunk.format):
            events += len(batch.events)
            reason = reason or next((item.reason for item in batch.malformed), "")
            yield batch
    if not events:
        raise InputError(
            f"{', '.join(paths)}: no audit events in there{f' ({reason})' if reason else ''}; check the path"
        )


def link(files: Sequence[CompiledFile], only: Iterable[str] | None = None) -> RuleSet:
    """A rule set of compiled files with their own lists; lists that nobody fills are empty."""
    empty: dict[str, tuple[str, ...]] = dict.fromkeys(lists_named(files), ())
    return RuleSet(files, lists=merged(empty, *(file.lists for file in files)), only=only)


def context_of(rules: RuleSet) -> Context:
    """What the rules' own lists tell the facts."""
    return Context(names={name: frozenset(values) for name, values in rules.lists.items() if values})


def replaced(base: Sequence[CompiledFile], changed: Sequence[CompiledFile]) -> list[CompiledFile]:
    """The base without the files whose rules the changed files define anew, and the changed files."""
    ids = _ids(changed)
    return [*(file for file in base if not ids & _ids([file])), *changed]


def _ids(files: Iterable[CompiledFile]) -> set[str]:
    return {info.id for file in files for info in (*(r.info for r in file.rules), *(r.info for r in file.correlations))}


def compare(changed: Sequence[Path], against: Sequence[Path], log: Log) -> Difference:
    """What the changed rules, filters and lists gain and lose against the built-in pack (or other folders)."""
    base = load_files(against) if against else load_builtin()
    new = load_files(changed)
    if all(file.is_empty for file in new):
        raise RuleError(f"{', '.join(map(str, changed))}: holds {NOTHING}; there is nothing to compare")
    before, after = link(base), link(replaced(base, new))
    wide = any(item.rules is None for file in new for item in file.filters)
    named = {name for file in new for item in file.filters for name in item.rules or ()}
    lists = {name for file in new for name in file.lists}
    concerned = (
        _ids(new) | named | {rule.info.id for file in base for rule in file.rules if lists & lists_named([file])}
    )
    if wide:
        before_only, after_only = before, after
    else:
        known_before, known_after = _ids(base), _ids(replaced(base, new))
        before_only = link(base, sorted(concerned & known_before))
        after_only = link(replaced(base, new), sorted(concerned & known_after))
    return _difference(before_only, after_only, log)


def _difference(before: RuleSet, after: RuleSet, log: Log) -> Difference:
    gained: set[Match] = set()
    lost: set[Match] = set()
    counts: dict[str, list[int]] = {}
    stubs: tuple[list[Stub], list[Stub]] = ([], [])
    sides = ((before, context_of(before)), (after, context_of(after)))
    for batch in log():
        for event, line in zip(batch.events, batch.lines, strict=True):
            reports: list[set[str]] = []
            for side, (rules, context) in enumerate(sides):
                facts = Facts(event, event.cluster or batch.cluster, context)
                hits = _hits(rules, facts)
                if hits and rules.correlations:
                    stubs[side].append(make_stub(event, facts, batch.file, line, hits))
                reports.append({hit.rule for hit in hits if hit.rule in rules.infos and hit.suppressed_by is None})
            if reports[0] or reports[1]:
                _count(counts, reports)
            for rule in reports[0] ^ reports[1]:
                match = Match(f"{batch.file}:{line}", rule, event.audit_id or "", what(facts))
                (gained if rule in reports[1] else lost).add(match)
    correlated = [windows(rules, found) for rules, found in zip((before, after), stubs, strict=True)]
    for match in correlated[1] - correlated[0]:
        gained.add(match)
    for match in correlated[0] - correlated[1]:
        lost.add(match)
    for side, found in enumerate(correlated):
        for match in found:
            counts.setdefault(match.rule, [0, 0])[side] += 1
    pairs = {rule: (numbers[0], numbers[1]) for rule, numbers in counts.items()}
    return Difference(tuple(sorted(gained)), tuple(sorted(lost)), pairs)


def _hits(rules: RuleSet, facts: Facts) -> tuple[Hit, ...]:
    return tuple(Hit(rule, rules.suppressor(rule, facts), rules.words(rule, facts)) for rule in rules.matches(facts))


def _count(counts: dict[str, list[int]], reports: list[set[str]]) -> None:
    for side, found in enumerate(reports):
        for rule in found:
            counts.setdefault(rule, [0, 0])[side] += 1


def windows(rules: RuleSet, stubs: Iterable[Stub]) -> set[Match]:
    """What correlations report of the events behind the stubs."""
    correlator = rules.new_correlator()
    found: set[Match] = set()
    for stub in sorted(stubs, key=lambda stub: (stub.time, stub.key)):
        for match in correlator.observe(stub):
            if match.suppressed_by is None:
                last = match.stub
                said = f"{last.user} {last.verb} {last.resource or last.uri}"
                found.add(Match(f"{last.file}:{last.line}", match.rule, last.audit_id, said))
    return found


def what(facts: Facts) -> str:
    """Who did what to which object, in one line."""
    name = "/".join(part for part in (facts.namespace, facts.name) if part)
    target = " ".join(
        part for part in (facts.resource or facts.event.request_uri or "", facts.subresource, name) if part
    )
    return f"{facts.username or '(nobody)'} {facts.verb} {target}"
