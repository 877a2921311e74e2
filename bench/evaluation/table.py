"""The result on a terminal of 80 columns."""

from bench.evaluation.bars import bars
from bench.evaluation.evaluation import Evaluation
from bench.evaluation.measures import Quality
from bench.evaluation.statistics import mcnemar, wilson

ALLOWED = 1
"""False stories a cluster-day at which detectors are compared."""


def share(found: int, total: int) -> str:
    """A share with its Wilson interval: `.91 [.80-.96]`."""
    low, high = wilson(found, total)
    return f"{dotted(found / total if total else None)} [{dotted(low)}-{dotted(high)}]"


def dotted(value: float | None) -> str:
    """A share in three or four characters."""
    if value is None:
        return "  -"
    text = f"{value:.2f}"
    return text[1:] if text.startswith("0.") else text


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def terminal_table(result: Evaluation) -> str:
    """All results, in 80 columns."""
    lines = [f"kubewake evaluation, code {result.version}", ""]
    if result.whole:
        lines += quality_lines("Everything in one day", result.whole)
    if result.forked:
        lines += quality_lines("Each campaign from a fork of the benign day", result.forked)
    for key, table in result.cold.items():
        lines += ["", f"Cold start, {key}: recall at {ALLOWED} false"]
        lines += [
            f"  {label:<12} {share(len(held.recall_at_false[ALLOWED]), held.campaigns)}"
            for label, held in table.items()
        ]
    for key, table in result.baselines.items():
        lines += baseline_lines(key, table, result.whole[key])
    for key, tables in result.ablations.items():
        lines += ["", f"Ablations, {key}: found at 0, 1, 5 false; purity; fragments; steps"]
        for name, held in tables.items():
            at = " ".join(f"{len(held.recall_at_false[allowed]):>3}" for allowed in (0, 1, 5))
            lines.append(
                f"  {name:<34}{at}  {dotted(held.purity):>4}  {number(held.fragmentation, 2):>5}  {dotted(held.steps_listed)}"
            )
    if result.days:
        lines += ["", "Generated days without attacks: days, false stories, a day"]
        for key, days in result.days.items():
            lines.append(f"  {key:<22} {days.days:>3} {len(days.false):>4}  {len(days.false) / days.days:.2f}")
        for key, rates in result.at_rate.items():
            total = result.whole[key].campaigns
            lines.append(
                f"  {key:<18} " + " ".join(f"{rate}/d {dotted(len(found) / total)}" for rate, found in rates.items())
            )
    if result.leaks is not None:
        lines += ["", f"Strings of the recordings in what is shipped: {len(result.leaks)}"]
    held_bars = bars(result)
    if held_bars:
        lines += ["", "Bars"]
        for bar in held_bars:
            sign = ">=" if bar.at_least else "<="
            measured = "-" if bar.measured is None else f"{bar.measured:.2f}"
            where = bar.where.replace("recorded", "rec").replace("blanked", "blank")
            lines.append(f"  {bar.what[:46]:<46} {where:<11}{sign}{bar.promised:<5g}{measured:>5} {bar.verdict}")
    return "\n".join(lines)


def quality_lines(title: str, table: dict[str, Quality]) -> list[str]:
    """One line for each recording and variant."""
    lines = ["", title, "                    at 0 at 1 at 5 [at 1: 95%] false pure frag root step  auc op"]
    for key, held in table.items():
        total = held.campaigns
        low, high = wilson(len(held.recall_at_false[ALLOWED]), total)
        at = " ".join(f"{dotted(len(held.recall_at_false[allowed]) / total):>4}" for allowed in (0, 1, 5))
        root = dotted(held.root_right / len(held.found)) if held.found else "-"
        lines.append(
            f"  {key:<18}{at}  [{dotted(low)}-{dotted(high)}]  {held.false_stories:>4}"
            f" {dotted(held.purity):>4} {number(held.fragmentation, 2):>4} {root:>4} {dotted(held.steps_listed):>4}"
            f" {dotted(held.pr_auc):>4} {number(held.opened_events, 0):>2}"
        )
    return lines


def baseline_lines(key: str, table: dict[str, dict[int, list[str]]], ours: Quality) -> list[str]:
    """Kubewake and the baselines at the same number of false stories."""
    total = ours.campaigns
    lines = ["", f"{key} against baselines: recall at 0, 1, 5 false; McNemar at 1"]
    at = " ".join(f"{dotted(len(ours.recall_at_false[allowed]) / total):>4}" for allowed in (0, 1, 5))
    lines.append(f"  {'kubewake':<24}{at}")
    for name, found in table.items():
        at = " ".join(f"{dotted(len(found[allowed]) / total):>4}" for allowed in (0, 1, 5))
        ahead, behind, p = mcnemar(ours.recall_at_false[ALLOWED], found[ALLOWED])
        lines.append(f"  {name:<24}{at}   +{ahead} -{behind}  p={p:.2g}")
    return lines
