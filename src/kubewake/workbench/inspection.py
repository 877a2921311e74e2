"""The problems of rule files, each and between them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kubewake.errors import RuleError
from kubewake.pipeline.detection import Knowledge
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.lint import Problem, lint_text, lint_together
from kubewake.rules.pack import (
    NOTHING,
    TESTS_FOLDER,
    builtin_sources,
    load_builtin,
    load_files,
    read_source,
    rule_files,
)


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
    problems.extend(_expired(files))
    problems.extend(_empty(paths))
    problems.extend(_untested(paths))
    if not any(problem.severity == "error" for problem in problems):
        try:
            Knowledge(rule_paths=tuple(paths)).load()
        except RuleError as error:
            where, _, message = str(error).partition(": ")
            name, _, line = where.rpartition(":")
            problems.append(Problem(name, int(line) if line.isdigit() else 1, "load", message, "error"))
    return sorted(problems)


def _expired(files: Sequence[CompiledFile]) -> list[Problem]:
    today = datetime.now(UTC).date().isoformat()
    return [
        Problem(
            item.file,
            item.line,
            "expired-filter",
            f"filter '{item.id}' expired on {item.expires} and is ignored: renew it, or remove it",
        )
        for file in files
        for item in file.filters
        if item.is_expired(today)
    ]


def _empty(paths: Sequence[Path]) -> list[Problem]:
    """Paths in which there is nothing to check, and files beside others in which there is nothing."""
    found: list[Problem] = []
    for path in paths:
        files = load_files([path])
        hollow = [file for file in files if file.is_empty]
        if len(hollow) < len(files):
            found.extend(Problem(file.file, 1, "empty", f"the file holds {NOTHING}") for file in hollow)
        else:
            what = "file" if path.is_file() else "folder"
            text = f"the {what} holds {NOTHING}; write one (docs/rules-guide.md), or give another path"
            found.append(Problem(str(path), 1, "empty", text, "error"))
    return found


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
