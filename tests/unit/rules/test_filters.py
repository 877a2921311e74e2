import msgspec
import pytest

from kubewake.errors import RuleError
from kubewake.event import decode_event
from kubewake.facts import Facts
from kubewake.observation import Hit
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.example import complete
from tests.unit.engine.stubs import second, stub

RULE = """
title: Secrets read
name: secrets-read
logsource: {product: kubernetes, service: audit}
detection:
  selection: {objectRef.resource: secrets}
  condition: selection
"""
BURST = """
title: Many secrets
name: base
logsource: {product: kubernetes, service: audit}
detection:
  selection: {objectRef.resource: secrets}
  condition: selection
---
title: Many secrets
name: burst
correlation:
  type: event_count
  rules: [base]
  group-by: [user.username]
  timespan: 1m
  condition: {gte: 2}
"""


def filter_text(rules="[secrets-read]", expires="2026-06-01", selection="{user.username|cased: backup}"):
    return f"""
title: The backup reads secrets
logsource: {{product: kubernetes, service: audit}}
filter:
  rules: {rules}
  known: {selection}
  condition: not known
kubewake: {{owner: ops, reason: it is its job, expires: {expires}}}
"""


def facts(user):
    event = complete({"user": {"username": user}, "objectRef": {"resource": "secrets"}})
    return Facts(decode_event(msgspec.json.encode(event)), "")


def rules(*texts, **more):
    return RuleSet([compile_text(text, f"file-{number}.yml") for number, text in enumerate(texts)], **more)


@pytest.mark.parametrize("named", ["[secrets-read]", "secrets-read", "any", "[file-0]"])
def test_marks_and_does_not_drop(named):
    ruleset = rules(RULE, filter_text(named))
    assert ruleset.matches(facts("backup")) == ("file-0",)
    assert ruleset.suppressor("file-0", facts("backup")) == "file-1"
    assert ruleset.suppressor("file-0", facts("alice")) is None


def test_expired_filters_are_ignored_and_said():
    before = rules(RULE, filter_text(), today="2026-06-01")
    after = rules(RULE, filter_text(), today="2026-06-02")
    assert before.suppressor("file-0", facts("backup")) == "file-1"
    assert after.suppressor("file-0", facts("backup")) is None
    assert "expired on 2026-06-01" in after.notices[0]


def test_unknown_rule_is_an_error_with_a_hint():
    with pytest.raises(RuleError, match=r"file-1\.yml:\d+: filter names unknown rule 'secret-read' \(did you mean"):
        rules(RULE, filter_text("[secret-read]"))


def counted(ruleset, user):
    correlator = ruleset.new_correlator()
    stubs = [
        stub(number, second(number), user=user, hits=tuple(ruleset.hit(rule, facts(user)) for rule in ruleset.rules))
        for number in range(1, 3)
    ]
    matches = [match for item in stubs for match in correlator.observe(item)]
    return {match.rule: match.suppressed_by for match in matches}


def test_a_filter_on_a_correlation_spares_the_rule_that_reports_by_itself():
    burst = BURST.partition("---\n")[2].replace("[base]", "[secrets-read]")
    ruleset = rules(RULE, burst, filter_text("[burst]"))
    hit = ruleset.hit("file-0", facts("backup"))
    assert (hit.suppressed_by, hit.left_out) == (None, {"file-1": "file-2"})
    assert not ruleset.is_told("file-0", asked=True)
    assert counted(ruleset, "backup") == {"file-1": "file-2"}
    assert counted(ruleset, "alice") == {"file-1": None}
    assert counted(rules(RULE, burst, filter_text("[secrets-read]")), "backup") == {"file-1": "file-2"}


def test_a_filter_on_one_correlation_spares_another_that_counts_the_same():
    again = BURST.partition("---\n")[2].replace("burst", "second")
    ruleset = rules(BURST, again, filter_text("[burst]"))
    assert ruleset.feeders() == frozenset()
    assert counted(ruleset, "backup") == {"file-0": "file-2", "file-1": None}


def test_a_filter_on_a_correlation_acts_on_what_it_counts():
    ruleset = rules(BURST, filter_text("[burst]"))
    assert ruleset.suppressor("base", facts("backup")) == "file-1"
    correlator = ruleset.new_correlator()
    stubs = [
        stub(number, second(number), user="backup", hits=(Hit("base", ruleset.suppressor("base", facts("backup"))),))
        for number in range(1, 3)
    ]
    matches = [match for item in stubs for match in correlator.observe(item)]
    assert [match.suppressed_by for match in matches] == ["file-1"]


def test_filters_reach_detectors_through_stubs():
    ruleset = rules(RULE, filter_text("[some-detector]"), others=["some-detector"])
    assert ruleset.suppressor_of_stub("some-detector", stub(1, user="backup")) == "file-1"
    assert ruleset.suppressor_of_stub("some-detector", stub(1, user="alice")) is None
    general = rules(RULE, filter_text("any"), others=["some-detector"])
    assert general.suppressor_of_stub("some-detector", stub(1, user="backup")) == "file-1"


@pytest.mark.parametrize("first", ["any", "[some-detector]"])
def test_general_filters_reach_detectors_that_others_name(first):
    general, named = filter_text("any"), filter_text("[some-detector]", selection="{user.username|cased: nobody}")
    texts = [general, named] if first == "any" else [named, general]
    ruleset = rules(RULE, *texts, others=["some-detector"])
    assert ruleset.suppressor_of_stub("some-detector", stub(1, user="backup")) == f"file-{texts.index(general) + 1}"
    assert ruleset.suppressor_of_stub("some-detector", stub(1, user="nobody")) == f"file-{texts.index(named) + 1}"


def test_dates_of_every_form_expire():
    text = filter_text(expires='"20260131"')
    assert compile_text(text, "x.yml").filters[0].expires == "2026-01-31"
    assert rules(RULE, text, today="2026-02-01").suppressor("file-0", facts("backup")) is None


def test_a_filter_without_rules_is_refused():
    with pytest.raises(
        RuleError, match=r"x\.yml:\d+: the filter names no rule: list rule ids under 'rules', or write any"
    ):
        compile_text(filter_text("[]"), "x.yml")


def test_bad_expiry_is_refused():
    with pytest.raises(RuleError, match=r"x\.yml:\d+: 'soon' is no date"):
        compile_text(filter_text(expires="soon"), "x.yml")
