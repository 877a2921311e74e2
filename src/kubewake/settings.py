"""The one table of settings: `Settings`. Flags, environment, files, `kubewake settings` and docs/settings.md follow it.

Precedence: flag, then environment (`KUBEWAKE_` and the name in capitals), then the file, then the default.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from kubewake.errors import SettingsError
from kubewake.finding import Audience, Severity

PREFIX = "KUBEWAKE_"
FILE_VARIABLE = "KUBEWAKE_CONFIG"
MASK = "********"

_MIB = 1024 * 1024


def _default_state_dir() -> str:
    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(root) / "kubewake")


_SERVER = {"section": "Receiving"}
_FOLLOW = {"section": "Following log files"}
_DETECT = {"section": "Detecting"}
_TELL = {"section": "Telling people"}
_KEEP = {"section": "Keeping state"}
_SELF = {"section": "Its own log"}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting of kubewake: its name, type, default and meaning. A frozen value; see `load`."""

    listen: Annotated[
        str,
        Meta(
            description="Address and port on which the API server's audit webhook is received; empty: no webhook.",
            extra=_SERVER,
        ),
    ] = "127.0.0.1:9443"
    tls_cert: Annotated[
        str, Meta(description="PEM file with the server's certificate chain. Together with `tls_key`.", extra=_SERVER)
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file with the server's private key.", extra=_SERVER)] = ""
    client_ca: Annotated[
        str,
        Meta(
            description="PEM file of the CA whose client certificates API servers must present (mutual TLS).",
            extra=_SERVER,
        ),
    ] = ""
    token_file: Annotated[
        str,
        Meta(
            description="File of bearer tokens: one token alone for every cluster, or lines of `CLUSTER TOKEN`.",
            extra=_SERVER,
        ),
    ] = ""
    insecure: Annotated[
        bool,
        Meta(
            description="Allow listening beyond loopback without TLS and without client certificate or token.",
            extra=_SERVER,
        ),
    ] = False
    clusters: Annotated[
        list[str],
        Meta(description="Cluster names that may send to the webhook; empty: any well-formed name.", extra=_SERVER),
    ] = []
    body_max_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest webhook body, after decompression; larger ones are answered 413.",
            extra={**_SERVER, "unit": "bytes"},
        ),
    ] = 16 * _MIB
    retry_after_seconds: Annotated[
        int,
        Meta(
            ge=1,
            description="What a refused API server is told to wait before it tries again.",
            extra={**_SERVER, "unit": "seconds"},
        ),
    ] = 5
    ready_lag_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="`/readyz` fails while the oldest stored body has waited longer than this for the engine.",
            extra={**_SERVER, "unit": "seconds"},
        ),
    ] = 60.0

    follow: Annotated[
        list[str],
        Meta(
            description="Log files, folders or globs to follow across rotation. They may appear later.", extra=_FOLLOW
        ),
    ] = []
    follow_from: Annotated[
        Literal["beginning", "end"],
        Meta(description="Where to begin in a file that is met for the first time at start.", extra=_FOLLOW),
    ] = "beginning"
    follow_poll_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="How often followed files are looked at when the kernel reports no change.",
            extra={**_FOLLOW, "unit": "seconds"},
        ),
    ] = 1.0
    line_max_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Longest line of a followed file; longer ones are counted as malformed and passed over.",
            extra={**_FOLLOW, "unit": "bytes"},
        ),
    ] = 16 * _MIB
    cluster: Annotated[
        str, Meta(description="Cluster name of followed files whose events name none.", extra=_FOLLOW)
    ] = "default"

    rules: Annotated[
        list[str],
        Meta(description="Folders or files of your own rules and filters, beside the built-in pack.", extra=_DETECT),
    ] = []
    intelligence: Annotated[
        str,
        Meta(
            description="Folder or file of your own lists of addresses, user agents, images and owners; empty: none.",
            extra=_DETECT,
        ),
    ] = ""
    baseline: Annotated[
        str,
        Meta(
            description="File of `kubewake baseline train` or `export`, to know from the start what is usual; empty: none.",
            extra=_DETECT,
        ),
    ] = ""
    lateness_seconds: Annotated[
        int,
        Meta(
            ge=0,
            description="How late an event may arrive, in event time, and still be recognised as a duplicate.",
            extra={**_DETECT, "unit": "seconds"},
        ),
    ] = 30

    output: Annotated[
        Literal["auto", "text", "jsonl", "none"],
        Meta(
            description="What is printed for each finding: plain words, JSON Lines, or nothing; auto: plain words.",
            extra=_TELL,
        ),
    ] = "auto"
    print_min_severity: Annotated[
        Severity, Meta(description="Findings below this severity are not printed.", extra=_TELL)
    ] = "medium"
    audience: Annotated[
        Audience,
        Meta(
            description="Whose findings are printed and sent: everyone; pedantic adds the hunter's; auditor adds all.",
            extra=_TELL,
        ),
    ] = "everyone"
    out: Annotated[
        str,
        Meta(
            description="File to which all findings and incidents are appended as JSON Lines; empty: none.", extra=_TELL
        ),
    ] = ""
    out_fsync: Annotated[bool, Meta(description="Flush `out` to the disk after each write.", extra=_TELL)] = False
    notify: Annotated[
        list[str],
        Meta(
            description="Where to send alerts: any Apprise URL (https://github.com/caronc/apprise/wiki).",
            extra={**_TELL, "secret": True},
        ),
    ] = []
    notify_min_severity: Annotated[
        Severity, Meta(description="Findings below this severity are not sent to `notify`.", extra=_TELL)
    ] = "high"

    state_dir: Annotated[
        str,
        Meta(description="Folder of the spool and the engine's state. One kubewake at a time may use it.", extra=_KEEP),
    ] = msgspec.field(default_factory=_default_state_dir)
    spool_max_bytes: Annotated[
        int,
        Meta(
            ge=_MIB,
            description="Bodies that wait for the engine may take this much, compressed; beyond, senders get 429.",
            extra={**_KEEP, "unit": "bytes"},
        ),
    ] = 1024 * _MIB
    snapshot_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="How often the engine's state is saved. After a crash, what came since is judged again.",
            extra={**_KEEP, "unit": "seconds"},
        ),
    ] = 15.0
    retention_days: Annotated[
        float,
        Meta(
            gt=0,
            description="Findings and incidents are kept in the state for so long after they were last told of.",
            extra={**_KEEP, "unit": "days"},
        ),
    ] = 90.0
    outbox_max_messages: Annotated[
        int,
        Meta(
            ge=1,
            description="Messages that wait for one target at most; beyond, the oldest are dropped and counted.",
            extra=_KEEP,
        ),
    ] = 100_000
    shutdown_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a clean shutdown may take to finish what is in hand.",
            extra={**_KEEP, "unit": "seconds"},
        ),
    ] = 20.0

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="What kubewake writes about itself to standard error.", extra=_SELF),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "text", "json"],
        Meta(description="Form of that log; auto: text on a terminal, else JSON.", extra=_SELF),
    ] = "auto"


class Setting(Struct, frozen=True):
    """One row of the table. `unit` is empty where the value has none."""

    name: str
    kind: str
    default: Any
    doc: str
    section: str
    unit: str = ""
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The flag of `kubewake serve` that sets it."""
        return "--" + self.name.replace("_", "-")


class Loaded(Struct, frozen=True):
    """Effective settings, and where each came from: `flag`, `environment VARIABLE`, `FILE:LINE` or `default`."""

    settings: Settings
    origins: dict[str, str]


def _row(field: msgspec.inspect.Field) -> Setting:
    kind = field.type
    extra: dict[str, Any] = {}
    doc = ""
    if isinstance(kind, msgspec.inspect.Metadata):
        extra = dict(kind.extra or {})
        doc = (kind.extra_json_schema or {}).get("description", "")
        kind = kind.type
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(kind, msgspec.inspect.LiteralType):
        name = "|".join(str(value) for value in kind.values)
    elif isinstance(kind, msgspec.inspect.ListType):
        name = "list"
    else:
        name = {"StrType": "text", "BoolType": "true|false", "IntType": "integer", "FloatType": "number"}[
            type(kind).__name__
        ]
    return Setting(
        field.name, name, default, doc, extra.get("section", ""), extra.get("unit", ""), bool(extra.get("secret"))
    )


TABLE: tuple[Setting, ...] = tuple(
    _row(field)
    for field in msgspec.inspect.type_info(Settings).fields  # type: ignore[attr-defined]
)
"""The rows of the table, in the order of documentation."""

_ROWS = {row.name: row for row in TABLE}


def load(
    file: str | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    """The effective settings out of one TOML or YAML file, the environment and flags.

    Flags that are None are not given. Raises SettingsError with the place of the first wrong entry.
    """
    environment = os.environ if environment is None else environment
    file = file or environment.get(FILE_VARIABLE) or None
    values: dict[str, Any] = {}
    origins = dict.fromkeys(_ROWS, "default")
    if file:
        _read_file(Path(file), values, origins)
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        row = _ROWS.get(name)
        if row is None:
            raise SettingsError(f"environment: unknown setting {variable!r}{_suggestion(name, PREFIX, upper=True)}")
        where = f"environment {variable}"
        values[name], origins[name] = _convert(row, [*_split(text)] if row.kind == "list" else text, where), where
    for name, value in (flags or {}).items():
        if value is None:
            continue
        row = _ROWS[name]
        values[name], origins[name] = _convert(row, value, f"flag {row.flag}"), "flag"
    settings = Settings(**values)
    _check(settings)
    return Loaded(settings, origins)


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"[\s]+", text.strip()) if part]


def _read_file(path: Path, values: dict[str, Any], origins: dict[str, str]) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{path}: cannot read the configuration ({reason}); check --config") from error
    try:
        document = tomllib.loads(text) if path.suffix.lower() == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: not {'TOML' if path.suffix.lower() == '.toml' else 'YAML'}: {error}") from error
    if document is None:
        return
    if not isinstance(document, dict):
        raise SettingsError(f"{path}:1: expected settings as `name: value`, found a {type(document).__name__}")
    for key, value in document.items():
        name = str(key).replace("-", "_")
        where = f"{path}:{_line(text, str(key))}"
        row = _ROWS.get(name)
        if row is None:
            raise SettingsError(f"{where}: unknown setting {str(key)!r}{_suggestion(name)}")
        values[name], origins[name] = _convert(row, value, where), where


def _line(text: str, key: str) -> int:
    match = re.search(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?\s*[=:]", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _suggestion(name: str, prefix: str = "", *, upper: bool = False) -> str:
    near = difflib.get_close_matches(name, _ROWS, n=1, cutoff=0.5)
    if not near:
        return "; `kubewake settings` lists them all"
    return f" (did you mean {prefix + (near[0].upper() if upper else near[0])!r}?)"


_TYPES: dict[str, Any] = {}


def _convert(row: Setting, value: Any, where: str) -> Any:
    if not _TYPES:
        _TYPES.update(Settings.__annotations__)
    if row.kind == "list" and isinstance(value, str):
        value = [value]
    if row.kind == "text" and isinstance(value, Path):
        value = str(value)
    strict = not isinstance(value, str)
    if row.kind == "true|false" and isinstance(value, str):
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    try:
        return msgspec.convert(value, _TYPES[row.name], strict=strict)
    except msgspec.ValidationError as error:
        shown = MASK if row.secret else repr(value)
        unit = f" in {row.unit}" if row.unit else ""
        raise SettingsError(f"{where}: {row.name} is {shown}, expected {row.kind}{unit}: {error}") from error


def _check(settings: Settings) -> None:
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsError("tls_cert and tls_key go together: give both, or neither for plain HTTP on loopback")
    if settings.client_ca and not settings.tls_cert:
        raise SettingsError("client_ca asks clients for certificates, which needs TLS: give tls_cert and tls_key too")
    if not settings.listen:
        return
    host, _ = address(settings.listen)
    if settings.insecure or host in {"127.0.0.1", "::1", "localhost"}:
        return
    if not settings.tls_cert:
        raise SettingsError(
            f"listen is {settings.listen}, reachable from other machines, without TLS: give tls_cert and tls_key, "
            "or allow it with insecure=true"
        )
    if not settings.client_ca and not settings.token_file:
        raise SettingsError(
            f"listen is {settings.listen}, and anyone who reaches it could send events: give client_ca or token_file, "
            "or allow it with insecure=true"
        )


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` or `[IPv6]:PORT`; raises SettingsError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"listen is {listen!r}, expected HOST:PORT as in 127.0.0.1:9443")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # an empty host means every address, as elsewhere


def shown(row: Setting, value: Any) -> str:
    """A value as it may be shown to anyone: secrets masked."""
    if row.secret and value:
        return ", ".join([MASK] * len(value)) if isinstance(value, list) else MASK
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def document() -> str:
    """docs/settings.md: every setting, generated from the table."""
    lines = [
        "# Settings",
        "",
        "<!-- Generated by `make docs`; do not edit. -->",
        "",
        "A setting comes from, first found: a flag of `kubewake serve`, the environment, the file given with `--config`",
        f"(or `{FILE_VARIABLE}`; TOML or YAML, `name: value`), its default. `kubewake settings` prints the effective",
        "values and where each comes from. Lists in the environment are separated by spaces.",
    ]
    section = ""
    for row in TABLE:
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}", "", "| setting | type | default | environment | flag | meaning |"]
            lines += ["| --- | --- | --- | --- | --- | --- |"]
        default = "`$XDG_STATE_HOME/kubewake`" if row.name == "state_dir" else _code(shown(row, row.default))
        kind = row.kind.replace("|", " \\| ") + (f" ({row.unit})" if row.unit else "")
        lines.append(f"| `{row.name}` | {kind} | {default} | `{row.variable}` | `{row.flag}` | {row.doc} |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else "(empty)"
