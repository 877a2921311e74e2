"""Pages about rules: one Markdown page a rule and an index, generated from the rules and checked for drift."""

from collections.abc import Iterable
from pathlib import Path

from kubewake.detectors import all_detectors
from kubewake.errors import SettingsError
from kubewake.finding import SEVERITIES
from kubewake.rules.model import TACTICS, RuleInfo
from kubewake.rules.pack import BUILTIN_LABEL, builtin_path

_AUDIENCES = {
    "everyone": "everyone: a busy analyst should hear of it",
    "pedantic": "hunters: worth knowing, not worth waking somebody",
    "auditor": "auditors: a record",
}


INDEX_MARK = "rules and detectors, generated from their sources."


def source_of(info: RuleInfo) -> str:
    """The rule's YAML; "" for Python detectors."""
    if not info.file or info.kind == "detector":
        return ""
    path = builtin_path(info.file) if info.file.startswith(BUILTIN_LABEL) else Path(info.file)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def page_text(info: RuleInfo, source: str) -> str:
    """Everything about one rule, as Markdown."""
    lines = [f"# {info.title}", "", f"`{info.id}`", ""]
    lines += [
        "| | |",
        "| --- | --- |",
        f"| severity | {info.level} |",
        f"| confidence | {info.confidence} |",
        f"| for | {_AUDIENCES[info.audience]} |",
        f"| needs audit level | {info.needs} |",
    ]
    attack = [*info.attack.tactics, *info.attack.techniques]
    if attack:
        lines.append(f"| MITRE ATT&CK | {', '.join(attack)} |")
    if info.attack.threat_matrix:
        lines.append(f"| Threat Matrix | {', '.join(info.attack.threat_matrix)} |")
    if info.covers:
        lines.append(f"| covers | {', '.join(info.covers)} |")
    if info.cves:
        lines.append(f"| vulnerabilities | {', '.join(info.cves)} |")
    if info.affected:
        lines.append(f"| affected versions | {info.affected} |")
    lines += ["", info.description or info.title, ""]
    lines += ["## What a finding says", "", _code(info.story), ""]
    if info.remediation:
        lines += [
            "## What to do",
            "",
            *(f"{number}. {_code(step)}" for number, step in enumerate(info.remediation, 1)),
            "",
        ]
    if info.falsepositives:
        lines += ["## What harmless thing looks the same", "", *(f"- {text}" for text in info.falsepositives), ""]
    if info.references:
        lines += ["## References", "", *(f"- <{text}>" for text in info.references), ""]
    if source:
        lines += ["## The rule", "", "```yaml", source.rstrip(), "```", ""]
    else:
        lines += [f"A detector in Python: `{module_of(info.id)}`.", ""]
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text}`" if text.startswith("kubectl") else text.replace("{", "*").replace("}", "*")


def module_of(rule: str) -> str:
    """The module of the Python detector that reports under this id."""
    for detector in all_detectors():
        if any(info.id == rule for info in detector.infos):
            return detector.__module__
    return ""


def index_text(infos: Iterable[RuleInfo]) -> str:
    """The index of all rules, by tactic and severity."""
    known = list(infos)
    lines = ["# Rules", "", f"{len(known)} {INDEX_MARK}", ""]
    groups: dict[str, list[RuleInfo]] = {}
    for info in known:
        tactic = info.tactic or (info.attack.tactics[0] if info.attack.tactics else "other")
        groups.setdefault(tactic, []).append(info)
    for tactic in (*TACTICS, *sorted(set(groups) - set(TACTICS))):
        if tactic not in groups:
            continue
        lines += [f"## {tactic}", "", "| rule | severity | for | what |", "| --- | --- | --- | --- |"]
        for info in sorted(groups[tactic], key=lambda item: (-SEVERITIES.index(item.level), item.id)):
            lines.append(f"| [{info.id}]({info.id}.md) | {info.level} | {info.audience} | {info.title} |")
        lines.append("")
    return "\n".join(lines)


def all_pages(infos: Iterable[RuleInfo]) -> dict[str, str]:
    """File name to text of every page and of the index."""
    known = list(infos)
    pages = {f"{info.id}.md": page_text(info, source_of(info)) for info in known}
    pages["README.md"] = index_text(known)
    return pages


def is_page(path: Path) -> bool:
    """Whether the file is a page or an index that was made here, of whatever version."""
    head = path.read_text(encoding="utf-8", errors="replace").split("\n", 3)[:3]
    return len(head) == 3 and (head[2] == f"`{path.stem}`" or head[2].endswith(INDEX_MARK))


def drifted(folder: Path, pages: dict[str, str]) -> list[str]:
    """Names of pages that are missing, differ, or belong to no rule; SettingsError where other pages stand there."""
    present = {path.name for path in folder.glob("*.md")} if folder.is_dir() else set()
    foreign = sorted(name for name in present if not is_page(folder / name))
    if foreign:
        raise SettingsError(
            f"{folder}: holds {foreign[0]}, which is no page of a rule; give the pages a folder of their own"
        )
    wrong = [
        name
        for name, text in pages.items()
        if name not in present or (folder / name).read_text(encoding="utf-8") != text
    ]
    return sorted([*wrong, *(present - pages.keys())])


def write_pages(folder: Path, pages: dict[str, str]) -> int:
    """Write every page and remove those of no rule; returns how many files changed."""
    wrong = drifted(folder, pages)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in wrong:
            if name in pages:
                (folder / name).write_text(pages[name], encoding="utf-8")
            else:
                (folder / name).unlink()
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    return len(wrong)
