"""What is measured, one part after another; each part is kept on the shelf as soon as it is done."""

import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from bench.evaluation.ablations import HELD_OUT, KINDS, Ablation, ablations
from bench.evaluation.agreement import contested, scorer_beside, second_opinions
from bench.evaluation.baselines import GROUPED, Tuning, principal_stories, tune
from bench.evaluation.baselines.request import requests_of
from bench.evaluation.forks import Forked, run_forks
from bench.evaluation.generated import Days, live_through
from bench.evaluation.labels import Labels
from bench.evaluation.leak import Leak, leaks, names_of
from bench.evaluation.measures import (
    FALSE_ALLOWED,
    Quality,
    bar_for,
    found_above,
    found_within,
    precision_of_rules,
    quality,
    ranking,
)
from bench.evaluation.recording import LABELS_FILE, VARIANTS, Recording, load_recording, recordings_in
from bench.evaluation.replay import Engine
from bench.evaluation.shelf import Shelf
from bench.evaluation.story import Alert, Story, Telling

T = TypeVar("T")
TUNED_ON = "dev"
"""Baselines are tuned with the labels of this recording in sight, as kubewake was."""
DAYS_EACH = {"dev": 12, "dev3": 12, "dev2": 8}
COLD = {"none": 0.0, "10 min": 600.0}
"""Seconds of recorded history before a campaign; "all" is a fork of the whole day before it."""
COPIED = ("metadata", "older", "copied-agent")


class Bench:
    """Recordings in their variants, loaded when they are asked for; the engine, started once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine: Engine | None = None
        self._recordings: dict[str, Recording] = {}
        self._current: Recording | None = None

    @property
    def engine(self) -> Engine:
        """The engine, with all its rules."""
        if self._engine is None:
            self._engine = Engine()
        return self._engine

    def recording(self, name: str, variant: str = "recorded") -> Recording:
        """One recording in one variant."""
        if name not in self._recordings:
            self._recordings[name] = load_recording(self.folder / name)
        if variant == "recorded":
            return self._recordings[name]
        if self._current is None or (self._current.name, self._current.variant) != (name, variant):
            self._current = VARIANTS[variant][1](self._recordings[name])
        return self._current

    def labels(self, name: str) -> Labels:
        """Ground truth of a recording."""
        return self.recording(name).labels


class Evaluation(Struct, kw_only=True):
    """Everything measured, by "recording/variant"."""

    version: str
    seconds: float = 0.0
    whole: dict[str, Quality] = {}
    costs: dict[str, dict[str, float]] = {}
    disagreements: dict[str, list[str]] = {}
    forked: dict[str, Quality] = {}
    cold: dict[str, dict[str, Quality]] = {}
    baselines: dict[str, dict[str, dict[int, list[str]]]] = {}
    tunings: dict[str, str] = {}
    ablations: dict[str, dict[str, Quality]] = {}
    days: dict[str, Days] = {}
    at_rate: dict[str, dict[str, list[str]]] = {}
    leaks: list[Leak] | None = None
    names: dict[str, dict[str, str]] = {}
    """Names of campaigns by recording and id."""
    lookalikes: dict[str, dict[str, str]] = {}


class Evaluator:
    """Measures part by part."""

    def __init__(self, bench: Bench, shelf: Shelf) -> None:
        self.bench = bench
        self.shelf = shelf
        self.result = Evaluation(version=shelf.version)

    def keep(self, name: str, kind: type[T], make: Callable[[], T]) -> T:
        """What is on the shelf, or newly made, with a word of how long it took."""
        begun = time.monotonic()
        made = self.shelf.get(name, kind, make)
        spent = time.monotonic() - begun
        if spent > 1:
            print(f"  {name}: {spent:.0f} s", file=sys.stderr, flush=True)
        self.result.seconds += spent
        return made

    def run(self, name: str, variant: str) -> Telling:
        """The engine over everything in one day."""
        return self.bench.engine.run(self.bench.recording(name, variant))

    def whole(self, name: str, variant: str) -> None:
        """Everything in one day, and what an independent scorer says of it."""
        key = f"{name}/{variant}"
        told = self.keep(f"whole {key}", Telling, partial(self.run, name, variant))
        labels = self.bench.labels(name)
        self.result.names[name] = {episode.id: episode.name for episode in labels.campaigns}
        self.result.lookalikes[name] = {item.id: item.name for item in labels.benign_lookalikes}
        measured = quality(told, labels, self.bench.recording(name).times)
        self.result.whole[key] = measured
        self.result.costs[key] = told.costs
        scorer = scorer_beside(self.bench.folder)
        if scorer is not None:
            opinions = second_opinions(scorer, told, self.bench.folder / name / LABELS_FILE)
            self.result.disagreements[key] = contested(measured, opinions)

    def forks(self, name: str, variant: str, label: str = "all", history_seconds: float | None = None) -> None:
        """Each campaign from a fork of the benign day."""
        key = f"{name}/{variant}"
        forked = self.keep(
            f"forks {key} {label}",
            Forked,
            lambda: run_forks(self.bench.engine, self.bench.recording(name, variant), history_seconds=history_seconds),
        )
        labels = self.bench.labels(name)
        measured = quality(
            joined(forked, labels, cold=history_seconds is not None), labels, self.bench.recording(name).times
        )
        if history_seconds is None:
            self.result.forked[key] = measured
        self.result.cold.setdefault(key, {})[label] = measured

    def tunings(self) -> dict[str, Tuning]:
        """How each baseline does best on the recording that kubewake was developed on."""

        def make() -> dict[str, Tuning]:
            recording = self.bench.recording(TUNED_ON)
            requests = requests_of(recording.lines)
            until = recording.labels.recorded.attack_free_until
            return {name: tune(hits(requests, until), recording.labels) for name, hits in GROUPED.items()}

        tunings = self.keep("tunings", dict[str, Tuning], make)
        for name, tuning in tunings.items():
            weight = "weighed by measured precision" if tuning.weighed else "weighed by priority"
            self.result.tunings[name] = f"by {tuning.key}, pause {tuning.idle_seconds:.0f} s, {weight}"
        return tunings

    def baselines(self, name: str, variant: str) -> None:
        """What else could be used, at the same number of false stories."""
        key = f"{name}/{variant}"
        tunings = self.tunings()
        labels = self.bench.labels(name)

        def make() -> dict[str, list[Story]]:
            requests = requests_of(self.bench.recording(name, variant).lines)
            until = labels.recorded.attack_free_until
            told = {which: tunings[which].tell(hits(requests, until)) for which, hits in GROUPED.items()}
            return {**told, **principal_stories(requests)}

        told = self.keep(f"baselines {key}", dict[str, list[Story]], make)
        self.result.baselines[key] = {
            which: {allowed: sorted(found_within(ranking(stories, labels), allowed)) for allowed in FALSE_ALLOWED}
            for which, stories in told.items()
        }

    def ablate(self, name: str, variant: str, kinds: Collection[str] = KINDS) -> None:
        """The engine without each of its parts, everything in one day."""
        key = f"{name}/{variant}"
        labels = self.bench.labels(name)
        times = self.bench.recording(name).times
        table = [one for one in ablations() if one.kind in kinds]
        if "part" in kinds:
            table += self.held_out(name)
        missing = [one for one in table if not self.shelf.has(self.place(key, one.name))]
        encoded = b""
        if missing and not self.shelf.only_kept:
            encoded = msgspec.msgpack.encode(self.bench.engine.read(self.bench.recording(name, variant).lines))
        for one in table:
            if self.shelf.only_kept and one in missing:
                continue

            def make(one=one) -> Telling:
                with one.applied():
                    return self.bench.engine.fold_encoded(encoded)

            told = self.keep(self.place(key, one.name), Telling, make)
            self.result.ablations.setdefault(key, {})[one.name] = quality(told, labels, times)

    def held_out(self, name: str) -> list[Ablation]:
        """The engine with weights of rules that this recording had no part in: the others' labels alone made them."""
        others = [other for other in recordings_in(self.bench.folder) if other != name]
        if not others:
            return []
        tables = []
        for variant in ("recorded", "blanked"):
            judged = []
            for other in others:
                told = self.keep(f"whole {other}/{variant}", Telling, partial(self.run, other, variant))
                judged.append((told.alerts, self.bench.labels(other)))
            tables.append(precision_of_rules(judged))
        rules = sorted(set(tables[0]) | set(tables[1]))
        precision = {rule: (tables[0].get(rule, 1.0), tables[1].get(rule, 1.0)) for rule in rules}
        return [Ablation(HELD_OUT, "part", {"kubewake.incidents.weight.PRECISION": precision})]

    @staticmethod
    def place(key: str, ablation: str) -> str:
        """Name on the shelf of an ablation's telling."""
        return f"ablation {key} {ablation}"

    def generated(self, name: str, variant: str) -> None:
        """Days without attacks."""
        key = f"{name}/{variant}"
        days = DAYS_EACH.get(name, 8)
        self.result.days[key] = self.keep(
            f"days {key} {days}",
            Days,
            lambda: live_through(self.bench.engine, self.bench.recording(name, variant), days),
        )

    def at_rates(self, name: str, variant: str) -> None:
        """Campaigns found at bars that the generated days set."""
        days = [held for key, held in self.result.days.items() if key.endswith(f"/{variant}")]
        total = sum(held.days for held in days)
        if not total:
            return
        scores = [score for held in days for score in held.scores]
        told = self.keep(f"whole {name}/{variant}", Telling, partial(self.run, name, variant))
        ranks = ranking(told.stories, self.bench.labels(name))
        self.result.at_rate[f"{name}/{variant}"] = {
            f"{rate:g}": sorted(found_above(ranks, bar_for(scores, rate * total))) for rate in (0.1, 0.5, 1, 2, 5)
        }

    def leaks(self, names: list[str]) -> None:
        """Strings of the recordings in what is shipped."""
        made = self.keep("leaks", list[Leak], lambda: leaks(names_of(self.bench.recording(name) for name in names)))
        self.result.leaks = made


def joined(forked: Forked, labels: Labels, *, cold: bool = False) -> Telling:
    """The attack-free day's false stories and alerts, with what each fork tells of its own campaign.

    Cold forks are as many first minutes as there are campaigns; false stories are then those of the attack-free day,
    which began once, with nothing known.
    """
    stories = [story for story in forked.benign.stories if not labels.credit(story.audit_ids).campaign]
    seen = {audit for story in stories for audit in story.audit_ids}
    alerts: list[Alert] = list(forked.benign.alerts)
    for campaign, told in forked.campaigns.items():
        for story in told.stories:
            credit = labels.credit(story.audit_ids)
            if credit.campaign == campaign:
                stories.append(story)
            elif not cold and credit.is_false and seen.isdisjoint(story.audit_ids):
                stories.append(story)
                seen.update(story.audit_ids)
        own = set(labels.by_id[campaign].audit_ids)
        alerts += [alert for alert in told.alerts if not own.isdisjoint(alert.audit_ids)]
    return Telling(events=forked.benign.events, stories=stories, alerts=alerts)
