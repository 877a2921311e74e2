"""docs/output.md names every output and every key of the result."""

import re
from pathlib import Path

import pytest

from kubewake.finding import (
    Actor,
    Attack,
    Finding,
    Incident,
    InputSummary,
    Notice,
    ResultDocument,
    Step,
    Summary,
    Target,
)
from kubewake.reports import names
from kubewake.reports.csv import COLUMNS
from kubewake.reports.wording import MAX_ID_CHARS, MAX_IDS_SHOWN

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")


def test_names_every_output():
    assert set(re.findall(r"^## `-o (\w+)`$", TEXT, re.MULTILINE)) == set(names())
    assert set(re.findall(r"\(#-o-(\w+)\)", TEXT)) == set(names())


@pytest.mark.parametrize(
    "kind", [ResultDocument, InputSummary, Finding, Incident, Notice, Summary, Actor, Target, Attack, Step]
)
def test_names_every_key(kind):
    words = set(re.findall(r"`(\w+)`", TEXT))
    assert set(kind.__struct_fields__) <= words


def test_figures_are_those_of_the_code():
    assert f"at most {MAX_IDS_SHOWN} Audit-IDs" in TEXT
    assert f"cut to {MAX_ID_CHARS} characters" in TEXT
    assert ",".join(f'"{name}"' for name in COLUMNS[:7]) in TEXT


def test_examples_are_of_the_golden_files():
    golden = ROOT / "tests" / "golden" / "reports"
    checked = 0
    for name in set(names()) - {"jsonl", "yaml", "html"}:
        text = (golden / f"small.{name}").read_text(encoding="utf-8").replace("VERSION", "0.1.0")
        section = re.search(rf"^## `-o {name}`$.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[0]
        for block in re.findall(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            for part in re.split(r"…|\n", block):
                if part.strip(" }") and not part.startswith("kubewake "):
                    squeezed = re.sub(r"\s*\n\s*|(?<=\":) ", "", text)
                    assert part.rstrip() in text or part.strip() in squeezed, part
                    checked += 1
    assert checked > 15


def test_pictures_are_there_and_small():
    for name in re.findall(r"\((images/[\w-]+\.png)\)", TEXT):
        assert (ROOT / "docs" / name).stat().st_size < 250_000
