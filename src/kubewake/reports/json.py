"""`-o json`: the whole ResultDocument, written piece by piece so that a large result needs no large memory."""

from typing import IO

import msgspec

from kubewake.finding import ResultDocument
from kubewake.reports import Style, report


@report("json", "the whole result as one JSON document")
def render(document: ResultDocument, out: IO[str], style: Style) -> None:  # noqa: ARG001  # reports share one signature
    """Write every key of the document; findings and incidents one at a time."""
    encode = msgspec.json.encode
    out.write("{")
    for number, name in enumerate(document.__struct_fields__):
        out.write(f'{"," if number else ""}\n"{name}":')
        value = getattr(document, name)
        if name in {"findings", "incidents"}:
            out.write("[")
            for position, item in enumerate(value):
                out.write(",\n" if position else "\n")
                out.write(encode(item).decode())
            out.write("]")
        else:
            out.write(encode(value).decode())
    out.write("\n}\n")
