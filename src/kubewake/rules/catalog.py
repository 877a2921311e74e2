"""The tables of what there is to detect: the catalogue of capabilities, and vulnerabilities."""

import csv
from functools import cache
from importlib.resources import files
from typing import Literal


@cache
def catalog_table(name: Literal["catalog", "cves"]) -> tuple[dict[str, str], ...]:
    """The rows of a table, by column."""
    text = files("kubewake.rules").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
