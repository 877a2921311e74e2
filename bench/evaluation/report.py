"""The page docs/evaluation.md: tables from the result, and a reading of them that is written by hand and kept."""

from datetime import UTC, datetime
from pathlib import Path

from bench.evaluation.bars import bars
from bench.evaluation.evaluation import Evaluation
from bench.evaluation.measures import FALSE_ALLOWED, Quality
from bench.evaluation.plots import draw
from bench.evaluation.recording import VARIANTS
from bench.evaluation.statistics import mcnemar
from bench.evaluation.story import Story
from bench.evaluation.table import number, share

BEGIN, END = "<!-- reading: kept when the page is written anew -->", "<!-- end of reading -->"
COMMAND = "make eval RECORDINGS=DIR"


def write_page(result: Evaluation, path: Path) -> None:
    """Write the page and its pictures; the reading between the marks stays as it is."""
    reading = "\n*Not written yet.*\n"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        if BEGIN in text and END in text:
            reading = text.partition(BEGIN)[2].partition(END)[0]
    pictures = draw(result, path.parent / "images")
    sections = [
        head(result),
        f"## Reading\n\n{BEGIN}{reading}{END}\n",
        bars_section(result),
        quality_section(result),
        baseline_section(result, pictures),
        ablation_section(result, pictures),
        days_section(result),
        cold_section(result),
        cost_section(result),
        lookalike_section(result),
        missed_section(result),
        method_section(result),
    ]
    path.write_text("\n".join(section for section in sections if section), encoding="utf-8")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def head(result: Evaluation) -> str:
    """What the page is, and how to make it again."""
    date = datetime.now(UTC).date().isoformat()
    return (
        "# Evaluation\n\n"
        f"Measured on {date}, code `{result.version}`, by `{COMMAND}` (`python -m bench.evaluation --recordings DIR "
        "--write`). The recordings are audit logs of a real kube-apiserver 1.36 with labelled attack campaigns and "
        "harmless look-alikes; they are not part of this repository. Shares of campaigns stand with their 95 % Wilson "
        "intervals: on 54 campaigns, .03 is less than two.\n"
    )


def bars_section(result: Evaluation) -> str:
    """Promises and measured values."""
    rows = []
    for bar in bars(result):
        measured = "" if bar.measured is None else f"{bar.measured:.2f}"
        if bar.interval is not None:
            measured += f" [{bar.interval[0]:.2f}, {bar.interval[1]:.2f}]"
        sign = "≥" if bar.at_least else "≤"
        rows.append([bar.what, bar.where, f"{sign} {bar.promised:g}", measured, bar.verdict])
    return "## Bars\n\n" + table(["measure", "on", "promised", "measured", ""], rows)


def quality_rows(results: dict[str, Quality]) -> list[list[str]]:
    """M1 to M4, one row for each recording and variant."""
    return [
        [
            key,
            *(f"{len(one.recall_at_false[allowed]) / one.campaigns:.2f}" for allowed in (0, 1, 2, 5)),
            share(len(one.recall_at_false[1]), one.campaigns).split(" ")[1],
            str(one.false_stories),
            number(one.opened_events, 0),
            number(one.opened_steps, 0),
            f"{one.before_impact}/{one.multi_step}",
            f"{one.pr_auc:.2f}",
            f"{one.recall_at_precision:.2f}",
            number(one.purity, 2),
            number(one.fragmentation, 2),
            f"{one.root_right}/{len(one.found)}",
            number(one.steps_listed, 2),
        ]
        for key, one in results.items()
    ]


def quality_section(result: Evaluation) -> str:
    """M1 to M4."""
    header = [
        "recording",
        "recall at 0",
        "1",
        "2",
        "5",
        "interval at 1",
        "false",
        "M2 requests",
        "M2 steps",
        "before last step",
    ]
    header += ["M3 PR-AUC", "M3 recall at p .9", "purity", "fragmentation", "root cause", "steps listed"]
    text = "## Quality (M1 to M4)\n\nEverything in one day:\n\n" + table(header, quality_rows(result.whole))
    if result.forked:
        text += "\nEach campaign from a fork of the same benign day, so that none teaches about another:\n\n"
        text += table(header, quality_rows(result.forked))
    text += (
        "\n`recall at N`: campaigns found when the bar stands so low that N incidents of the recording are false. One "
        "recording is one cluster-day; of a million events, one false incident is "
        + ", ".join(
            f"{1e6 / one.events:.1f} on {key.split('/')[0]}"
            for key, one in result.whole.items()
            if key.endswith("/recorded")
        )
        + ". M2 is the median over campaigns found. Variants: "
        + "; ".join(f"*{name}*, {text}" for name, (text, _) in VARIANTS.items())
        + ".\n"
    )
    loud = [
        [key, share(one.loud_recall, one.campaigns), str(sum(one.loud_false.values())),
         f"{1e5 * sum(one.loud_false.values()) / max(1, one.events):.1f}", share(one.any_recall, one.campaigns)]
        for key, one in result.whole.items()
    ]  # fmt: skip
    text += "\nFindings alone, high and critical for everyone:\n\n"
    return text + table(
        ["recording", "campaigns", "false", "false per 100,000 events", "campaigns by any finding"], loud
    )


def baseline_section(result: Evaluation, pictures: list[str]) -> str:
    """Kubewake against what else could be used."""
    if not result.baselines:
        return ""
    text = (
        "## Against baselines\n\nEach has kubewake's grouping by actor and its removal of repeats. How it groups and "
        "weighs is chosen with the labels of `dev` in sight, whatever finds most at one false story: the comparison "
        "leans towards the baselines. McNemar: campaigns that only kubewake or only the baseline finds at one false "
        "story, and the exact two-sided p-value.\n"
    )
    if "evaluation-recall.svg" in pictures:
        text += "\n![Recall against false incidents](images/evaluation-recall.svg)\n"
    for key, rivals in result.baselines.items():
        ours = result.whole[key]
        rows = [
            ["**kubewake**", *(f"{len(ours.recall_at_false[n]) / ours.campaigns:.2f}" for n in FALSE_ALLOWED), "", ""]
        ]
        for name, found in rivals.items():
            ahead, behind, p = mcnemar(ours.recall_at_false[1], found[1])
            cells = [f"{len(found[n]) / ours.campaigns:.2f}" for n in FALSE_ALLOWED]
            rows.append([name, *cells, f"+{ahead} −{behind}", f"{p:.2g}"])
        header = ["detector", *(f"at {n} false" for n in FALSE_ALLOWED), "ours − theirs", "p"]
        text += f"\n### {key}\n\n" + table(header, rows)
    if result.tunings:
        text += "\nTuning: " + "; ".join(f"{name}: {how}" for name, how in result.tunings.items()) + ".\n"
    return text


def ablation_section(result: Evaluation, pictures: list[str]) -> str:
    """What each part is worth."""
    if not result.ablations:
        return ""
    text = "## Ablations\n\nEverything in one day, with one part taken out. McNemar against the full engine at one false story.\n"
    if "evaluation-ablations.svg" in pictures:
        text += "\n![Ablations](images/evaluation-ablations.svg)\n"
    for key, tables in result.ablations.items():
        full = tables["full"]
        rows = []
        for name, one in tables.items():
            lost, won, p = mcnemar(full.recall_at_false[1], one.recall_at_false[1])
            rows.append(
                [
                    name,
                    *(str(len(one.recall_at_false[n])) for n in (0, 1, 5)),
                    str(one.false_stories),
                    "" if name == "full" else f"−{lost} +{won}, p={p:.2g}",
                    number(one.purity, 2),
                    number(one.fragmentation, 2),
                    f"{one.root_right}/{len(one.found)}",
                    number(one.steps_listed, 2),
                ]
            )
        header = [
            "without",
            "found at 0 false",
            "1",
            "5",
            "false",
            "against full",
            "purity",
            "fragmentation",
            "root",
            "steps",
        ]
        text += f"\n### {key}\n\n" + table(header, rows)
    return text


def days_section(result: Evaluation) -> str:
    """M5: false incidents where nothing is wrong."""
    if not result.days:
        return ""
    rows = [
        [key, str(days.days), str(days.events), str(len(days.false)), f"{len(days.false) / days.days:.2f}"]
        for key, days in result.days.items()
    ]
    text = (
        "## Days without attacks (M5)\n\nA generated day is a recording less its attacks, look-alikes included, with people "
        "drawn anew: swapped work, shifted hours, new addresses and client versions, a new newcomer and fresh credentials "
        "every day. One cluster lives through the days of a row one after another.\n\n"
    )
    text += table(["recording", "days", "events", "false incidents", "a day"], rows)
    kinds: dict[str, int] = {}
    for days in result.days.values():
        for _, story in days.false:
            title = without_names(story)
            kinds[title] = kinds.get(title, 0) + 1
    text += (
        "\nWhat they are: "
        + "; ".join(f"{title} ({n})" for title, n in sorted(kinds.items(), key=lambda item: -item[1])[:12])
        + ".\n"
    )
    watched = {key: days for key, days in result.days.items() if days.scored}
    if watched:
        levels = list(next(iter(watched.values())).at_most)
        rows = [
            [key, str(days.scored), *(f"{days.at_most[level] / days.scored:.4f}" for level in levels)]
            for key, days in watched.items()
        ]
        text += "\nCalibration: share of scores on these days whose p-value is at most the level (volumes counted at each step):\n\n"
        text += table(["recording", "scores", *(f"p ≤ {level}" for level in levels)], rows)
    if result.at_rate:
        rates = list(next(iter(result.at_rate.values())))
        rows = [
            [key, *(share(len(found[rate]), result.whole[key].campaigns) for rate in rates)]
            for key, found in result.at_rate.items()
        ]
        text += "\nCampaigns found at the bar that lets pass so many false incidents a generated day:\n\n"
        text += table(["recording", *(f"{rate} a day" for rate in rates)], rows)
    return text


def cold_section(result: Evaluation) -> str:
    """M6."""
    if not any(len(tables) > 1 for tables in result.cold.values()):
        return ""
    rows = [
        [key, label, *(share(len(one.recall_at_false[n]), one.campaigns) for n in (0, 1, 5))]
        for key, tables in result.cold.items()
        for label, one in tables.items()
    ]
    return (
        "## Cold start (M6)\n\nCampaigns from forks whose engine has seen so much of the recorded day before. False stories are "
        "those of the attack-free day, which itself starts with no history. A recording is shorter than an hour, so *all* is "
        "at most 25 minutes of recorded time, which holds one compressed working day.\n\n"
        + table(["recording", "history", "recall at 0 false", "at 1", "at 5"], rows)
    )


def cost_section(result: Evaluation) -> str:
    """M7."""
    rows = []
    for key, cost in result.costs.items():
        events = max(1, result.whole[key].events)
        rows.append(
            [
                key,
                f"{1e6 * cost.get('read_seconds', 0) / events:.1f}",
                f"{1e6 * cost.get('fold_seconds', 0) / events:.1f}",
                f"{cost.get('state_bytes', 0) / 1e6:.1f}",
            ]
        )
    return (
        "## Cost (M7)\n\nCPU time on a shared machine, in one process; throughput proper is measured by `make bench`.\n\n"
        + table(["recording", "read, µs an event", "fold, µs an event", "state, MB"], rows)
    )


def lookalike_section(result: Evaluation) -> str:
    """Harmless activities that look like attacks, and how often each was told as one."""
    rows = []
    for key, one in result.whole.items():
        names = result.lookalikes[key.split("/")[0]]
        told = [f"{names[item]} ({count})" for item, count in one.lookalike_stories.items() if count]
        alerts = [f"{names[item]} ({count})" for item, count in one.lookalike_alerts.items() if count]
        rows.append([key, str(len(names)), ", ".join(told) or "none", ", ".join(alerts) or "none"])
    return "## Look-alikes\n\n" + table(
        ["recording", "look-alikes", "false incidents on", "false loud findings on"], rows
    )


def missed_section(result: Evaluation) -> str:
    """Campaigns that were not found, and incidents that were false."""
    rows = []
    for key, one in result.whole.items():
        names = result.names[key.split("/")[0]]
        missed = sorted(names[item] for item in names if item not in one.found)
        ranked = sorted(names[item] for item in one.found if item not in one.recall_at_false[1])
        rows.append([key, ", ".join(missed) or "none", ", ".join(ranked) or "none"])
    text = "## Missed campaigns\n\n" + table(
        ["recording", "no incident", "incident ranked below the second false one"], rows
    )
    text += "\n## False incidents\n\n"
    rows = [
        [key, f"{story.score:.1f}", without_names(story), str(len(story.audit_ids))]
        for key, one in result.whole.items()
        for story in sorted(one.false, key=lambda story: -story.score)[:12]
    ]
    return text + table(["recording", "score", "title", "events"], rows)


def without_names(story: Story) -> str:
    """A title that can stand in a table and names nobody."""
    who = story.root_cause.split(" ")[1:2]
    title = story.title.replace("|", "/").partition(": ")[0]
    for name in who:
        title = title.replace(name, "somebody").replace(name.capitalize(), "Somebody")
    return title[:110]


def method_section(result: Evaluation) -> str:
    """How the scoring works, and the leak test."""
    text = (
        "## How it is scored\n\nA finding or incident credits the campaign of most of its labelled events, and only if at "
        "least half of its events are that campaign's; otherwise it is false. Answers of controllers and kubelets to what an "
        "attack made count neither way. Root cause is the identity of the campaign's first actor; a step is listed when one of "
        "its events is; before impact means before the campaign's last step. "
    )
    if result.disagreements:
        differing = sum(bool(texts) for texts in result.disagreements.values())
        text += f"An independent scorer read {len(result.disagreements)} of these results and differed on {differing}. "
    if result.leaks is not None:
        text += (
            "\n\nNo identity, namespace, object name, address or client of a recording that upstream Kubernetes and public charts do not "
            f"have may stand in what kubewake ships: {len(result.leaks)} found."
        )
    return text + "\n"
