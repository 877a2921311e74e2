"""Pictures for the page: recall against false stories, and what each part is worth."""

from pathlib import Path

from bench.evaluation.evaluation import Evaluation
from bench.evaluation.measures import FALSE_ALLOWED

BEST_BASELINES = 4
INK = "#0b5cad"
GREY = "#8a8f98"


def draw(result: Evaluation, folder: Path) -> list[str]:
    """Write the pictures; returns their names."""
    curves = [key for key in ("dev3/recorded", "dev3/blanked") if key in result.whole and key in result.baselines]
    ablated = [key for key in ("dev3/recorded", "dev3/blanked") if key in result.ablations]
    if not curves and not ablated:
        return []
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "kubewake", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    if curves:
        draw_curves(result, curves, folder / "evaluation-recall.svg")
        names.append("evaluation-recall.svg")
    if ablated:
        draw_ablations(result, ablated, folder / "evaluation-ablations.svg")
        names.append("evaluation-ablations.svg")
    return names


def draw_curves(result: Evaluation, keys: list[str], path: Path) -> None:
    """Recall by the number of false stories allowed, kubewake and the best baselines."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(keys), figsize=(8, 3.2), sharey=True, squeeze=False)
    for axis, key in zip(axes[0], keys, strict=True):
        ours = result.whole[key]
        rivals = sorted(result.baselines[key].items(), key=lambda item: -len(item[1][5]))[:BEST_BASELINES]
        for style, (name, found) in zip(("-", "--", "-.", ":"), rivals, strict=False):
            shares = [len(found[allowed]) / ours.campaigns for allowed in FALSE_ALLOWED]
            axis.plot(range(len(FALSE_ALLOWED)), shares, style, color=GREY, label=name)
        shares = [len(ours.recall_at_false[allowed]) / ours.campaigns for allowed in FALSE_ALLOWED]
        axis.plot(range(len(FALSE_ALLOWED)), shares, "-o", color=INK, label="kubewake", linewidth=2)
        axis.set_xticks(range(len(FALSE_ALLOWED)), [str(allowed) for allowed in FALSE_ALLOWED])
        axis.set_title(key, fontsize=9)
        axis.set_xlabel("false incidents allowed in the day")
        axis.set_ylim(0, 1)
        axis.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0.3, 0.38))
    axes[0][0].set_ylabel("campaigns found")
    finish(figure, path)


def draw_ablations(result: Evaluation, keys: list[str], path: Path) -> None:
    """Recall at one false story without each part."""
    from matplotlib import pyplot as plt

    names = list(result.ablations[keys[0]])
    figure, axes = plt.subplots(1, len(keys), figsize=(8, 0.21 * len(names) + 0.8), sharey=True, squeeze=False)
    for axis, key in zip(axes[0], keys, strict=True):
        table = result.ablations[key]
        shares = [len(table[name].recall_at_false[1]) / table[name].campaigns if name in table else 0 for name in names]
        axis.barh(range(len(names)), shares, color=[INK if name == "full" else GREY for name in names])
        axis.axvline(shares[0], color=INK, linewidth=0.8)
        axis.set_yticks(range(len(names)), names, fontsize=7)

        axis.set_xlim(0, 1)
        axis.set_title(key, fontsize=9)
        axis.set_xlabel("campaigns found at 1 false incident")
    axes[0][0].invert_yaxis()
    finish(figure, path)


def finish(figure, path: Path) -> None:
    """Save without a date, so that equal results are equal files."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
