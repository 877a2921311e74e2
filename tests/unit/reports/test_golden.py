"""Every report of one small made-up result, as it stands in `tests/golden/reports`.

`KUBEWAKE_GOLDEN=write pytest tests/unit/reports/test_golden.py` writes the files anew; read the difference before it goes in.
"""

import os
from pathlib import Path

import pytest

from kubewake import __version__
from kubewake.reports import Style, default_audience, names
from kubewake.reports.drawing import as_svg
from kubewake.reports.graph import as_dot, as_json, graph_of
from tests.unit.reports import sample
from tests.unit.reports.rendering import rendered

FOLDER = Path(__file__).parents[2] / "golden" / "reports"


def compare(name, text):
    text = text.replace(__version__, "VERSION")
    file = FOLDER / name
    if os.environ.get("KUBEWAKE_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8", newline="")
    assert text == file.read_bytes().decode(), f"{name} has changed"


@pytest.mark.parametrize("name", sorted(names()))
def test_report(name):
    style = Style(width=80, audience=default_audience(name))
    compare(f"small.{name}", rendered(name, sample.small(), style))


@pytest.mark.parametrize("form", ["dot", "json", "svg"])
def test_graph(form):
    document = sample.small()
    incident = document.incidents[0]
    graph = graph_of(incident, document.findings)
    texts = {
        "dot": lambda: as_dot(graph, incident.title),
        "json": lambda: as_json(graph),
        "svg": lambda: as_svg(graph, incident.title, label="incident"),
    }
    compare(f"graph.{form}", texts[form]())
