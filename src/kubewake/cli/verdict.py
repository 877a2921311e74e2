"""`kubewake incidents verdict`: what a person says of an incident, for the baseline to learn from."""

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from kubewake.errors import InputError, SettingsError

if TYPE_CHECKING:
    from kubewake.baseline import Lesson, Verdict
    from kubewake.finding import Incident

TITLE_CHARACTERS = 80
MAX_TRAITS = 8
"""Traits of one identity named in the text; JSON has all of them."""


def verdict(
    incident: str,
    paths: Annotated[
        list[str] | None,
        Parameter(help="A result saved with -o json, or audit logs, which are scanned; default: what serve has told.",
                  negative=(), allow_leading_hyphen=True),
    ] = None,
    /,
    *,
    benign: Annotated[bool, Parameter(name="--benign", negative=(), help="Learn at once what was new in it.")] = False,
    malicious: Annotated[
        bool, Parameter(name="--malicious", negative=(), help="Never learn what was new in it, however often it comes.")
    ] = False,
    state_dir: Annotated[
        Path | None, Parameter(name="--state-dir", help="State folder of serve, which must be stopped; default: the setting.")
    ] = None,
    baseline: Annotated[
        Path | None, Parameter(name=["--baseline", "-b"], help="Teach this baseline file instead of serve's state.")
    ] = None,
    out: Annotated[
        Path | None, Parameter(name=["--out", "-O"], help="With --baseline: file to write; default: the same file.")
    ] = None,
    log: Annotated[
        list[str] | None,
        Parameter(name="--log", negative=(), help="With --baseline: logs that the incident is in; default: those of the result."),
    ] = None,
    cluster: Annotated[str, Parameter(name="--cluster", help="Name of the cluster, for a log or result that names none.")] = "",
    output: Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])] = "text",
) -> int:  # fmt: skip
    """Say whether an incident was harmless or an attack, so that the baseline learns from it.

    Judged is what was new of its actors while it lasted. Benign is learnt at once, malicious never. The verdict goes
    into what serve has learnt; serve must be stopped, and goes on with it. With --baseline it goes into a file.

    Parameters
    ----------
    incident
        Its id, the beginning of its id, or its number in the list.
    output
        text, or json for one object with what was learnt for whom.
    """
    import msgspec

    from kubewake.baseline import verdict_on
    from kubewake.cli.baseline import folder_of
    from kubewake.cli.incidents import choose, named, open_document

    if benign == malicious:
        raise SettingsError("say what the incident was: --benign or --malicious")
    if baseline is None and (out is not None or log):
        raise SettingsError("--out and --log go with --baseline FILE; without it the verdict goes into serve's state")
    if baseline is not None and not paths:
        raise SettingsError(
            f"--baseline {baseline}: say where the incident is: a result saved with -o json, or its log"
        )
    document = open_document(named(incident, paths), cluster, None, baseline=baseline, state_dir=state_dir)
    found = choose(document.incidents, incident)
    said = verdict_on(found, benign=benign)
    said = msgspec.structs.replace(said, cluster=said.cluster or cluster)
    if baseline is None:
        place, lessons = teach_state(said, folder_of(state_dir))
    else:
        gone = [] if log else [name for name in document.input.files if not Path(name).exists()]
        if gone:
            raise InputError(f"{gone[0]}: the log of this result is not there any more; say with --log where it is now")
        place, lessons = teach_file(said, log or document.input.files, baseline, out or baseline, cluster)
    if output == "json":
        whole = {
            "incident": found.id,
            "verdict": "benign" if benign else "malicious",
            "place": place,
            "lessons": lessons,
        }
        sys.stdout.write(msgspec.json.encode(whole).decode() + "\n")
        return 0
    sys.stdout.write("\n".join(report(found, lessons, place, benign=benign)) + "\n")
    return 0


def teach_state(said: "Verdict", folder: Path) -> "tuple[str, list[Lesson]]":
    """Take a verdict into what serve has saved; nothing is written where nothing changes."""
    import time

    from kubewake.cli.baseline import stopped_state
    from kubewake.engine.learnt import with_verdict

    with stopped_state(folder) as (state, saved):
        try:
            body, lessons = with_verdict(saved.body, saved.pieces, said, str(folder))
        except InputError as error:
            raise InputError(f"{folder}: {error}; give the --state-dir of the serve that saw it") from error
        if any(lesson.behaviours for lesson in lessons):
            state.save("engine", body, saved.cursors, time.time())
    return str(folder), lessons


def teach_file(said: "Verdict", logs: list[str], file: Path, out: Path, cluster: str) -> "tuple[str, list[Lesson]]":
    """Take a verdict into a baseline file, from the logs that the incident is in."""
    from kubewake.cli.baseline import write
    from kubewake.pipeline.detection import Knowledge
    from kubewake.pipeline.verdict import teach

    archives, lessons = teach(said, logs, Knowledge(baseline=file), cluster=cluster or said.cluster)
    if out != file or any(lesson.behaviours for lesson in lessons):
        write(out, archives)
    return str(out), lessons


def report(found: "Incident", lessons: "list[Lesson]", place: str, *, benign: bool) -> list[str]:
    """What was done, for whom, and what a benign verdict leaves as it is."""
    from kubewake.reports.wording import one_line

    title = textwrap.shorten(one_line(found.title), TITLE_CHARACTERS, placeholder="…")
    lines = [f"{found.id} is {'benign' if benign else 'malicious'}: {title}", f"In {place}:"]
    for lesson in lessons:
        number = f"{lesson.behaviours} behaviour{'s' * (lesson.behaviours != 1)}"
        if not lesson.known:
            lines.append(
                f"  {lesson.identity}: nothing is changed; it is not known there, as is no identity of the control plane"
            )
        elif not lesson.behaviours:
            lines.append(
                f"  {lesson.identity}: nothing is changed; what it did then is known already or was not seen there"
            )
        elif benign:
            lines.append(f"  {lesson.identity}: {number} learnt, with {named(lesson.traits)}")
        else:
            lines.append(f"  {lesson.identity}: {number} never to be learnt, with {named(lesson.traits)}")
    if benign:
        rest = sum(part["nats"] for part in found.score_parts if part["kind"] != "surprise")
        lines.append(
            f"{found.score - rest:.1f} of its {found.score:.1f} nats rest on what was unusual; rules and links keep "
            f"{rest:.1f}, the bar is {found.bar:.1f}."
        )
        if rest >= found.bar:
            lines.append("The same will be told again for that; `kubewake rules tune` writes filters for rules.")
    return lines


def named(traits: list[str]) -> str:
    """The number of traits and the first of them."""
    if not traits:
        return "no new trait"
    more = f" and {len(traits) - MAX_TRAITS} more" if len(traits) > MAX_TRAITS else ""
    return f"{len(traits)} new trait{'s' * (len(traits) != 1)}: {', '.join(traits[:MAX_TRAITS])}{more}"
