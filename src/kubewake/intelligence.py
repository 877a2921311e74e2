"""Threat intelligence and local knowledge: lists from files and HTTP(S), and databases of who owns an address.

A configuration is one YAML or TOML file:

    lists:                     # name: file, URL, or the entries themselves
      malicious-botnets: https://feeds.example/addresses.txt
      tor: tor-exits.txt
      trusted: [198.51.100.0/24]
      malicious_images: images.txt
    user_agents: {our-red-team: agents.txt}
    databases: [GeoLite2-ASN.mmdb, GeoLite2-Country.mmdb]
    refresh_seconds: 86400
    max_bytes: 20000000

or a folder of such lists, each file named after its list. Lists with the names of `ADDRESS_LISTS` hold addresses and
networks; all others hold texts that rules refer to as `%name%`.
"""

import os
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import xxhash
from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.facts import AddressSet, Context, Ownership, parse_network
from kubewake.fetching import Answer, Fetch, get

ADDRESS_LISTS = ("malicious", "threat", "tor", "cloud", "trusted")
"""Address lists are called so, or begin so with a hyphen behind: known bad, watched, anonymisers, providers' ranges, and
one's own public addresses."""

LIST_SUFFIXES = ("", ".csv", ".ipset", ".json", ".list", ".netset", ".txt")
"""Endings of the files in a folder that are lists."""
REFRESH_SECONDS = 86_400
RETRY_SECONDS = 300
"""A server that failed is not asked again before, as long as there is a copy."""
MAX_BYTES = 20_000_000
OWNERS_REMEMBERED = 8192
_ADDRESSES_ALLOWED = "address lists hold addresses and CIDRs, one a line"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file."""

    lists: dict[str, str | list[str]] = {}
    user_agents: dict[str, str | list[str]] = {}
    databases: list[str] = []
    refresh_seconds: int = REFRESH_SECONDS
    max_bytes: int = MAX_BYTES


class Remembered(Struct, kw_only=True):
    """What is known of a list that came from a URL: validators of its last answer and when it was asked for.

    `failed` is when it was last asked for in vain since then, and `failure` why; 0 and empty where it answered.
    """

    url: str
    etag: str = ""
    last_modified: str = ""
    checked: float = 0.0
    failed: float = 0.0
    failure: str = ""


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
                f"list '{name}': {error}; {_ADDRESSES_ALLOWED} (`kubewake rules lint DIR` says where it stands in a rules folder)"
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


def is_address_list(name: str) -> bool:
    """Whether a list of this name holds addresses and networks."""
    return name.partition("-")[0] in ADDRESS_LISTS


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
    library = _Library(settings, path, folder, cache or cache_folder(), fetch or get, now, notices, copies_first)
    names: dict[str, tuple[str, ...]] = {}
    for name, source in sorted(lists, key=_name):
        names[name] = names.get(name, ()) + tuple(library.entries(name, source))
    agents = {name: tuple(library.entries(name, source)) for name, source in sorted(settings.user_agents.items())}
    owners = open_databases([folder / entry for entry in settings.databases]) if settings.databases else None
    if not names and not agents and owners is None:
        notices.append(("No list is in force", f"{path} holds no list and no database: nothing is compared with it"))
    return Intelligence(names=names, user_agents=agents, ownership=owners, notices=tuple(notices))


def _name(item: tuple[str, object]) -> str:
    return item[0]


def cache_folder() -> Path:
    """Where lists from URLs are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kubewake" / "intelligence"


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


class _Library:
    """Reads lists from wherever a configuration says they are."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        folder: Path,
        cache: Path,
        fetch: Fetch,
        now: Callable[[], float],
        notices: list[tuple[str, str]],
        copies_first: bool,
    ) -> None:
        self._settings = settings
        self._path = path
        self._folder = folder
        self._cache = cache
        self._fetch = fetch
        self._now = now
        self._notices = notices
        self._copies_first = copies_first

    def entries(self, name: str, source: str | list[str]) -> list[str]:
        """The entries of a list; SettingsError says what is wrong and where."""
        addresses = is_address_list(name)
        try:
            if not isinstance(source, str):
                for entry in source if addresses else ():
                    _check_address(entry, str(self._path))
                return source
            if source.startswith(("http://", "https://")):
                return self._download(name, source, addresses)
            path = self._folder / source
            return parse_list(self._read(path), str(path), addresses=addresses)
        except SettingsError as error:
            raise SettingsError(f"list '{name}': {error}") from error

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as stream:
                data = stream.read(self._settings.max_bytes + 1)
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > self._settings.max_bytes:
            raise SettingsError(f"{path} is larger than max_bytes ({self._settings.max_bytes}); raise it")
        return data

    def _download(self, name: str, url: str, addresses: bool) -> list[str]:
        stem = xxhash.xxh3_64_hexdigest(url.encode())
        body_file, note_file = self._cache / f"{stem}.body", self._cache / f"{stem}.json"
        known = _remembered(note_file, url)
        copy = _copy(body_file, url, addresses) if known is not None else None
        if known is None or copy is None:
            known, copy = Remembered(url=url), None
        now = self._now()
        if copy is not None and (self._copies_first or 0 <= now - known.checked < self._settings.refresh_seconds):
            return copy
        if copy is not None and known.failed and 0 <= now - known.failed < RETRY_SECONDS:
            return self._fallback(name, url, copy, known.failure)
        headers = {"accept": "text/plain, application/json, */*"}
        if copy is not None and known.etag:
            headers["if-none-match"] = known.etag
        if copy is not None and known.last_modified:
            headers["if-modified-since"] = known.last_modified
        try:
            answer = self._fetch(url, headers, self._settings.max_bytes)
            if answer.status == 304 and copy is not None:
                fresh, body = copy, None
            else:
                fresh, body = _entries_of(answer, url, addresses), answer.body
                known.etag = answer.headers.get("etag", "")
                known.last_modified = answer.headers.get("last-modified", "")
        except (OSError, SettingsError) as error:
            known.failed, known.failure = self._now(), str(error)
            if copy is not None:
                self._remember(note_file, msgspec.json.encode(known))
            return self._fallback(name, url, copy, known.failure)
        known.checked, known.failed, known.failure = self._now(), 0.0, ""
        if body is not None:
            self._remember(body_file, body)
        self._remember(note_file, msgspec.json.encode(known))
        return fresh

    def _fallback(self, name: str, url: str, copy: list[str] | None, reason: str) -> list[str]:
        if copy is None:
            raise SettingsError(f"{url} cannot be fetched ({reason}) and there is no earlier copy")
        text = f"list '{name}' is out of date: {url} cannot be fetched ({reason}); the last copy is used"
        self._notices.append(("A list is out of date", text))
        return copy

    def _remember(self, file: Path, data: bytes) -> None:
        try:
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = file.with_suffix(f"{file.suffix}.{os.getpid()}")
            temporary.write_bytes(data)
            temporary.replace(file)
        except OSError as error:
            text = f"{self._cache} cannot be written ({error.strerror}): lists are fetched at every start"
            if ("Lists cannot be kept", text) not in self._notices:
                self._notices.append(("Lists cannot be kept", text))


def _remembered(path: Path, url: str) -> Remembered | None:
    try:
        note = msgspec.json.decode(path.read_bytes(), type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note.url == url else None


def _copy(path: Path, url: str, addresses: bool) -> list[str] | None:
    """The entries of the last answer; None where there is none, or none that is a list of this kind."""
    try:
        return parse_list(path.read_bytes(), url, addresses=addresses)
    except (OSError, SettingsError):
        return None


def _entries_of(answer: Answer, url: str, addresses: bool) -> list[str]:
    """The entries of a server's answer; OSError or SettingsError where it is no list."""
    if answer.status != 200:
        raise OSError(f"the server answered {answer.status}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise OSError("the server answered with a page (text/html), not with a list")
    if not answer.body.strip():
        raise OSError("the answer is empty")
    return parse_list(answer.body, url, addresses=addresses)


_COMMENT = re.compile(r"(?:^|\s)[#;].*")
_HEADING = re.compile(r"[A-Za-z][\w -]*")
"""What the first cell of a CSV file's first row may be, if it is no address."""


def parse_list(data: bytes, where: str, *, addresses: bool = False) -> list[str]:
    """The entries of a list: one a line with `#` and `;` comments, or JSON; SettingsError begins with `where`.

    Of an address list the first column counts, and in JSON every text that is an address or network, so that the files
    in which cloud providers publish their ranges serve as they are.
    """
    text = data.decode("utf-8-sig", errors="replace")
    start = text[:1000].lstrip()
    if start.lower().startswith(("<!doctype", "<html")):
        raise SettingsError(f"{where}: this is a page (HTML), not a list")
    if start.startswith(("{", "[")):
        return _json_entries(text, where, addresses)
    lines = enumerate((_COMMENT.sub("", line).strip() for line in text.splitlines()), 1)
    if not addresses:
        return [entry for _, entry in lines if entry]
    cells = [(number, re.split(r"[\s,]", line, maxsplit=1)[0].strip('"')) for number, line in lines if line]
    if len(cells) > 1 and _HEADING.fullmatch(cells[0][1]):
        del cells[0]
    for number, cell in cells:
        _check_address(cell, f"{where}:{number}")
    return [cell for _, cell in cells]


def _json_entries(text: str, where: str, addresses: bool) -> list[str]:
    try:
        texts = list(dict.fromkeys(_texts(msgspec.json.decode(text))))
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"{where}: a list that starts as JSON is none: {error}") from error
    if not addresses:
        return texts
    found = [text for text in texts if _is_network(text)]
    if texts and not found:
        raise SettingsError(f"{where}: no text of this JSON is an address or CIDR, as those of address lists are")
    return found


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
"""What most entries are; recognised in a tenth of the time that parsing takes."""


def _check_address(text: str, where: str) -> None:
    if _PLAIN.fullmatch(text):
        return
    try:
        parse_network(text)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}; {_ADDRESSES_ALLOWED}") from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_network(text: str) -> bool:
    try:
        parse_network(text)
    except ValueError:
        return False
    return "." in text or ":" in text


def open_databases(paths: Iterable[Path]) -> Callable[[str], Ownership | None]:
    """A function that looks addresses up in MaxMind-format databases of ASNs and countries, answers remembered."""
    import maxminddb  # noqa: PLC0415  # only where a database is given

    readers = []
    for path in paths:
        try:
            readers.append(maxminddb.open_database(path))
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise SettingsError(
                f"database {path} cannot be opened: {error}; it must be a MaxMind .mmdb file"
            ) from error

    @lru_cache(maxsize=OWNERS_REMEMBERED)
    def owner_of(address: str) -> Ownership | None:
        records = []
        for reader in readers:
            try:
                record = reader.get(address)
            except ValueError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return merge_ownership(records) if records else None

    return owner_of


def merge_ownership(records: Iterable[Mapping[str, Any]]) -> Ownership:
    """One answer from the records of several databases (GeoLite2, DB-IP and IPinfo layouts); the first word counts."""
    asn: int | None = None
    organisation: str | None = None
    country: str | None = None
    for record in records:
        if asn is None:
            asn = number_of_asn(record.get("autonomous_system_number") or record.get("asn"))
        organisation = organisation or _text(
            record.get("autonomous_system_organization") or record.get("as_name") or record.get("name")
        )
        place = record.get("country") or record.get("registered_country")
        code = place.get("iso_code") if isinstance(place, Mapping) else record.get("country_code") or place
        country = country or _text(code)
    return Ownership(asn=asn, organisation=organisation, country=country)


def number_of_asn(value: object) -> int | None:
    """An AS number from `64496` or `AS64496`; None for anything else."""
    if isinstance(value, int):
        return value
    digits = value.upper().removeprefix("AS") if isinstance(value, str) else ""
    return int(digits) if digits.isdecimal() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
