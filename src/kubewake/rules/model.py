"""What is known about a rule apart from its condition."""

import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct, field

from kubewake.finding import Attack, Audience, Confidence, Severity

Needs = Literal["Metadata", "Request", "RequestResponse"]

NEEDS: tuple[Needs, ...] = ("Metadata", "Request", "RequestResponse")

NATS: dict[str, float] = {"critical": 6.0, "high": 4.0, "medium": 2.0, "low": 0.7, "informational": 0.0}
"""Evidence that a hit of a rule of this severity adds to a campaign, in nats (docs/detection: precision classes)."""

TACTICS = (
    "reconnaissance",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
"""ATT&CK tactic slugs in the order of the kill chain; also the folders of the built-in pack."""


class RuleInfo(Struct, frozen=True, kw_only=True):
    """The card of one rule or Python detector: everything that a finding, a page or a coverage table shows of it."""

    id: str
    title: str
    level: Severity = "medium"
    description: str = ""
    attack: Attack = field(default_factory=Attack)
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    cves: tuple[str, ...] = ()
    confidence: Confidence = "medium"
    audience: Audience = "everyone"
    needs: Needs = "Metadata"
    story: str = ""
    remediation: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    """Fields that a finding's events share; empty means actor, impersonated user, source, client and namespace."""
    window_seconds: int = 3600
    """Repeats of one group inside this time count into one finding."""
    always: bool = False
    """A finding opens an incident alone."""
    affected: str = ""
    """Versions that a vulnerability affects, in words; empty for rules that are about no vulnerability."""
    version: int = 1
    """Goes up when the rule changes so much that its findings are other findings."""
    kind: Literal["event", "correlation", "detector"] = "event"
    tactic: str = ""
    uuid: str = ""
    author: str = ""
    date: str = ""
    modified: str = ""
    status: str = ""
    tags: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def nats(self) -> float:
        """The evidence weight of one hit."""
        return NATS[self.level]


_PLACEHOLDER = re.compile(r"\{(?!end\})([A-Za-z][^{}\s]*)\}")
"""A field in braces; `{end}` is what kubectl's JSONPath templates close a range with."""


def placeholders(text: str) -> tuple[str, ...]:
    """The field names in braces of a story or remediation."""
    return tuple(_PLACEHOLDER.findall(text))


def words_needed(info: RuleInfo) -> tuple[str, ...]:
    """Every field that the story, the remediation and the grouping of a rule name, in order, once."""
    names = [name for text in (info.story, *info.remediation) for name in placeholders(text)]
    return tuple(dict.fromkeys([*names, *info.group_by]))


def spell(value: Any) -> str:
    """A field's value in a sentence."""
    if isinstance(value, str):
        return value or "(unknown)"
    if value is None or value in ([], ()):
        return "(unknown)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(dict.fromkeys(spell(item) for item in value))
    return str(value)


_OF_NAMESPACE = re.compile(r"\b(in|of|from|for) (?:the )?namespace \{target\.namespace\}")
_NAMESPACE_ASIDE = re.compile(r"\((in )?namespace \{target\.namespace\}\)")


@lru_cache(maxsize=4096)
def _without_namespace(text: str) -> str:
    """A story of something that has no namespace."""
    text = _OF_NAMESPACE.sub(r"\1 the whole cluster", text)
    return _NAMESPACE_ASIDE.sub("(the whole cluster)", text)


@lru_cache(maxsize=4096)
def _cut(text: str) -> list[str]:
    """A text cut at its placeholders: plain text and names of fields in turn."""
    return _PLACEHOLDER.split(text)


_BINDING = re.compile(r"(?:\{authorization\.binding_kind\} )?\{authorization\.binding\}")


@lru_cache(maxsize=4096)
def _without_binding(text: str) -> str:
    """A text about a request of which the log does not say what allowed it."""
    return _BINDING.sub("a grant that the log does not name", text)


_OF_TARGET = re.compile(r"(?:\bthe (?:\w+ ){1,2})?\{target\.name\}")


@lru_cache(maxsize=4096)
def _of_collection(text: str) -> str:
    """A text about all objects that one deletecollection deletes."""
    return _OF_TARGET.sub("all {target.resource} that match", text)


def fill(text: str, words: Mapping[str, Any]) -> str:
    """The text with each `{field}` replaced by its value; a field without a value reads "(unknown)".

    Where the target has no namespace, "in namespace …" reads "in the whole cluster"; "the role …" of a deletecollection reads
    "all roles that match".
    """
    if not words.get("target.namespace"):
        text = _without_namespace(text)
    if not words.get("authorization.binding"):
        text = _without_binding(text)
    if words.get("target.verb") == "deletecollection" and not words.get("target.name"):
        text = _of_collection(text)
    parts = _cut(text).copy()
    parts[1::2] = [spell(words.get(name)) for name in parts[1::2]]
    return "".join(parts)


_NAMESPACE_OPTION = re.compile(r"""\s(?:-n|--namespace)[ =](["']?)\{target\.namespace\}\1""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@lru_cache(maxsize=4096)
def _cut_step(text: str, *, has_namespace: bool) -> list[tuple[str, str, str]]:
    """A step as plain text, the field that follows it, and what a shell is inside of there (see `_quoting`).

    A sentence is all comment. The last field is "".
    """
    if not has_namespace:
        text = _NAMESPACE_OPTION.sub("", text)
    is_command = not text[:1].isupper()
    cut, begin = [], 0
    for found in _PLACEHOLDER.finditer(text):
        state = _quoting(text, found.start()) if is_command else "#"
        cut.append((text[begin : found.start()], found[1], state))
        begin = found.end()
    return [*cut, (text[begin:], "", "")]


def fill_step(text: str, words: Mapping[str, Any]) -> str:
    """A remediation step with each `{field}` replaced, safe to paste into a shell.

    Names in a cluster are other people's words: each is quoted as its place in the command asks. A step that begins
    with a capital letter or `#` is a sentence. Where the target has no namespace, `-n {target.namespace}` goes away.
    A command that would lack a value is "": nobody could run it.
    """
    if not words.get("authorization.binding"):
        text = _without_binding(text)
    if text[:1].isupper() and words.get("target.verb") == "deletecollection" and not words.get("target.name"):
        text = _of_collection(text)
    filled = []
    for plain, name, state in _cut_step(text, has_namespace=bool(words.get("target.namespace"))):
        filled.append(plain)
        if name:
            value = words.get(name)
            if state != "#" and value in (None, "", [], ()):
                return ""
            filled.append(_quoted(value, state))
    return "".join(filled)


def _quoted(value: Any, state: str) -> str:
    """A value where a shell is inside of `state`."""
    plain = spell(value)
    if not plain.isprintable():
        plain = _CONTROL.sub(" ", plain)
    if state == "#":
        return plain
    if state == "'":
        return plain.replace("'", "'\\''")
    if state == '"':
        return re.sub(r'(["$`\\])', r"\\\1", plain)
    return shlex.quote(plain)


def _quoting(text: str, end: int) -> str:
    """What a shell is inside of at `end`: single or double quotes, a comment (#), or nothing ("")."""
    state = ""
    for index, char in enumerate(text[:end]):
        if state:
            if char == state and not (char == '"' and text[index - 1] == "\\"):
                state = ""
        elif char in ("'", '"'):
            state = char
        elif char == "#" and (index == 0 or text[index - 1].isspace()):
            return "#"
    return state
