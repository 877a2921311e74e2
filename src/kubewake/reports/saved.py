"""Reading back a result that `-o json` has written."""

from pathlib import Path

import msgspec

from kubewake.errors import InputError
from kubewake.finding import SCHEMA, ResultDocument

HEAD_BYTES = 200
"""Enough to see the schema, which `-o json` writes first."""


def is_result(path: Path) -> bool:
    """Whether the file is a saved result, of any version, rather than an audit log."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return b'"schema"' in head and b'"kubewake.result/' in head


def load_result(path: Path) -> ResultDocument:
    """The saved result; InputError where it is cut off, damaged or of another version."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=ResultDocument)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: this saved result cannot be read ({error}); make it again with -o json") from error
    if document.schema != SCHEMA:
        raise InputError(
            f"{path}: a result of schema {document.schema}, this version reads {SCHEMA}; scan the log again"
        )
    return document
