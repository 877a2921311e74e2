"""An incident's graph as SVG: a small layered layout (longest path, barycentres), the same on every machine.

Nothing depends on colour: each node says its kind in words, the start has a double border and the word START, and the
edges carry numbers that the list beside the picture explains.
"""

import re
from html import escape
from itertools import pairwise

from msgspec import Struct

from kubewake.reports.graph import Edge, Graph, Node

NODE_WIDTH, NODE_HEIGHT = 190, 52
GAP_X, GAP_Y, MARGIN = 22, 54, 12
LANE_WIDTH = 18
"""Width of the lane that an edge takes through a layer that it only passes."""
NAME_CHARS = 24
"""Characters of a name that fit into a node at 11 px; the whole name is in the node's title."""
SWEEPS = 6
DOT_X, DOT_Y = 0.35, 0.43
"""Where on the last bend the number stands: before the middle, where edges that meet are still apart."""
SHIFT_X = 16
"""How far apart the two directions of a pair of nodes run."""

STYLE = """
.kw-graph{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.kw-box{fill:#fff;stroke:#5b6b7c;stroke-width:1.2}.kw-root{stroke:#12324f;stroke-width:3}
.kw-kind{font-size:10px;fill:#51606f;letter-spacing:.04em}.kw-name{font-size:11px;fill:#14202b;font-weight:600}
.kw-edge{fill:none;stroke:#5b6b7c;stroke-width:1.4}.kw-tip{fill:#5b6b7c}
.kw-dot{fill:#12324f}.kw-number{font-size:10px;fill:#fff;font-weight:700;text-anchor:middle}
@media (prefers-color-scheme:dark){.kw-box{fill:#1b2530;stroke:#8fa1b3}.kw-root{stroke:#cfe3f5}.kw-kind{fill:#a9b8c6}
.kw-name{fill:#e8eef4}.kw-edge{stroke:#8fa1b3}.kw-tip{fill:#8fa1b3}.kw-dot{fill:#cfe3f5}.kw-number{fill:#10202f}}
""".strip()


class _Place(Struct):
    id: str
    layer: int
    width: float
    order: float = 0.0
    x: float = 0.0


def as_svg(graph: Graph, title: str, *, label: str, standalone: bool = True) -> str:
    """The drawing. `label` makes the ids of its title and description unique in a page.

    A `standalone` drawing brings its own colours; otherwise the page has `STYLE`.
    """
    layers, paths = _layout(graph)
    width = max((place.x + place.width / 2 for row in layers for place in row), default=0.0) + MARGIN
    height = MARGIN * 2 + max(len(layers), 1) * NODE_HEIGHT + max(len(layers) - 1, 0) * GAP_Y
    at = {place.id: place for row in layers for place in row}
    names = {node.id: node for node in graph.nodes}
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    words = "; ".join(
        f"{number}: from {names[edge.source].kind} {names[edge.source].name} to {names[edge.target].kind} "
        f"{names[edge.target].name}: {edge.text}"
        for number, edge in enumerate(graph.edges, 1)
    )
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    parts = [
        f'<svg{namespace} class="kw-graph" role="img" aria-labelledby="{label}-t {label}-d" {size}>',
        f'<title id="{label}-t">{escape(title)}</title>',
        f'<desc id="{label}-d">{escape(words or "A single participant and no links.")}</desc>',
    ]
    if standalone:
        parts.append(f"<style>{STYLE}</style>")
    dots: list[str] = []
    pairs = {(edge.source, edge.target) for edge in graph.edges}
    for number, (edge, path) in enumerate(zip(graph.edges, paths, strict=True), 1):
        shift = SHIFT_X if (edge.target, edge.source) in pairs else 0
        parts.append(_curve(edge, path, at, number, dots, shift))
    parts += [_box(node, at[node.id]) for node in graph.nodes]
    return "".join([*parts, *dots, "</svg>"])


def _top(layer: int) -> float:
    return MARGIN + layer * (NODE_HEIGHT + GAP_Y)


def _box(node: Node, place: _Place) -> str:
    left, top = place.x - NODE_WIDTH / 2, _top(place.layer)
    look = "kw-box kw-root" if node.root else "kw-box"
    radius = 22 if node.kind == "identity" else 5
    kind = f"START · {node.kind}" if node.root else node.kind
    said = f"{kind}: {node.name}" + (f" ({node.role})" if node.role else "")
    return (
        f"<g><title>{escape(said)}</title>"
        f'<rect class="{look}" x="{left:.1f}" y="{top:.1f}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="{radius}"/>'
        f'<text class="kw-kind" x="{place.x:.1f}" y="{top + 20:.1f}" text-anchor="middle">{escape(kind.upper())}</text>'
        f'<text class="kw-name" x="{place.x:.1f}" y="{top + 37:.1f}" text-anchor="middle">{escape(_cut(node))}</text></g>'
    )


def _cut(node: Node) -> str:
    more = f" +{node.count - 1}" if node.count > 1 else ""
    name = node.name.rpartition(" and ")[0] if node.count > 1 else node.name
    for prefix in ("system:serviceaccount:", "system:node:"):
        name = name.removeprefix(prefix)
    room = NAME_CHARS - len(more)
    tail = re.split(r"[/:](?=[^/:]+$)", name)[-1]
    if len(name) > room >= len(tail) + 2:
        return f"…/{tail}{more}"
    if len(name) > room:
        name = name[: room // 2 - 1] + "…" + name[-(room - room // 2) :]
    return name + more


def _curve(edge: Edge, path: list[str], at: dict[str, _Place], number: int, dots: list[str], shift: int) -> str:
    down = at[path[0]].layer < at[path[-1]].layer
    stops = [at[name] for name in path]
    start, end = stops[0], stops[-1]
    sy = _top(start.layer) + (NODE_HEIGHT if down else 0)
    ey = _top(end.layer) + (0 if down else NODE_HEIGHT)
    reach = GAP_Y / 2 if down else -GAP_Y / 2
    shift = shift if down else -shift
    x, y, end_x = start.x + shift, sy, end.x + shift
    line = f"M{x:.1f} {y:.1f}"
    for stop in stops[1:-1]:
        enter = _top(stop.layer) + (0 if down else NODE_HEIGHT)
        leave = _top(stop.layer) + (NODE_HEIGHT if down else 0)
        line += f"C{x:.1f} {y + reach:.1f} {stop.x:.1f} {enter - reach:.1f} {stop.x:.1f} {enter:.1f}L{stop.x:.1f} {leave:.1f}"
        x, y = stop.x, leave
    line += f"C{x:.1f} {y + reach:.1f} {end_x:.1f} {ey - reach:.1f} {end_x:.1f} {ey:.1f}"
    side = 5 if down else -5
    tip = f"M{end_x:.1f} {ey:.1f}l-4.5 {-1.7 * side:.1f}h9z"
    dot_x, dot_y = x + (end_x - x) * DOT_X, y + (ey - y) * DOT_Y
    dots.append(
        f'<circle class="kw-dot" cx="{dot_x:.1f}" cy="{dot_y:.1f}" r="8.5"/>'
        f'<text class="kw-number" x="{dot_x:.1f}" y="{dot_y + 3.5:.1f}">{number}</text>'
    )
    return (
        f'<g><title>{escape(edge.text)}</title><path class="kw-edge" d="{line}"/><path class="kw-tip" d="{tip}"/></g>'
    )


def _layout(graph: Graph) -> tuple[list[list[_Place]], list[list[str]]]:
    """Places by layer, and for each edge the ids of the places that it passes, ends included."""
    level = _levels(graph)
    layers: list[list[_Place]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for node in graph.nodes:
        layers[level[node.id]].append(_Place(node.id, level[node.id], NODE_WIDTH))
    paths: list[list[str]] = []
    beside: dict[str, list[str]] = {}
    for number, edge in enumerate(graph.edges):
        low, high = level[edge.source], level[edge.target]
        step = 1 if high > low else -1
        path = [edge.source]
        for layer in range(low + step, high, step):
            name = f"lane{number}-{layer}"
            layers[layer].append(_Place(name, layer, LANE_WIDTH))
            path.append(name)
        path.append(edge.target)
        paths.append(path)
        for one, other in pairwise(path):
            beside.setdefault(one, []).append(other)
            beside.setdefault(other, []).append(one)
    _order(layers, beside)
    _spread(layers, beside)
    return layers, paths


def _levels(graph: Graph) -> dict[str, int]:
    """The layer of each node: one below the lowest of those that lead to it; edges that close a circle do not count."""
    after: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        after[edge.source].append(edge.target)
    done: list[str] = []
    state: dict[str, int] = {}
    back: set[tuple[str, str]] = set()
    targets = {edge.target for edge in graph.edges}
    # From the sources first, so that as few edges as possible point up.
    for start in sorted(after, key=lambda name: (name in targets, int(name[1:]))):
        _visit(start, after, state, back, done)
    level = dict.fromkeys(after, 0)
    for name in reversed(done):
        for target in after[name]:
            if (name, target) not in back:
                level[target] = max(level[target], level[name] + 1)
    return level


def _visit(
    start: str, after: dict[str, list[str]], state: dict[str, int], back: set[tuple[str, str]], done: list[str]
) -> None:
    if start in state:
        return
    stack = [(start, iter(after[start]))]
    state[start] = 1
    while stack:
        name, rest = stack[-1]
        for target in rest:
            if state.get(target) == 1:
                back.add((name, target))
            elif target not in state:
                state[target] = 1
                stack.append((target, iter(after[target])))
                break
        else:
            state[name] = 2
            done.append(name)
            stack.pop()


def _order(layers: list[list[_Place]], beside: dict[str, list[str]]) -> None:
    """Sort each layer by the middle of its neighbours, down and up, so that few edges cross."""
    at = {place.id: place for row in layers for place in row}
    for row in layers:
        for number, place in enumerate(row):
            place.order = number
    for sweep in range(SWEEPS):
        for row in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = {}
            for number, place in enumerate(row):
                near = [at[name].order for name in beside.get(place.id, ()) if at[name].layer != place.layer]
                wanted[place.id] = (sum(near) / len(near) if near else place.order, number)
            row.sort(key=lambda place: wanted[place.id])
            for number, place in enumerate(row):
                place.order = number


def _spread(layers: list[list[_Place]], beside: dict[str, list[str]]) -> None:
    """Give each layer its x positions: side by side, then pulled towards the neighbours as far as there is room."""
    at = {place.id: place for row in layers for place in row}
    widest = max((sum(place.width + GAP_X for place in row) for row in layers), default=0.0)
    for row in layers:
        x = (widest - sum(place.width + GAP_X for place in row)) / 2
        for place in row:
            place.x = x + (place.width + GAP_X) / 2
            x += place.width + GAP_X
    for _ in range(SWEEPS):
        for row in layers:
            for number, place in enumerate(row):
                near = [at[name].x for name in beside.get(place.id, ())]
                goal = sum(near) / len(near) if near else place.x
                least = row[number - 1].x + (row[number - 1].width + place.width) / 2 + GAP_X if number else -1e9
                most = (
                    row[number + 1].x - (row[number + 1].width + place.width) / 2 - GAP_X
                    if number + 1 < len(row)
                    else 1e9
                )
                place.x = min(max(goal, least), max(most, least))
    left = min((place.x - place.width / 2 for row in layers for place in row), default=0.0)
    for place in at.values():
        place.x += MARGIN - left
