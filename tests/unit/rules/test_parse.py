import pytest

from kubewake.errors import RuleError
from kubewake.rules.compiled import Alternative, Threshold
from kubewake.rules.parse import compile_text

BASE = """
title: {name}
name: {name}
logsource: {{product: kubernetes, service: audit}}
detection:
  selection: {{verb: {verb}}}
  condition: selection
"""
HEAD = BASE.format(name="one-base", verb="list") + "---" + BASE.format(name="two-base", verb="delete") + "---\n"


def correlation(body, head=HEAD):
    indented = "\n".join("  " + line for line in body.strip().splitlines())
    text = f"{head}title: Both\nname: both\nlevel: high\ncorrelation:\n{indented}\nkubewake: {{confidence: high}}\n"
    return compile_text(text, "rules/impact/both.yml")


def test_ids_come_from_file_names_and_bases_do_not_alert():
    compiled = correlation("type: event_count\nrules: [one-base]\ntimespan: 5m\ncondition: {gte: 10}")
    (rule,) = compiled.correlations
    assert rule.info.id == "both"
    assert rule.info.tactic == "impact"
    assert rule.timespan_seconds == 300
    assert rule.threshold == Threshold("gte", 10.0)
    assert [(item.info.id, item.alerts) for item in compiled.rules] == [("one-base", False), ("two-base", False)]


@pytest.mark.parametrize(
    ("body", "alternatives"),
    [
        ("type: temporal\nrules: [one-base, two-base]\ntimespan: 1h", (Alternative(("one-base", "two-base")),)),
        (
            "type: temporal_ordered\nrules: [one-base, two-base]\ntimespan: 1h\ncondition: {gte: 1}",
            (Alternative(("one-base",)), Alternative(("two-base",))),
        ),
        (
            "type: temporal\ntimespan: 1h\ncondition: one-base and not two-base",
            (Alternative(("one-base",), ("two-base",)),),
        ),
        (
            "type: temporal\nrules: [one-base, two-base]\ntimespan: 1h\ncondition: one-base or two-base",
            (Alternative(("one-base",)), Alternative(("two-base",))),
        ),
    ],
)
def test_temporal_conditions_become_alternatives(body, alternatives):
    assert correlation(body).correlations[0].alternatives == alternatives


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("type: nonsense\nrules: [one-base]\ntimespan: 5m", "nonsense"),
        ("type: event_count\nrules: [one-base]\ntimespan: 5m", "without condition"),
        ("type: event_count\nrules: [one-base]\ncondition: {gte: 1}", "timespan"),
        ("type: event_count\nrules: [one-base]\ntimespan: soon\ncondition: {gte: 1}", "soon"),
        ("type: value_count\nrules: [one-base]\ntimespan: 5m\ncondition: {gte: 1}", "field reference"),
        ("type: event_count\nrules: [one-base]\ntimespan: 5m\ncondition: {gte: many}", "many"),
        ("type: temporal\nrules: [one-base]\ntimespan: 5m\ncondition: {gte: 3}", "3 of 1"),
        ("type: temporal\ntimespan: 5m\ncondition: not one-base", "absent"),
        ("type: event_count\ntimespan: 5m\ncondition: {gte: 1}", "without rule references"),
    ],
)
def test_broken_correlations_are_refused_with_their_line(body, message):
    with pytest.raises(RuleError, match=rf"both\.yml:\d+: .*{message}"):
        correlation(body)


def test_tags_become_ids():
    text = (
        BASE.format(name="x", verb="get")
        + "tags: [attack.privilege_escalation, attack.t1611, ms-ta9013, cve.2021-25741]\n"
    )
    info = compile_text(text, "x.yml").rules[0].info
    assert info.attack.tactics == ["privilege-escalation"]
    assert info.attack.techniques == ["T1611"]
    assert info.attack.threat_matrix == ["MS-TA9013"]
    assert info.cves == ("CVE-2021-25741",)
