"""What the rules of this installation say of themselves, for reports that explain findings by rule."""

import re
from functools import cache

from msgspec import Struct

from kubewake.detectors import detector_infos
from kubewake.finding import Finding
from kubewake.rules.model import RuleInfo
from kubewake.rules.pack import load_rules

_FIELD = re.compile(r"\{([A-Za-z][\w.\\/-]*)\}")


class Card(Struct, frozen=True):
    """A rule for a reader: what a finding of it means, what to do, what it is when it is no attack."""

    title: str
    meaning: str
    steps: list[str]
    falsepositives: list[str]
    references: list[str]


@cache
def builtin_infos() -> dict[str, RuleInfo]:
    """The built-in rules and detectors by id."""
    return {**load_rules().infos, **detector_infos()}


def card(finding: Finding) -> Card:
    """The card of the rule that made this finding; a rule of the user's own is described by its finding."""
    info = builtin_infos().get(finding.rule)
    if info is None:
        return Card(finding.title, finding.story or finding.title, list(finding.remediation), [], [])
    return Card(
        info.title,
        " ".join(info.description.split()) or finding.story,
        [_FIELD.sub(lambda found: found[1].replace(".", "-").upper(), step) for step in info.remediation],
        list(info.falsepositives),
        list(info.references),
    )
