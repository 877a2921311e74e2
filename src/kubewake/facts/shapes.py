"""Tolerant access to decoded JSON: a value of a wrong kind reads as absent, never as an error."""

from collections.abc import Iterator
from typing import Any

NOTHING: dict[str, Any] = {}
"""What a missing mapping reads as; never written to."""


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else NOTHING


def sequence(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value if it is text, else empty text."""
    return value if isinstance(value, str) else ""


def optional_text(value: Any) -> str | None:
    """The value if it is text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def texts(value: Any) -> list[str]:
    """The texts of a list; a single text reads as a list of one."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, (list, tuple)) else []


def flag(value: Any) -> bool | None:
    """The value if it is true or false, else None."""
    return value if isinstance(value, bool) else None


def whole(value: Any) -> int | None:
    """The value if it is a whole number (Kubernetes' quoted integers included), else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and 0 < len(value) <= 18 and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        return int(value) if value.count("-") <= 1 else None
    return None


def dig(value: Any, *keys: str) -> Any:
    """What stands behind the keys, one mapping after the other; None where a step is missing."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def elements(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings of a list."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item


def unique(values: Iterator[str] | list[str]) -> list[str]:
    """The values without repeats, in order of first appearance."""
    return list(dict.fromkeys(values))


def pairs(value: Any) -> dict[str, str]:
    """The text-to-text entries of a mapping."""
    return {key: item for key, item in value.items() if isinstance(item, str)} if isinstance(value, dict) else {}
