"""Every rule and detector that there is, as one list."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kubewake.detectors import detector_infos
from kubewake.errors import RuleError
from kubewake.finding import AUDIENCES, SEVERITY_RANK
from kubewake.rules.model import RuleInfo
from kubewake.rules.ruleset import RuleSet, nearest


def all_infos(rules: RuleSet) -> dict[str, RuleInfo]:
    """Cards of rules, correlations and Python detectors by id, sorted."""
    return dict(sorted({**rules.infos, **detector_infos()}.items()))


def find_info(infos: dict[str, RuleInfo], name: str) -> RuleInfo:
    """One card; RuleError with the nearest name where there is none."""
    info = infos.get(name)
    if info is None:
        raise RuleError(f"rule '{name}' does not exist{nearest(name, infos)}; see `kubewake rules list`")
    return info


def select(
    infos: Iterable[RuleInfo],
    *,
    severities: Sequence[str] = (),
    audiences: Sequence[str] = (),
    tactics: Sequence[str] = (),
    text: str = "",
) -> list[RuleInfo]:
    """The cards that meet every given condition, by tactic, severity (worst first) and id."""
    found = [
        info
        for info in infos
        if (not severities or info.level in severities)
        and (not audiences or info.audience in audiences)
        and (not tactics or info.tactic in tactics or set(tactics) & set(info.attack.tactics))
        and (not text or text.lower() in f"{info.id} {info.title} {info.description} {' '.join(info.covers)}".lower())
    ]
    return sorted(found, key=lambda info: (-SEVERITY_RANK[info.level], AUDIENCES.index(info.audience), info.id))


def tests_of(folders: Iterable[Path], rule: str) -> Path | None:
    """The test file of a rule in the first folder that has one."""
    return next((folder / f"{rule}.yml" for folder in folders if (folder / f"{rule}.yml").exists()), None)
