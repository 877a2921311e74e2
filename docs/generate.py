"""Writes the generated pages of docs/, or checks that they are current.

    python docs/generate.py          write
    python docs/generate.py --check  exit 1 and name each page that differs

Every fact lives in one table in the code (fields, settings, commands, exit codes, rules); the pages are made from them.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

DOCS = Path(__file__).parent


def fields_page() -> str:
    from kubewake.fields import document

    return document()


def settings_page() -> str:
    from kubewake.settings import document

    return document()


def cli_page() -> str:
    """The overview and the help of every command, as on a terminal of 100 columns, whatever this one has."""
    from cyclopts import App

    from kubewake.cli import COMMANDS, overview
    from kubewake.cli.app import build

    app = build()
    parts = ["# Command line\n", "Generated from the program's own help.\n", f"```\n{overview()}\n```\n"]
    for command in COMMANDS:
        parts.append(help_section(app, command.name))
        group = app[command.name]
        names = [name for name in group if not name.startswith("-")] if command.target.endswith(":app") else []
        parts += [help_section(app, command.name, name) for name in sorted(names) if isinstance(group[name], App)]
    parts.append("## Exit codes\n\n| code | meaning |\n| --- | --- |")
    parts += [f"| {int(code)} | {meaning} |" for code, meaning in exit_codes()]
    parts.append("| 130 | Interrupted with Ctrl-C. |")
    parts.append("| 143 | Ended with SIGTERM; `serve` ends in order with 0. |")
    return "\n".join(parts) + "\n"


def help_section(app: "App", *words: str) -> str:
    """The heading and help text of one command."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=100, no_color=True, legacy_windows=False, _environ={})
    app.help_print(words, console=console)
    text = "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())
    return f"{'#' * (1 + len(words))} kubewake {' '.join(words)}\n\n```\n{text}\n```\n"


def exit_codes() -> list[tuple[int, str]]:
    """Each exit code with the docstring that stands below it."""
    import ast
    import inspect

    from kubewake.errors import ExitCode

    (tree,) = ast.parse(inspect.getsource(ExitCode)).body
    assert isinstance(tree, ast.ClassDef)
    found = []
    for statement, docstring in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.Assign) and isinstance(docstring, ast.Expr):
            name = statement.targets[0]
            assert isinstance(name, ast.Name)
            assert isinstance(docstring.value, ast.Constant)
            found.append((ExitCode[name.id].value, str(docstring.value.value)))
    return found


PAGES: dict[str, Callable[[], str]] = {
    "fields.md": fields_page,
    "settings.md": settings_page,
    "cli.md": cli_page,
}


def rule_pages() -> dict[str, str]:
    from kubewake.rules.pack import load_rules
    from kubewake.workbench.catalogue import all_infos
    from kubewake.workbench.pages import all_pages

    return {f"rules/{name}": text for name, text in all_pages(all_infos(load_rules()).values()).items()}


def main() -> int:
    check = "--check" in sys.argv[1:]
    wanted = {name: make() for name, make in PAGES.items()} | rule_pages()
    stale = []
    for name, text in wanted.items():
        path = DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    orphans = [path for path in (DOCS / "rules").glob("*.md") if f"rules/{path.name}" not in wanted]
    for path in orphans:
        stale.append(f"rules/{path.name}")
        if not check:
            path.unlink()
    if check and stale:
        print(f"{len(stale)} pages differ from the code: {', '.join(stale[:10])}; run `make docs`")
        return 1
    print(f"{len(wanted)} pages {'are current' if check else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
