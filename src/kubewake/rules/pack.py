"""Loading rules: the built-in pack, compiled when the wheel was built, and users' folders through a cache.

Compiled rules are msgpack that is validated by type when read, never pickle. pySigma is imported only when a file has
to be parsed.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import xxhash
from msgspec import Struct

from kubewake.errors import RuleError
from kubewake.fields import FIELDS
from kubewake.rules.compiled import CompiledFile
from kubewake.rules.condition import Condition, Expand, leaves
from kubewake.rules.lists import merged
from kubewake.rules.pattern import placeholders
from kubewake.rules.ruleset import RuleSet, nearest

HERE = Path(__file__).parent
BUILTIN = HERE / "builtin"
LISTS = HERE / "lists"
BUILTIN_PACK = HERE / "builtin.pack"
BUILTIN_LABEL = "kubewake/rules"
"""How files of the built-in pack are called in messages, wherever it is installed."""

TESTS_FOLDER = "tests"
"""Folders of this name hold tests of rules, not rules."""

NOTHING = "no rule, correlation, filter or list"
"""What is said of a file or folder that has nothing to load."""

_COMPILER = ("compiled", "condition", "document", "model", "parse", "pattern", "sigma")
"""The modules that decide what a rule file compiles to: a change of any makes old compiled rules stale."""


class Pack(Struct):
    """Compiled files by the digest of their path and content, made by one version of the compiler."""

    compiler: str
    files: dict[str, CompiledFile]


def compiler_version() -> str:
    """A digest of everything but the rule that decides how a rule compiles."""
    digest = xxhash.xxh3_128()
    for name in _COMPILER:
        digest.update((HERE / f"{name}.py").read_bytes())
    elements = sorted(name for name, field in FIELDS.items() if field.kind == "elements")
    digest.update("\0".join(elements).encode())
    return digest.hexdigest()


def file_digest(label: str, text: str) -> str:
    """What a compiled file is remembered under."""
    return xxhash.xxh3_128_hexdigest(f"{label}\0{text}".encode("utf-8", "surrogateescape"))


def cache_folder() -> Path:
    """The user's cache folder for compiled rules."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kubewake" / "rules"


def read_pack(path: Path, compiler: str) -> dict[str, CompiledFile]:
    """The compiled files of a pack; empty where it is missing, damaged, not ours, or from another compiler."""
    try:
        status = path.stat()
        if hasattr(os, "getuid") and path != BUILTIN_PACK and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            return {}
        pack = msgspec.msgpack.decode(path.read_bytes(), type=Pack)
    except (OSError, msgspec.DecodeError):
        return {}
    return pack.files if pack.compiler == compiler else {}


def write_pack(path: Path, compiler: str, files: dict[str, CompiledFile]) -> None:
    """Store compiled files at once or not at all; a folder that cannot be written only costs time later."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".pack-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(msgspec.msgpack.encode(Pack(compiler, files)))
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def rule_files(path: Path) -> list[Path]:
    """The file itself, or every .yml and .yaml file below a folder but those in `tests`, in a stable order."""
    if not path.exists():
        raise RuleError(f"{path}:1: there is no such rule file or folder; check the path")
    if path.is_file():
        return [path]
    found = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return [
        file
        for file in found
        if file.suffix in {".yml", ".yaml"} and TESTS_FOLDER not in file.relative_to(path).parts[:-1]
    ]


def compile_sources(sources: Sequence[tuple[str, str]], known: Mapping[str, CompiledFile]) -> dict[str, CompiledFile]:
    """Compile (label, text) pairs, taking what is known; RuleError for the first file that is wrong."""
    compiled: dict[str, CompiledFile] = {}
    for label, text in sources:
        digest = file_digest(label, text)
        found = known.get(digest)
        if found is None:
            from kubewake.rules.parse import compile_text

            found = compile_text(text, label)
        compiled[digest] = found
    return compiled


def read_source(file: Path) -> str:
    """The text of a rule file; RuleError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise RuleError(f"{file}:1: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RuleError(f"{file}:1: is not UTF-8 text") from error


def builtin_sources() -> list[tuple[str, str]]:
    """Label and text of every file of the built-in pack."""
    files = [file for folder in (BUILTIN, LISTS) if folder.is_dir() for file in rule_files(folder)]
    return [(f"{BUILTIN_LABEL}/{file.relative_to(HERE).as_posix()}", read_source(file)) for file in files]


def builtin_path(label: str) -> Path:
    """Where a file of the built-in pack stands on this machine."""
    return HERE / label.removeprefix(BUILTIN_LABEL + "/")


def load_builtin() -> list[CompiledFile]:
    """The built-in pack, from the wheel's compiled form where that is current."""
    compiler = compiler_version()
    sources = builtin_sources()
    shipped = read_pack(BUILTIN_PACK, compiler)
    if shipped and all(file_digest(label, text) in shipped for label, text in sources):
        return list(shipped.values())
    return _through_cache("builtin", sources, compiler)


def load_files(paths: Iterable[Path]) -> list[CompiledFile]:
    """Users' rule files and folders, compiled through the user's cache."""
    compiler = compiler_version()
    loaded: list[CompiledFile] = []
    for path in paths:
        sources = [(str(file), read_source(file)) for file in rule_files(path)]
        loaded.extend(_through_cache(xxhash.xxh3_64_hexdigest(str(path.resolve()).encode()), sources, compiler))
    return loaded


def _through_cache(name: str, sources: Sequence[tuple[str, str]], compiler: str) -> list[CompiledFile]:
    path = cache_folder() / f"{name}.pack"
    known = read_pack(path, compiler)
    compiled = compile_sources(sources, known)
    if compiled.keys() != known.keys():
        write_pack(path, compiler, compiled)
    return list(compiled.values())


def build_builtin_pack() -> int:
    """Compile the built-in pack into the package (done when the wheel is built); returns the number of files."""
    compiled = compile_sources(builtin_sources(), {})
    BUILTIN_PACK.write_bytes(msgspec.msgpack.encode(Pack(compiler_version(), compiled)))
    return len(compiled)


def lists_named(files: Iterable[CompiledFile]) -> set[str]:
    """The lists that rules refer to. Those of the built-in pack exist, and are empty unless a user fills them."""
    return _named_in(rule.tree for file in files for rule in file.rules)


def _named_in(trees: Iterable[Condition]) -> set[str]:
    return {
        name
        for tree in trees
        for _, leaf in leaves(tree)
        if isinstance(leaf, Expand)
        for name in placeholders(leaf.pattern)
    }


def _idle(lists: Iterable[str], files: Sequence[CompiledFile]) -> Iterator[str]:
    """What to say of lists that nothing is compared with."""
    from kubewake.intelligence import ADDRESS_LISTS, is_address_list

    known = lists_named(files) | _named_in(item.tree for file in files for item in file.filters)
    known.update(name for file in files for name in file.lists)
    for name in lists:
        if name in known or is_address_list(name):
            continue
        meant = name.lower().replace("_", "-")
        hint = (
            f" (did you mean '{meant}'?)" if is_address_list(meant) else nearest(name.lower(), known | {*ADDRESS_LISTS})
        )
        yield f"no rule uses the list '{name}' of --intelligence{hint}; docs/threat-intelligence.md says what lists are called"


def load_rules(
    paths: Iterable[Path] = (),
    *,
    builtin: bool = True,
    lists: Mapping[str, Iterable[str]] | None = None,
    today: str = "",
    only: Iterable[str] | None = None,
    others: Iterable[str] = (),
) -> RuleSet:
    """The built-in pack and users' folders as one rule set; RuleError with file:line for what is wrong.

    A folder may hold rules, correlations, filters and named lists; `lists` extend the named lists.
    `today` (ISO date) is what filters expire against; `others` are ids of Python detectors that filters may name.
    """
    files = load_builtin() if builtin else []
    layers: list[Mapping[str, Iterable[str]]] = [dict.fromkeys(lists_named(files), ())]
    hollow: list[Path] = []
    for path in paths:
        own = load_files([path])
        files.extend(own)
        if all(file.is_empty for file in own):
            hollow.append(path)
    layers.extend(file.lists for file in files)
    if lists:
        layers.append(lists)
    ruleset = RuleSet(files, lists=merged(*layers), today=today, only=only, others=others)
    ruleset.notices.extend(reason for file in files for reason in file.skipped)
    ruleset.notices.extend(_idle(lists or (), files))
    ruleset.notices.extend(f"{path} holds {NOTHING}; `kubewake rules lint {path}` says more" for path in hollow)
    return ruleset


if __name__ == "__main__":
    sys.stdout.write(f"{build_builtin_pack()} files compiled into {BUILTIN_PACK}\n")
