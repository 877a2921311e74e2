"""`-o yaml`: the whole ResultDocument, the same keys as `-o json`, written one finding at a time."""

from typing import IO, Any

import msgspec
import yaml

from kubewake.finding import ResultDocument
from kubewake.reports import Style, report

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@report("yaml", "the whole result as one YAML document")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write every key of the document; text that YAML could misread is quoted by the dumper."""
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if name in {"findings", "incidents"}:
            out.write(f"{name}:" + ("\n" if value else " []\n"))
            for item in value:
                out.write(_dump([item]))
        else:
            out.write(_dump({name: value}))


def _dump(value: object) -> str:
    return str(
        yaml.dump(
            msgspec.to_builtins(value),
            Dumper=_DUMPER,
            sort_keys=False,
            allow_unicode=False,
            default_flow_style=False,
            width=4096,
        )
    )
