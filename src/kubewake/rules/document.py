"""YAML documents that remember on which line each key stands, so that errors can be found."""

from typing import Any

import yaml
from msgspec import Struct

from kubewake.errors import RuleError

NODE_LIMIT = 100_000
"""Nodes of one file after aliases are expanded; more is a "billion laughs" attack, not a rule."""

KeyPath = tuple[str | int, ...]


class Document(Struct):
    """One YAML document: its data, and the line of every mapping value and list item by its path."""

    file: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def line(self, *path: str | int) -> int:
        """The line of the deepest known part of `path`."""
        for length in range(len(path), -1, -1):
            found = self.lines.get(tuple(path[:length]))
            if found is not None:
                return found
        return 1

    def error(self, message: str, *path: str | int) -> RuleError:
        """An error at the line of `path`."""
        return RuleError(f"{self.file}:{self.line(*path)}: {message}")


class _Reader:
    def __init__(self, file: str, loader: yaml.CSafeLoader) -> None:
        self.file = file
        self.loader = loader
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
        self.nodes += 1
        line = node.start_mark.line + 1
        if self.nodes > NODE_LIMIT or len(path) > 100:
            raise RuleError(f"{self.file}:{line}: the document is too large or too deep (YAML aliases?); split it")
        lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            result: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = self.loader.construct_object(key_node, deep=True)
                key_line = key_node.start_mark.line + 1
                try:
                    repeated = key in result
                except TypeError:
                    raise RuleError(f"{self.file}:{key_line}: a key must be plain text") from None
                if repeated:
                    raise RuleError(f"{self.file}:{key_line}: the key {key!r} stands twice; remove one")
                lines[*path, key] = key_line
                result[key] = self.build(value_node, (*path, key), lines)
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), lines) for index, item in enumerate(node.value)]
        return self.loader.construct_object(node, deep=True)


def read_documents(text: str, file: str) -> list[Document]:
    """The mappings of a YAML text; raises RuleError with file:line where it is no YAML or no mapping."""
    documents: list[Document] = []
    try:
        loader = yaml.CSafeLoader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                assert node is not None
                lines: dict[KeyPath, int] = {}
                data = _Reader(file, loader).build(node, (), lines)
                if data is None:
                    continue
                if not isinstance(data, dict):
                    raise RuleError(f"{file}:{node.start_mark.line + 1}: a document must be a mapping")
                documents.append(Document(file, data, lines))
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RuleError(f"{file}:{line}: not valid YAML: {problem}") from error
    return documents
