"""`kubewake rules`: list, show, lint, test, explain and tune rules."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from kubewake.errors import ExitCode

app = App(name="rules", help="List, show, lint, test, explain and tune rules.")

Folders = Annotated[list[Path], Parameter(name="--rules", negative=())]
Output = Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])]

SOURCE_TESTS = Path(__file__).parents[3] / "tests" / "rules"
"""Where the tests of the built-in pack stand in a source checkout."""


@app.command
def test(
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

    folders = [tests] if tests is not None else [folder / "tests" for folder in rules if (folder / "tests").is_dir()]
    if not folders and SOURCE_TESTS.is_dir():
        folders = [SOURCE_TESTS]
    found = find_tests(folders, ids)
    failed = passed = 0
    for outcome in run_tests(found, rules):
        if outcome.error:
            failed += 1
            print(outcome.error)
        else:
            passed += 1
            if not quiet:
                print(f"ok    {outcome.case.rule}: {outcome.case.name}")
    print(f"{passed} cases passed, {failed} failed", file=sys.stderr)
    return int(ExitCode.RULE) if failed else int(ExitCode.CLEAN)
