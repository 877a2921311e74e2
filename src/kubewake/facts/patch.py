"""Patches: what a patch sets and removes, whatever its kind, as one sparse object and a list of paths.

JSON Patch is RFC 6902, merge patch RFC 7386, strategic merge and apply are Kubernetes' own
(https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply).
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from kubewake.facts.specification import Specification, remembered

PatchType = Literal["json", "merge", "strategic", "apply", "unknown"]

MAX_PATHS = 2000
"""Paths listed per patch: beyond it a body is an attack on the reader, not a change."""
MAX_DEPTH = 40

_OPEN_MAPS = frozenset(
    {"labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData", "binaryData", "parameters",
     "selector", "limits", "requests", "extra"}
)  # fmt: skip
"""Maps whose keys are the user's and may be digits."""


class Patched(Struct, frozen=True):
    """What a patch says: the values it sets as a sparse object, and the JSON-pointer-like paths it touches."""

    view: dict[str, Any]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    operations: int


class _Node(dict[str, Any]):
    """A mapping made from path steps, as opposed to one that stood in the patch."""


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _place(root: dict[str, Any], steps: list[str], value: Any, serial: int) -> None:
    node: Any = root
    for index, step in enumerate(steps):
        key = f"-{serial}" if step == "-" else step
        last = index + 1 == len(steps)
        if isinstance(node, list):
            position = int(key) if key.isdigit() else len(node)
            if position >= len(node):
                node.append(_Node())
                position = len(node) - 1
            if last:
                node[position] = value
                return
            if not isinstance(node[position], (dict, list)):
                node[position] = _Node()
            node = node[position]
            continue
        if last:
            node[key] = value
            return
        following = node.get(key)
        if not isinstance(following, (dict, list)):
            following = node[key] = _Node()
        node = following


def _settle(node: Any, name: str = "", depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        return None
    if isinstance(node, _Node):
        settled = {key: _settle(item, key, depth + 1) for key, item in node.items()}
        if settled and name not in _OPEN_MAPS and all(key.lstrip("-").isdigit() for key in settled):
            return list(settled.values())
        return settled
    if isinstance(node, dict):
        return {key: _settle(item, key, depth + 1) for key, item in node.items()}
    if isinstance(node, list):
        return [_settle(item, name, depth + 1) for item in node]
    return node


def _lookup(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _read_operations(operations: list[Any], after: Callable[[], Any]) -> Patched:
    root: dict[str, Any] = _Node()
    changed: list[str] = []
    removed: list[str] = []
    for serial, operation in enumerate(operations[: MAX_PATHS * 5]):
        if not isinstance(operation, dict):
            continue
        path, name = operation.get("path"), operation.get("op")
        if not isinstance(path, str) or len(path) > 4096 or path.count("/") > MAX_DEPTH:
            continue
        source = operation.get("from")
        if name == "remove" or (name == "move" and isinstance(source, str)):
            removed.append(path if name == "remove" else str(source))
        if name == "remove" or name not in ("add", "replace", "copy", "move"):
            continue
        changed.append(path)
        value = operation.get("value")
        if name in ("copy", "move"):
            value = _lookup(after(), _steps(path))
            if value is None and isinstance(source, str):
                value = _lookup(root, _steps(source))
        steps = _steps(path)
        if not steps:
            root = _Node(value) if isinstance(value, dict) else root
        elif value is not None:
            _place(root, steps, value, serial)
    view = _settle(root)
    return Patched(
        view if isinstance(view, dict) else {}, tuple(changed[:MAX_PATHS]), tuple(removed[:MAX_PATHS]), len(operations)
    )


def _read_merge(body: dict[str, Any]) -> Patched:
    changed: list[str] = []
    removed: list[str] = []
    view = _visit(body, "", 0, changed, removed)
    touched = tuple(path for path in changed if path not in ("/apiVersion", "/kind", "/metadata/name"))
    return Patched(view if isinstance(view, dict) else {}, touched[:MAX_PATHS], tuple(removed[:MAX_PATHS]), 1)


def _visit(value: Any, path: str, depth: int, changed: list[str], removed: list[str]) -> Any:
    """What a merge patch sets at this path; notes what it changes and removes there and below."""
    if depth > MAX_DEPTH or len(changed) > MAX_PATHS or len(removed) > MAX_PATHS:
        return None
    if isinstance(value, str):  # as most are
        changed.append(path)
        return value
    if type(value) is Specification and value.is_repeated:
        view, set_, gone = remembered(value, ("patch", path), lambda: _visit_specification(value, path, depth))
        if len(changed) + len(set_) <= MAX_PATHS and len(removed) + len(gone) <= MAX_PATHS:
            changed += set_
            removed += gone
            return view
    if isinstance(value, dict):
        return _visit_mapping(value, path, depth, changed, removed)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        views = (_visit(item, f"{path}/{index}", depth + 1, changed, removed) for index, item in enumerate(value))
        return [view for view in views if view is not None]
    changed.append(path)
    return value


def _visit_specification(value: Specification, path: str, depth: int) -> tuple[Any, list[str], list[str]]:
    changed: list[str] = []
    removed: list[str] = []
    view = _visit_mapping(value, path, depth, changed, removed)
    return (view if view is None else Specification(view, is_repeated=True)), changed, removed


def _visit_mapping(
    value: dict[str, Any], path: str, depth: int, changed: list[str], removed: list[str]
) -> dict[str, Any] | None:
    if value.get("$patch") == "delete":
        name = value.get("name")
        removed.append(f"{path}[{name}]" if isinstance(name, str) else path)
        return None
    view = {}
    may_go_on = depth < MAX_DEPTH
    for key, item in value.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            removed.append(f"{path}/{key.partition('/')[2]}")
        elif key.startswith("$"):
            continue
        elif item is None:
            removed.append(f"{path}/{key}")
        else:
            step = key.replace("~", "~0").replace("/", "~1") if "/" in key or "~" in key else key
            if type(item) is str and may_go_on and len(changed) <= MAX_PATHS and len(removed) <= MAX_PATHS:
                changed.append(f"{path}/{step}")  # as `_visit`, without the call: most items are texts
                view[key] = item
                continue
            inner = _visit(item, f"{path}/{step}", depth + 1, changed, removed)
            if inner is not None:
                view[key] = inner
    if not value:
        changed.append(path)
    return view


def read_patch(body: Any, after: Callable[[], Any] = lambda: None) -> Patched:
    """Read a patch body of any kind; `after` gives the object after the patch, which `copy` and `move` draw on."""
    if isinstance(body, list):
        return _read_operations(body, after)
    if isinstance(body, dict):
        return _read_merge(body)
    return Patched({}, (), (), 0)


def _has_directive(value: Any, depth: int = 0) -> bool:
    if depth > 12:
        return False
    if isinstance(value, dict):
        for key, item in value.items():
            if key[:1] == "$" or (isinstance(item, (dict, list)) and _has_directive(item, depth + 1)):
                return True
        return False
    if isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)) and _has_directive(item, depth + 1):
                return True
    return False


def _has_null(value: Any, depth: int = 0) -> bool:
    if depth > 12:
        return False
    if isinstance(value, dict):
        return any(item is None or _has_null(item, depth + 1) for item in value.values())
    return False


def patch_type(body: Any, *, has_field_manager: bool, is_builtin: bool) -> PatchType:
    """Which kind of patch a body is, as far as it shows: audit events do not carry the content type."""
    if isinstance(body, list):
        return "json"
    if not isinstance(body, dict):
        return "unknown"
    if has_field_manager and "apiVersion" in body and "kind" in body:
        return "apply"
    if _has_directive(body):
        return "strategic"
    if not is_builtin or _has_null(body):
        return "merge"
    return "unknown"
