"""Looks for strings of the recordings in what kubewake ships to decide with: rules, weights, tables, profiles, code.

A detector that knows the names of the recording it is measured on proves nothing. Names that upstream Kubernetes or public
charts have (`public_names.txt`) may be known.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

import kubewake
from bench.evaluation.recording import Recording

SHIPPED = Path(kubewake.__file__).parent
PUBLIC = Path(__file__).with_name("public_names.txt")
DISTINCT_LENGTH = 5
"""Shorter names are words that say nothing."""
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]*[A-Za-z0-9]")
GENERATED = re.compile(r"-[0-9a-f]{8,10}-[a-z0-9]{5}$|-[bcdfghjklmnpqrstvwxz2456789]{5}$|-[0-9a-f]{8,10}$|-\d+$")


class Leak(NamedTuple):
    """A string of the recordings, and where it is shipped."""

    text: str
    kind: str
    place: str


class _Extra(msgspec.Struct):
    username: str = ""


class _Ref(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""


class _Named(msgspec.Struct, rename="camel"):
    user: _Extra = msgspec.field(default_factory=_Extra)
    source_ips: list[str] = msgspec.field(name="sourceIPs", default_factory=list)
    user_agent: str = ""
    object_ref: _Ref | None = None


def names_of(recordings: Iterable[Recording]) -> dict[str, str]:
    """Identities, namespaces, objects, addresses and clients of the recordings, each with its kind."""
    decode = msgspec.json.Decoder(_Named).decode
    names: dict[str, str] = {}
    for recording in recordings:
        for line in recording.lines:
            event = decode(line.data)
            user = event.user.username
            names.setdefault(user, "identity")
            if user.startswith("system:serviceaccount:"):
                names.setdefault(user.rpartition(":")[2], "identity")
            for address in event.source_ips:
                names.setdefault(address, "address")
            names.setdefault(event.user_agent, "client")
            if event.object_ref is not None:
                names.setdefault(event.object_ref.namespace, "namespace")
                names.setdefault(event.object_ref.name, "object")
                names.setdefault(GENERATED.sub("", event.object_ref.name), "object")
    return {name: kind for name, kind in names.items() if len(name) >= DISTINCT_LENGTH}


def public_names() -> frozenset[str]:
    """Names that anybody's cluster may have."""
    lines = PUBLIC.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def is_public(name: str, public: frozenset[str]) -> bool:
    """Whether upstream Kubernetes or a public chart has the name, or all that it is made of."""
    if name in public or (
        name.startswith("system:") and all(part in public for part in name.split(":")[2:] or ["system"])
    ):
        return True
    return name.startswith("system:") and not name.startswith(("system:serviceaccount:", "system:node:"))


def strings_in(path: Path) -> Iterator[tuple[int, str]]:
    """Strings that decide something, with their lines: values of YAML and JSON, literals of code but not docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        prose = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        prose |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield node.lineno, node.value
    elif path.suffix in (".yml", ".yaml"):
        for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
            yield from _scalars(document)
    else:
        yield from enumerate(text.splitlines(), 1)


PROSE_KEYS = frozenset({"title", "description", "falsepositives", "references", "story", "remediation", "author"})


def _scalars(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.ScalarNode):
        yield node.start_mark.line + 1, node.value
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value not in PROSE_KEYS:
                yield from _scalars(key)
                yield from _scalars(value)


def shipped(folder: Path = SHIPPED) -> list[Path]:
    """Files that decide."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in (".py", ".yml", ".yaml", ".json", ".csv", ".txt") and "__pycache__" not in path.parts
    )


def leaks(names: dict[str, str], folder: Path = SHIPPED, public: frozenset[str] | None = None) -> list[Leak]:
    """Strings of the recordings that are shipped."""
    allowed = public_names() if public is None else public
    secret = {name: kind for name, kind in names.items() if not is_public(name, allowed)}
    distinct = {name for name in secret if re.search(r"[-0-9@:./]", name)}
    found = []
    for path in shipped(folder):
        for line, text in strings_in(path):
            held = {text} | {word for word in WORD.findall(text) if word in distinct}
            for name in sorted(held & secret.keys()):
                found.append(Leak(name, secret[name], f"{path.relative_to(folder)}:{line}"))
    return found
