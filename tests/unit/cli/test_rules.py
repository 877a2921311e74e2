"""`kubewake rules`, as a person runs it."""

import gzip
import io
import json

import msgspec
import pytest

from kubewake.__main__ import answer
from kubewake.errors import ExitCode
from kubewake.workbench.example import complete
from kubewake.workbench.explanation import MAX_PLACES

RULE = """title: Pods listed from outside
logsource: {product: kubernetes, service: audit}
detection:
  selection: {verb: list, objectRef.resource: pods}
  filter: {user.username|cased: robot}
  condition: selection and not filter
level: low
"""
EVENT = {"verb": "list", "objectRef": {"resource": "pods"}}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "pods-outside.yml").write_text(RULE)
    return place


def event(**change):
    return msgspec.json.encode(complete({**EVENT, **change})).decode()


def run(capsys, *arguments):
    code = answer(["rules", *map(str, arguments)])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_list_selects(capsys, folder):
    code, out, err = run(capsys, "list", "outside", "--rules", folder, "--severity", "low")
    assert code == 0
    assert "pods-outside\tlow\teveryone\t\tPods listed from outside\n" in out
    assert " rules" in err
    code, out, _ = run(capsys, "list", "--tactic", "execution", "--audience", "everyone", "-o", "json")
    found = json.loads(out)
    assert found
    assert all(item["audience"] == "everyone" for item in found)


def test_show_prints_everything(capsys):
    code, out, _ = run(capsys, "show", "pod-exec")
    assert code == 0
    assert "T1609" in out
    assert "## What to do" in out
    assert "detection:" in out
    code, out, _ = run(capsys, "show", "pod-exec", "-o", "json")
    assert json.loads(out)["id"] == "pod-exec"


def test_show_suggests(capsys):
    code, _, err = run(capsys, "show", "pod-exek")
    assert code == ExitCode.RULE
    assert "did you mean 'pod-exec'" in err


def test_lint_of_one_file(capsys, folder):
    assert run(capsys, "lint", folder)[0] == 0
    (folder / "pods-outside.yml").write_text(RULE.replace("objectRef.resource", "objectRef.resorce"))
    code, out, _ = run(capsys, "lint", folder)
    assert code == 0
    assert "pods-outside.yml:4: unknown field 'objectRef.resorce' (did you mean 'objectRef.resource'?)" in out
    assert run(capsys, "lint", folder, "--strict")[0] == ExitCode.RULE
    (folder / "pods-outside.yml").write_text(RULE.replace("verb:", "verb|re: '(?=x)', b:"))
    code, out, _ = run(capsys, "lint", folder, "-o", "json")
    assert code == ExitCode.RULE
    assert json.loads(out)[0]["line"] == 4


@pytest.mark.parametrize(
    ("files", "path", "code", "said"),
    [
        ({"empty.yml": ""}, "empty.yml", ExitCode.RULE, "empty.yml:1: the file holds no rule"),
        ({"empty.yml": "# later\n---\n"}, ".", ExitCode.RULE, "the folder holds no rule"),
        ({"rule.txt": RULE, "tests/rule.yml": RULE}, ".", ExitCode.RULE, "the folder holds no rule"),
        ({"empty.yml": "", "pods-outside.yml": RULE}, ".", ExitCode.CLEAN, "empty.yml:1: the file holds no rule"),
        ({"people.yml": "name: people\nvalues: [ann]\n"}, ".", ExitCode.CLEAN, ""),
    ],
)
def test_lint_says_where_there_is_nothing_to_check(capsys, tmp_path, files, path, code, said):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found, out, _ = run(capsys, "lint", tmp_path / path)
    assert found == code
    assert said in out if said else not out


def test_the_built_in_pack_has_no_problems(capsys):
    code, out, _ = run(capsys, "lint", "--strict")
    assert (code, out) == (0, "")


def test_explain_says_what_holds_and_what_not(capsys, folder):
    code, out, _ = run(capsys, "explain", "pods-outside", event(), "--rules", folder)
    assert code == 0
    assert "the event matches" in out
    assert "✓ verb is 'list'   (here: 'list')" in out
    code, out, _ = run(capsys, "explain", "pods-outside", event(user={"username": "robot"}), "--rules", folder)
    assert code == 1
    assert "✗ none of" in out
    assert "✓ user.username is 'robot' (case matters)   (here: 'robot')" in out


def test_explain_names_the_missing_audit_level(capsys):
    shape = {"resource": "pods", "namespace": "shop"}
    code, out, _ = run(capsys, "explain", "privileged-container", event(verb="create", objectRef=shape))
    assert code == 1
    assert "needs audit level Request, and the event was logged at Metadata" in out


def test_explain_reads_files_lines_and_standard_input(capsys, folder, tmp_path, monkeypatch):
    log = tmp_path / "audit.log"
    log.write_text(event(verb="get") + "\n" + event() + "\n")
    assert run(capsys, "explain", "pods-outside", f"{log}:1", "--rules", folder)[0] == 1
    assert run(capsys, "explain", "pods-outside", f"{log}:2", "--rules", folder)[0] == 0
    code, _, err = run(capsys, "explain", "pods-outside", f"{log}:9", "--rules", folder)
    assert code == ExitCode.NO_INPUT
    assert "fewer lines" in err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(event().encode())))
    assert run(capsys, "explain", "pods-outside", "-", "--rules", folder)[0] == 0


def write_log(file, *changes):
    lines = [event(auditID=f"id-{number}", **change) for number, change in enumerate(changes, 1)]
    file.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return file


def test_explain_judges_every_event_of_a_log(capsys, folder, tmp_path):
    many = [{"name": f"p{number}"} for number in range(MAX_PLACES + 1)]
    log = write_log(
        tmp_path / "audit.log.gz", {"verb": "get"}, *({"objectRef": {"resource": "pods", **x}} for x in many)
    )
    code, out, err = run(capsys, "explain", "pods-outside", log, "--rules", folder)
    assert code == 0
    assert f"{len(many)} of {len(many) + 1} events match:\n  {log}:2  alice" in out
    assert "  and 1 more\n" in out
    assert f"{log}:2: the event matches" in out
    assert "--audit-id ID" in err
    code, out, _ = run(capsys, "explain", "pods-outside", log, "--audit-id", "id-1", "--rules", folder, "-o", "json")
    assert code == 1
    assert {key: json.loads(out)[key] for key in ("where", "events", "matching")} == {
        "where": f"{log}:1",
        "events": 1,
        "matching": 0,
    }
    code, _, err = run(capsys, "explain", "pods-outside", log, "--audit-id", "id-99", "--rules", folder)
    assert code == ExitCode.NO_INPUT
    assert "none of 22 events has the audit id id-99" in err


def test_explain_shows_the_event_that_comes_nearest(capsys, folder, tmp_path):
    wrong = {"verb": "get", "objectRef": {"resource": "secrets"}}
    log = write_log(tmp_path / "audit.log", wrong, {"user": {"username": "robot"}}, wrong)
    code, out, _ = run(capsys, "explain", "pods-outside", log, "--rules", folder)
    assert code == 1
    assert "None of 3 events matches. This one comes nearest:" in out
    assert f"{log}:2: the event does not match" in out


@pytest.mark.parametrize(("count", "said"), [(3, "That is not enough"), (10, "The rule reports at:")])
def test_explain_runs_a_correlation_over_a_log(capsys, tmp_path, count, said):
    log = write_log(tmp_path / "audit.log", *[{"responseStatus": {"code": 403}, "sourceIPs": ["8.8.8.8"]}] * count)
    code, out, _ = run(capsys, "explain", "source-ip-403-burst", log)
    assert said in out
    assert code == (0 if count == 10 else 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "an empty file"), (bytes(range(256)) * 9, "no JSON"), (b"no log\n", "no JSON")],
    ids=["empty", "binary", "text"],
)
def test_explain_says_why_a_file_holds_no_event(capsys, tmp_path, content, reason):
    file = tmp_path / "audit.log"
    file.write_bytes(content)
    code, _, err = run(capsys, "explain", "pod-exec", file)
    assert code == ExitCode.NO_INPUT
    assert reason in err


def test_explain_knows_address_lists(capsys, folder, tmp_path):
    text = event(sourceIPs=["203.0.113.9"])
    (folder / "lists.yml").write_text("name: malicious-mine\nvalues: [203.0.113.0/24]\n")
    assert run(capsys, "explain", "threat-intel-malicious-ip", text, "--rules", folder)[0] == 0
    (tmp_path / "malicious.txt").write_text("203.0.113.0/24\n")
    assert run(capsys, "explain", "threat-intel-malicious-ip", text, "--intelligence", tmp_path)[0] == 0
    assert run(capsys, "explain", "threat-intel-malicious-ip", text)[0] == 1


FILTER = """title: Exception
logsource: {product: kubernetes, service: audit}
filter:
  rules: [mass-destruction]
  known: {user.username|cased: robot}
  condition: not known
kubewake: {owner: ops, reason: it is its job, expires: 2099-12-31}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--rules", "RULES"],
        ["show", "mass-destruction", "--rules", "RULES"],
        ["docs", "PAGES", "--rules", "RULES"],
        ["test", "pod-exec", "--rules", "RULES"],
        ["backtest", "RULES", "--log", "LOG"],
    ],
)
def test_filters_may_name_detectors(capsys, folder, tmp_path, arguments):
    (folder / "filter.yml").write_text(FILTER)
    (tmp_path / "a.log").write_text(event(verb="get") + "\n")
    places = {"RULES": folder, "LOG": tmp_path / "a.log", "PAGES": tmp_path / "pages"}
    assert run(capsys, "lint", folder) == (0, "", "0 problems\n")
    assert run(capsys, *(places.get(word, word) for word in arguments))[0] == 0


def test_expired_filters_are_named(capsys, folder):
    (folder / "filter.yml").write_text(FILTER.replace("2099-12-31", "2020-01-31"))
    code, out, _ = run(capsys, "lint", folder)
    assert code == 0
    assert "filter.yml:3: filter 'filter' expired on 2020-01-31 and is ignored: renew it, or remove it" in out
    assert "filter 'filter' expired on 2020-01-31" in run(capsys, "list", "--rules", folder)[2]


@pytest.mark.parametrize("days", [0, -5, 99999999])
def test_tune_says_for_how_long_an_exception_may_hold(capsys, tmp_path, days):
    code, _, err = run(capsys, "tune", tmp_path / "v", "--log", tmp_path / "a.log", "--days", days)
    assert code == ExitCode.USAGE
    assert f"--days {days}: an exception holds for 1 to 3650 days" in err


def test_explain_prints_no_control_characters(capsys, folder):
    code, out, _ = run(capsys, "explain", "pods-outside", event(verb="\x1b[2J"), "--rules", folder)
    assert code == 1
    assert "\x1b" not in out
    assert "(here: '\\x1b[2J')" in out


def test_explain_of_a_correlation_says_what_it_waits_for(capsys):
    text = event(responseStatus={"code": 403}, sourceIPs=["8.8.8.8"])
    code, out, _ = run(capsys, "explain", "source-ip-403-burst", text)
    assert code == 0
    assert "at least 10 events of" in out
    assert "with the same" in out


def test_explain_of_a_detector_points_to_its_page(capsys):
    from kubewake.detectors import detector_infos

    name = next(iter(detector_infos()))
    code, _, err = run(capsys, "explain", name, event())
    assert code == ExitCode.RULE
    assert "detector in Python" in err


def test_rules_of_a_user_are_tested(capsys, folder):
    tests = folder / "tests"
    tests.mkdir()
    base = "base: {verb: list, objectRef: {resource: pods}}\nfires: [{event: {}}]\n"
    (tests / "pods-outside.yml").write_text(base + "quiet: [{event: {user: {username: robot}}}]\n")
    code, out, err = run(capsys, "test", "--rules", folder)
    assert (code, err) == (0, "2 cases passed, 0 failed\n")
    (tests / "pods-outside.yml").write_text(base + "quiet: [{name: wrong, event: {}}]\n")
    code, out, _ = run(capsys, "test", "--rules", folder, "-q")
    assert code == ExitCode.RULE
    assert "'wrong' must stay quiet and fires" in out
    (tests / "pods-outside.yml").rename(tests / "other.yml")
    assert "pods-outside.yml:1: the rule has no tests" in run(capsys, "lint", folder)[1]


def test_coverage_in_every_form(capsys, tmp_path):
    code, out, err = run(capsys, "coverage", "-o", "json")
    assert code == 0
    assert json.loads(out)["tallies"]["catalog"]["total"] == 210
    code, out, _ = run(capsys, "coverage", "-o", "navigator")
    assert json.loads(out)["versions"]["layer"] == "4.5"
    policy = tmp_path / "policy.yaml"
    policy.write_text("kind: Policy\nrules: [{level: Metadata}]\n")
    code, out, err = run(capsys, "coverage", "--policy", policy)
    assert "privileged-container\tblind\tline 2 logs only Metadata" in out
    assert "rules blind" in err
    log = tmp_path / "audit.log"
    log.write_text(event() + "\n")
    code, out, err = run(capsys, "coverage", "--policy", policy, "--log", log)
    named = [line.partition("\t")[0] for line in out.splitlines()]
    assert len(named) == len(set(named))


def test_backtest_and_tune(capsys, folder, tmp_path):
    log = tmp_path / "audit.log"
    log.write_text(event() + "\n")
    code, out, err = run(capsys, "backtest", folder, "--log", log)
    assert code == 1
    assert out.startswith("gained\tpods-outside\t")
    verdicts = tmp_path / "verdicts.jsonl"
    audit_id = json.loads(event())["auditID"]
    verdicts.write_text(json.dumps({"rule": "pods-outside", "audit_id": audit_id, "verdict": False}))
    code, out, err = run(capsys, "tune", verdicts, "--log", log, "--rules", folder, "--owner", "ops")
    assert code == 0
    assert "user.username|cased: alice" in out
    assert "1 of 1 false events suppressed" in err
    (folder / "exceptions.yml").write_text(out)
    code, out, _ = run(capsys, "backtest", folder, "--log", log)
    assert (code, out) == (0, "")


def test_docs_are_written_and_checked(capsys, tmp_path):
    assert run(capsys, "docs", tmp_path / "pages", "--check")[0] == ExitCode.RULE
    assert run(capsys, "docs", tmp_path / "pages")[0] == 0
    assert run(capsys, "docs", tmp_path / "pages", "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "--tactic", "credntial-access"], ExitCode.USAGE, "did you mean 'credential-access'"),
        (["test", "--rules", "RULES"], ExitCode.RULE, "no folder 'tests' beside the rules"),
        (["backtest", "HOLLOW", "--log", "LOG"], ExitCode.RULE, "holds no rule"),
        (["backtest", "RULES", "--log", "EMPTY"], ExitCode.NO_INPUT, "no audit events in there (an empty file)"),
        (["coverage", "--log", "EMPTY"], ExitCode.NO_INPUT, "no audit events in there (an empty file)"),
        (["coverage", "-o", "navigator", "--missing"], ExitCode.USAGE, "leave out --policy, --log and --missing"),
        (["coverage", "-o", "navigator", "--policy", "LOG"], ExitCode.USAGE, "leave out --policy, --log and --missing"),
        (["coverage", "-o", "json", "--missing"], ExitCode.USAGE, "--missing goes with -o table"),
        (["coverage", "--policy", "RESULT"], ExitCode.NO_INPUT, "there is no audit policy in it"),
        (["explain", "pod-exec", "RESULT"], ExitCode.NO_INPUT, "a result that kubewake saved"),
    ],
)
def test_what_a_stranger_gets_wrong(capsys, folder, tmp_path, arguments, code, words):
    places = {
        "RULES": folder,
        "HOLLOW": tmp_path / "hollow",
        "LOG": tmp_path / "a.log",
        "EMPTY": tmp_path / "e.log",
        "RESULT": tmp_path / "r.json",
    }
    places["HOLLOW"].mkdir()
    places["LOG"].write_text(event() + "\n")
    places["EMPTY"].write_text("")
    places["RESULT"].write_text('{"schema":"kubewake.result/1","findings":[]}')
    found, _, err = run(capsys, *(places.get(word, word) for word in arguments))
    assert found == code
    assert words in err


def test_backtest_says_when_nothing_changes(capsys, folder, tmp_path):
    log = tmp_path / "audit.log"
    log.write_text(event(verb="get") + "\n")
    assert run(capsys, "backtest", folder, "--log", log) == (0, "", "0 gained, 0 lost\n")
