"""The examples of the guide work as it says."""

import re
from pathlib import Path

from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.inspection import inspect
from kubewake.workbench.testing import Laboratory, read_cases, run_cases

GUIDE = Path(__file__).parents[3] / "docs" / "rules-guide.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


RULE = "payments-secret-read"


def test_the_rule_passes_its_tests(tmp_path):
    rule, list_, _, tests = EXAMPLES
    files = [compile_text(rule, f"{RULE}.yml"), compile_text(list_, "people.yml")]
    path = tmp_path / f"{RULE}.yml"
    path.write_text(tests)
    outcomes = run_cases(read_cases(path), lambda lists: Laboratory(RuleSet(files, lists=lists)))
    assert [outcome.error for outcome in outcomes] == [""] * 4


def test_a_folder_of_the_examples_lints_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rule, list_, exception, tests = EXAMPLES
    folder = tmp_path / "rules"
    (folder / "tests").mkdir(parents=True)
    (folder / f"{RULE}.yml").write_text(rule)
    (folder / "lists.yml").write_text(list_)
    (folder / "exceptions.yml").write_text(exception)
    (folder / "tests" / f"{RULE}.yml").write_text(tests)
    assert f"`{RULE}.yml`" in GUIDE.read_text(encoding="utf-8")
    assert inspect([folder]) == []


def test_what_the_guide_calls_needed_is_enough():
    assert (
        compile_text(
            "title: T\nlogsource: {product: kubernetes, service: audit}\ndetection: {a: {verb: get}, condition: a}\n",
            "t.yml",
        )
        .rules[0]
        .info.level
        == "medium"
    )
