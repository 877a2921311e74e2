"""The examples of the guide work as it says."""

import re
from pathlib import Path

import msgspec

from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.rules.pack import BUILTIN_LABEL, builtin_sources, load_rules
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.example import complete
from kubewake.workbench.inspection import inspect
from kubewake.workbench.testing import Laboratory, read_cases, run_cases

GUIDE = Path(__file__).parents[3] / "docs" / "rules-guide.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


RULE = "payments-secret-read"


def test_the_rule_passes_its_tests(tmp_path):
    rule, list_, _, _, tests = EXAMPLES
    files = [compile_text(rule, f"{RULE}.yml"), compile_text(list_, "people.yml")]
    path = tmp_path / f"{RULE}.yml"
    path.write_text(tests)
    outcomes = run_cases(read_cases(path), lambda lists: Laboratory(RuleSet(files, lists=lists)))
    assert [outcome.error for outcome in outcomes] == [""] * 4


def test_a_folder_of_the_examples_lints_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rule, list_, exception, _, tests = EXAMPLES
    folder = tmp_path / "rules"
    (folder / "tests").mkdir(parents=True)
    (folder / f"{RULE}.yml").write_text(rule)
    (folder / "lists.yml").write_text(list_)
    (folder / "exceptions.yml").write_text(exception)
    (folder / "tests" / f"{RULE}.yml").write_text(tests)
    assert f"`{RULE}.yml`" in GUIDE.read_text(encoding="utf-8")
    assert inspect([folder]) == []


def test_a_changed_rule_takes_the_place_of_the_built_in_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "rules"
    folder.mkdir()
    source = dict(builtin_sources())[f"{BUILTIN_LABEL}/builtin/execution/pod-exec.yml"]
    changed = re.sub(r"^id: .*", "id: 3b0f6a52-8c1d-4e7a-9f35-6d2c8e41b7a9", source, flags=re.MULTILINE)
    (folder / "our-pod-exec.yml").write_text(changed.replace("name: pod-exec", "name: our-pod-exec"))
    (folder / "no-pod-exec.yml").write_text(EXAMPLES[3])
    assert inspect([folder]) == []
    rules = load_rules([folder])
    shell = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"}
    facts = Facts(decode_event(msgspec.json.encode(complete({"verb": "create", "objectRef": shell}))), "")
    assert {"pod-exec", "our-pod-exec"} <= set(rules.matches(facts))
    assert rules.suppressor("pod-exec", facts) == "no-pod-exec"
    assert rules.suppressor("our-pod-exec", facts) is None


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
