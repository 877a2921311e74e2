"""What one's own lists and databases come to: the context in which facts are judged."""

import re
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.facts import AddressSet, Context, Ownership
from kubewake.intelligence.fetching import Fetch, get
from kubewake.intelligence.lists import ADDRESSES_ALLOWED, is_address_list
from kubewake.intelligence.origins import Origins, Settings, cache_folder
from kubewake.intelligence.ownership import open_databases

LIST_SUFFIXES = ("", ".csv", ".ipset", ".json", ".list", ".netset", ".txt")
"""Endings of the files in a folder that are lists."""


class Intelligence(Struct, frozen=True, kw_only=True):
    """Everything a configuration brings. `names` are all lists as text; `notices` are titles and texts about them."""

    names: dict[str, tuple[str, ...]] = {}
    user_agents: dict[str, tuple[str, ...]] = {}
    ownership: Callable[[str], Ownership | None] | None = None
    notices: tuple[tuple[str, str], ...] = ()

    def context(self, lists: Mapping[str, Iterable[str]] | None = None) -> Context:
        """The context of facts, one's own lists together with further ones (those of the rules)."""
        names = {name: set(entries) for name, entries in (lists or {}).items()}
        for name, entries in self.names.items():
            names.setdefault(name, set()).update(entries)
        return msgspec.structs.replace(make_context(names, self.user_agents, self.ownership), notices=self.notices)


def make_context(
    lists: Mapping[str, Iterable[str]],
    user_agents: Mapping[str, Iterable[str]] | None = None,
    ownership: Callable[[str], Ownership | None] | None = None,
) -> Context:
    """The context of facts for named lists; SettingsError where an address list holds something else."""
    names = {name: frozenset(entries) for name, entries in lists.items()}
    addresses: dict[str, AddressSet] = {}
    trusted: set[str] = set()
    for name in sorted(names):
        if not is_address_list(name) or not names[name]:
            continue
        try:
            addresses[name] = AddressSet(names[name])
        except ValueError as error:
            raise SettingsError(
                f"list '{name}': {error}; {ADDRESSES_ALLOWED} (`kubewake rules lint DIR` says where it stands in a rules folder)"
            ) from error
        if name.startswith("trusted"):
            trusted |= names[name]
    return Context(
        addresses=addresses,
        user_agents={name: _any_of(patterns) for name, patterns in (user_agents or {}).items() if patterns},
        names=names,
        ownership=ownership,
        trusted_sources=AddressSet(trusted) if trusted else None,
    )


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_agent(text) for text in sorted(patterns)), re.IGNORECASE | re.DOTALL)


_WILDCARD = re.compile(r"\\([*?\\])|([*?])")


def _agent(entry: str) -> str:
    """The expression of an entry: one with wildcards is the whole user agent, one without stands anywhere in it."""
    parts: list[str] = []
    end, is_whole = 0, False
    for found in _WILDCARD.finditer(entry):
        parts.append(re.escape(entry[end : found.start()]))
        parts.append(re.escape(found[1]) if found[1] else {"*": ".*", "?": "."}[found[2]])
        is_whole = is_whole or not found[1]
        end = found.end()
    text = "".join(parts) + re.escape(entry[end:])
    return rf"\A{text}\Z" if is_whole else text


def load_context(path: Path | None, lists: Mapping[str, Iterable[str]] | None = None) -> Context:
    """The context of facts that a configuration file or folder and the lists of the rules give."""
    return (load_intelligence(path) if path is not None else Intelligence()).context(lists)


def load_intelligence(
    path: Path,
    *,
    cache: Path | None = None,
    fetch: Fetch | None = None,
    now: Callable[[], float] = time.time,
    copies_first: bool = False,
) -> Intelligence:
    """Read a configuration file or folder and everything it names; SettingsError says what cannot be read.

    URLs are asked at most once in `refresh_seconds`, with the validators of the last answer; when a server does not
    answer with a list, the last good copy serves and a notice says so. With `copies_first`, servers are asked only for
    lists of which there is no copy.
    """
    notices: list[tuple[str, str]] = []
    if path.is_dir():
        settings, lists = _read_folder(path, notices)
        folder = path
    else:
        settings = _read_settings(path)
        lists, folder = list(settings.lists.items()), path.parent
    origins = Origins(settings, path, folder, cache or cache_folder(), fetch or get, now, notices, copies_first)
    names: dict[str, tuple[str, ...]] = {}
    for name, source in sorted(lists, key=_name):
        names[name] = names.get(name, ()) + tuple(origins.entries(name, source))
    agents = {name: tuple(origins.entries(name, source)) for name, source in sorted(settings.user_agents.items())}
    owners = open_databases([folder / entry for entry in settings.databases]) if settings.databases else None
    if not names and not agents and owners is None:
        notices.append(("No list is in force", f"{path} holds no list and no database: nothing is compared with it"))
    return Intelligence(names=names, user_agents=agents, ownership=owners, notices=tuple(notices))


def _name(item: tuple[str, object]) -> str:
    return item[0]


def _read_folder(path: Path, notices: list[tuple[str, str]]) -> tuple[Settings, list[tuple[str, str | list[str]]]]:
    """The databases and the lists of a folder; what is neither is noticed."""
    lists: list[tuple[str, str | list[str]]] = []
    databases: list[str] = []
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):
            continue
        if file.is_file() and file.suffix == ".mmdb":
            databases.append(file.name)
        elif file.is_file() and file.suffix in LIST_SUFFIXES:
            lists.append((file.stem, file.name))
        else:
            endings = ", ".join(suffix for suffix in LIST_SUFFIXES if suffix)
            text = (
                f"{file} is not read: lists are files that end in {endings} or have no ending, databases end in .mmdb"
            )
            notices.append(("A file is not taken for a list", text))
    return Settings(databases=databases), lists


def _read_settings(path: Path) -> Settings:
    try:
        data = path.read_bytes()
        if path.suffix == ".toml":
            return msgspec.convert(tomllib.loads(data.decode()), Settings)
        return msgspec.yaml.decode(data, type=Settings) if data.strip() else Settings()
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}; check the path of the intelligence file"
        ) from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise SettingsError(
            f"{path}: {error}; it may hold lists, user_agents, databases, refresh_seconds, max_bytes"
        ) from error
