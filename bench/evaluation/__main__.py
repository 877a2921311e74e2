"""`python -m bench.evaluation --recordings DIR`: measure, print a table, and with --write the page docs/evaluation.md."""

import argparse
import os
import sys
from pathlib import Path

from bench.evaluation.evaluation import COLD, COPIED, Bench, Evaluator
from bench.evaluation.recording import recordings_in
from bench.evaluation.report import write_page
from bench.evaluation.shelf import Shelf, code_version
from bench.evaluation.table import terminal_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results" / "evaluation"
PAGE = ROOT / "docs" / "evaluation.md"
PARTS = ("whole", "forks", "baselines", "days", "ablations", "variants", "cold", "leaks")


def main(arguments: list[str]) -> int:
    """Run the parts that are asked for; 0 also where there is nothing to measure on."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluation", description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder with one folder for each recording")
    parser.add_argument("--only", nargs="*", help="recordings to use (default: all)")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its pictures")
    parser.add_argument("--version", help="reuse results that were kept under this version of the code")
    options = parser.parse_args(arguments)
    names = recordings_in(options.recordings) if options.recordings.is_dir() else []
    names = [name for name in names if not options.only or name in options.only]
    if not names:
        print(f"no labelled recordings in {options.recordings}: nothing to evaluate")
        return 0
    os.nice(5)
    evaluator = Evaluator(Bench(options.recordings), Shelf(RESULTS, options.version or code_version()))
    measure(evaluator, names, set(options.parts))
    print(terminal_table(evaluator.result))
    if options.write:
        write_page(evaluator.result, PAGE)
    failed = [f"{key}: {text}" for key, texts in evaluator.result.disagreements.items() for text in texts]
    for text in failed:
        print(f"the independent scorer disagrees: {text}", file=sys.stderr)
    for leak in evaluator.result.leaks or []:
        print(f"leak: {leak.kind} {leak.text!r} in {leak.place}", file=sys.stderr)
    return 1 if failed or evaluator.result.leaks else 0


def measure(evaluator: Evaluator, names: list[str], parts: set[str]) -> None:
    """All parts, those that say most first."""
    both = [(name, variant) for variant in ("recorded", "blanked") for name in names]
    for name, variant in both:
        evaluator.whole(name, variant)
    if "leaks" in parts:
        evaluator.leaks(names)
    if "baselines" in parts:
        for name, variant in both:
            evaluator.baselines(name, variant)
    if "days" in parts:
        for name, variant in both:
            evaluator.generated(name, variant)
        for name, variant in both:
            evaluator.at_rates(name, variant)
    if "ablations" in parts:
        for name, variant in both:
            evaluator.ablate(name, variant)
    if "forks" in parts:
        for name, variant in both:
            evaluator.forks(name, variant)
    if "variants" in parts:
        for name in names:
            for variant in COPIED:
                evaluator.whole(name, variant)
    if "cold" in parts:
        for name in names:
            for label, seconds in COLD.items():
                evaluator.forks(name, "recorded", label, seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
