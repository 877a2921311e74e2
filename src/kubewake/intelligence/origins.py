"""Where lists come from: files, and servers whose last good answers are kept between runs."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import xxhash
from msgspec import Struct

from kubewake.errors import SettingsError
from kubewake.intelligence.fetching import Answer, Fetch
from kubewake.intelligence.lists import check_address, is_address_list, parse_list

REFRESH_SECONDS = 86_400
RETRY_SECONDS = 300
"""A server that failed is not asked again before, as long as there is a copy."""
MAX_BYTES = 20_000_000


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


def cache_folder() -> Path:
    """Where lists from URLs are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kubewake" / "intelligence"


class Origins:
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
                    check_address(entry, str(self._path))
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
