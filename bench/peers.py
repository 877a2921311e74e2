"""Agreement with peers' verdicts on their own test cases, without and with the set-up of each: `python -m bench.peers CASES`.

A case is a file CASES/SOURCE/NAME.json: `events`, the detections that they are about (`catalog_id`, `also_catalog_ids`),
the verdict `expect` of `verdict_by`, and in `config` what the peer's own test had set up. Each case with a verdict by "peer"
counts. Scanned alone, it agrees when a finding for one of its detections is there exactly where one is expected. With its
set-up, the same scan is also given what a user of kubewake writes for it, lists and filters; what a filter suppresses is
not found.

`threshold` and `enrichment` need no translation: the verdict is on single events whatever the threshold, and events carry
what they were enriched with.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

SCANS_AT_ONCE = 2

LISTS = {
    "allowed_images": "allowed_images",
    "allowed_namespaces": "allowed_namespaces",
    "allowed_k8s_users": "allowed_users",
}
"""A peer's allow-lists, and ours for the same question."""

TRUSTED_IMAGES = {
    "privileged_images": ("privileged-container", "privileged-daemonset", "privileged-pod-from-controller"),
    "sensitive_mount_images": ("sensitive-hostpath", "sensitive-hostpath-daemonset", "sensitive-hostpath-pod-from-controller"),
    "hostnetwork_images": ("host-network-pod", "host-network-pod-from-controller"),
}  # fmt: skip
"""A peer's lists of images that one detection trusts, and the rules of ours that such trust is an exception from."""

OTHER_DETECTIONS = frozenset({"informational_activity_rules"})
"""Switches for detections that a case with them is not about."""


class Case(Struct):
    """What a case says, as far as it decides."""

    events: list[Any]
    catalog_id: str | None
    expect: bool | None
    verdict_by: str
    also_catalog_ids: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def wanted(self) -> set[str]:
        return {item for item in (self.catalog_id, *self.also_catalog_ids) if item is not None}


class Outcome(Struct):
    """What one scan of a case came to."""

    agrees: bool
    why: str
    unread: bool = False


class Judged(Struct):
    """A case, scanned both ways."""

    name: str
    alone: Outcome
    set_up: Outcome
    unknown: list[str]


def trust(name: str, images: list[str]) -> dict[str, Any]:
    """A filter for workloads of which every container runs one of these images, at whatever tag or digest."""
    references = [f"{image}{rest}" for image in images for rest in ("", ":*", "@*")]
    return {
        "title": f"Reviewed: {name}",
        "name": f"trusted-{name.replace('_', '-')}",
        "logsource": {"product": "kubernetes", "service": "audit"},
        "filter": {
            "rules": list(TRUSTED_IMAGES[name]),
            "trusted": {"workload.containers.image|cased": references},
            "other": {"workload.containers.image|cased|neq": references},
            "condition": "not trusted or other",
        },
        "kubewake": {
            "owner": "bench",
            "reason": f"the peer's test trusts these images ({name})",
            "expires": (datetime.now(UTC) + timedelta(days=30)).date().isoformat(),
        },
    }


def translated(config: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """What a user writes for a peer's set-up, as documents of a rule file, and the keys that nothing is known for.

    A `+` at the end of a key adds to what the peer ships with; lists of ours are empty until a user fills them.
    """
    documents: list[dict[str, Any]] = []
    unknown: list[str] = []
    for key, values in config.items():
        name = key.removesuffix("+")
        if name in OTHER_DETECTIONS:
            continue
        if not (isinstance(values, list) and values and all(isinstance(value, str) for value in values)):
            unknown.append(key)
        elif name in LISTS:
            documents.append({"name": LISTS[name], "values": values})
        elif name in TRUSTED_IMAGES:
            documents.append(trust(name, values))
        else:
            unknown.append(key)
    return documents, unknown


def scanned(case: Case, documents: list[dict[str, Any]], cache: Path) -> Outcome:
    """What `kubewake scan` finds in the events of a case, beside these documents as rules of a user's own."""
    with tempfile.TemporaryDirectory(prefix="kubewake-peers-") as folder:
        log = Path(folder, "audit.jsonl")
        log.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in case.events))
        command = [sys.executable, "-m", "kubewake", "scan", "-o", "json", str(log)]
        if documents:
            rules = Path(folder, "rules.yml")
            rules.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
            command += ["--rules", str(rules)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    try:
        findings = json.loads(run.stdout)["findings"]
        found = {row for item in findings if not (documents and item["suppressed_by"]) for row in item["covers"]}
    except (ValueError, KeyError):
        return Outcome(False, f"unreadable output, exit {run.returncode}: {run.stderr.strip()}", unread=True)
    return Outcome(
        bool(found & case.wanted) == case.expect,
        f"expected {case.expect} for {sorted(case.wanted) or 'no detection of ours'}, found {sorted(found)}",
    )


def judged(name: str, case: Case, cache: Path) -> Judged:
    """The case without and with its set-up; where that asks for nothing, one scan tells both."""
    documents, unknown = translated(case.config)
    alone = scanned(case, [], cache)
    return Judged(name, alone, scanned(case, documents, cache) if documents else alone, unknown)


def figure(label: str, outcomes: Iterable[tuple[str, Outcome]]) -> str:
    """The share of cases that agree, of all and of each source."""
    total: collections.Counter[str] = collections.Counter()
    agree: collections.Counter[str] = collections.Counter()
    for name, outcome in outcomes:
        source = name.split("/")[0]
        total[source] += 1
        agree[source] += outcome.agrees
    of_each = ", ".join(f"{source} {agree[source]}/{total[source]}" for source in total)
    right, count = agree.total(), total.total()
    return f"agreement {label} {right}/{count} = {right / count:.3f} ({of_each})"


def main(arguments: list[str]) -> int:
    """Print what disagrees, and both figures; 1 when something could not be read, 2 when there is nothing to score."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, help="folder with one folder of cases for each source")
    root = parser.parse_args(arguments).cases
    if not root.is_dir():
        parser.error(f"{root}: there is no such folder; name the one that holds the cases")
    cases: dict[str, Case] = {}
    unread: list[str] = []
    for path in sorted(root.glob("*/*.json")):
        name = path.relative_to(root).as_posix()
        try:
            case = msgspec.json.decode(path.read_bytes(), type=Case)
        except (OSError, msgspec.DecodeError) as error:
            unread.append(name)
            print(f"{name}: cannot be read: {error}")
        else:
            if case.expect is not None and case.verdict_by == "peer":
                cases[name] = case
    if not cases:
        parser.error(f"{root}: holds no case (SOURCE/NAME.json) with a verdict by a peer")

    with (
        tempfile.TemporaryDirectory(prefix="kubewake-peers-cache-") as cache,
        ThreadPoolExecutor(SCANS_AT_ONCE) as pool,
    ):
        results = list(pool.map(judged, cases, cases.values(), repeat(Path(cache))))
    unread += [item.name for item in results if item.alone.unread or item.set_up.unread]

    for item in results:
        for key in item.unknown:
            print(f"{item.name}: set-up not translated: {key}: {json.dumps(cases[item.name].config[key])}")
    for item in results:
        if item.set_up.agrees and not item.alone.agrees:
            print(f"{item.name}: agrees with its set-up; without: {item.alone.why}")
    for item in results:
        if not item.set_up.agrees:
            print(f"{item.name}: {item.set_up.why}")
    print(figure("without set-up", ((item.name, item.alone) for item in results)))
    print(figure("with set-up", ((item.name, item.set_up) for item in results)))
    if unread:
        print(f"could not be read: {', '.join(unread)}")
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
