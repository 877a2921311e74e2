"""The graph of an incident: who and what took part, and how one led to the next; as nodes and edges, JSON and DOT."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from kubewake.finding import Finding, Incident
from kubewake.incidents.document import ENTITY_KINDS
from kubewake.incidents.phrase import actor_name
from kubewake.reports.wording import one_line

MAX_NODES = 36
"""More cannot be told apart on a page of paper; the rest is counted."""
MAX_SIBLINGS = 3
"""Neighbours of one kind that have only one and the same edge and are drawn singly; more become one node."""
MAX_CREDENTIALS = 1
"""The same for credentials, whose ids tell a reader nothing."""
PREPARED = {
    "secret": "read it before",
    "role": "wrote it before",
    "binding": "wrote it before",
    "webhook": "wrote it before",
    "workload": "started it",
    "pod": "started or entered it",
}
"""What the cause of a link did to the entity that the link starts from."""
BEARERS = frozenset({"credential", "address", "secret", "certificate"})
"""Kinds that somebody logs in with or from."""


class Node(Struct, frozen=True):
    """Something that takes part. `root` is where the story starts; `count` is more than 1 for several drawn as one."""

    id: str
    kind: str
    name: str
    role: str = ""
    root: bool = False
    count: int = 1


class Edge(Struct, frozen=True):
    """One step from a node to the next, in words. `link` names the kind of evidence, empty for a request."""

    source: str
    target: str
    text: str
    link: str = ""


class Graph(Struct, frozen=True):
    """Nodes and edges in an order that depends on the incident alone; `left_out` nodes did not fit."""

    nodes: list[Node]
    edges: list[Edge]
    left_out: int = 0


def graph_of(incident: Incident, findings: Iterable[Finding] = ()) -> Graph:
    """The graph of the incident's links and logins, and of the requests of those `findings` that belong to it."""
    builder = _Builder(incident)
    for link in incident.links:
        builder.add_link(link)
    members = sorted((item for item in findings if item.id in builder.members), key=lambda item: (item.time, item.id))
    for finding in members:
        builder.add_request(finding)
    for entity in incident.entities:
        builder.add_login(entity.kind, entity.name, entity.role)
    return builder.graph()


class _Builder:
    def __init__(self, incident: Incident) -> None:
        self.members = frozenset(incident.findings)
        self._roles = {(entity.kind, entity.name): entity.role for entity in incident.entities}
        self._people = {actor_name(name): name for kind, name in self._roles if kind == "identity"}
        self._root = (incident.root_cause.kind, incident.root_cause.name)
        self._keys: dict[tuple[str, str], None] = {self._root: None}
        self._edges: dict[tuple[tuple[str, str], tuple[str, str]], tuple[str, str]] = {}

    def _add(self, source: tuple[str, str], target: tuple[str, str], text: str, link: str = "") -> None:
        if source == target or not source[1] or not target[1]:
            return
        self._keys.setdefault(source)
        self._keys.setdefault(target)
        self._edges.setdefault((source, target), (text, link))

    def add_link(self, link: dict[str, object]) -> None:
        """A link is an edge between its entities, and edges from who prepared it and to who used it."""
        source, target = _entity(link.get("from")), _entity(link.get("to"))
        text, name = str(link.get("text", "")), str(link.get("link", ""))
        self._add(source, target, text, name)
        cause = ("identity", str(link.get("cause") or ""))
        effect = ("identity", str(link.get("effect") or ""))
        if cause[1] and source[0] != "identity":
            self._add(cause, source, f"{actor_name(cause[1])} {PREPARED.get(source[0], 'prepared it')}", name)
        if effect not in self._keys and effect[1] not in self._people.values():
            return
        if target[0] in BEARERS:
            self._add(target, effect, f"used as {actor_name(effect[1])}", name)
        elif source[0] == "pod" and target[0] == "node":
            self._add(source, effect, f"the pod logs in as {actor_name(effect[1])}", name)

    def add_request(self, finding: Finding) -> None:
        """A finding about a named object is an edge from who acted to the object."""
        target = finding.target
        kind = ENTITY_KINDS.get(target.resource)
        who = finding.actor.impersonating or finding.actor.name or "system:anonymous"
        if finding.actor.impersonating:
            self._add(("identity", finding.actor.name), ("identity", who), f"acted as {actor_name(who)}")
        if kind is None or not target.name:
            return
        name = f"{target.namespace}/{target.name}" if target.namespace else target.name
        again = f", {finding.count:,} times" if finding.count > 1 else ""
        refused = "" if finding.outcome == "allowed" else f" ({finding.outcome})"
        self._add(("identity", who), self._known(kind, target.resource, name), f"{finding.title}{again}{refused}")

    def add_login(self, kind: str, name: str, role: str) -> None:
        """A credential or address is an edge to who used it."""
        if kind in BEARERS and role.startswith("used by "):
            user = self._people.get(role.removeprefix("used by "))
            if user is not None:
                words = "logs in from this address" if kind == "address" else "logs in with this credential"
                self._add((kind, name), ("identity", user), f"{actor_name(user)} {words}")

    def _known(self, kind: str, resource: str, name: str) -> tuple[str, str]:
        """The entity as the links call it: those of workloads and roles name their resource too."""
        for candidate in (name, f"{resource}/{name}"):
            if (kind, candidate) in self._keys:
                return (kind, candidate)
        bare = name.rpartition("/")[2]
        for key in self._keys:
            if key[0] == kind and key[1] in {f"ClusterRole/{bare}", f"Role/{name}"}:
                return key
        return (kind, name)

    def graph(self) -> Graph:
        kept = list(self._keys)[:MAX_NODES] if len(self._keys) > MAX_NODES * 2 else list(self._keys)
        groups = self._siblings(kept)
        merged = {key: group[0] for group in groups for key in group}
        size = {group[0]: len(group) for group in groups}
        shown = [key for key in kept if merged.get(key, key) == key][:MAX_NODES]
        names = {key: f"n{number}" for number, key in enumerate(shown, 1)}
        nodes = [
            Node(names[key], one_line(key[0]), self._label(key, size.get(key, 1)), one_line(self._roles.get(key, "")),
                 key == self._root, size.get(key, 1))
            for key in shown
        ]  # fmt: skip
        edges = []
        for (source, target), (text, link) in self._edges.items():
            if source in names and target in names:
                words = one_line(text) + (
                    f" (and {size[target] - 1:,} more like it)" if size.get(target, 1) > 1 else ""
                )
                edges.append(Edge(names[source], names[target], words, link))
        left_out = len(self._keys) - len(shown) - sum(count - 1 for count in size.values())
        return Graph(nodes, edges, max(left_out, 0))

    def _label(self, key: tuple[str, str], count: int) -> str:
        name = one_line(key[1])
        return f"{name} and {count - 1:,} more" if count > 1 else name

    def _siblings(self, kept: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
        edges: dict[tuple[str, str], list[tuple[tuple[str, str], bool]]] = defaultdict(list)
        for source, target in self._edges:
            edges[source].append((target, True))
            edges[target].append((source, False))
        groups: dict[tuple[tuple[str, str], bool, str], list[tuple[str, str]]] = defaultdict(list)
        for key in kept:
            if len(edges[key]) == 1 and key != self._root:
                groups[(*edges[key][0], key[0])].append(key)
        return [
            group
            for (_, _, kind), group in groups.items()
            if len(group) > (MAX_CREDENTIALS if kind == "credential" else MAX_SIBLINGS)
        ]


def _entity(value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        return ("", "")
    return (str(value.get("kind", "")), str(value.get("name", "")))


def as_json(graph: Graph) -> str:
    """The graph as JSON: `nodes`, `edges`, `left_out`."""
    return msgspec.json.format(msgspec.json.encode(graph), indent=1).decode() + "\n"


def as_dot(graph: Graph, title: str) -> str:
    """The graph in the DOT language of Graphviz."""
    lines = [
        "digraph incident {",
        f"  label={_quoted(title)}; labelloc=t; rankdir=TB;",
        '  node [shape=box, style=rounded, fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];',
    ]
    for node in graph.nodes:
        look = ", penwidth=3" if node.root else ""
        lines.append(f"  {node.id} [label={_quoted(node.kind, node.name)}{look}];")
    lines += [f"  {edge.source} -> {edge.target} [label={_quoted(edge.text)}];" for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(*lines: str) -> str:
    escaped = (one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
