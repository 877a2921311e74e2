import pytest

from kubewake.rules.lint import lint_text

GOOD = """title: Secret read by hand
id: 11111111-2222-4333-8444-555555555555
name: secret-read
status: stable
description: A person read a Secret.
author: somebody
date: 2026-01-01
references: [https://kubernetes.io]
tags: [attack.credential-access, attack.t1552.007]
logsource: {product: kubernetes, service: audit}
detection:
  selection:
    objectRef.resource: secrets
    verb: get
  filter:
    user.username|cased: backup
  condition: selection and not filter
falsepositives: [Backups.]
level: low
kubewake:
  covers: [secret-read]
  needs: Metadata
  story: "{actor} read {target.name}."
  remediation: ["Ask {actor}."]
"""
FILE = "rules/credential-access/secret-read.yml"


def test_a_good_rule_has_no_problems():
    assert lint_text(GOOD, FILE) == []


CASES = [
    ("objectRef.resource: s", "objectRef.resorce: s", "unknown-field", 13, "did you mean 'objectRef.resource'"),
    ("verb: get\n", "verb: get\n    requestObject.type: x\n", "level-above-needs", 23, "Request"),
    ('  story: "{actor} read {target.name}."\n', "", "missing-story", 20, "story"),
    ('  remediation: ["Ask {actor}."]\n', "", "missing-remediation", 20, "remediation"),
    ("falsepositives: [Backups.]\n", "", "missing-falsepositives", 1, "falsepositives"),
    ("references: [https://kubernetes.io]\n", "", "missing-references", 1, "references"),
    ("covers: [secret-read]", "covers: [Secret_Read]", "covers-format", 21, "Secret_Read"),
    ("covers: [secret-read]", "covers: [secret-red]", "unknown-covers", 21, "did you mean 'secret-read'?"),
    ("covers: [secret-read]", "covers: [of-our-own]", "unknown-covers", 21, "[] names none"),
    ("attack.credential-access, ", "", "tactic-folder", 9, "attack.credential-access"),
    ("attack.credential-access", "attack.credential-access, attack.stealing", "unknown-tactic", 9, "attack.stealing"),
    ("user.username|cased", "user.username", "uncased-exclusion", 16, "cased"),
    ("selection and not filter", "selection", "unused-search", 15, "filter"),
    ("title: Secret read by hand", "title: " + "Secret " * 12, "title", 1, "characters"),
    ("{target.name}", "{target.nam}", "unknown-placeholder", 23, "target.nam"),
    ("name: secret-read\n", "name: other\n", "name", 3, "secret-read"),
    ("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-55555555555", "load", 2, "UUID"),
    ("    verb: get\n", "    verb: get\n    stage: Panic\n", "stage", 15, "stage"),
    ("  selection:\n", "  other: {verb: list}\n  selection:\n", "unused-search", 12, "other"),
    ("level: low", "level: lowest", "load", 19, "lowest"),
    ("  needs: Metadata", "  neds: Metadata", "load", 22, "did you mean 'needs'"),
    ("  needs: Metadata", "  needs: Everything", "load", 22, "needs"),
]


@pytest.mark.parametrize(
    ("old", "new", "check", "line", "words"), CASES, ids=[f"{c[2]}-{n}" for n, c in enumerate(CASES)]
)
def test_problems(old, new, check, line, words):
    assert old in GOOD
    problems = lint_text(GOOD.replace(old, new, 1), FILE)
    assert [(problem.check, problem.line) for problem in problems] == [(check, line)]
    assert words in problems[0].message


def test_exec_needs_both_verbs():
    text = GOOD.replace("objectRef.resource: secrets", "objectRef.subresource: exec")
    assert [problem.check for problem in lint_text(text, FILE)] == ["exec-verbs"]


def test_contradictions_are_unreachable():
    text = GOOD.replace("selection and not filter", "selection and filter and other").replace(
        "  filter:\n", "  other: {verb: list}\n  filter:\n"
    )
    assert "unreachable" in [problem.check for problem in lint_text(text, FILE)]


def test_filters_must_say_who_why_and_until_when():
    text = """title: A
logsource: {product: kubernetes, service: audit}
filter:
  rules: any
  known: {user.username: backup}
  condition: not known
"""
    checks = [problem.check for problem in lint_text(text, "x.yml")]
    assert checks.count("filter-ownership") == 3
    assert "uncased-exclusion" in checks


def test_what_is_no_address_in_an_address_list_is_told_with_its_line():
    text = """name: payment_networks
values: [10.0.0.0/33]
---
name: malicious-x
values:
  - 10.0.0.0/8
  - 10.0.0.0/33
"""
    (problem,) = lint_text(text, "lists.yml")
    assert (problem.check, problem.line, problem.severity) == ("address-list", 7, "error")
    assert "'10.0.0.0/33'" in problem.message
