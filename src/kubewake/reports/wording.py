"""Words and limits that several reports share, and how text from clients is made harmless."""

import re
from datetime import datetime

from kubewake.finding import Finding, Incident, Severity

MAX_IDS_SHOWN = 100
"""Audit ids printed for people and alert receivers; the total stands beside them and `-o json` has all."""

MAX_ID_CHARS = 128
"""An Audit-ID is the client's word and may be of any length; a UUID has 36 characters."""

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""What moves a cursor, changes colours, breaks a line, hides, or reverses the direction of what follows."""

TACTICS: dict[str, tuple[str, str]] = {
    "reconnaissance": ("TA0043", "Reconnaissance"),
    "resource-development": ("TA0042", "Resource Development"),
    "initial-access": ("TA0001", "Initial Access"),
    "execution": ("TA0002", "Execution"),
    "persistence": ("TA0003", "Persistence"),
    "privilege-escalation": ("TA0004", "Privilege Escalation"),
    "defense-evasion": ("TA0005", "Defense Evasion"),
    "credential-access": ("TA0006", "Credential Access"),
    "discovery": ("TA0007", "Discovery"),
    "lateral-movement": ("TA0008", "Lateral Movement"),
    "collection": ("TA0009", "Collection"),
    "command-and-control": ("TA0011", "Command and Control"),
    "exfiltration": ("TA0010", "Exfiltration"),
    "impact": ("TA0040", "Impact"),
}
"""Id and name of each ATT&CK Enterprise tactic, by slug (https://attack.mitre.org/tactics/enterprise)."""

SECURITY_SCORE: dict[Severity, float] = {
    "critical": 9.5,
    "high": 8.0,
    "medium": 5.5,
    "low": 2.5,
    "informational": 0.5,
}
"""Severity on the scale of 0 to 10 that CVSS made common: the middle of the range that GitHub gives each word."""


def one_line(text: str) -> str:
    """The text on one line with every control, direction and invisible character spelled out."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda match: " " if match[0] in "\n\t" else _spell(match[0]), text)


def _spell(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shown_ids(item: Finding | Incident) -> list[str]:
    """The first audit ids, each on one line and cut to `MAX_ID_CHARS`."""
    return [one_line(audit_id)[:MAX_ID_CHARS] for audit_id in item.audit_ids[:MAX_IDS_SHOWN]]


def ids_total(item: Finding | Incident) -> int:
    """How many audit ids there are, kept or not."""
    kept = len(item.audit_ids)
    return max(item.audit_ids_total, kept) if isinstance(item, Finding) else kept


def epoch_ms(time: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time; 0 where it cannot be read."""
    try:
        return int(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        return 0


def place(item: Finding | Incident) -> str:
    """The cluster's name in words."""
    return one_line(item.cluster) or "(unnamed)"


def technique_url(technique: str) -> str:
    """The page of an ATT&CK technique."""
    return "https://attack.mitre.org/techniques/" + technique.replace(".", "/")
