"""The workbench on small rule sets: tests, mutation, coverage, blindness, backtest, tuning, pages."""

import json

import msgspec
import pytest

from kubewake.errors import InputError, RuleError, SettingsError
from kubewake.finding import Attack
from kubewake.rules.model import RuleInfo
from kubewake.rules.parse import compile_text
from kubewake.rules.ruleset import RuleSet
from kubewake.workbench import coverage, mutation, pages, replay, tuning, visibility
from kubewake.workbench.example import complete, merge
from kubewake.workbench.testing import Laboratory, missing_cases, read_cases, run_cases

RULE = """title: Secret read
name: secret-read
logsource: {product: kubernetes, service: audit}
detection:
  selection:
    objectRef.resource: secrets
    verb: [get, list]
  filter:
    user.username|cased: backup
  condition: selection and not filter
"""
PRIVILEGED = """title: Privileged container
logsource: {product: kubernetes, service: audit}
detection:
  selection: {workload.risks: privileged}
  condition: selection
"""
TESTS = """
base: {verb: get, objectRef: {resource: secrets, namespace: shop, name: db}}
fires:
  - name: one
    event: {}
  - name: all
    event: {verb: list}
quiet:
  - name: pods
    event: {objectRef: {resource: pods}}
  - name: write
    event: {verb: update}
  - name: backup
    event: {user: {username: backup}}
"""


@pytest.fixture
def cases(tmp_path):
    path = tmp_path / "secret-read.yml"
    path.write_text(TESTS)
    return read_cases(path)


def laboratory(text=RULE):
    return lambda lists: Laboratory(RuleSet([compile_text(text, "secret-read.yml")], lists=lists))


def test_cases_pass_and_fail(cases):
    assert [outcome.error for outcome in run_cases(cases, laboratory())] == [""] * 5
    wrong = RULE.replace("[get, list]", "get").replace("backup", "restore")
    errors = [outcome.error for outcome in run_cases(cases, laboratory(wrong)) if outcome.error]
    assert len(errors) == 2
    assert "secret-read.yml:6: secret-read: 'all' must fire and does not" in errors[0]
    assert "'backup' must stay quiet and fires" in errors[1]


def test_too_few_cases_are_named(cases):
    assert missing_cases("r", cases, "f") == []
    assert len(missing_cases("r", cases[:1], "f")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fires: {}", "'fires' must be a list"),
        ("fires: [x]", "must be a mapping"),
        ("fires: [{evnt: {}}]", "unknown key 'evnt'"),
        ("firs: []", "unknown key 'firs'"),
    ],
)
def test_broken_test_files_are_named(tmp_path, text, message):
    path = tmp_path / "x.yml"
    path.write_text(text)
    with pytest.raises(RuleError, match=message):
        read_cases(path)


def test_example_events_follow_from_what_is_said():
    event = complete(
        {"verb": "create", "objectRef": {"resource": "pods", "namespace": "shop", "subresource": "exec", "name": "w"}}
    )
    assert event["requestURI"] == "/api/v1/namespaces/shop/pods/w/exec"
    assert event["responseStatus"]["code"] == 201
    denied = complete({"responseStatus": {"code": 403}})
    assert denied["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert complete({})["annotations"]["authorization.k8s.io/decision"] == "allow"
    nobody = complete({"responseStatus": {"code": 401}})
    assert (nobody["stage"], nobody["user"]) == ("ResponseStarted", {})
    assert complete({"requestObject": {}})["level"] == "Request"
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": None}, "d": 3}) == {"a": {"c": 2}, "d": 3}


def test_every_deletion_is_noticed_or_reported(cases):
    others = []
    assert mutation.survivors(RULE, "secret-read.yml", "secret-read", cases, others) == []
    without_list = [case for case in cases if case.name not in {"all", "backup"}]
    found = mutation.survivors(RULE, "secret-read.yml", "secret-read", without_list, others)
    assert sorted({survivor.what for survivor in found}) == [
        "'and not filter'",
        "value 'list' of 'verb' of 'selection'",
    ]


def infos():
    return [
        RuleInfo(id="one", title="One", covers=("pod-exec",), attack=Attack(["execution"], ["T1609"], ["MS-TA9006"])),
        RuleInfo(id="two", title="Two", cves=("CVE-2020-8554",), attack=Attack([], ["T1078.001"], [])),
    ]


def test_coverage_counts_what_rules_name():
    found = coverage.measure(infos())
    assert found.tallies["catalog"] == coverage.Tally(1, 210)
    assert found.tallies["cves"] == coverage.Tally(1, 37)
    covered = {row.id for row in found.attack if row.rules}
    assert covered == {"T1609", "T1078"}
    assert [row.id for row in found.threat_matrix if row.rules] == ["MS-TA9006"]
    missing = coverage.table_rows(found, missing_only=True)
    assert ("catalog", "pod-exec") not in {row[:2] for row in missing}
    assert ("vulnerability", "CVE-2019-9512 CVE-2019-9514") not in {row[:2] for row in missing}


def test_navigator_layer_names_its_versions():
    layer = coverage.navigator_layer(infos())
    assert layer["versions"]["layer"] == "4.5"
    assert layer["domain"] == "enterprise-attack"
    assert {item["techniqueID"]: item["score"] for item in layer["techniques"]} == {"T1609": 1, "T1078.001": 1}
    json.dumps(layer)


@pytest.fixture
def log(tmp_path):
    users = ["backup", "backup", "alice", "mallory"]
    lines = [
        msgspec.json.encode(
            complete(
                {
                    "user": {"username": user},
                    "objectRef": {"resource": "secrets", "namespace": "shop", "name": f"s{number}"},
                },
                number=number,
                seconds=number,
            )
        )
        for number, user in enumerate(users)
    ]
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def audit_id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def test_blind_by_log(log):
    rules = RuleSet([compile_text(RULE.replace("secrets", "pods"), "a.yml"), compile_text(RULE, "b.yml")])
    found = visibility.blind_by_log(rules, replay.log_batches([str(log)]))
    assert [(item.rule, item.wholly) for item in found if item.rule in rules.infos] == [("a", False)]


def test_events_of_a_subresource_show_nothing_of_the_resource(tmp_path):
    pod = {"level": "Metadata", "verb": "create", "objectRef": {"resource": "pods", "namespace": "shop", "name": "p"}}
    eviction = merge(pod, {"level": "RequestResponse", "objectRef": {"subresource": "eviction"}})
    received = merge(pod, {"level": "RequestResponse", "stage": "RequestReceived"})
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join(msgspec.json.encode(complete(event)) for event in (pod, eviction, received)))
    rules = RuleSet([compile_text(PRIVILEGED, "a.yml")])
    [found] = [
        item for item in visibility.blind_by_log(rules, replay.log_batches([str(path)])) if item.rule in rules.infos
    ]
    assert found == visibility.Blindness(
        "a", wholly=True, why="create pods is logged at Metadata; the rule needs Request"
    )


def test_of_several_sources_the_worst_counts():
    partly, blind = (visibility.Blindness("a", wholly, why) for wholly, why in ((False, "x"), (True, "y")))
    assert visibility.one_each([partly, blind]) == visibility.one_each([blind, partly]) == [blind]
    assert visibility.one_each([partly, visibility.Blindness("a", wholly=False, why="a")]) == [partly]


def test_a_log_without_events_is_an_error(tmp_path):
    (tmp_path / "audit.log").write_text('{"kind": "Pod"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no audit events in there"):
        list(replay.log_batches([str(tmp_path / "audit.log")]))


def test_backtest_shows_what_is_gained_and_lost(tmp_path, log):
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, text in ((before, RULE), (after, RULE.replace("backup", "alice"))):
        folder.mkdir()
        (folder / "secret-read.yml").write_text(text)
    found = replay.compare([after], [before], lambda: replay.log_batches([str(log)]))
    assert [(item.audit_id, item.where) for item in found.gained] == [(audit_id(n), f"{log}:{n + 1}") for n in (0, 1)]
    assert [item.audit_id for item in found.lost] == [audit_id(2)]
    assert found.counts == {"secret-read": (2, 3)}


def test_tuning_proposes_a_filter_that_spares_every_true_finding(tmp_path, log):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "my-secret-read.yml").write_text(
        RULE.replace("username|cased: backup", "username|cased: none")
    )
    verdicts = tmp_path / "verdicts.jsonl"
    judged = [(0, "false"), (1, "benign"), (3, "true")]
    verdicts.write_text(
        "".join(json.dumps({"rule": "my-secret-read", "audit_id": audit_id(n), "verdict": v}) + "\n" for n, v in judged)
    )
    proposal = tuning.propose(
        tuning.read_verdicts(verdicts),
        [tmp_path / "rules"],
        lambda: replay.log_batches([str(log)]),
        owner="ops",
        expires="2026-12-31",
    )
    assert proposal.complete
    (item,) = compile_text(proposal.yaml, "p.yml").filters
    assert (item.owner, item.expires, item.rules) == ("ops", "2026-12-31", ("my-secret-read",))
    assert "user.username|cased: backup" in proposal.yaml
    assert proposal.report == (
        "my-secret-read: 2 of 2 false events suppressed; 1 of 1 true ones still fire; 0 of 1 unjudged ones suppressed as well",
    )


def test_tuning_refuses_what_it_cannot_tell_apart(tmp_path, log):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "my-secret-read.yml").write_text(RULE)
    verdicts = [
        tuning.Verdict("my-secret-read", audit_id(2), real=False),
        tuning.Verdict("my-secret-read", audit_id(9), real=False),
    ]
    same = [*verdicts, tuning.Verdict("my-secret-read", audit_id(2), real=True)]
    proposal = tuning.propose(
        same[:2], [tmp_path / "rules"], lambda: replay.log_batches([str(log)]), owner="", expires="2026-12-31"
    )
    assert not proposal.complete
    assert "1 false findings are not in the log" in proposal.report[0]


@pytest.mark.parametrize("line", ["{", '{"rule": "x"}', '{"rule": "x", "verdict": "perhaps", "audit_id": "a"}'])
def test_bad_verdicts_are_named(tmp_path, line):
    path = tmp_path / "v.jsonl"
    path.write_text("\n" + line + "\n")
    with pytest.raises(InputError, match=r"v\.jsonl:2: "):
        tuning.read_verdicts(path)


def test_pages_are_written_and_checked_for_drift(tmp_path):
    texts = pages.all_pages(infos())
    assert pages.drifted(tmp_path, texts) == ["README.md", "one.md", "two.md"]
    assert pages.write_pages(tmp_path, texts) == 3
    assert pages.drifted(tmp_path, texts) == []
    (tmp_path / "one.md").write_text("# One\n\n`one`\nchanged")
    (tmp_path / "gone.md").write_text("# Gone\n\n`gone`\n")
    assert pages.drifted(tmp_path, texts) == ["gone.md", "one.md"]
    assert pages.write_pages(tmp_path, texts) == 2
    assert not (tmp_path / "gone.md").exists()


@pytest.mark.parametrize("name", ["notes.md", "README.md", "one.md"])
def test_pages_of_others_are_left_alone(tmp_path, name):
    (tmp_path / name).write_text("# Mine\n\nNotes of my own.\n")
    with pytest.raises(SettingsError, match=f"holds {name}, which is no page of a rule"):
        pages.write_pages(tmp_path, pages.all_pages(infos()))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert "my own" in (tmp_path / name).read_text()


def test_pages_that_cannot_be_written_are_said_plainly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        pages.write_pages(tmp_path / "file" / "pages", pages.all_pages(infos()))
