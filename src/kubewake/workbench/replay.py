"""Running rules over recorded logs: what changed rules gain and lose."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from kubewake.detectors import detector_infos
from kubewake.engine import Fold, Reader
from kubewake.errors import InputError, RuleError
from kubewake.event import Batch
from kubewake.facts import Context, Facts
from kubewake.finding import Finding
from kubewake.formats import batches
from kubewake.intelligence import Intelligence, load_intelligence
from kubewake.observation import Stub
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.lists import merged
from kubewake.rules.pack import NOTHING, lists_named, load_builtin, load_files
from kubewake.rules.ruleset import RuleSet
from kubewake.sources.files import FileSource, loaded

Log = Callable[[], Iterable[Batch]]
"""A log that can be read more than once."""

NOTHING_KNOWN = Intelligence()
"""No lists but those of the rules."""


class Match(Struct, frozen=True, order=True):
    """One event or finding that one rule reports, or no longer does."""

    where: str
    rule: str
    audit_id: str
    what: str


class Difference(Struct, frozen=True):
    """What changed rules gain and lose on a log, and how much each rule reports before and after.

    Of rules on single events every event counts, of correlations and detectors every finding.
    """

    gained: tuple[Match, ...]
    lost: tuple[Match, ...]
    counts: dict[str, tuple[int, int]]
    notices: tuple[str, ...] = ()
    """What there is to say about the changed rules themselves, such as expired filters."""


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


def known_from(path: Path | None) -> Intelligence:
    """What a configuration file or folder brings; nothing where there is none."""
    return NOTHING_KNOWN if path is None else load_intelligence(path)


def link(
    files: Sequence[CompiledFile], known: Intelligence, only: Iterable[str] | None = None
) -> tuple[RuleSet, Context]:
    """Compiled files with their own lists as a run today has them; lists that nobody fills are empty.

    `only` keeps these rules, unless a detector is among them: it weighs what all rules say.
    """
    empty: dict[str, tuple[str, ...]] = dict.fromkeys(lists_named(files), ())
    detectors = detector_infos()
    kept = None if only is None else list(only)
    rules = RuleSet(
        files,
        lists=merged(empty, *(file.lists for file in files), known.names),
        today=datetime.now(UTC).date().isoformat(),
        only=None if kept is None or detectors.keys() & set(kept) else kept,
        others=detectors,
    )
    return rules, known.context(rules.lists)


def replaced(base: Sequence[CompiledFile], changed: Sequence[CompiledFile]) -> list[CompiledFile]:
    """The base without the files whose rules the changed files define anew, and the changed files."""
    ids = _ids(changed)
    return [*(file for file in base if not ids & _ids([file])), *changed]


def _ids(files: Iterable[CompiledFile]) -> set[str]:
    return {info.id for file in files for info in (*(r.info for r in file.rules), *(r.info for r in file.correlations))}


def compare(
    changed: Sequence[Path], against: Sequence[Path], log: Log, known: Intelligence = NOTHING_KNOWN
) -> Difference:
    """What changed rules, filters and lists gain and lose, in the built-in pack, against the pack alone or with others."""
    pack, old, new = load_builtin(), load_files(against), load_files(changed)
    if all(file.is_empty for file in new):
        raise RuleError(f"{', '.join(map(str, changed))}: holds {NOTHING}; there is nothing to compare")
    sides = (replaced(pack, old), replaced(pack, new))
    linked = [link(files, known) for files in sides]
    concerned = _concerned([*old, *new], [rules for rules, _ in linked])
    if concerned is not None and not concerned & detector_infos().keys():
        linked = [
            link(files, known, sorted(concerned & rules.names.keys()))
            for files, (rules, _) in zip(sides, linked, strict=True)
        ]
    return _difference(linked, concerned, log, tuple(linked[1][0].notices))


def _concerned(files: Sequence[CompiledFile], sides: Iterable[RuleSet]) -> set[str] | None:
    """The rules and detectors whose findings may differ because of these files; None for all."""
    if any(file.lists or any(item.rules is None for item in file.filters) for file in files):
        return None
    found = _ids(files)
    for rules in sides:
        found |= {rules.names.get(name, name) for file in files for item in file.filters for name in item.rules or ()}
    feeding = [(item.info.id, item.rules) for rules in sides for item in rules.correlations]
    more = True
    while more:
        fed = {key for key, names in feeding if key not in found and not found.isdisjoint(names)}
        found |= fed
        more = bool(fed)
    return found


def _difference(
    sides: Iterable[tuple[RuleSet, Context]], concerned: set[str] | None, log: Log, notices: tuple[str, ...]
) -> Difference:
    before, after = (_reported(rules, context, concerned, log) for rules, context in sides)
    gained = sorted(after[key] for key in after.keys() - before.keys())
    lost = sorted(before[key] for key in before.keys() - after.keys())
    counts = [Counter(match.rule for match in found.values()) for found in (before, after)]
    pairs = {rule: (counts[0][rule], counts[1][rule]) for rule in sorted(counts[0] | counts[1])}
    return Difference(tuple(gained), tuple(lost), pairs, notices)


def _reported(rules: RuleSet, context: Context, concerned: set[str] | None, log: Log) -> dict[tuple[str, ...], Match]:
    """Every event that a rule on single events reports, and every finding of correlations and detectors."""
    found: dict[tuple[str, ...], Match] = {}
    for number, (where, facts, matching) in enumerate(matches(rules, context, log)):
        for rule in matching:
            if rule in rules.infos and (concerned is None or rule in concerned) and not rules.suppressor(rule, facts):
                found[rule, str(number)] = Match(where, rule, facts.event.audit_id or "", what(facts))
    if concerned is not None and concerned <= rules.rules.keys():
        return found
    for finding in findings(rules, context, log):
        rule = finding.rule
        if finding.suppressed_by is None and rule not in rules.rules and (concerned is None or rule in concerned):
            place, target = finding.locations[0], finding.target
            said = f"{finding.actor.name} {target.verb} {target.resource}"
            key = (rule, finding.cluster, *finding.explain["group"], finding.event_keys[0])
            found[key] = Match(f"{place.file}:{place.line}", rule, finding.audit_ids[0], f"{said} ({finding.count})")
    return found


def matches(rules: RuleSet, context: Context, log: Log) -> Iterator[tuple[str, Facts, tuple[str, ...]]]:
    """Every event of the log, with its place and the rules on single events that it matches."""
    for batch in log():
        for event, line in zip(batch.events, batch.lines, strict=True):
            facts = Facts(event, event.cluster or batch.cluster, context)
            yield f"{batch.file}:{line}", facts, rules.matches(facts)


def findings(rules: RuleSet, context: Context, log: Log) -> Iterator[Finding]:
    """What the whole engine finds in the log, marked ones included."""
    reader, fold = Reader(rules, context), Fold(rules)
    for batch in log():
        fold.absorb(reader.read([batch]))
        fold.advance_in_silence()
        yield from fold.closed()
    fold.advance_in_silence(flush=True)
    yield from fold.finish()


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
