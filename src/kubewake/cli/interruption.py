"""Ctrl-C that cannot get lost.

Python drops an exception that is raised in a finalizer or in the callback of a weak reference, of which every import
makes one: after a KeyboardInterrupt that falls there the command would run on.
"""

import signal
import sys
from types import FrameType

AGAIN_SECONDS = 0.2
"""How long after a Ctrl-C it is looked whether it has arrived."""


def heed_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, and raise it again as long as nothing is ending for it.

    For the main thread. Changes nothing where Ctrl-C is ignored or heard by somebody else.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGALRM, _look_again)
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _report


def interrupt_has_arrived() -> None:
    """Look no more: the command ends, with the exit code that it chooses."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    # Python notes that source text was interrupted, as namedtuples are made of, and would die of the signal in the end.
    # It forgets that when other text has run.
    eval("0")  # noqa: S307  # the text is a constant


def _report(dropped: "sys.UnraisableHookArgs") -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt):  # which comes again
        sys.__unraisablehook__(dropped)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS, AGAIN_SECONDS)
    raise KeyboardInterrupt


def _look_again(_number: int, _frame: FrameType | None) -> None:
    if not _is_ending():
        raise KeyboardInterrupt


def _is_ending() -> bool:
    """Whether what runs now does so because of a KeyboardInterrupt: a `finally`, or the end of a `with`."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
