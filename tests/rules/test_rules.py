"""Every rule and detector has its tests beside this file, and passes them."""

from pathlib import Path

import pytest

from kubewake.detectors import detector_infos
from kubewake.rules.pack import load_rules
from kubewake.workbench.testing import Laboratory, default_detectors, missing_cases, read_cases, run_cases

HERE = Path(__file__).parent
RULES = load_rules()
DETECTORS = detector_infos()
IDS = sorted({*RULES.infos, *DETECTORS})


@pytest.mark.parametrize("rule", IDS)
def test_rule(rule):
    path = HERE / f"{rule}.yml"
    assert path.exists(), f"{rule} has no tests: write {path.name}"
    cases = read_cases(path)
    assert missing_cases(rule, cases, str(path)) == []

    def build(lists):
        if rule in DETECTORS:
            return Laboratory(load_rules(lists=lists) if lists else RULES, default_detectors)
        return Laboratory(load_rules(lists=lists, only=[rule]))

    errors = [outcome.error for outcome in run_cases(cases, build) if outcome.error]
    assert not errors, "\n".join(errors)


def test_every_test_file_belongs_to_a_rule():
    orphans = sorted(path.name for path in HERE.glob("*.yml") if path.stem not in IDS)
    assert orphans == []
