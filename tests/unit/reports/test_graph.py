import json
import xml.etree.ElementTree as ET

import msgspec
import pytest

from kubewake.finding import Entity
from kubewake.reports.drawing import as_svg
from kubewake.reports.graph import MAX_NODES, Edge, Graph, Node, as_dot, as_json, graph_of
from tests.unit.reports import sample

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["demo", "hostile"])
def graphs(request):
    document = sample.scanned() if request.param == "demo" else sample.hostile()
    return [(incident, graph_of(incident, document.findings)) for incident in document.incidents]


def test_edges_join_nodes_that_are_there(graphs):
    for incident, graph in graphs:
        names = [node.id for node in graph.nodes]
        assert len(set(names)) == len(names) <= MAX_NODES
        assert {name for edge in graph.edges for name in (edge.source, edge.target)} <= set(names)
        assert [node.name for node in graph.nodes if node.root]
        assert all(edge.text.isprintable() for edge in graph.edges)
        if incident.links:
            assert graph.edges


def test_is_the_same_every_time(graphs):
    for incident, graph in graphs:
        again = graph_of(msgspec.convert(msgspec.to_builtins(incident), type(incident)))
        assert as_svg(again, "t", label="x") == as_svg(graph_of(incident), "t", label="x")
        assert as_json(graph) == as_json(graph)


def test_svg_is_accessible_and_harmless(graphs):
    for _, graph in graphs:
        root = ET.fromstring(as_svg(graph, "A <title>", label="g1"))
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == "g1-t g1-d"
        assert root[0].text == "A <title>"
        assert root[1].tag == SVG + "desc"
        assert root[1].text
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "title", "desc", "style", "g", "rect", "text", "path", "circle"}
        boxes = [
            tuple(float(rect.get(key)) for key in ("x", "y", "width", "height")) for rect in root.iter(SVG + "rect")
        ]
        assert len(boxes) == len(graph.nodes)
        for number, (x, y, width, height) in enumerate(boxes):
            assert x >= 0
            assert x + width <= float(root.get("width")) + 1
            for other_x, other_y, *_ in boxes[:number]:
                assert abs(x - other_x) >= width or abs(y - other_y) >= height, "boxes overlap"


def test_dot_quotes_every_text(graphs):
    for incident, graph in graphs:
        text = as_dot(graph, incident.title)
        assert text.count("{") - text.count("}") in (0, text.count("{x}")) or "{{7*7}}" in text
        for line in text.splitlines()[1:-1]:
            assert line.count('"') - line.count('\\"') - line.count('\\\\"') in range(0, 20, 2)
            assert "\x1b" not in line


def test_circles_and_long_edges_are_drawn():
    nodes = [Node(f"n{number}", "pod", str(number)) for number in range(1, 6)]
    edges = [
        Edge("n1", "n2", "a"),
        Edge("n2", "n3", "b"),
        Edge("n3", "n1", "back"),
        Edge("n1", "n4", "c"),
        Edge("n3", "n4", "d"),
    ]
    root = ET.fromstring(as_svg(Graph(nodes, edges), "t", label="g"))
    assert len([path for path in root.iter(SVG + "path") if path.get("class") == "kw-edge"]) == 5


def test_an_empty_graph_is_drawn():
    assert ET.fromstring(as_svg(Graph([], []), "t", label="g")).tag == SVG + "svg"


def test_many_of_a_kind_become_one():
    incident = sample.hostile().incidents[0]
    links = [
        {"link": "L9", "from": {"kind": "workload", "name": "jobs/a"}, "to": {"kind": "pod", "name": f"p{number}"}, "text": "made"}
        for number in range(200)
    ]  # fmt: skip
    many = msgspec.structs.replace(incident, links=links, root_cause=Entity("identity", "eve"), entities=[])
    graph = graph_of(many)
    assert [node.count for node in graph.nodes if node.kind == "pod"] == [MAX_NODES * 0 + 34]
    assert graph.left_out + sum(node.count for node in graph.nodes) == 202
    assert json.loads(as_json(graph))["edges"][0]["text"].startswith("made (and ")
