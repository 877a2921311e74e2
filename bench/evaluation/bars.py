"""What was promised, and what was measured."""

from typing import NamedTuple

from bench.evaluation.evaluation import Evaluation
from bench.evaluation.measures import Quality
from bench.evaluation.statistics import wilson

SCORED = ("dev3/recorded", "dev/blanked", "dev3/blanked")
"""What bars are held against. `dev` as recorded is reported only: there, clients and addresses give attacks away."""
RULES_AND_LINKS = "no statistics (rules and links)"


class Bar(NamedTuple):
    """One promise: `at_least` tells its direction; `measured` is None where that was not measured."""

    what: str
    where: str
    promised: float
    measured: float | None
    at_least: bool = True
    interval: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """Whether it is held."""
        if self.measured is None:
            return "unknown"
        held = self.measured >= self.promised if self.at_least else self.measured <= self.promised
        return "held" if held else "missed"


def recall_bar(what: str, where: str, promised: float, found: int, total: int) -> Bar:
    """A bar on a share of campaigns."""
    return Bar(what, where, promised, found / total, interval=wilson(found, total))


def bars(result: Evaluation) -> list[Bar]:
    """Every promise that can be judged from this result."""
    held: list[Bar] = []
    for where in SCORED:
        ours = result.whole.get(where)
        if ours is not None:
            held += _bars_of(result, where, ours)
    for where in ("dev3/recorded", "dev3/blanked"):
        table = result.ablations.get(where, {})
        if RULES_AND_LINKS in table:
            promised = 0.85 if where.endswith("recorded") else 0.75
            one = table[RULES_AND_LINKS]
            found = len(one.recall_at_false[1])
            held.append(recall_bar("recall at 1 false, rules and links alone", where, promised, found, one.campaigns))
    for where, tables in result.cold.items():
        if "none" in tables:
            one = tables["none"]
            held.append(
                recall_bar("recall at 1 false with no history", where, 0.70, len(one.recall_at_false[1]), one.campaigns)
            )
    days = [kept for key, kept in result.days.items() if key.endswith("/recorded")]
    if days:
        rate = sum(len(kept.false) for kept in days) / sum(kept.days for kept in days)
        held.append(Bar("false incidents a generated day (1 allowed, factor 2)", "recorded", 2.0, rate, at_least=False))
    blank = [kept for key, kept in result.days.items() if key.endswith("/blanked")]
    if blank:
        rate = sum(len(kept.false) for kept in blank) / sum(kept.days for kept in blank)
        held.append(Bar("false incidents a generated day (1 allowed, factor 2)", "blanked", 2.0, rate, at_least=False))
    return held


def _bars_of(result: Evaluation, where: str, ours: Quality) -> list[Bar]:
    def at(allowed: int) -> int:
        return len(ours.recall_at_false[allowed])

    held = [recall_bar("recall at 1 false incident", where, 0.90, at(1), ours.campaigns)]
    rates = result.at_rate.get(where, {})
    if "0.1" in rates:
        held.append(
            recall_bar("recall at 0.1 false a day (generated days)", where, 0.80, len(rates["0.1"]), ours.campaigns)
        )
    if where in result.baselines:
        best = max(len(found[1]) for found in result.baselines[where].values())
        held.append(Bar("recall above the best baseline at 1 false", where, 0.15, (at(1) - best) / ours.campaigns))
    found = len(ours.found)
    held += [
        Bar("purity", where, 0.85, ours.purity),
        Bar("fragmentation", where, 1.2, ours.fragmentation, at_least=False),
        Bar("root cause right", where, 0.80, ours.root_right / found if found else None),
        Bar("attack steps listed", where, 0.80, ours.steps_listed),
        Bar("malicious requests until opened, median", where, 3.0, ours.opened_events, at_least=False),
        Bar(
            "opened before the last step, of multi-step campaigns",
            where,
            0.80,
            ours.before_impact / ours.multi_step if ours.multi_step else None,
        ),
    ]
    return held
