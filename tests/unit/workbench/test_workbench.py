"""The workbench on small rule sets: tests, mutation, coverage, blindness, backtest, tuning, pages."""

import json
import shutil

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
        expires="2099-12-31",
    )
    assert proposal.complete
    (item,) = compile_text(proposal.yaml, "p.yml").filters
    assert (item.owner, item.expires, item.rules) == ("ops", "2099-12-31", ("my-secret-read",))
    assert "user.username|cased: backup" in proposal.yaml
    assert proposal.report == (
        "my-secret-read: 2 of 2 false events suppressed; 1 of 1 true ones still fire; 0 of 1 unjudged ones suppressed as well",
    )


def propose(verdicts, rules, log):
    return tuning.propose(verdicts, [rules], lambda: replay.log_batches([str(log)]), owner="", expires="2099-12-31")


def secrets_log(path, *changes):
    """A person reads other Secrets, one a second."""
    lines = []
    for number, change in enumerate(changes):
        shape = {"resource": "secrets", "namespace": "shop", "name": f"s{number}"}
        event = complete(merge({"objectRef": shape}, change), number=number, seconds=number)
        lines.append(msgspec.json.encode(event) + b"\n")
    path.write_bytes(b"".join(lines))
    return path


BURST = """title: Burst
name: my-burst
logsource: {product: kubernetes, service: audit}
correlation:
  type: event_count
  rules: [my-secret-read]
  group-by: [user.username]
  timespan: 1m
  condition: {gte: 3}
"""


@pytest.fixture
def burst(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "my-secret-read.yml").write_text(RULE)
    (folder / "my-burst.yml").write_text(BURST)
    return folder


def test_tuning_refuses_what_it_cannot_tell_apart(burst, tmp_path):
    log = secrets_log(tmp_path / "a.log", *[{"objectRef": {"name": "db"}}] * 2)
    proposal = propose([tuning.Verdict("my-secret-read", audit_id(n), real=n == 1) for n in (0, 1)], burst, log)
    assert not proposal.complete
    assert proposal.report == (
        "my-secret-read: 1 false findings of alice look like true ones: no filter",
        "no filter proposed",
    )


def test_tuning_loses_no_true_finding_that_needs_the_false_events(burst, tmp_path):
    log = secrets_log(tmp_path / "a.log", {"userAgent": "curl/8"}, {}, {}, *[{"user": {"username": "bob"}}] * 3)
    verdicts = [tuning.Verdict("my-burst", audit_id(n), real=n == 0) for n in range(6)]
    proposal = propose(verdicts, burst, log)
    assert not proposal.complete
    assert proposal.yaml == ""
    assert f"my-burst: no filter, the true finding of {audit_id(0)} would be lost with it" in proposal.report
    proposal = propose([*verdicts[3:], tuning.Verdict("my-burst", audit_id(0), real=True)], burst, log)
    assert proposal.complete
    assert "user.username|cased: bob" in proposal.yaml
    assert proposal.report[0].startswith(
        "my-burst: 3 of 3 false events suppressed; 1 of 1 true ones still fire; 0 of 2"
    )


def test_tuning_tells_nothing_apart_by_case_where_filters_do_not(burst, tmp_path):
    changes = [{"objectRef": {"name": "db"}, "userAgent": agent} for agent in ("Backup/1", "backup/1")]
    log = secrets_log(tmp_path / "a.log", *changes)
    proposal = propose([tuning.Verdict("my-secret-read", audit_id(n), real=n == 1) for n in range(2)], burst, log)
    assert proposal.report[0] == "my-secret-read: 1 false findings of alice look like true ones: no filter"


def test_tuning_leaves_alone_what_a_filter_suppresses_already(burst, tmp_path):
    log = secrets_log(tmp_path / "a.log", {"user": {"username": "bob"}}, {"userAgent": "old/1"}, {"userAgent": "old/1"})
    (burst / "old.yml").write_text(exception("my-secret-read", "{userAgent: old/1}"))
    verdicts = [tuning.Verdict("my-secret-read", audit_id(n), real=n == 2) for n in range(3)]
    proposal = propose(verdicts, burst, log)
    assert proposal.report[:2] == (
        f"my-secret-read: the false finding of {audit_id(1)} is suppressed by your filter 'old' already",
        f"my-secret-read: the true finding of {audit_id(2)} is suppressed by your filter 'old' already",
    )
    assert not proposal.complete
    assert "user.username|cased: bob" in proposal.yaml
    assert propose(verdicts[:2], burst, log).complete


def test_tuning_makes_no_filter_for_correlations_of_correlations(burst, tmp_path):
    second = (
        BURST.replace("my-burst", "my-second").replace("[my-secret-read]", "[my-burst]").replace("gte: 3", "gte: 1")
    )
    (burst / "my-second.yml").write_text(second)
    log = secrets_log(tmp_path / "a.log", *[{}] * 3)
    proposal = propose([tuning.Verdict("my-second", audit_id(2), real=False)], burst, log)
    assert not proposal.complete
    assert proposal.report[0].startswith("my-second: counts what other correlations find: no filter")


@pytest.mark.parametrize("real", [True, False])
def test_tuning_names_the_verdicts_that_it_cannot_use(burst, log, tmp_path, real):
    path = tmp_path / "v.jsonl"
    lines = [{"rule": "my-secret-read", "verdict": real}, {"rule": "my-secret-read", "verdict": real, "audit_id": "no"}]
    path.write_text("".join(json.dumps(item) + "\n" for item in lines))
    proposal = propose(tuning.read_verdicts(path), burst, log)
    kind = str(real).lower()
    assert proposal.report[:2] == (
        f"{path}:1: the {kind} finding of my-secret-read has no audit_id and is left out",
        f"my-secret-read: the {kind} finding of no is not in the log, or the rule does not report it there",
    )
    assert not proposal.complete


def exception(rule, selection, expires="2099-12-31"):
    return f"""title: Exception
logsource: {{product: kubernetes, service: audit}}
filter:
  rules: [{rule}]
  known: {selection}
  condition: not known
kubewake: {{owner: ops, reason: it is its job, expires: {expires}}}
"""


@pytest.mark.parametrize("namespaces", [1, 12])
def test_tuning_and_backtest_know_detectors(tmp_path, namespaces):
    kinds = ["persistentvolumeclaims", "statefulsets", "deployments"] * 4
    shapes = [{"resource": kind, "namespace": f"n{number % namespaces}"} for number, kind in enumerate(kinds)]
    log = secrets_log(tmp_path / "a.log", *[{"verb": "delete", "objectRef": shape} for shape in shapes])
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "f.yml").write_text(exception("mass-destruction", "{user.username|cased: alice}"))
    found = replay.compare([rules], [], lambda: replay.log_batches([str(log)]))
    assert [(item.rule, item.audit_id) for item in found.lost] == [("mass-destruction", audit_id(0))]
    (rules / "f.yml").write_text(exception("mass-destruction", "{user.username|cased: bob}"))
    proposal = propose([tuning.Verdict("mass-destruction", audit_id(0), real=False)], rules, log)
    if namespaces == 1:
        assert proposal.complete
        assert "user.username|cased: alice" in proposal.yaml
        assert proposal.report[0].startswith("mass-destruction: 1 of 1 false events suppressed")
    else:  # the finding is about one namespace after the other, and shows the first
        assert not proposal.complete
        assert "1 false events report in spite of the filter; write one by hand" in proposal.report[1]


UUID = "3b0f6a52-8c1d-4e7a-9f35-6d2c8e41b7a9"


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (exception("my-burst", "{user.username|cased: alice}"), {"my-burst", "my-second"}),
        (exception(UUID, "{user.username|cased: alice}"), {"my-burst", "my-second"}),
        (exception("my-secret-read", "{user.username|cased: alice}"), {"my-secret-read", "my-burst", "my-second"}),
        (exception("my-secret-read", "{user.username|cased: alice}", "2020-01-31"), set()),
    ],
)
def test_backtest_follows_a_filter_to_all_that_it_concerns(burst, tmp_path, text, lost):
    (burst / "my-burst.yml").write_text(BURST + f"id: {UUID}\n")
    (burst / "my-second.yml").write_text(
        BURST.replace("my-burst", "my-second").replace("[my-secret-read]", "[my-burst]").replace("gte: 3", "gte: 1")
    )
    new = tmp_path / "new"
    shutil.copytree(burst, new)
    (new / "f.yml").write_text(text)
    log = secrets_log(tmp_path / "a.log", *[{}] * 5)
    found = replay.compare([new], [burst], lambda: replay.log_batches([str(log)]))
    assert {item.rule for item in found.lost} == lost
    assert not found.gained
    assert any("expired on 2020-01-31" in notice for notice in found.notices) == (not lost)


def test_backtest_counts_a_finding_once(burst, tmp_path):
    log = secrets_log(tmp_path / "a.log", *[{}] * 8)
    found = replay.compare([burst], [], lambda: replay.log_batches([str(log)]))
    assert found.counts == {"my-burst": (0, 1), "my-secret-read": (0, 8)}
    assert [(item.where, item.audit_id) for item in found.gained if item.rule == "my-burst"] == [
        (f"{log}:1", audit_id(0))
    ]


def test_backtest_compares_folders_of_filters_for_built_in_rules(tmp_path):
    log = secrets_log(tmp_path / "a.log", {}, {"user": {"username": "bob"}})
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder, user in zip(folders, ("alice", "bob"), strict=True):
        folder.mkdir()
        (folder / "f.yml").write_text(exception("secret-read", f"{{user.username|cased: {user}}}"))
    found = replay.compare([folders[1]], [folders[0]], lambda: replay.log_batches([str(log)]))
    assert [(item.rule, item.audit_id) for item in found.gained] == [("secret-read", audit_id(0))]
    assert [(item.rule, item.audit_id) for item in found.lost] == [("secret-read", audit_id(1))]


def test_backtest_knows_address_lists(tmp_path):
    log = secrets_log(tmp_path / "a.log", {"sourceIPs": ["203.0.113.9"]})
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "l.yml").write_text("name: malicious-mine\nvalues: [203.0.113.0/24]\n")
    found = replay.compare([tmp_path / "rules"], [], lambda: replay.log_batches([str(log)]))
    assert [item.rule for item in found.gained] == ["threat-intel-malicious-ip"]


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
