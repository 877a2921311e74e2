"""Rendering a document in a test."""

import io

from kubewake.finding import ResultDocument
from kubewake.reports import Style, find


def rendered(name: str, document: ResultDocument, style: Style | None = None) -> str:
    out = io.StringIO()
    find(name).render(document, out, style or Style())
    return out.getvalue()


def lines(text: str) -> list[str]:
    """Lines as a log shipper sees them: U+2028 and friends end none."""
    assert text.endswith("\n")
    return text[:-1].split("\n")
