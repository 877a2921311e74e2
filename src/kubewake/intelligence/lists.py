"""Lists of addresses and of texts, as files and servers give them."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kubewake.errors import SettingsError
from kubewake.facts import parse_network

ADDRESS_LISTS = ("malicious", "threat", "tor", "cloud", "trusted")
"""Address lists are called so, or begin so with a hyphen behind: known bad, watched, anonymisers, providers' ranges, and
one's own public addresses."""

ADDRESSES_ALLOWED = "address lists hold addresses and CIDRs, one a line"

_COMMENT = re.compile(r"(?:^|\s)[#;].*")
_HEADING = re.compile(r"[A-Za-z][\w -]*")
"""What the first cell of a CSV file's first row may be, if it is no address."""


def is_address_list(name: str) -> bool:
    """Whether a list of this name holds addresses and networks."""
    return name.partition("-")[0] in ADDRESS_LISTS


def parse_list(data: bytes, where: str, *, addresses: bool = False) -> list[str]:
    """The entries of a list: one a line with `#` and `;` comments, or JSON; SettingsError begins with `where`.

    Of an address list the first column counts, and in JSON every text that is an address or network, so that the files
    in which cloud providers publish their ranges serve as they are.
    """
    text = data.decode("utf-8-sig", errors="replace")
    start = text[:1000].lstrip()
    if start.lower().startswith(("<!doctype", "<html")):
        raise SettingsError(f"{where}: this is a page (HTML), not a list")
    if start.startswith(("{", "[")):
        return _json_entries(text, where, addresses)
    lines = enumerate((_COMMENT.sub("", line).strip() for line in text.splitlines()), 1)
    if not addresses:
        return [entry for _, entry in lines if entry]
    cells = [(number, re.split(r"[\s,]", line, maxsplit=1)[0].strip('"')) for number, line in lines if line]
    if len(cells) > 1 and _HEADING.fullmatch(cells[0][1]):
        del cells[0]
    for number, cell in cells:
        check_address(cell, f"{where}:{number}")
    return [cell for _, cell in cells]


def _json_entries(text: str, where: str, addresses: bool) -> list[str]:
    try:
        texts = list(dict.fromkeys(_texts(msgspec.json.decode(text))))
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"{where}: a list that starts as JSON is none: {error}") from error
    if not addresses:
        return texts
    found = [text for text in texts if _is_network(text)]
    if texts and not found:
        raise SettingsError(f"{where}: no text of this JSON is an address or CIDR, as those of address lists are")
    return found


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
"""What most entries are; recognised in a tenth of the time that parsing takes."""


def check_address(text: str, where: str) -> None:
    """Raise SettingsError, which begins with `where`, for anything but an address or a CIDR."""
    if _PLAIN.fullmatch(text):
        return
    try:
        parse_network(text)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}; {ADDRESSES_ALLOWED}") from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_network(text: str) -> bool:
    try:
        parse_network(text)
    except ValueError:
        return False
    return "." in text or ":" in text
