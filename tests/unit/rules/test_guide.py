"""The examples of the guide work as it says."""

import re
from pathlib import Path

from kubewake.rules.lint import lint_text
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.testing import Laboratory, read_cases, run_cases

GUIDE = Path(__file__).parents[3] / "docs" / "rules-guide.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_rule_passes_its_tests(tmp_path):
    rule, list_, _, tests = EXAMPLES
    files = [compile_text(rule, "payment-secret.yml"), compile_text(list_, "people.yml")]
    path = tmp_path / "payment-secret.yml"
    path.write_text(tests)
    outcomes = run_cases(read_cases(path), lambda lists: Laboratory(RuleSet(files, lists=lists)))
    assert [outcome.error for outcome in outcomes] == [""] * 4


def test_rule_and_exception_have_no_problems_of_meaning():
    rule, _, exception, _ = EXAMPLES
    assert {problem.check for problem in lint_text(rule, "payment-secret.yml")} <= {
        "missing-covers", "missing-description", "missing-falsepositives", "missing-references", "name", "uuid",
    }  # fmt: skip
    assert lint_text(exception, "exceptions.yml") == []
