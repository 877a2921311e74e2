"""What the reader should know about the stream and the rules themselves: blindness, bounds that were reached."""

from collections.abc import Iterable, Mapping

from kubewake.detectors.failure import Failure
from kubewake.finding import InputSummary, Notice, stable_id
from kubewake.rules.model import NEEDS, RuleInfo

NAMED_RULES = 5
"""Rules that a notice names; it counts the rest."""


def notices_of(
    infos: Mapping[str, RuleInfo],
    summary: InputSummary,
    *,
    evicted: Mapping[str, int],
    about_rules: Iterable[str],
    about_lists: Iterable[tuple[str, str]] = (),
    failures: Iterable[Failure] = (),
    hurried: int = 0,
    closed_early: int = 0,
) -> list[Notice]:
    """Notices about one run, the same for the same input and rules.

    `evicted` counts the windows that correlations forgot to stay within bounds; `about_rules` are the rule set's own,
    `about_lists` titles and texts about the user's lists; `failures` is what parts of the engine failed on; `hurried`
    counts what was not held back for earlier events, `closed_early` the findings that were closed while they could
    still grow.
    """
    moment = summary.last_time or ""
    found = [_notice(moment, "A rule, exception or list is not in force", text) for text in about_rules]
    found += [_notice(moment, title, text) for title, text in about_lists]
    found += [failure_notice(failure, moment) for failure in failures]
    ranks = [NEEDS.index(level) for level in summary.levels if level in NEEDS]
    blind = sorted(info.id for info in infos.values() if ranks and NEEDS.index(info.needs) > max(ranks))
    if blind:
        named = ", ".join(blind[:NAMED_RULES]) + (", …" if len(blind) > NAMED_RULES else "")
        found.append(
            _notice(
                moment,
                "1 detection is blind" if len(blind) == 1 else f"{len(blind)} detections are blind",
                f"No event was logged above audit level {NEEDS[max(ranks)]}, so what was written into objects is unknown and these"
                f" cannot fire: {named}. `kubewake rules coverage --policy FILE` says which line of the policy to change.",
            ),
        )
    if hurried:
        title = "Too much waited to be put in order"
        text = (
            f"{hurried} requests or groups of requests were judged before earlier ones could arrive, to stay within the "
            "memory bound. None is lost; where some arrived in another order, counts and sequences may be off."
        )
        found.append(Notice(stable_id("n", title), moment, title, text))
    if closed_early:
        title = "Too many findings were open at once"
        text = (
            f"{closed_early} findings were closed early, to stay within the memory bound. None is lost; what belongs to them "
            "and came later stands in findings of its own."
        )
        found.append(Notice(stable_id("n", title), moment, title, text))
    for rule, count in sorted(evicted.items()):
        text = f"{rule} forgot {count} windows or events to stay within its memory bound; it may have missed something."
        title = "A correlation reached its memory bound"
        found.append(Notice(stable_id("n", title, rule), moment, title, text))
    return found


def failure_notice(failure: Failure, moment: str) -> Notice:
    """A part that failed: under one id for one part and type of exception, however often it happens.

    `moment` is the event time of one that failed on no event, but on its own state.
    """
    part, times = failure.part, "once" if failure.count == 1 else f"{failure.count:,} times, first"
    if failure.time:
        where = f"on an event of {failure.time} in cluster '{failure.cluster}' (audit id {failure.audit_id})"
        cost = f"All other parts saw that event, and {part} still sees the others, but it may have missed something."
    else:
        where = "while its state was saved or read"
        cost = f"{part} has to begin anew; all else goes on where it was."
    if failure.words:
        where += f": {failure.words}"
    else:
        cost += " This is a fault of kubewake: please report it with this notice."
    return Notice(
        stable_id("n", "failure", part, failure.error),
        failure.time or moment,
        f"Part of the engine failed: {part}",
        f"{part} raised {failure.error} ({failure.place}) {times} {where}. {cost}",
    )


def _notice(time: str, title: str, detail: str) -> Notice:
    return Notice(stable_id("n", title, detail), time, title, detail)
