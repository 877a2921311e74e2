"""How much a piece of evidence weighs, and what many pieces come to. One scale for rules, links and statistics: nats."""

import math
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import pairwise
from operator import attrgetter

import msgspec
from msgspec import Struct

from kubewake.finding import Severity
from kubewake.rules.model import NATS, TACTICS, RuleInfo

CONFIDENCE_FACTOR = {"high": 1.0, "medium": 0.9, "low": 0.6}
AUDIENCE_FACTOR = {"everyone": 1.0, "pedantic": 0.6, "auditor": 0.25}
"""Rules for hunters and auditors fire in ordinary life; they support a story but hardly make one."""
MAX_TRIED = 16
"""Cap of the correction for how many surprises were tried in a tactic: noise cannot bury evidence."""
ORDER_NATS = 1.0
"""At most this much for tactics that came in the order of the kill chain."""
ORDER_TACTICS = 3
"""Fewer tactics than this are in some order by chance."""
SUSPICIOUS_NATS = 0.5
"""Evidence below this accompanies a story but does not start one or admit an event to it."""
PRECISION: dict[str, tuple[float, float]] = msgspec.json.decode(
    files(__package__).joinpath("precision.json").read_bytes(), type=dict[str, tuple[float, float]]
)
"""Share of right findings for each rule that was ever wrong, where address and client are known and where they are not.
Measured on the recordings for development by bench/rule_precision.py; rules that are not named were never wrong there."""
RETELLINGS = frozenset(
    {
        "attack-sequence-compromised-cluster",
        "low-and-slow-campaign",
        "hands-on-keyboard-session",
        "cross-cluster-identity",
    }
)
"""Detectors that join other findings of one identity: what incidents do along links, so they weigh nothing here."""
_RANK = {tactic: rank for rank, tactic in enumerate(TACTICS)}
_IN_ORDER = attrgetter("seconds", "detector", "session")


class Piece(Struct, array_like=True):
    """One piece of evidence against a session. `kind` is rule, link or surprise; `key` the event that gave it."""

    kind: str
    detector: str
    tactic: str
    nats: float
    text: str
    session: int
    seconds: float
    key: int
    finding: str = ""
    always: bool = False
    tried: int = 1
    """For surprises: how many of its kind the session has shown, this one being the strongest."""
    tells: list[int] = []
    """For a sequence: the requests that it consists of, by number. What else they gave is part of the same story."""


def precision_of(rule: str, *, specific: bool) -> float:
    """Measured precision of a rule in a session with or without a known address and client; 1 where it was never wrong."""
    known, blind = PRECISION.get(rule, (1.0, 1.0))
    return known if specific else blind


class Part(Struct, array_like=True):
    """What one tactic, or the order of tactics, contributes to a score."""

    tactic: str
    detector: str
    kind: str
    nats: float
    text: str


def rule_nats(info: RuleInfo, severity: Severity | None = None) -> float:
    """Evidence of a rule's hit: its severity class, or that of this case, less where it is unsure or meant for few."""
    if info.id in RETELLINGS:
        return 0.0
    return NATS[severity or info.level] * CONFIDENCE_FACTOR[info.confidence] * AUDIENCE_FACTOR[info.audience]


def without_retold(pieces: Iterable[Piece]) -> list[Piece]:
    """Of a sequence and the pieces that its own requests gave, only the strongest: a thing told twice is one thing."""
    kept = list(pieces)
    for sequence in [piece for piece in kept if len(piece.tells) > 1]:
        requests = set(sequence.tells)
        told = [
            piece
            for piece in kept
            if piece is sequence
            or (
                piece.key >> 2 in requests
                and piece.session == sequence.session
                and piece.kind == "rule"
                and len(piece.tells) < 2
            )
        ]
        if len(told) > 1:
            strongest = max(told, key=attrgetter("nats"))
            weaker = {id(piece) for piece in told if piece is not strongest}
            kept = [piece for piece in kept if id(piece) not in weaker]
    return kept


def parts_of(pieces: Iterable[Piece], strengths: Mapping[int, float]) -> list[Part]:
    """The best piece of each tactic, times the path strength of its session; then the order of the tactics.

    Surprises are corrected for how many were tried in the tactic (Bonferroni, at most 16); rules and links are not, since
    their weights are measured precisions. Repeats of a piece never add.
    """
    by_tactic: dict[str, list[Piece]] = {}
    for piece in sorted(without_retold(pieces), key=_IN_ORDER):
        by_tactic.setdefault(piece.tactic, []).append(piece)
    parts = []
    first: list[tuple[float, int, str]] = []
    for tactic, held in sorted(by_tactic.items(), key=lambda item: (_RANK.get(item[0], len(_RANK)), item[0])):
        tried = sum([piece.tried for piece in held if piece.kind == "surprise"])
        correction = math.log(min(tried, MAX_TRIED)) if tried else 0.0
        best, best_nats = None, 0.0
        for piece in held:
            nats = piece.nats - correction if tried and piece.kind == "surprise" else piece.nats
            nats *= strengths.get(piece.session, 0.0)
            if nats > best_nats:
                best, best_nats = piece, nats
        if best is not None:
            parts.append(Part(tactic, best.detector, best.kind, round(best_nats, 3), best.text))
            if tactic in _RANK:
                first.append((held[0].seconds, _RANK[tactic], tactic))
    order = order_nats([rank for _, rank, _ in sorted(first)])
    if order > 0:
        parts.append(Part("", "order", "order", order, "the steps came in the order in which attacks unfold"))
    return parts


def order_nats(ranks: list[int]) -> float:
    """Up to one nat for tactics that follow the kill chain, by the share of neighbours in order."""
    if len(ranks) < ORDER_TACTICS:
        return 0.0
    pairs = list(pairwise(ranks))
    ordered = sum(1 for earlier, later in pairs if earlier < later)
    share = 2 * ordered / len(pairs) - 1
    return round(max(0.0, ORDER_NATS * share), 3)


def is_anomaly_only(parts: Iterable[Part]) -> bool:
    """Whether nothing but statistics speaks for a story."""
    return all(part.kind in {"surprise", "order"} for part in parts)


def score_of(pieces: list[Piece], strengths: Mapping[int, float], links: int) -> tuple[float, list[Part]]:
    """A story's score and its parts: evidence along the paths, or the strongest session's own where that is more.

    Anomalies alone count nothing unless they span two tactics in two requests, or one and an exact link (`links` of them).
    """
    parts = parts_of(pieces, strengths)
    score = sum(part.nats for part in parts)
    for session in sorted({piece.session for piece in pieces if strengths.get(piece.session, 0.0) < 1.0}):
        own = parts_of([piece for piece in pieces if piece.session == session], {session: 1.0})
        total = sum(part.nats for part in own)
        if total > score:
            score, parts = total, own
    if is_anomaly_only(parts):
        tactics = {part.tactic for part in parts if part.kind == "surprise"}
        requests = {piece.key >> 2 for piece in pieces if piece.kind == "surprise"}
        if min(len(tactics), len(requests)) < 2 and not (tactics and links):
            return 0.0, parts
    return round(score, 3), parts
