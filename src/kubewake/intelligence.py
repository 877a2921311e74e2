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
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import xxhash
from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.facts import AddressSet, Context, Ownership

ADDRESS_LISTS = ("malicious", "threat", "tor", "cloud", "trusted")
"""Address lists are called so, or begin so with a hyphen behind: known bad, watched, anonymisers, providers' ranges, and
one's own public addresses."""

REFRESH_SECONDS = 86_400
MAX_BYTES = 20_000_000
TIMEOUT_SECONDS = 20.0
OWNERS_REMEMBERED = 8192

Fetch = Callable[[str, Mapping[str, str], int], "Answer"]
"""Get a URL with request headers, reading at most so many bytes."""


class Answer(Struct, frozen=True):
    """What a server said: status, lower-case headers, and the body unless it was not modified."""

    status: int
    headers: dict[str, str]
    body: bytes


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file."""

    lists: dict[str, str | list[str]] = {}
    user_agents: dict[str, str | list[str]] = {}
    databases: list[str] = []
    refresh_seconds: int = REFRESH_SECONDS
    max_bytes: int = MAX_BYTES


class Remembered(Struct, kw_only=True):
    """What is known of a list that came from a URL: validators of its last answer and when it was asked for."""

    url: str
    etag: str = ""
    last_modified: str = ""
    checked: float = 0.0


class Intelligence(Struct, frozen=True, kw_only=True):
    """Everything a configuration brings. `names` are all lists as text; `notices` tell of lists that are out of date."""

    names: dict[str, tuple[str, ...]] = {}
    user_agents: dict[str, tuple[str, ...]] = {}
    ownership: Callable[[str], Ownership | None] | None = None
    notices: tuple[str, ...] = ()

    def context(self, lists: Mapping[str, Iterable[str]] | None = None) -> Context:
        """The context of facts, with further named lists (those of the rules) beside one's own."""
        return make_context({**(lists or {}), **self.names}, self.user_agents, self.ownership)


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
                f"list '{name}': {error}; address lists hold addresses and CIDRs, one a line"
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
    return re.compile("|".join(re.escape(text).replace(r"\*", ".*") for text in sorted(patterns)), re.IGNORECASE)


def load_context(path: Path | None, lists: Mapping[str, Iterable[str]] | None = None) -> Context:
    """The context of facts that a configuration file or folder and the lists of the rules give."""
    return (load_intelligence(path) if path is not None else Intelligence()).context(lists)


def load_intelligence(
    path: Path,
    *,
    cache: Path | None = None,
    fetch: Fetch | None = None,
    now: Callable[[], float] = time.time,
) -> Intelligence:
    """Read a configuration file or folder and everything it names; SettingsError says what cannot be read.

    URLs are asked at most once in `refresh_seconds`, with the validators of the last answer; when a server does not
    answer, the last good copy serves and a notice says so.
    """
    settings = _read_settings(path)
    folder = path if path.is_dir() else path.parent
    library = _Library(settings, folder, cache or cache_folder(), fetch or get, now)
    names = {name: tuple(library.entries(name, source)) for name, source in sorted(settings.lists.items())}
    agents = {name: tuple(library.entries(name, source)) for name, source in sorted(settings.user_agents.items())}
    owners = open_databases([folder / entry for entry in settings.databases]) if settings.databases else None
    if not names and not agents and owners is None:
        library.notices.append(f"{path} holds no list and no database: nothing is compared with it")
    return Intelligence(names=names, user_agents=agents, ownership=owners, notices=tuple(library.notices))


def cache_folder() -> Path:
    """Where lists from URLs are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kubewake" / "intelligence"


def _read_settings(path: Path) -> Settings:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".txt", ".json", ".csv", ".netset", ".list"))
        databases = sorted(str(file) for file in path.glob("*.mmdb"))
        return Settings(lists={file.stem: file.name for file in files}, databases=databases)
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

    def __init__(self, settings: Settings, folder: Path, cache: Path, fetch: Fetch, now: Callable[[], float]) -> None:
        self._settings = settings
        self._folder = folder
        self._cache = cache
        self._fetch = fetch
        self._now = now
        self.notices: list[str] = []

    def entries(self, name: str, source: str | list[str]) -> Iterator[str]:
        if not isinstance(source, str):
            yield from source
            return
        data = self._download(name, source) if source.startswith(("http://", "https://")) else self._read(name, source)
        yield from parse_list(data, addresses=is_address_list(name))

    def _read(self, name: str, source: str) -> bytes:
        path = self._folder / source
        try:
            with path.open("rb") as stream:
                data = stream.read(self._settings.max_bytes + 1)
        except OSError as error:
            raise SettingsError(f"list '{name}': {path} cannot be read: {error.strerror}") from error
        if len(data) > self._settings.max_bytes:
            raise SettingsError(
                f"list '{name}': {path} is larger than max_bytes ({self._settings.max_bytes}); raise it"
            )
        return data

    def _download(self, name: str, url: str) -> bytes:
        stem = xxhash.xxh3_64_hexdigest(url.encode())
        body_file, note_file = self._cache / f"{stem}.body", self._cache / f"{stem}.json"
        known = _remembered(note_file, url)
        body = _read_bytes(body_file) if known is not None else None
        if known is None or body is None:
            known, body = Remembered(url=url), None
        if body is not None and 0 <= self._now() - known.checked < self._settings.refresh_seconds:
            return body
        headers = {"accept": "text/plain, application/json, */*"}
        if body is not None and known.etag:
            headers["if-none-match"] = known.etag
        if body is not None and known.last_modified:
            headers["if-modified-since"] = known.last_modified
        try:
            answer = self._fetch(url, headers, self._settings.max_bytes)
        except OSError as error:
            return self._fallback(name, url, body, str(error))
        if answer.status == 304 and body is not None:
            fresh = body
        elif answer.status == 200:
            fresh = answer.body
            known.etag = answer.headers.get("etag", "")
            known.last_modified = answer.headers.get("last-modified", "")
        else:
            return self._fallback(name, url, body, f"the server answered {answer.status}")
        known.checked = self._now()
        self._remember(body_file, note_file, fresh, known)
        return fresh

    def _fallback(self, name: str, url: str, body: bytes | None, reason: str) -> bytes:
        if body is None:
            raise SettingsError(f"list '{name}': {url} cannot be fetched ({reason}) and there is no earlier copy")
        self.notices.append(f"list '{name}' is out of date: {url} cannot be fetched ({reason}); the last copy is used")
        return body

    def _remember(self, body_file: Path, note_file: Path, body: bytes, note: Remembered) -> None:
        try:
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, data in ((body_file, body), (note_file, msgspec.json.encode(note))):
                temporary = path.with_suffix(f"{path.suffix}.{os.getpid()}")
                temporary.write_bytes(data)
                temporary.replace(path)
        except OSError as error:
            self.notices.append(f"{self._cache} cannot be written ({error.strerror}): lists are fetched at every start")


def _remembered(path: Path, url: str) -> Remembered | None:
    data = _read_bytes(path)
    try:
        note = msgspec.json.decode(data, type=Remembered) if data is not None else None
    except msgspec.MsgspecError:
        return None
    return note if note is not None and note.url == url else None


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def get(url: str, headers: Mapping[str, str], max_bytes: int) -> Answer:
    """Get a URL over HTTP(S), following redirects; OSError for anything that goes wrong or is too large."""
    import httpx  # noqa: PLC0415  # only where a list comes from a server

    try:
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True) as client,
            client.stream("GET", url, headers=dict(headers)) as response,
        ):
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise OSError(f"more than max_bytes ({max_bytes})")
            found = {key.lower(): value for key, value in response.headers.items()}
            return Answer(response.status_code, found, bytes(body))
    except httpx.HTTPError as error:
        raise OSError(str(error) or type(error).__name__) from error


_COMMENT = re.compile(r"(?:^|\s)[#;].*")


def parse_list(data: bytes, *, addresses: bool = False) -> Iterator[str]:
    """The entries of a list: one a line with `#` and `;` comments, or JSON.

    Of an address list the first column counts, and in JSON every text that is an address or network, so that the files
    in which cloud providers publish their ranges serve as they are.
    """
    text = data.decode("utf-8-sig", errors="replace")
    if text.lstrip().startswith(("{", "[")):
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise SettingsError(f"a list that starts as JSON is none: {error}") from error
        yield from dict.fromkeys(item for item in _texts(found) if not addresses or _is_network(item))
        return
    for line in text.splitlines():
        entry = _COMMENT.sub("", line).strip()
        if addresses:
            entry = re.split(r"[\s,]", entry, maxsplit=1)[0].strip('"')
        if entry:
            yield entry


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
        ip_network(text, strict=False)
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
