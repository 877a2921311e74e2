"""What an audit policy leaves rules and detectors blind to, and what is no policy."""

import json

import pytest

from kubewake.connect.policy import POLICY as RECOMMENDED
from kubewake.detectors import detector_infos
from kubewake.errors import InputError
from kubewake.rules.pack import load_rules
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench.catalogue import all_infos
from kubewake.workbench.policy import Entry, Request, read_policy
from kubewake.workbench.visibility import blind_by_policy

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - {level: None, users: ["system:kube-proxy"], resources: [{group: "", resources: [secrets]}]}
  - {level: Metadata, resources: [{group: "", resources: [secrets, configmaps]}]}
  - {level: None, verbs: [get, list, watch]}
  - {level: Request}
"""
BLIND = [
    (
        {"objectRef.resource": "secrets", "verb": "get"},
        "Metadata",
        "partly",
        "line 5 does not log get secrets for users",
    ),
    (
        {"objectRef.resource": "secrets", "verb": "create"},
        "Request",
        "blind",
        "line 6 logs only Metadata of create secrets",
    ),
    ({"objectRef.resource": "pods", "verb": "get"}, "Metadata", "blind", "line 7 does not log get pods"),
    ({"objectRef.resource": "pods", "verb": ["get", "create"]}, "Metadata", "partly", "line 7 does not log get pods"),
    ({"objectRef.resource": "pods", "verb": "create"}, "Request", "", ""),
    ({"objectRef.resource": "pods", "verb": "create"}, "RequestResponse", "blind", "line 8 logs only Request"),
    ({"workload.privileged": True}, "Request", "", ""),
]


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"

    def written(text):
        path.write_text(text)
        return read_policy(path)

    return written


def rule(selection, needs="Metadata"):
    text = json.dumps(
        {
            "title": "x",
            "logsource": {"product": "kubernetes"},
            "detection": {"selection": selection, "condition": "selection"},
            "kubewake": {"needs": needs},
        }
    )
    return RuleSet([compile_text(text, "x.yml")])


def sights(rules, policy):
    """Sight and reason of the rules that are shown too little, without detectors."""
    found = [item for item in blind_by_policy(rules, policy) if item.rule in rules.infos]
    return [("blind" if item.wholly else "partly", item.why) for item in found]


@pytest.mark.parametrize(("selection", "needs", "sight", "why"), BLIND)
def test_blind_by_policy(policy, selection, needs, sight, why):
    found = sights(rule(selection, needs), policy(POLICY))
    assert [(seen, words.startswith(why)) for seen, words in found] == ([(sight, True)] if sight else [])


SECRETS = {"objectRef.resource": "secrets", "verb": "get"}
EXEC = {"objectRef.resource": "pods", "objectRef.subresource": "exec", "verb": ["create", "get"]}
DENIED = {**SECRETS, "outcome": "denied"}
PODS = {"objectRef.resource": "pods", "verb": "create"}
ENDED = "line 2 omits ResponseComplete, which tells how"
OMITTED = [
    ("ResponseComplete, RequestReceived", SECRETS, "Metadata", "blind", f"{ENDED} get secrets ended"),
    (
        "ResponseComplete, ResponseStarted, RequestReceived",
        EXEC,
        "Metadata",
        "blind",
        f"{ENDED} create pods/exec ended",
    ),
    ("ResponseComplete, RequestReceived", EXEC, "Metadata", "", ""),
    ("ResponseComplete, RequestReceived", {**SECRETS, "verb": "watch"}, "Metadata", "", ""),
    ("ResponseComplete, RequestReceived", {"source.tor": True}, "Metadata", "partly", f"{ENDED} requests ended"),
    ("ResponseComplete", SECRETS, "Metadata", "partly", f"{ENDED} get secrets ended"),
    ("ResponseComplete", DENIED, "Metadata", "blind", f"{ENDED} get secrets ended"),
    ("ResponseComplete", {**SECRETS, "responseStatus.code": 200}, "Metadata", "blind", f"{ENDED} get secrets ended"),
    ("ResponseComplete", PODS, "Request", "blind", f"{ENDED} create pods ended"),
    ("RequestReceived, ResponseStarted, Panic", DENIED, "Metadata", "", ""),
]


@pytest.mark.parametrize(("stages", "selection", "needs", "sight", "why"), OMITTED)
def test_what_is_omitted_where_requests_end_is_not_seen(policy, stages, selection, needs, sight, why):
    of_policy = f"kind: Policy\nomitStages: [{stages}]\nrules: [{{level: RequestResponse}}]\n"
    of_rule = f"kind: Policy\nrules: [{{level: RequestResponse, omitStages: [{stages}]}}]\n"
    for text in (of_policy, of_rule):
        assert sights(rule(selection, needs), policy(text)) == ([(sight, why)] if sight else [])


def test_a_rule_that_omits_stages_hides_what_it_decides_alone(policy):
    found = policy(
        "kind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n  omitStages: [ResponseComplete]\n"
        "  resources: [{group: '', resources: [secrets]}]\n- level: Metadata\n"
    )
    assert sights(rule(SECRETS), found) == [
        ("blind", "line 5 omits ResponseComplete, which tells how get secrets ended")
    ]
    assert sights(rule(EXEC), found) == []


POD, EXECUTION, SCALE = ("", "pods", ""), ("", "pods", "exec"), ("apps", "deployments", "scale")
FITS = [
    (Entry("", ("pods",)), POD, "all"),
    (Entry("", ("pods",)), EXECUTION, "none"),
    (Entry("", ("pods/exec",)), EXECUTION, "all"),
    (Entry("", ("pods/exec",)), POD, "none"),
    (Entry("", ("pods/*",)), POD, "all"),
    (Entry("", ("pods/*",)), EXECUTION, "all"),
    (Entry("", ("*/exec",)), EXECUTION, "all"),
    (Entry("", ("*/exec",)), POD, "none"),
    (Entry("apps", ("*/scale",)), SCALE, "all"),
    (Entry("", ("*",)), EXECUTION, "all"),
    (Entry(""), EXECUTION, "all"),
    (Entry("", ("*",)), SCALE, "none"),
    (Entry("", ("pods",), ("web",)), POD, "some"),
    (Entry("metrics.k8s.io"), ("*", "pods", ""), "none"),
    (Entry("metrics.k8s.io", ("pods",)), ("*", "pods", ""), "none"),
    (Entry("", ("pods",)), ("*", "pods", ""), "all"),
    (Entry("example.com", ("widgets",)), ("*", "widgets", ""), "all"),
    (Entry("example.com"), ("*", "widgets", ""), "some"),
    (Entry("", ("pods",)), ("*", "pods", "*"), "some"),
    (Entry("", ("pods/*",)), ("*", "pods", "*"), "all"),
    (Entry("", ("*/exec",)), ("*", "pods", "*"), "some"),
    (Entry("", ("pods",)), ("*", "*", "*"), "some"),
    (Entry(""), ("*", "*", "*"), "some"),
    (Entry("apps"), ("apps", "*", "*"), "all"),
]


@pytest.mark.parametrize(("entry", "kind", "extent"), FITS)
def test_resources_fit_as_for_the_api_server(entry, kind, extent):
    assert entry.fits(Request("get", *kind)) == extent


def test_names_make_nobody_else_blind(policy):
    found = policy(
        "kind: Policy\nrules:\n- level: None\n  resources: [{group: '', resources: [secrets], resourceNames: [harmless]}]\n"
        "- level: RequestResponse\n"
    )
    assert sights(rule(SECRETS), found) == [("partly", "line 3 does not log get secrets for resourceNames harmless")]
    assert sights(rule({**SECRETS, "verb": "create"}), found) == []


def test_what_is_logged_for_some_is_seen(policy):
    found = policy(
        "kind: Policy\nrules:\n- {level: Metadata, users: [alice]}\n"
        "- {level: None, namespaces: [shop]}\n- {level: None, verbs: [get]}\n- {level: Metadata}\n"
    )
    assert sights(rule(SECRETS), found) == [("partly", "line 5 does not log get secrets")]
    nodes = rule({"objectRef.resource": "nodes", "verb": "list"})
    assert sights(nodes, found) == []


def test_a_policy_that_logs_nothing_makes_everything_blind_once(policy):
    rules = load_rules([])
    found = blind_by_policy(rules, policy("kind: Policy\nrules: [{level: None}]\n"))
    assert all(item.wholly for item in found)
    assert [item.rule for item in found] == list(all_infos(rules))
    assert blind_by_policy(rules, policy("kind: Policy\nrules: [{level: RequestResponse}]\n")) == []


def test_detectors_are_judged_by_what_they_need(policy):
    found = blind_by_policy(
        RuleSet([]),
        policy("kind: Policy\nrules:\n- {level: None, resources: [{group: apps}]}\n- {level: Metadata}\n"),
    )
    wholly = {item.rule for item in found if item.wholly}
    assert wholly == {key for key, info in detector_infos().items() if info.needs != "Metadata"}
    assert "workload-modified-new-origin" in {item.rule for item in found}
    assert "secret-new-client" not in {item.rule for item in found}


CORRELATION = """
title: Both
name: both
correlation:
  type: {kind}
  rules: [one, two]
  group-by: [user.username]
  timespan: 5m
{condition}
kubewake: {{covers: []}}
---
title: One
name: one
logsource: {{product: kubernetes}}
detection: {{selection: {{objectRef.resource: secrets, verb: get}}, condition: selection}}
---
title: Two
name: two
logsource: {{product: kubernetes}}
detection: {{selection: {{objectRef.resource: pods, verb: get}}, condition: selection}}
"""


@pytest.mark.parametrize(
    ("kind", "condition", "sight"),
    [("temporal", "", "blind"), ("event_count", "  condition: {gte: 2}", "partly")],
)
def test_correlations_see_what_their_rules_see(policy, kind, condition, sight):
    rules = RuleSet([compile_text(CORRELATION.format(kind=kind, condition=condition), "both.yml")])
    found = policy(
        "kind: Policy\nrules:\n- {level: None, resources: [{group: '', resources: [pods]}]}\n- {level: Metadata}\n"
    )
    assert sights(rules, found) == [(sight, "line 3 does not log get pods")]


def test_correlations_that_name_each_other_come_to_an_end(policy):
    text = "\n---\n".join(
        f"title: x\nname: {name}\ncorrelation: {{type: event_count, rules: [{other}], timespan: 5m, condition: {{gte: 2}}}}"
        for name, other in (("one", "two"), ("two", "one"))
    )
    assert sights(RuleSet([compile_text(text, "x.yml")]), policy("kind: Policy\nrules: [{level: None}]\n")) == []


def test_the_recommended_policy_is_read(policy):
    assert len(policy(RECOMMENDED)) == RECOMMENDED.count("- level:")


WRONG = [
    ("kind: Pod\n", "", "apiVersion: audit.k8s.io/v1, kind: Policy"),
    ("apiVersion: kyverno.io/v1\nkind: Policy\nrules: []\n", "", "no audit policy"),
    ("kind: [\n", ":2", "not valid YAML"),
    ("kind: Policy\n", ":1", "has no rules"),
    ("kind: Policy\nrules: []\n", ":2", "has no rules"),
    ("kind: Policy\nrules: [Metadata]\n", ":2", "must be a mapping"),
    ("kind: Policy\nrule: []\n", ":2", "unknown key 'rule' in the policy (did you mean 'rules'?)"),
    ("kind: Policy\nomitStages: [Requested]\nrules: []\n", ":2", "there is no stage 'Requested'"),
    ("kind: Policy\nrules:\n- verbs: [get]\n", ":3", "has no level; there are None, Metadata"),
    ("kind: Policy\nrules:\n- level: Metdata\n", ":3", "the level 'Metdata' (did you mean 'Metadata'?)"),
]
WRONG_IN_RULE = [
    ("verb: [get]", "unknown key 'verb' in the policy rule (did you mean 'verbs'?)"),
    ("verbs: get", "'verbs' must be a list of texts, such as verbs: [get, list]"),
    ("users: [1]", "'users' must be a list of texts"),
    ("verbs: ['*']", "'*' in 'verbs' fits no request"),
    ("resources: secrets", 'must be a list, such as [{group: "", resources: [secrets]}]'),
    ("resources: [secrets]", "such as {group: \"\", resources: [secrets]}, not 'secrets'"),
    (
        "resources: [{group: '', resources: secrets}]",
        "'resources' must be a list of texts, such as resources: [secrets]",
    ),
    ("resources: [{groups: ''}]", "unknown key 'groups' in 'resources' (did you mean 'group'?)"),
    ("resources: [{group: '*'}]", "group '*' fits no request"),
    ("resources: [{group: apps/v1}]", "'apps/v1' is no API group"),
    ("resources: [{group: '', resourceNames: [a]}]", "'resourceNames' needs 'resources'"),
    ("nonResourceURLs: ['/healthz']\n  resources: [{group: apps}]", "not both"),
    ("omitStages: [Completed]", "there is no stage 'Completed'"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_what_is_no_policy_is_named(policy, tmp_path, text, line, words):
    with pytest.raises(InputError) as error:
        policy(text)
    assert str(error.value).startswith(f"{tmp_path / 'policy.yaml'}{line}: ")
    assert words in str(error.value)


@pytest.mark.parametrize(("text", "words"), WRONG_IN_RULE)
def test_what_is_wrong_in_a_rule_is_named(policy, tmp_path, text, words):
    with pytest.raises(InputError) as error:
        policy(f"kind: Policy\nrules:\n- level: Metadata\n- level: None\n  {text}\n")
    assert str(error.value).startswith(f"{tmp_path / 'policy.yaml'}:5: ")
    assert words in str(error.value)


def test_a_policy_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfekind: Policy")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_policy(path)
