"""Writes the generated pages of docs/, or checks that they are current.

    python docs/generate.py          write
    python docs/generate.py --check  exit 1 and name each page that differs

Every fact lives in one table in the code (fields, settings, commands, exit codes, rules); the pages are made from them.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent


def fields_page() -> str:
    from kubewake.fields import document

    return document()


def settings_page() -> str:
    from kubewake.settings import document

    return document()


def cli_page() -> str:
    from kubewake.cli import COMMANDS, overview

    parts = [
        "# Command line\n",
        "Generated from the program's own help.\n",
        f"```\n{overview()}\n```\n",
    ]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    for command in COMMANDS:
        run = subprocess.run(
            [sys.executable, "-m", "kubewake", command.name, "--help"],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        text = "\n".join(line.rstrip() for line in run.stdout.strip().splitlines())
        parts.append(f"## kubewake {command.name}\n\n```\n{text}\n```\n")
    parts.append("## Exit codes\n\n| code | meaning |\n| --- | --- |")
    parts += [f"| {int(code)} | {meaning} |" for code, meaning in exit_codes()]
    return "\n".join(parts) + "\n"


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
