"""The page docs/evaluation.md."""

from pathlib import Path

from bench.evaluation.evaluation import Evaluation


def write_page(result: Evaluation, path: Path) -> None:
    """Write the page."""
    raise NotImplementedError
