"""Takes credentials out of everything that leaves the program: tokens, passwords, keys, contents of Secrets.

Over-redaction is preferred to a leak; what is replaced reads `[redacted]`. Redacting twice changes nothing.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

_VALUE = r"(?:\\?\"[^\"\\]*(?:\\?\"|$)|'[^']*(?:'|$)|\[redacted\]|[^\s&\"',;]+)"
"""What follows a telling key: a quoted text, or all up to a space, quote or separator."""

_STRONG = (
    r"(?:pass(?:word|wd|phrase|code)|(?<![a-z])pwd|secret[_-]?(?:access[_-]?)?key|client[_-]?secret|api[_-]?key"
    r"|access[_-]?key(?:[_-]?id)?|private[_-]?key|encryption[_-]?key|account[_-]?key|shared[_-]?key|session[_-]?key"
    r"|key-data|(?<!/)token)"
)
"""Names of settings and headers that hold a credential, wherever they stand in a longer name."""

_WEAK = r"(?:credentials?|(?<![a-z])auth|secret|(?<![a-z])cookie|(?<![a-z])sig)"
"""Names that do so only where a value is assigned with an equals sign."""

_FLAGS = r"(?:password|passwd|passphrase|pass|token|secret|api-?key|access-?key|secret-?key|private-?key|client-?secret|auth|credentials?)"

_WEB_TOKEN = re.compile(
    r"eyJ[A-Za-z0-9_=-]{8,}(?:\.[A-Za-z0-9_=-]*)*"  # JSON Web Token, whole or cut off
    r"|\bZXlK[A-Za-z0-9+/_=-]{12,}"  # the same, encoded again as Secrets hold it
)
_VENDOR_TOKEN = re.compile(
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{12,}|\bnpm_[A-Za-z0-9]{20,}"
    r"|\bxox[abeoprs]-[\w-]{8,}|\bAIza[\w-]{30,}|\bya29\.[\w.-]{16,}|\bsk_(?:live|test)_\w{8,}"
    r"|\bhv[sbr]\.[\w-]{16,}|\bsha256~[\w-]{16,}|\bdop_v1_[0-9a-f]{32,}|\bsk-(?:ant-|proj-)?[\w-]{20,}"
)
_VENDOR_MARKS = (
    "akia", "asia", "abia", "acca", "xox", "aiza", "glpat-", "sk-", "sha256~", "ya29.", "hvs.", "hvb.", "hvr.",
)  # fmt: skip
_VENDOR_MARKS_WITH_UNDERSCORE = (
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "npm_", "sk_live", "sk_test", "dop_v1_",
)  # fmt: skip
_BOOTSTRAP_END = re.compile(r"\.[a-z0-9]{16}(?![\w.-])")
_BOOTSTRAP_TOKEN = re.compile(r"(?<![\w.-])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.-])")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----(?:(?!-----END).)*(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----)?",
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)(\bbearer(?:\s|\+|%20|:)+[\"']?)(?!\[redacted\])[A-Za-z0-9._~+/=%-]{8,}")
_AUTHORIZATION = re.compile(
    r"(?i)(\bauthorization(?:[\"'\s]|\\\")*(?::|=|%3A|%3D)(?:[\"'\s+]|%20|\\\")*"
    r"(?:(?:basic|bearer|token|digest|negotiate|aws4-hmac-sha256)(?:\s|\+|%20)+)?)"
    r"(?:\[redacted\]|[^\s\"'&\\]+)"
)
_ASSIGNED = re.compile(
    rf"(?i)((?:{_STRONG}|{_WEAK})[\w.-]{{0,40}}\\?[\"']?\s*(?:=|%3D)\s*){_VALUE}"
)  # fmt: skip
_NAMED = re.compile(rf"(?i)({_STRONG}\\?[\"']?\s{{0,4}}(?::|%3A)(?:\s|%20|\+){{0,4}})(?!//){_VALUE}")
_QUOTED_KEY = re.compile(
    rf"(?i)(\\?\"[\w.-]{{0,60}}{_STRONG}[\w.-]{{0,20}}\\?\"\s{{0,4}}:\s{{0,4}})(?:\\\"(?:(?!\\\").)*(?:\\\"|$)|\"(?:[^\"\\]|\\.)*(?:\"|$))",
    re.DOTALL,
)
_FLAG = re.compile(rf"(?i)(-(?<![\w-]-)-?(?:[a-z0-9-]{{1,30}}-)?{_FLAGS}(?:\s+|&command=|%20|\+)){_VALUE}")
_MYSQL = re.compile(
    r"((?:mysql|mysqldump|mysqladmin|mariadb|mongo|mongosh|sshpass)\b[^|;\n]{0,400}?\s-p\s?)(?![\s-])" + _VALUE
)
_REDIS = re.compile(r"(redis-cli\b[^|;\n]{0,400}?\s-a\s+)" + _VALUE)
_LOGIN = re.compile(
    r"((?:docker|podman|nerdctl|buildah|skopeo|crane|oras|helm|az)\b[^|;\n]{0,200}?\slogin\b[^|;\n]{0,400}?\s-p[\s=]?)"
    r"(?![\s-])" + _VALUE
)
_ARCHIVE = re.compile(r"((?:\b(?:un)?zip\b[^|;\n]{0,200}?\s-P|\b7z[ar]?\b[^|;\n]{0,200}?\s-p)\s?)(?![\s-])" + _VALUE)
_LDAP = re.compile(r"(\bldap[a-z]{3,10}\b[^|;\n]{0,400}?\s-w\s+)" + _VALUE)
_SAMBA = re.compile(r"((?:smbclient|rpcclient|smbmap)\b[^|;\n]{0,400}?\s-U\s+[^\s%]{1,100}%)" + _VALUE)
_ORACLE = re.compile(r"(sqlplus\s+(?:-\w+\s+){0,4}[^\s/@]{1,100}/)[^\s@\"']+")
_MINIO = re.compile(r"(\bmc\s+(?:alias\s+set|config\s+host\s+add)(?:\s+\S+){3}\s+)" + _VALUE)
_SUDO = re.compile(r"(\becho\s+(?:-\w+\s+)?)" + _VALUE + r"(?=\s*\|\s*sudo\b[^|;\n]{0,60}?\s(?:-\w*S|--stdin))")
_OPENSSL = re.compile(r"(\spass:)" + _VALUE)
_COOKIE = re.compile(r"(?i)(\bcookie[\"'\s]{0,4}(?::|%3A)\s{0,4}[\"']?)(?!\[redacted\])[^\s\"'][^\"'\n]*")
_USERINFO = re.compile(
    r"((?:[a-z][a-z0-9+.-]{0,20}(?:://|%3A%2F%2F))[^\s/@:\"']{0,200}(?::|%3A))(?:\[redacted\]|[^\s/@\"']{1,400})(?=@|%40)"
)
_CURL_USER = re.compile(
    r"((?:^|[\s&]|command=)(?:-u|--user|--proxy-user)(?:[=\s]+|&command=)[^\s:&\"']{1,200}:)" + _VALUE
)
_SECRET_DATA = re.compile(
    r"(\\*\"(?:data|stringData)\\*\"\s{0,4}:\s{0,4})\{(?:[^{}\"\\]|\\+\"|\\[^\"]|\"(?:\\.|[^\"\\])*\")*\}?"
)
_ENV_VALUE = re.compile(
    rf"(?i)(\\?\"name\\?\"\s{{0,4}}:\s{{0,4}}\\?\"[\w.-]{{0,80}}(?:{_STRONG}|{_WEAK})[\w.-]{{0,40}}\\?\"\s{{0,4}},\s{{0,4}}"
    rf"\\?\"value\\?\"\s{{0,4}}:\s{{0,4}})(?:\\\"(?:(?!\\\").)*(?:\\\"|$)|\"(?:[^\"\\]|\\.)*(?:\"|$))"
)

_KEY_WORDS = ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "sig")
"""Every telling name contains one of these."""


def _kept(match: re.Match[str]) -> str:
    return match.group(1) + REDACTED


def _near(*marks: str) -> Callable[[str], object]:
    """Finds a key word in front of a mark. In lower case, which is searched many times as fast as case is ignored."""
    search = re.compile(rf"(?:{'|'.join(_KEY_WORDS)})[\w.-]{{0,60}}\\?[\"']?\s*(?:{'|'.join(marks)})").search

    def find(text: str) -> object:
        for mark in marks:  # few texts have one, and looking for the words takes long
            if mark in text:
                return search(text)
        return None

    return find


_ASSIGNMENTS: tuple[tuple[Callable[[str], object], re.Pattern[str]], ...] = (
    (re.compile('"').search, _ENV_VALUE),
    (re.compile('"').search, _QUOTED_KEY),
    (_near("=", "%3d"), _ASSIGNED),
    (_near(":", "%3a"), _NAMED),
    (re.compile("-").search, _FLAG),
)
"""Patterns that need a key word, and what finds the ASCII texts, in lower case, that they can match."""

SHORT = 400
"""Characters of a text up to which its redacted form is remembered: names, paths and stories repeat."""

_COMMANDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (" -p", _MYSQL),
    (" -a", _REDIS),
    ("-u", _CURL_USER),
    ("login", _LOGIN),
    ("zip", _ARCHIVE),
    ("7z", _ARCHIVE),
    ("ldap", _LDAP),
    ("smb", _SAMBA),
    ("rpcclient", _SAMBA),
    ("sqlplus", _ORACLE),
    ("mc ", _MINIO),
    ("sudo", _SUDO),
    (" pass:", _OPENSSL),
    ("cookie", _COOKIE),
)
"""Patterns about one program or option each, and the mark without which they cannot match."""


_HEX = "0123456789abcdef,-"
"""What audit ids and event keys are made of: every credential that is known by its form, and every telling name, has
other letters."""


def redact(text: str) -> str:
    """The text without credentials: tokens, passwords, keys, authorization headers, contents of Secrets."""
    if not text.strip(_HEX):
        return text
    return _redact_short(text) if len(text) <= SHORT else _redact(text)


@lru_cache(maxsize=8192)
def _redact_short(text: str) -> str:
    return _redact(text)


def _redact(text: str) -> str:
    # Plain searches for short marks come first: most texts have none and cost a microsecond.
    lowered = text.lower()
    if "eyj" in lowered or "zxlk" in lowered:
        text = _WEB_TOKEN.sub(REDACTED, text)
    if any(map(lowered.__contains__, _VENDOR_MARKS)) or (
        "_" in lowered and any(map(lowered.__contains__, _VENDOR_MARKS_WITH_UNDERSCORE))
    ):
        text = _VENDOR_TOKEN.sub(REDACTED, text)
    if "." in text and _BOOTSTRAP_END.search(text) is not None:
        text = _BOOTSTRAP_TOKEN.sub(REDACTED, text)
    if "-----begin" in lowered:
        text = _PRIVATE_KEY.sub(REDACTED, text)
    if ("@" in text or "%40" in text) and ("://" in text or "%3A%2F%2F" in text):
        text = _USERINFO.sub(_kept, text)
    if "bearer" in lowered:
        text = _BEARER.sub(_kept, text)
    if any(map(lowered.__contains__, _KEY_WORDS)):
        if "secret" in lowered and "data" in lowered:
            text = _SECRET_DATA.sub(_kept, text)
        if "authorization" in lowered:
            text = _AUTHORIZATION.sub(_kept, text)
        current = text.lower()
        for can_match, pattern in _ASSIGNMENTS:
            if not text.isascii() or can_match(current):
                text = pattern.sub(_kept, text)
                current = text.lower()
    for mark, pattern in _COMMANDS:
        if mark in lowered:
            text = pattern.sub(_kept, text)
    return text


_SECRET_KEY = re.compile(
    r"(?i)(?:^|[_.-])(?:password|passwd|passphrase|token|secret[_-]?key|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|secret[_-]?access[_-]?key|private[_-]?key|client[_-]?secret|authorization|cookie|tls\.key|client-key-data"
    r"|\.dockerconfigjson|\.dockercfg)$"
)
_CAMEL_SECRET_KEY = re.compile(
    r"(?:[a-z](?:Password|Passphrase|Token|SecretKey|ApiKey|AccessKey|PrivateKey|ClientSecret))$"
)
_ENV_NAME = re.compile(rf"(?i)(?:{_STRONG}|{_WEAK})")
_FLAG_WORD = re.compile(rf"(?i)--?{_FLAGS}$")
_HARMLESS_KEYS = frozenset({"secret_token", "continue_token"})
"""Keys that sound like a credential but hold a name."""

MAX_DEPTH = 200


def _is_secret_key(key: str) -> bool:
    return _is_short_secret_key(key) if len(key) <= SHORT else _names_secret(key)


@lru_cache(maxsize=4096)
def _is_short_secret_key(key: str) -> bool:
    return _names_secret(key)


def _names_secret(key: str) -> bool:
    return key not in _HARMLESS_KEYS and (
        _SECRET_KEY.search(key) is not None or _CAMEL_SECRET_KEY.search(key) is not None
    )


def _redact_list(items: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    if set(map(type, items)) == {str} and not ",".join(items).strip(_HEX):
        return list(items)
    found: list[Any] = []
    hide = False
    for item in items:
        found.append(REDACTED if hide and isinstance(item, str) else redact_value(item, depth + 1))
        hide = isinstance(item, str) and _FLAG_WORD.match(item) is not None
    return found


_BODIES = frozenset({"requestObject", "responseObject", "request", "response"})
_CONTENT = ("data", "stringData")


def _is_about_secrets(event: Mapping[str, Any]) -> bool:
    """Whether an audit event, native or of Google Cloud, is about Secrets: its bodies may be patches or lists of them."""
    ref = event.get("objectRef")
    if ref is not None and isinstance(ref, Mapping):
        return ref.get("resource") == "secrets"
    method = event.get("methodName")
    return isinstance(method, str) and ".secrets." in method


def _redact_entry(key: Any, item: Any) -> Any:
    if not isinstance(item, str):
        return item
    return REDACTED if item and isinstance(key, str) and _is_secret_key(key) else redact(item)


def _redact_secret(body: Any, depth: int = 0) -> Any:
    """A Secret, a list of Secrets, or a patch of one, without the contents."""
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(body, Mapping):
        path = body.get("path")
        found: dict[Any, Any] = {}
        for key, item in body.items():
            if key in _CONTENT and item is not None:
                found[key] = dict.fromkeys(item, REDACTED) if isinstance(item, Mapping) else REDACTED
            elif key == "value" and isinstance(path, str) and (path == "" or path.startswith(("/data", "/stringData"))):
                found[key] = REDACTED
            elif isinstance(item, (Mapping, list)):
                found[key] = _redact_secret(item, depth + 1)
            else:
                found[key] = _redact_entry(key, item)
        return found
    if isinstance(body, list):
        return [_redact_secret(item, depth + 1) for item in body]
    return redact(body) if isinstance(body, str) else body


def redact_value(value: Any, depth: int = 0) -> Any:
    """A JSON value without credentials: texts redacted, Secret contents and values under telling keys replaced.

    Mappings and lists are copied; tuples become lists. What is nested deeper than `MAX_DEPTH` is replaced whole.
    """
    if isinstance(value, str):
        return redact(value)
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(value, (dict, Mapping)):  # `Mapping` alone takes long to ask
        kind = value.get("kind") or value.get("@type")
        if isinstance(kind, str) and kind.rpartition(".")[2] in ("Secret", "SecretList"):
            return _redact_secret(value, depth)
        holds_secrets = _is_about_secrets(value)
        name = value.get("name")
        hides_value = "value" in value and isinstance(name, str) and _ENV_NAME.search(name) is not None
        found: dict[Any, Any] = {}
        for key, item in value.items():
            if holds_secrets and key in _BODIES:
                found[key] = _redact_secret(item, depth + 1)
            elif (isinstance(key, str) and isinstance(item, str) and item and _is_secret_key(key)) or (
                key == "value" and hides_value and isinstance(item, str)
            ):
                found[key] = REDACTED
            else:
                found[redact(key) if isinstance(key, str) else key] = redact_value(item, depth + 1)
        return found
    if isinstance(value, (list, tuple)):
        return _redact_list(value, depth)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return REDACTED
    return value
