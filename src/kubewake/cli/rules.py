"""`kubewake rules`: list, show, lint, test, explain and tune rules."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kubewake.errors import ExitCode, RuleError, SettingsError
from kubewake.finding import Audience, Severity

if TYPE_CHECKING:
    from kubewake.rules.ruleset import RuleSet

app = App(name="rules", help="List, show, lint, test, explain and tune rules.")

Folders = Annotated[list[Path], Parameter(name="--rules", negative=())]
Intelligence = Annotated[Path | None, Parameter(negative=())]
Output = Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])]

MAX_DAYS = 3_650
"""For how long an exception can be proposed at most: ten years."""

SOURCE_TESTS = Path(__file__).parents[3] / "tests" / "rules"
"""Where the tests of the built-in pack stand in a source checkout."""


def say(text: str) -> None:
    """Print a line of the command's result."""
    sys.stdout.write(text + "\n")


def load(folders: list[Path]) -> "RuleSet":
    """The rules as `scan` loads them, with what there is to say about them on standard error."""
    from kubewake.pipeline.detection import Knowledge

    rules, _ = Knowledge(rule_paths=tuple(folders)).load()
    for notice in rules.notices:
        sys.stderr.write(f"{notice}\n")
    return rules


def test_folders(rules: list[Path], tests: Path | None) -> list[Path]:
    """Where rule tests stand: --tests, `tests` beside the user's rules, and those of the checkout."""
    if tests is not None:
        return [tests]
    found = [folder / "tests" for folder in rules if (folder / "tests").is_dir()]
    return [*found, SOURCE_TESTS] if SOURCE_TESTS.is_dir() else found


@app.command(name="list")
def list_rules(
    text: str = "",
    /,
    *,
    severity: Annotated[list[Severity], Parameter(negative=())] = [],  # noqa: B006  # cyclopts copies it
    audience: Annotated[list[Audience], Parameter(negative=())] = [],  # noqa: B006
    tactic: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006
    rules: Folders = [],  # noqa: B006
    output: Output = "table",
) -> None:
    """List rules and detectors, worst first.

    Parameters
    ----------
    text
        Only rules whose id, title, description or catalog ids contain this.
    severity
        Only this severity; repeat for several.
    audience
        Only this audience; repeat for several.
    tactic
        Only this ATT&CK tactic, such as credential-access; repeat for several.
    rules
        A folder of rules of your own, beside the built-in pack.
    output
        table or json.
    """
    from kubewake.rules.model import TACTICS
    from kubewake.rules.ruleset import nearest
    from kubewake.workbench.catalogue import all_infos, select

    infos = all_infos(load(rules))
    for name in tactic:
        if name not in TACTICS:
            raise SettingsError(
                f"--tactic {name}: there is no such tactic{nearest(name, TACTICS)}; {', '.join(TACTICS)}"
            )
    found = select(infos.values(), severities=severity, audiences=audience, tactics=tactic, text=text)
    if output == "json":
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    from kubewake.cli.tables import print_table

    print_table(
        ("rule", "severity", "audience", "tactic", "title"),
        [(info.id, info.level, info.audience, info.tactic, info.title) for info in found],
    )
    sys.stderr.write(f"{len(found)} of {len(infos)} rules\n")


@app.command
def show(rule: str, /, *, rules: Folders = [], output: Output = "table") -> None:  # noqa: B006
    """Show everything about a rule: what it means, what to do, and its source.

    Parameters
    ----------
    rule
        The rule's id.
    rules
        A folder of rules of your own.
    output
        table (text) or json.
    """
    from kubewake.workbench.catalogue import all_infos, find_info
    from kubewake.workbench.pages import page_text, source_of

    info = find_info(all_infos(load(rules)), rule)
    if output == "json":
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(info), indent=2).decode())
        return
    say(page_text(info, source_of(info)))


@app.command
def lint(
    paths: Annotated[list[Path], Parameter(negative=())] = [],  # noqa: B006
    /,
    *,
    strict: Annotated[bool, Parameter(negative="")] = False,
    output: Output = "table",
) -> int:
    """Check rule files: what would not load, and what would not work as meant.

    Exits with 12 when a file cannot be used (with --strict: for any problem).

    Parameters
    ----------
    paths
        Rule files and folders; the built-in pack by default.
    strict
        Count every problem as an error.
    output
        table (one line a problem) or json.
    """
    from kubewake.workbench.inspection import inspect

    problems = inspect(paths)
    if output == "json":
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(problems), indent=2).decode())
    else:
        for problem in problems:
            say(f"{problem} ({problem.severity})")
        sys.stderr.write(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}\n")
    bad = any(strict or problem.severity == "error" for problem in problems)
    return int(ExitCode.RULE if bad else ExitCode.CLEAN)


@app.command(name="test")
def run_rule_tests(
    ids: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006  # cyclopts copies it
    /,
    *,
    rules: Folders = [],  # noqa: B006
    tests: Annotated[Path | None, Parameter(negative=())] = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Run rule tests: events that must and near misses that must not fire each rule.

    The tests of a rule stand in a file `<id>.yml`, in a folder `tests` beside your rules or in --tests.

    Parameters
    ----------
    ids
        Rules to test; all that have tests by default.
    rules
        A folder of rules of your own; repeat for several.
    tests
        The folder with the tests.
    quiet
        Only failures.
    """
    from kubewake.workbench.testing import find_tests, run_tests

    folders = test_folders(rules, tests)
    if rules and not ids:
        folders = [folder for folder in folders if folder != SOURCE_TESTS]
        if not folders:
            raise RuleError(
                f"{', '.join(map(str, rules))}: there is no folder 'tests' beside the rules; write tests/RULE.yml, or name "
                "the folder with --tests"
            )
    failed = passed = 0
    for outcome in run_tests(find_tests(folders, ids), rules):
        if outcome.error:
            failed += 1
            say(outcome.error)
        else:
            passed += 1
            if not quiet:
                say(f"ok    {outcome.case.rule}: {outcome.case.name}")
    sys.stderr.write(f"{passed} cases passed, {failed} failed\n")
    return int(ExitCode.RULE if failed else ExitCode.CLEAN)


@app.command
def explain(
    rule: str,
    event: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    /,
    *,
    audit_id: Annotated[str, Parameter(negative=())] = "",
    rules: Folders = [],  # noqa: B006
    intelligence: Intelligence = None,
    output: Output = "table",
) -> int:
    """Say which events a rule matches, and why, or why not: every part of the condition, with the values seen.

    Of a log, every event is judged. The first that matches is taken apart, or where none does, the one that comes
    nearest. Exits with 0 when the rule matches an event and 1 when it matches none; one that counts events must
    report.

    Parameters
    ----------
    rule
        The rule's id.
    event
        A log, a line of it (audit.log:17), an event as JSON text, or - for standard input.
    audit_id
        Only the request of this Audit-ID.
    rules
        A folder of rules of your own.
    intelligence
        A folder with your threat lists and, optionally, mmdb files.
    output
        table (text) or json.
    """
    from kubewake.workbench.explanation import events_at
    from kubewake.workbench.explanation import explain as explained

    if event == "-" and sys.stdin.isatty():
        sys.stderr.write("kubewake: reads audit events from standard input; Ctrl-D ends, Ctrl-C stops\n")
    explanation = explained(rule, events_at(event, audit_id), rules, intelligence)
    if output == "json":
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode())
    else:
        say(explanation.text())
        if explanation.matching > 1:
            sys.stderr.write("FILE:LINE or --audit-id ID in place of the log explains another event\n")
    return 0 if explanation.holds else 1


@app.command
def coverage(
    *,
    policy: Annotated[Path | None, Parameter(negative=())] = None,
    log: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006  # cyclopts copies it
    missing: Annotated[bool, Parameter(negative="")] = False,
    rules: Folders = [],  # noqa: B006
    output: Annotated[Literal["table", "json", "navigator"], Parameter(name=["--output", "-o"])] = "table",
) -> None:
    """Show what the rules cover, and which of them cannot see.

    Covers the catalog of capabilities, vulnerabilities, ATT&CK for Containers and Microsoft's Threat Matrix.

    Parameters
    ----------
    policy
        An audit policy: say which rules and detectors it leaves blind, by which line, and why.
    log
        Audit logs: say which rules and detectors find nothing to judge in them, and why.
    missing
        Only what no rule covers.
    rules
        A folder of rules of your own.
    output
        table, json, or navigator (an ATT&CK Navigator layer).
    """
    import msgspec

    from kubewake.cli.tables import print_table
    from kubewake.workbench.catalogue import all_infos
    from kubewake.workbench.coverage import measure, navigator_layer, table_rows
    from kubewake.workbench.policy import read_policy
    from kubewake.workbench.visibility import blind_by_log, blind_by_policy, one_each

    if output == "navigator" and (policy is not None or log or missing):
        raise SettingsError(
            "-o navigator shows which techniques have rules, whatever a policy or log shows: leave out --policy, --log "
            "and --missing, or ask for -o table"
        )
    if output == "json" and missing:
        raise SettingsError('--missing goes with -o table; in JSON, rows that no rule covers have empty "rules"')
    ruleset = load(rules)
    infos = all_infos(ruleset)
    if output == "navigator":
        layer = navigator_layer(infos.values())
        say(msgspec.json.format(msgspec.json.encode(layer), indent=2).decode())
        return
    blind = blind_by_policy(ruleset, read_policy(policy)) if policy is not None else []
    if log:
        from kubewake.workbench.replay import log_batches

        blind = one_each([*blind, *blind_by_log(ruleset, log_batches(log))])
    result = measure(infos.values(), blind)
    if output == "json":
        say(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
        return
    if (policy is None and not log) or missing:
        print_table(("what", "id", "title", "rules"), table_rows(result, missing_only=missing))
    if policy is not None or log:
        rows = [(item.rule, "blind" if item.wholly else "partly", item.why) for item in result.blind]
        print_table(("rule", "sight", "why"), rows)
    for name, tally in result.tallies.items():
        sys.stderr.write(f"{name.replace('_', ' ')}: {tally.covered} of {tally.total} covered\n")
    if policy is not None or log:
        wholly = sum(item.wholly for item in result.blind)
        sys.stderr.write(
            f"{wholly} rule{'' if wholly == 1 else 's'} blind, {len(result.blind) - wholly} partly, of {result.rules}\n"
        )


@app.command
def backtest(
    rules: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    log: Annotated[list[str], Parameter(negative=())],
    against: Annotated[list[Path], Parameter(negative=())] = [],  # noqa: B006
    intelligence: Intelligence = None,
    output: Output = "table",
) -> int:
    """Run changed rules over a log and show which findings they gain and lose.

    Rules with the id of a built-in rule take its place. Exits with 1 when anything is gained or lost.

    Parameters
    ----------
    rules
        Folders or files of changed rules, filters and lists.
    log
        Audit logs to run over; repeat for several.
    against
        Folders or files as they were before, to compare with; by default, the built-in pack without any.
    intelligence
        A folder with your threat lists and, optionally, mmdb files.
    output
        table or json.
    """
    import msgspec

    from kubewake.cli.tables import print_table
    from kubewake.workbench.replay import compare, known_from, log_batches

    difference = compare(rules, against, lambda: log_batches(log), known_from(intelligence))
    if output == "json":
        say(msgspec.json.format(msgspec.json.encode(difference), indent=2).decode())
    else:
        rows = [
            (sign, item.rule, item.where, item.audit_id, item.what)
            for sign, items in (("gained", difference.gained), ("lost", difference.lost))
            for item in items
        ]
        print_table(("", "rule", "where", "audit id", "what"), rows)
        for rule, (before, after) in sorted(difference.counts.items()):
            sys.stderr.write(f"{rule}: {before} before, {after} after\n")
        for notice in difference.notices:
            sys.stderr.write(f"{notice}\n")
        sys.stderr.write(f"{len(difference.gained):,} gained, {len(difference.lost):,} lost\n")
    return 1 if difference.gained or difference.lost else 0


@app.command
def tune(
    verdicts: Path,
    /,
    *,
    log: Annotated[list[str], Parameter(negative=())],
    rules: Folders = [],  # noqa: B006
    intelligence: Intelligence = None,
    owner: str = "",
    days: int = 90,
) -> int:
    """Propose filters for findings that were judged false, and prove that every true one still fires.

    Prints Sigma filters on standard output, ready for a file in your rules folder. Exits with 1 when some false
    findings cannot be told from true ones, or when a verdict could not be used.

    Parameters
    ----------
    verdicts
        JSON Lines: one object a line with "rule", "audit_id" (or a finding's "audit_ids") and "verdict": true or
        false.
    log
        The audit logs in which the events stand; repeat for several.
    rules
        A folder of rules of your own.
    intelligence
        A folder with your threat lists and, optionally, mmdb files.
    owner
        Who answers for the exception; written into the filter.
    days
        For how many days the exception is to hold, from 1 to 3650.
    """
    from datetime import UTC, datetime, timedelta

    from kubewake.workbench.replay import known_from, log_batches
    from kubewake.workbench.tuning import propose, read_verdicts

    if not 1 <= days <= MAX_DAYS:
        raise SettingsError(f"--days {days}: an exception holds for 1 to {MAX_DAYS} days")
    proposal = propose(
        read_verdicts(verdicts),
        rules,
        lambda: log_batches(log),
        owner=owner,
        expires=(datetime.now(UTC) + timedelta(days=days)).date().isoformat(),
        known=known_from(intelligence),
    )
    sys.stdout.write(proposal.yaml)
    for line in proposal.report:
        sys.stderr.write(line + "\n")
    return 0 if proposal.complete else 1


@app.command
def docs(
    folder: Path = Path("docs/rules"),
    /,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    rules: Folders = [],  # noqa: B006
) -> int:
    """Write a page for every rule and an index, or check that they are current.

    Parameters
    ----------
    folder
        Where the pages go.
    check
        Change nothing; exit with 12 when a page is missing or out of date.
    rules
        A folder of rules of your own.
    """
    from kubewake.workbench.catalogue import all_infos
    from kubewake.workbench.pages import all_pages, drifted, write_pages

    pages = all_pages(all_infos(load(rules)).values())
    if check:
        wrong = drifted(folder, pages)
        for name in wrong:
            say(f"{folder / name}: out of date; run `kubewake rules docs {folder}`")
        return int(ExitCode.RULE if wrong else ExitCode.CLEAN)
    sys.stderr.write(f"{write_pages(folder, pages)} of {len(pages)} pages changed\n")
    return int(ExitCode.CLEAN)
