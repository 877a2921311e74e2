"""The pieces that a story is told from, in every report for people: sentences, steps, commands, times."""

import re
from datetime import datetime

from msgspec import Struct

from kubewake.finding import Finding, Incident, Step

SIMILAR = ", and similar"


class Row(Struct):
    """A step of the timeline, and those after it that say the same. What was said just before is left empty."""

    time: str
    until: str
    text: str
    matches: list[str]
    link: str
    allowed_by: str
    context: bool
    times: int = 1


def timeline(steps: list[Step]) -> list[Row]:
    """The steps for a reader: repeats joined, and nothing said twice in a row."""
    rows: list[Row] = []
    seen: set[str] = set()
    allowed_by = ""
    for step in steps:
        text, _, tail = step.text.rpartition(" [")  # the titles come last; names and commands may hold brackets
        titles = [title for title in tail.removesuffix("]").split("; ") if title] if tail.endswith("]") else []
        if not titles:
            text = step.text
        last = rows[-1] if rows else None
        alike = last is not None and step.context and last.context and step.link == last.link != ""
        if last is not None and (alike or (last.text, last.context) == (text, step.context)):
            if alike and last.text != text:
                last.text = last.text.removesuffix(SIMILAR) + SIMILAR
            last.times += 1
            last.until = step.time
            last.matches += [title for title in titles if title not in seen]
            seen.update(titles)
            continue
        matches = [title for title in titles if title not in seen]
        seen.update(titles)
        known = "" if step.allowed_by == allowed_by else step.allowed_by
        allowed_by = step.allowed_by or allowed_by
        rows.append(Row(step.time, step.time, text, matches, step.link, known, step.context))
    return rows


_STORY = re.compile(r"(?P<what>.+?\.) (?P<why>This matters because .+?\.) (?P<do>First, .+)", re.DOTALL)


def sentences(story: str) -> list[tuple[str, str]]:
    """The three sentences of a story, each with its question; one without a question where it has another shape."""
    found = _STORY.fullmatch(story)
    if found is None:
        return [("What happened", story)]
    why = found["why"].removeprefix("This matters because ")
    first = found["do"].removeprefix("First, ")
    return [
        ("What happened", found["what"]),
        ("Why it matters", why[:1].upper() + why[1:]),
        ("What to do first", first[:1].upper() + first[1:]),
    ]


def command(step: str) -> tuple[str, str]:
    """A remediation step as a command to copy and what is said of it; the command is empty for a sentence."""
    if step[:1].isupper():
        return "", step
    text, _, said = (part.strip() for part in step.partition("  # "))
    if text.startswith("#"):
        sentence = text.lstrip("# ")
        return "", f"{sentence[:1].upper()}{sentence[1:]}" + (f" ({said})" if said else "")
    return text, said


def moment(time: str | None) -> str:
    """A time for people, to the second, in UTC."""
    if not time:
        return "unknown"
    try:
        return f"{datetime.fromisoformat(time):%d %b %Y, %H:%M:%S} UTC"
    except ValueError:
        return time


_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*Z")


def in_words(text: str) -> str:
    """The text with its timestamps as people write them."""
    return _STAMP.sub(lambda found: moment(found[0]), text)


def titles(findings: list[Finding]) -> list[str]:
    """What findings say, each title once with how often, the most frequent first."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.title] = counts.get(finding.title, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{title} ({count:,} times)" if count > 1 else title for title, count in ranked]


def span(item: Finding | Incident) -> str:
    """From when to when, in UTC; the day is said once."""
    first = item.time if isinstance(item, Finding) else item.first_time
    start, end = first[:19].replace("T", " "), item.last_time[:19].replace("T", " ")
    if start == end or not end:
        return f"{start} UTC"
    return f"{start} to {end[11:] if start[:10] == end[:10] else end} UTC"
