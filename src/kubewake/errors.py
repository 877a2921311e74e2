"""Errors that a person can act on, and the exit codes that the command line answers with.

An error says what is wrong, where, and what to do next. Code that cannot go on raises one of these;
bad input that can be stepped over is not an error but a `Malformed` record (see `event`).
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers to the shell; the one table of exit codes, documented from here."""

    CLEAN = 0
    """Nothing at or above `--fail-on`."""
    FINDINGS = 1
    """At least one finding or incident at or above `--fail-on`."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    NO_INPUT = 10
    """No input could be read."""
    UNREADABLE_INPUT = 11
    """Some input could not be read, and `--strict` was given."""
    RULE = 12
    """A rule, filter or list is wrong."""
    STORE = 13
    """The spool or the state could not be read or written."""


class KubewakeError(Exception):
    """Base of all errors that are shown to a person without a traceback."""

    exit_code = ExitCode.USAGE


class SettingsError(KubewakeError):
    """A flag, environment variable or configuration entry is unknown or has a wrong value."""


class InputError(KubewakeError):
    """No input could be read."""

    exit_code = ExitCode.NO_INPUT


class RuleError(KubewakeError):
    """A rule cannot be used. The text starts with `file:line:`."""

    exit_code = ExitCode.RULE


class StoreError(KubewakeError):
    """The spool or the state could not be read or written."""

    exit_code = ExitCode.STORE
