"""What is unusual, for whom, and how sure: the surprise model of one cluster."""

from kubewake.baseline.archive import Archive, decode, encode, train_anew
from kubewake.baseline.baseline import DETECTORS, Baseline
from kubewake.baseline.budget import Budget
from kubewake.baseline.verdict import Lesson, Verdict, verdict_on

__all__ = [
    "DETECTORS",
    "Archive",
    "Baseline",
    "Budget",
    "Lesson",
    "Verdict",
    "decode",
    "encode",
    "train_anew",
    "verdict_on",
]
