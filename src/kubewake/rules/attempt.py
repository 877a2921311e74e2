"""What was asked for and not granted, in words: what a rule says was done reads as tried.

Rules tell of a deed in the past tense. Many match it whether or not the API server let it happen; these words are put
right here, from the outcome of the evidence, instead of in every rule.
"""

import re
from functools import lru_cache

from kubewake.rules.model import RuleInfo

ENDINGS = {"denied": "was refused", "failed": "failed"}
"""How a sentence about an attempt ends, by outcome."""

DEEDS = {
    "accessed": "access",
    "acted": "act",
    "added": "add",
    "applied": "apply",
    "approved": "approve",
    "brought": "bring",
    "changed": "change",
    "connected": "connect",
    "copied": "copy",
    "created": "create",
    "deleted": "delete",
    "fetched": "fetch",
    "gave": "give",
    "granted": "grant",
    "had": "have",
    "hid": "hide",
    "made": "make",
    "obtained": "obtain",
    "opened": "open",
    "patched": "patch",
    "placed": "place",
    "pointed": "point",
    "published": "publish",
    "put": "put",
    "ran": "run",
    "read": "read",
    "registered": "register",
    "removed": "remove",
    "replaced": "replace",
    "set": "set",
    "slipped": "slip",
    "started": "start",
    "switched": "switch",
    "talked to the agent": "talk to the agent",
    "wiped": "wipe",
    "wrote": "write",
}
"""Verbs with which stories tell of what a request does, to their base forms. What only asks or sends is done even when
it is refused, and is not among them."""

_TOLD = re.compile(
    r"\{outcome\}|refused it\b|^(?:(?!\. ).)*\b(?:refused?|denied|tried|failed to|not accept)\b", re.DOTALL
)
"""A story of this kind says already how it ended, in its first sentence as a rule."""

_DEED = re.compile(
    r"(?P<who>(?:[A-Z][\w' ]*)?(?:\{(?:actor|actor\.name|user\.username)\}|at \{source\.ip\}|\(\{source\.ip\}\))"
    r"(?: who never logged in| without a login)?) "
    rf"(?P<verb>{'|'.join(DEEDS)})\b(?P<rest>.*?)(?P<stop>\.(?= |$))",
    re.DOTALL,
)
_JOINED = re.compile(rf"\b(and|or) ({'|'.join(DEEDS)})\b")


def story_of(info: RuleInfo, outcome: str) -> str:
    """The rule's story, still with its placeholders, for evidence of this outcome."""
    ending = ENDINGS.get(outcome)
    return info.story if ending is None or not info.story else _attempted(info.story, ending)


@lru_cache(maxsize=4096)
def _attempted(story: str, ending: str) -> str:
    if _TOLD.search(story):
        return story
    deed = _DEED.match(story)
    if deed is None:
        return f"{story} The request {ending}."
    rest = _JOINED.sub(lambda found: f"{found[1]} {DEEDS[found[2]]}", deed["rest"])
    return f"{deed['who']} tried to {DEEDS[deed['verb']]}{rest}, and {ending}.{story[deed.end() :]}"


@lru_cache(maxsize=4096)
def _tells_of_a_deed(story: str) -> bool:
    return not _TOLD.search(story) and _DEED.match(story) is not None


def title_of(info: RuleInfo, outcome: str) -> str:
    """The rule's title for evidence of this outcome: that of a deed that was not done says so."""
    if outcome not in ENDINGS or not _tells_of_a_deed(info.story):
        return info.title
    return f"{info.title} (tried, {'refused' if outcome == 'denied' else 'failed'})"
