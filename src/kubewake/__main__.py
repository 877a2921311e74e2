"""Entry point: `kubewake` and `python -m kubewake`."""

import difflib
import os
import sys

from kubewake import __version__
from kubewake.cli import NAMES, overview
from kubewake.cli.interruption import Terminated, heed_interruptions, interruption_has_arrived
from kubewake.errors import ExitCode, KubewakeError

INTERRUPTED = 130
"""What shells expect after Ctrl-C: 128 plus the signal's number."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    heed_interruptions()
    try:
        raise SystemExit(answer(arguments))
    except Terminated:
        interruption_has_arrived()
        raise
    except KeyboardInterrupt:
        interruption_has_arrived()
        sys.stderr.write("kubewake: interrupted\n")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong, and the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.CLEAN) from None


def answer(arguments: list[str]) -> int:
    """The exit code; the overview and the version come without importing any command."""
    if arguments in ([], ["--help"], ["-h"], ["help"]):
        sys.stdout.write(overview() + "\n")
        sys.stdout.flush()
        return ExitCode.CLEAN
    if arguments in (["--version"], ["-V"]):
        sys.stdout.write(f"{__version__}\n")
        return ExitCode.CLEAN
    if arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    first = arguments[0]
    if not first.startswith("-") and first not in NAMES:
        near = difflib.get_close_matches(first, NAMES, 1)
        hint = f"did you mean '{near[0]}'?" if near else "see `kubewake --help`"
        sys.stderr.write(f"kubewake: there is no command '{first}'; {hint}\n")
        return ExitCode.USAGE
    return run(arguments)


def run(arguments: list[str]) -> int:
    """Run one command; errors meant for people become one line on stderr."""
    from cyclopts import CycloptsError, UnusedCliTokensError  # noqa: PLC0415  # `--help` must not pay for it

    from kubewake.cli.app import build  # noqa: PLC0415  # as above

    try:
        result = build()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        extra = " ".join(error.unused_tokens or ())
        sys.stderr.write(f"kubewake: '{extra}' is more than the command takes. See `{asked(arguments)} --help`.\n")
        return ExitCode.USAGE
    except CycloptsError as error:
        sys.stderr.write(f"kubewake: {' '.join(str(error).split())} See `{asked(arguments)} --help`.\n")
        return ExitCode.USAGE
    except KubewakeError as error:
        sys.stderr.write(f"kubewake: {error}\n")
        return error.exit_code
    return int(result) if isinstance(result, int) else ExitCode.CLEAN


def asked(arguments: list[str]) -> str:
    """The command that was meant, with its subcommand where the group has one of that name."""
    from kubewake.cli.app import build  # noqa: PLC0415  # `--help` must not pay for it

    group = build()[arguments[0]] if arguments[0] in NAMES else None
    names = set() if group is None else {name for name in group if not name.startswith("-")}
    return " ".join(["kubewake", *arguments[: 0 if group is None else 1], *(a for a in arguments[1:2] if a in names)])


if __name__ == "__main__":
    main()
