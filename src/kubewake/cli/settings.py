"""`kubewake settings`: the effective settings and where each comes from."""

import sys
from typing import Annotated

from cyclopts import Parameter


def settings(
    *,
    config: Annotated[str | None, Parameter(help="TOML or YAML file with settings.")] = None,
    markdown: Annotated[bool, Parameter(help="Print the reference of all settings (docs/settings.md).")] = False,
) -> int:
    """Show every setting with its effective value and where it comes from; secrets are masked."""
    from kubewake import settings as table

    if markdown:
        sys.stdout.write(table.document())
        return 0
    loaded = table.load(config)
    width = max(len(row.name) for row in table.TABLE)
    for row in table.TABLE:
        value = table.shown(row, getattr(loaded.settings, row.name))
        sys.stdout.write(f"{row.name:{width}}  {value or '(empty)'}  [{loaded.origins[row.name]}]\n")
    return 0
