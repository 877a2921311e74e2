"""Every rule and detector has its tests beside this file, and passes them."""

from pathlib import Path

import pytest

from kubewake.workbench.testing import Bench, missing_cases, read_cases, run_cases

HERE = Path(__file__).parent
BENCH = Bench()


@pytest.mark.parametrize("rule", BENCH.ids)
def test_rule(rule):
    path = HERE / f"{rule}.yml"
    assert path.exists(), f"{rule} has no tests: write {path.name}"
    cases = read_cases(path)
    assert missing_cases(rule, cases, str(path)) == []
    errors = [
        outcome.error for outcome in run_cases(cases, lambda lists: BENCH.laboratory(rule, lists)) if outcome.error
    ]
    assert not errors, "\n".join(errors)


def test_every_test_file_belongs_to_a_rule():
    orphans = sorted(path.name for path in HERE.glob("*.yml") if path.stem not in BENCH.ids)
    assert orphans == []
