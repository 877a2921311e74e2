"""`stdout`: findings on standard output, in plain words for people (target `text`) or as JSON Lines (`jsonl`)."""

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import IO

import msgspec

from kubewake.errors import SettingsError
from kubewake.redact import redact_value
from kubewake.sinks import Change, DeliveryError, Filter, sink
from kubewake.sinks.change import line
from kubewake.sinks.words import RAISED, Words, words

_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "cyan",
    "informational": "dim",
    "notice": "blue",
}
_WIDTH_COLUMNS = 100
"""Longer lines are hard to read, however wide the terminal is."""
_ID_SHOWN = 8
"""Characters of an incident's id that tell it from the others on a screen."""
_MAX_TITLES = 1_000
"""Incidents whose titles are kept, to name them again."""


class Stdout:
    """Prints each change once. Colour only on a terminal without NO_COLOR."""

    name = "stdout"

    def __init__(self, form: str, wanted: Filter, out: IO[str] | None = None) -> None:
        if form not in {"text", "jsonl"}:
            raise SettingsError(f"stdout prints text or jsonl, not {form!r}")
        self._form = form
        self._wanted = wanted
        self._out = out
        self._under = ""
        """Whose heading stands last on the screen: an incident's id, or nothing."""
        self._titles: dict[str, str] = {}

    def wants(self, change: Change) -> bool:
        """By the filter."""
        return self._wanted.wants(change)

    def render(self, change: Change) -> bytes:
        """The line, or the words to be laid out when printed."""
        return msgspec.json.encode(
            redact_value(line(change) if self._form == "jsonl" else msgspec.to_builtins(words(change)))
        )

    def send(self, bodies: Sequence[bytes]) -> None:
        """Print; raises DeliveryError when nobody reads."""
        out = self._out or sys.stdout
        try:
            for body in bodies:
                if self._form == "jsonl":
                    out.write(body.decode() + "\n")
                else:
                    self._print(msgspec.json.decode(body, type=Words), out)
            out.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"standard output cannot be written ({error})") from error

    def close(self) -> None:
        """Nothing to let go of: standard output is the process's."""

    def _print(self, said: Words, out: IO[str]) -> None:
        """Print the words; what belongs to an incident stands below a line that names it."""
        on_terminal = out.isatty() and not os.environ.get("NO_COLOR")
        if said.part_of and said.part_of != self._under:
            title = self._titles.get(said.part_of)
            name = said.part_of[: len("incident-") + _ID_SHOWN]
            head = f"More on {name}: {title}" if title else f"Part of {name}"
            _write([[], *([(row, "bold")] for row in (_wrapped(head, out, "  ") if on_terminal else [head]))], out)
        self._under = said.part_of or said.incident
        if said.incident:
            self._titles[said.incident] = said.head.removeprefix("Incident: ").removesuffix(RAISED)
            if len(self._titles) > _MAX_TITLES:
                del self._titles[next(iter(self._titles))]
        _write(_for_terminal(said, out) if on_terminal else _for_pipe(said), out)


Line = list[tuple[str, str]]
"""Pieces of text, each with its style."""


def _for_terminal(said: Words, out: IO[str]) -> list[Line]:
    label = said.severity.upper()
    style = _STYLES[said.severity]
    if said.part_of:
        who = f": {said.who}" if said.who else ""
        first, *rest = _wrapped(f"  + {label} {said.head}{who}, {said.time[11:19]}", out, "    ")
        return [
            [("  + ", ""), (label, style), (first.removeprefix(f"  + {label}"), "")],
            *([(row, "")] for row in rest),
        ]
    first, *rest = _wrapped(f" {label}  {said.head}", out, "  ")
    lines: list[Line] = [[], [(f" {label} ", style), (first.removeprefix(f" {label} "), "bold")]]
    lines += [[(row, "bold")] for row in rest]
    lines += [[(row, "")] for row in _wrapped(said.story, out, "  ", "  ")]
    for step in said.steps:
        # A command stays on one line, however long, so that it can be copied.
        is_sentence = step[:1].isupper() or step.startswith("# ")
        command, mark, comment = ("", "", step.removeprefix("# ")) if is_sentence else step.partition("  # ")
        if command:
            lines.append([(f"  → {command}", "green")])
        note = f"{'    # ' if mark else '  → '}{comment}"
        if comment:
            lines += [
                [(row, "green dim" if mark else "green")] for row in _wrapped(note, out, "      " if mark else "    ")
            ]
    return lines + [[(row, "dim")] for row in _wrapped(f"{_time(said)}; {said.foot}", out, "  ", "  ")]


def _for_pipe(said: Words) -> list[Line]:
    if said.part_of:
        who = f": {said.who}" if said.who else ""
        return [[(f"  + {said.severity.upper()} {said.head}{who} ({_time(said)}; part of {said.part_of})", "")]]
    lines = ["", f"[{said.severity.upper()}] {said.head}"]
    lines += wrapped(said.story, _WIDTH_COLUMNS, "  ", "  ")
    lines += [f"  -> {step}" for step in said.steps]
    return [[(row, "")] for row in [*lines, f"  {_time(said)}; {said.foot}"]]


def _write(lines: list[Line], out: IO[str]) -> None:
    if not any(style for row in lines for _, style in row):
        out.write("".join("".join(text for text, _ in row) + "\n" for row in lines))
        return
    from rich.console import Console  # noqa: PLC0415  # only where a terminal is
    from rich.text import Text  # noqa: PLC0415  # only where a terminal is

    console = Console(file=out, highlight=False)
    for row in lines:
        console.print(Text.assemble(*row), soft_wrap=True)


def _wrapped(text: str, out: IO[str], rest: str = "", first: str = "") -> list[str]:
    return wrapped(text, min(columns(out), _WIDTH_COLUMNS), rest, first)


def wrapped(text: str, width: int, rest: str = "", first: str = "") -> list[str]:
    """Lines of at most `width` characters, the first behind `first`, the others behind `rest`; names stay whole."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ) or [first]


def columns(out: IO[str]) -> int:
    """The width of the terminal behind a stream; COLUMNS wins, 80 where neither says."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(out.fileno()).columns)
    except (OSError, ValueError):
        return 80


def _time(said: Words) -> str:
    return f"{said.time[:19].replace('T', ' ')} UTC"


@sink("stdout")
def open_stdout(target: str, wanted: Filter) -> Stdout:
    """`target` is text or jsonl."""
    return Stdout(target, wanted)
