"""`python -m bench.evaluation --recordings DIR`: measure, print a table, and with --write the page docs/evaluation.md."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.evaluation.ablations import KINDS
from bench.evaluation.evaluation import COLD, COPIED, Bench, Evaluator
from bench.evaluation.recording import recordings_in
from bench.evaluation.report import write_page
from bench.evaluation.shelf import NotKeptError, Shelf, code_version
from bench.evaluation.table import terminal_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results" / "evaluation"
PAGE = ROOT / "docs" / "evaluation.md"
MAIN_VARIANTS = ("recorded", "blanked")
PARTS = ("whole", "forks", "baselines", "days", "ablations", "variants", "cold", "leaks")


def main(arguments: list[str]) -> int:
    """Run the parts that are asked for; 0 also where there is nothing to measure on."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluation", description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder with one folder for each recording")
    parser.add_argument("--only", nargs="*", help="recordings to use (default: all)")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="kinds of ablation")
    parser.add_argument(
        "--variants", nargs="*", choices=MAIN_VARIANTS, default=list(MAIN_VARIANTS), help="of the main parts"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its pictures")
    parser.add_argument("--version", help="reuse results that were kept under this version of the code")
    parser.add_argument("--only-kept", action="store_true", help="measure nothing anew: show what was kept")
    options = parser.parse_args(arguments)
    names = recordings_in(options.recordings) if options.recordings.is_dir() else []
    names = [name for name in names if not options.only or name in options.only]
    if not names:
        print(f"no labelled recordings in {options.recordings}: nothing to evaluate")
        return 0
    os.nice(5)
    shelf = Shelf(RESULTS, options.version or code_version(), only_kept=options.only_kept)
    evaluator = Evaluator(Bench(options.recordings), shelf)
    measure(evaluator, names, set(options.parts), options.kinds, options.variants)
    print(terminal_table(evaluator.result))
    if options.write:
        write_page(evaluator.result, PAGE)
    failed = [f"{key}: {text}" for key, texts in evaluator.result.disagreements.items() for text in texts]
    for text in failed:
        print(f"the independent scorer disagrees: {text}", file=sys.stderr)
    for leak in evaluator.result.leaks or []:
        print(f"leak: {leak.kind} {leak.text!r} in {leak.place}", file=sys.stderr)
    return 1 if failed or evaluator.result.leaks else 0


def measure(evaluator: Evaluator, names: list[str], parts: set[str], kinds: list[str], chosen: list[str]) -> None:
    """All parts, those that say most first; where only what was kept is asked for, the rest is passed over."""
    both = [(name, variant) for variant in chosen for name in names]
    steps: list[tuple[str, Callable[[], None]]] = []

    def plan(part: str, step: Callable[..., None], *arguments: Any) -> None:
        steps.append((part, partial(step, *arguments)))

    for one in both:
        plan("whole", evaluator.whole, *one)
    plan("leaks", evaluator.leaks, names)
    for part, step in (
        ("baselines", evaluator.baselines),
        ("days", evaluator.generated),
        ("days", evaluator.at_rates),
        ("ablations", partial(evaluator.ablate, kinds=kinds)),
        ("forks", evaluator.forks),
    ):
        for one in both:
            plan(part, step, *one)
    for name in names:
        for variant in COPIED:
            plan("variants", evaluator.whole, name, variant)
    for name in names:
        for label, seconds in COLD.items():
            plan("cold", evaluator.forks, name, "recorded", label, seconds)
    for part, step in steps:
        if part in parts or part == "whole":
            try:
                step()
            except NotKeptError as missing:
                print(f"  not kept: {missing}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
