"""Ctrl-C and SIGTERM that cannot get lost.

Python drops an exception that is raised in a finalizer or in the callback of a weak reference, of which every import
makes one: after an interruption that falls there the command would run on.
"""

import signal
import sys
from types import FrameType

AGAIN_SECONDS = 0.2
"""How long after a signal it is looked whether its exception has arrived."""


class Terminated(SystemExit):
    """SIGTERM came. Ends as an error does, so that no process and no file stays behind."""


def heed_interruptions() -> None:
    """Let Ctrl-C raise KeyboardInterrupt and SIGTERM `Terminated`, again as long as nothing is ending for it.

    For the main thread. A signal that is ignored stays so.
    """
    signal.signal(signal.SIGALRM, _look_again)
    sys.unraisablehook = _report
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is default:
            signal.signal(number, _interrupt)


def interruption_has_arrived() -> None:
    """Look no more: the command ends, with the exit code that it chooses."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    # Python notes that source text was interrupted, as namedtuples are made of, and would die of the signal in the end.
    # It forgets that when other text has run.
    eval("0")  # noqa: S307  # the text is a constant


_came = 0
"""The signal that came last."""


def _interrupt(number: int, _frame: FrameType | None) -> None:
    global _came  # noqa: PLW0603  # signals belong to the process
    _came = number
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)
    raise _exception()


def _look_again(_number: int, _frame: FrameType | None) -> None:
    if not _is_ending():
        raise _exception()


def _exception() -> BaseException:
    return KeyboardInterrupt() if _came == signal.SIGINT else Terminated(128 + _came)


def _is_ending() -> bool:
    """Whether what runs now does so because of an interruption: a `finally`, or the end of a `with`."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt | Terminated):
        error = error.__context__
    return error is not None


def _report(dropped: "sys.UnraisableHookArgs") -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt | Terminated):  # which come again
        sys.__unraisablehook__(dropped)
