"""Mutation of rules: every condition item, value and search of every rule is deleted once, and a test must notice.

`python -m kubewake.workbench.mutation [ID…]` reports the deletions that no test of the rule notices.
"""

import copy
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from kubewake.errors import ExitCode, RuleError
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.document import read_documents
from kubewake.rules.lists import merged
from kubewake.rules.pack import builtin_sources, lists_named, load_builtin
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.testing import Case, Laboratory, read_cases

TESTS = Path("tests/rules")


class Mutant(Struct, frozen=True):
    """One deletion: where it was and the text of the file without it."""

    what: str
    line: int
    text: str


class Survivor(Struct, frozen=True, order=True):
    """A deletion that no test of the rule notices."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: no test notices that {self.what} is gone"


def mutants(text: str, file: str) -> Iterator[Mutant]:
    """Every deletion of a condition item, of a value of a list, or of an alternative of a search."""
    documents = read_documents(text, file)
    data = [document.data for document in documents]
    for number, document in enumerate(documents):
        body = document.data.get("detection")
        if not isinstance(body, dict):
            continue
        for name, definition in body.items():
            if name == "condition":
                continue
            for path, what in _deletions(("detection", name), definition):
                changed = copy.deepcopy(data)
                _delete(changed[number], path)
                yield Mutant(what, document.line(*path), _dump(changed))
        if isinstance(body.get("condition"), str):
            for condition, what in _shorter(body["condition"], list(body)):
                changed = copy.deepcopy(data)
                changed[number]["detection"]["condition"] = condition
                yield Mutant(what, document.line("detection", "condition"), _dump(changed))


def _deletions(path: tuple[Any, ...], definition: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(definition, dict):
        for key, value in definition.items():
            if len(definition) > 1:
                yield (*path, key), f"'{key}' of '{path[1]}'"
            if isinstance(value, list) and len(value) > 1:
                for index, item in enumerate(value):
                    yield (*path, key, index), f"value '{item}' of '{key}' of '{path[1]}'"
    elif isinstance(definition, list):
        for index, item in enumerate(definition):
            if len(definition) > 1:
                yield (*path, index), f"alternative {index + 1} of '{path[1]}'"
            if isinstance(item, dict):
                yield from _deletions((*path, index), item)


def _shorter(condition: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The condition without one of its "and not X", "and X", "or X"."""
    words = condition.replace("(", " ( ").replace(")", " ) ").split()
    for index, word in enumerate(words):
        if word not in names or word == "condition":
            continue
        start = index
        while start > 0 and words[start - 1] == "not":
            start -= 1
        if start > 0 and words[start - 1] in {"and", "or"}:
            yield " ".join(words[: start - 1] + words[index + 1 :]), f"'{' '.join(words[start - 1 : index + 1])}'"
        elif index + 1 < len(words) and words[index + 1] in {"and", "or"} and index == start:
            yield " ".join(words[:index] + words[index + 2 :]), f"'{' '.join(words[index : index + 2])}'"
        elif start == 1 and words[:1] == ["not"]:
            continue


def _delete(document: dict[str, Any], path: tuple[Any, ...]) -> None:
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]


def _dump(documents: Sequence[dict[str, Any]]) -> str:
    return str(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))


def survivors(text: str, file: str, rule: str, cases: Sequence[Case], others: Sequence[CompiledFile]) -> list[Survivor]:
    """The deletions that leave every test of the rule passing."""
    alive: list[Survivor] = []
    known: dict[str, tuple[str, ...]] = dict.fromkeys(lists_named(others), ())
    for mutant in mutants(text, file):
        try:
            compiled = compile_text(mutant.text, file)
        except RuleError:
            continue
        if not _noticed(compiled, rule, cases, [*(other for other in others if other.file != file)], known):
            alive.append(Survivor(file, mutant.line, mutant.what))
    return alive


def _noticed(
    compiled: CompiledFile,
    rule: str,
    cases: Sequence[Case],
    others: Sequence[CompiledFile],
    known: dict[str, tuple[str, ...]],
) -> bool:
    laboratories: dict[str, Laboratory] = {}
    needed = [compiled, *(others if compiled.correlations else ())]
    for case in cases:
        key = repr(sorted(case.lists.items()))
        if key not in laboratories:
            try:
                laboratories[key] = Laboratory(RuleSet(needed, lists=merged(known, case.lists), only=[rule]))
            except RuleError:
                return True
        if (rule in laboratories[key].fired(case)) != case.fires:
            return True
    return False


def _examine(source: tuple[str, str]) -> list[Survivor]:
    label, text = source
    rule = Path(label).stem
    path = TESTS / f"{rule}.yml"
    if not path.exists():
        return [Survivor(label, 1, "everything (there is no test file)")]
    return survivors(text, label, rule, read_cases(path), load_builtin())


def main(ids: Sequence[str]) -> int:
    """Examine the named rules of the built-in pack, or all, on every core; 12 when something survives."""
    sources = [source for source in builtin_sources() if "/builtin/" in source[0]]
    if ids:
        sources = [source for source in sources if Path(source[0]).stem in ids]
    load_builtin()
    alive: list[Survivor] = []
    with ProcessPoolExecutor() as pool:
        for found in pool.map(_examine, sources, chunksize=4):
            for survivor in found:
                sys.stdout.write(f"{survivor}\n")
            alive.extend(found)
    sys.stderr.write(f"{len(sources)} rules, {len(alive)} deletions that no test notices\n")
    return int(ExitCode.RULE if alive else ExitCode.CLEAN)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
