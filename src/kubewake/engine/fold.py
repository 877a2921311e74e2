"""The stateful half of the engine: observations in, findings and incidents out.

A deterministic function of the stubs in event-time order: no clock, no input or output. One `ClusterFold` a cluster
holds what is learnt there; `Fold` puts the stream in order and keeps the findings.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter

import msgspec

from kubewake.baseline import Archive, Baseline
from kubewake.detectors import Detector, DetectorSet, fleet_detectors
from kubewake.detectors.failure import Failure, Failures, note, together
from kubewake.engine.cluster import ClusterFold
from kubewake.engine.findings import FindingBook, later
from kubewake.engine.notices import failure_notice, notices_of
from kubewake.engine.order import LATENESS_SECONDS, Order
from kubewake.engine.saved import SNAPSHOT_VERSION, Saved, Savings, decode_saved
from kubewake.finding import (
    SEVERITIES,
    Finding,
    Incident,
    InputSummary,
    Notice,
    ResultDocument,
    Summary,
    count_severities,
)
from kubewake.observation import Observation, Stub
from kubewake.rbac import RbacState
from kubewake.rules.model import RuleInfo
from kubewake.rules.ruleset import RuleSet

MAX_MALFORMED_KEPT = 100
BLIND_AFTER_SECONDS = 3_600
"""How much of a stream must have passed before what is missing in it counts as not logged."""
_LEVEL = attrgetter("level")
END_OF_TIME = "9999-99"
"""After every timestamp, readable or not."""


class Fold:
    """One stream of observations, folded.

    `absorb` takes observations in input order; `advance` returns what is new or has grown. Stubs wait until nothing
    earlier can come within `lateness_seconds`, which makes the result independent of how the input was cut into
    batches: `flush` says that the input has ended, `at_once` that nobody can wait (see `live`).
    """

    def __init__(
        self,
        rules: RuleSet,
        detectors: Iterable[type[Detector]] | None = None,
        *,
        lateness_seconds: int = LATENESS_SECONDS,
        rbac: RbacState | None = None,
        baselines: Mapping[str, Archive] | None = None,
        about_lists: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._rules = rules
        self._about_lists = tuple(about_lists)
        self._rbac = rbac
        self._baselines = baselines or {}
        self._detectors = None if detectors is None else tuple(detectors)
        self._order = Order(lateness_seconds)
        self._clusters: dict[str, ClusterFold] = {}
        infos = {**rules.infos, **DetectorSet(self._detectors).infos}
        self._infos = {rule: info for rule, info in infos.items() if rule in rules.asked} if rules.asked else infos
        self._fleet = DetectorSet(fleet_detectors(self._detectors), infos)
        self._book = FindingBook(self._infos)
        self._input = InputSummary()
        self._files: dict[str, None] = {}
        self._failures: Failures = {}
        self._told_failures: set[tuple[str, str]] = set()
        self._due: deque[Stub] = deque()
        self._final: dict[str, str] = {}
        """Findings handed over for good that have events since `settled_from`, each with the time of the last."""
        self._passed = ""
        """The latest time of what was passed on."""

    def absorb(self, observation: Observation) -> None:
        """Take in what `read` made of one batch."""
        summary = self._input
        summary.events += observation.events
        summary.bytes += observation.size_bytes
        summary.partial += observation.partial
        summary.skipped += observation.skipped
        for reason, count in observation.skipped_reasons.items():
            summary.skipped_reasons[reason] = summary.skipped_reasons.get(reason, 0) + count
        summary.malformed_total += observation.malformed_total
        room = MAX_MALFORMED_KEPT - len(summary.malformed)
        summary.malformed.extend(observation.malformed[:room])
        summary.faults.extend(observation.faults[: MAX_MALFORMED_KEPT - len(summary.faults)])
        self._files.setdefault(observation.file)
        if observation.first_time and (summary.first_time is None or observation.first_time < summary.first_time):
            summary.first_time = observation.first_time
        if observation.last_time and (summary.last_time is None or observation.last_time > summary.last_time):
            summary.last_time = observation.last_time
        for cluster in observation.clusters:
            if cluster not in summary.clusters:
                summary.clusters = sorted([*summary.clusters, cluster])
        levels = set(map(_LEVEL, observation.stubs))
        if not levels <= set(summary.levels):
            summary.levels = sorted({*summary.levels, *levels})
        self._order.put(observation)

    def advance(self, *, flush: bool = False, at_once: bool = False) -> list[Finding | Incident | Notice]:
        """Pass on what is in order; returns new and grown findings, incidents and notices."""
        self._due.extend(self._order.take(flush=flush, at_once=at_once))
        self._pass_on(len(self._due))
        return self.changed()

    def advance_in_silence(self, *, flush: bool = False) -> None:
        """As `advance`, for who waits for the result and spares the telling of what comes of it meanwhile."""
        self._due.extend(self._order.take(flush=flush))
        self._pass_on(len(self._due))
        self._book.changed()
        for cluster in self._clusters.values():
            cluster.notices()

    def step(self, most: int) -> bool:
        """Pass on so many stubs of what is in order; False when there are no more, and it is time for `changed`."""
        if not self._due:
            self._due.extend(self._order.take())
        self._pass_on(most)
        return bool(self._due)

    def _pass_on(self, most: int) -> None:
        due = self._due
        for _ in range(min(most, len(due))):
            stub = due.popleft()
            if stub.time > self._passed:  # noqa: PLR1730  # a call less for every stub
                self._passed = stub.time
            try:
                cluster = self._clusters.get(stub.cluster) or self._cluster(stub.cluster)
                cluster.observe(stub, self._book, self._fleet)
            except Exception as error:  # noqa: BLE001  # outside all parts; the stubs behind it must not be lost with it
                note(self._failures, "fold", error, stub)

    def changed(self) -> list[Finding | Incident | Notice]:
        """Findings and incidents that are new or have grown since the last call, and new notices."""
        incidents = [incident for cluster in self._clusters.values() for incident in cluster.stories.changed()]
        for incident in incidents:
            self._book.link(incident)
        notices = [notice for cluster in self._clusters.values() for notice in cluster.notices()]
        return [*self._book.changed(), *incidents, *notices, *self.failure_notices()]

    @property
    def is_ready(self) -> bool:
        """Whether something in order can be passed on."""
        return bool(self._due) or self._order.is_ready

    @property
    def is_between(self) -> bool:
        """Whether a `step` was not the last: there is no snapshot of a fold in such a state."""
        return bool(self._due)

    @property
    def settled_from(self) -> str:
        """Where the last span of event time begins that was passed on in order; "" before the first."""
        return self._order.committed

    def failure_notices(self) -> list[Notice]:
        """What failed in a way that is not told yet."""
        notices = []
        for failure in self.failures():
            if (failure.part, failure.error) not in self._told_failures:
                self._told_failures.add((failure.part, failure.error))
                notices.append(failure_notice(failure, self._input.last_time or ""))
        return notices

    def archives(self, *, settled: bool = False) -> dict[str, Archive]:
        """What is usual, by cluster; `settled` learns first what is still on probation and in no incident."""
        archives = {}
        for name, cluster in sorted(self._clusters.items()):
            if settled:
                cluster.baseline.settle()
            archives[name] = cluster.baseline.archive
        return archives

    def baseline(self, cluster: str) -> Baseline | None:
        """What is usual in a cluster and what is new there; None where none of its events were seen."""
        held = self._clusters.get(cluster)
        return None if held is None else held.baseline

    def _cluster(self, name: str) -> ClusterFold:
        cluster = self._clusters.get(name)
        if cluster is None:
            cluster = ClusterFold(self._rules, self._detectors, self._infos, self._rbac)
            self._clusters[name] = cluster
            archive = self._baselines.get(name)
            if archive is not None:
                cluster.baseline.start_from(archive)
        return cluster

    def closed(self) -> list[Finding]:
        """Findings that can grow no more, handed over for good: the caller keeps them."""
        closed = self._book.close_before(self._passed)
        since = self._order.committed
        self._final = {id_: time for id_, time in self._final.items() if time >= since}
        self._final.update((finding.id, finding.last_time) for finding in closed if finding.last_time >= since)
        return closed

    def findings(self) -> Iterator[Finding]:
        """Findings that may still grow."""
        return self._book.open_findings()

    def incidents(self) -> list[Incident]:
        """Every incident so far, oldest first."""
        found = [incident for cluster in self._clusters.values() for incident in cluster.stories.current()]
        return sorted(found, key=lambda incident: (incident.first_time, incident.id))

    @property
    def final(self) -> Collection[str]:
        """Ids of findings that were handed over for good, as far back as `settled_from`."""
        return self._final.keys()

    def merged(self) -> set[str]:
        """Ids of incidents that turned out to be part of another."""
        return {id_ for cluster in self._clusters.values() for id_ in cluster.stories.merged()}

    def input(self) -> InputSummary:
        """What was read so far."""
        self._input.files = list(self._files)
        self._input.duplicates = self._order.counts.duplicates
        self._input.late = self._order.counts.late
        self._input.skipped_reasons = dict(sorted(self._input.skipped_reasons.items()))
        return self._input

    def finish(self) -> list[Finding]:
        """Hand over every finding that is still open: the input has ended."""
        return self._book.close_before(END_OF_TIME)

    def document(self, findings: Collection[Finding]) -> ResultDocument:
        """The result, with all findings handed over so far by `closed()` and `finish()`."""
        counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
        suppressed = 0
        for finding in findings:
            if finding.suppressed_by is None:
                counts[finding.severity] += 1
            else:
                suppressed += 1
        incidents = self.incidents()
        return ResultDocument(
            input=self.input(),
            findings=findings,
            incidents=incidents,
            notices=notices_of(
                self._infos,
                self._input,
                evicted=self.evicted(),
                about_rules=self._rules.notices,
                about_lists=self._about_lists,
                failures=self.failures(),
                hurried=self._order.counts.hurried,
                closed_early=self._book.closed_early,
            ),
            summary=Summary(
                findings=counts,
                incidents=count_severities(incidents),
                suppressed=suppressed,
                rules=len(self._infos),
            ),
        )

    def standing_notices(self) -> list[Notice]:
        """What holds of the rules and of the stream so far, each under the same id every time: for who watches it live.

        Which detections are blind shows only once the stream is `BLIND_AFTER_SECONDS` long. What detectors failed on is
        told by `advance`.
        """
        seen = self.input()
        first, last = seen.first_time or "", seen.last_time or ""
        if not first or last < later(first, BLIND_AFTER_SECONDS):
            seen = msgspec.structs.replace(seen, levels=[])
        return notices_of(
            self._infos,
            seen,
            evicted=self.evicted(),
            about_rules=self._rules.notices,
            about_lists=self._about_lists,
            hurried=self._order.counts.hurried,
            closed_early=self._book.closed_early,
        )

    def evicted(self) -> dict[str, int]:
        """Windows and events that correlations forgot to stay within bounds, by rule."""
        counts: dict[str, int] = {}
        for cluster in self._clusters.values():
            for rule, count in cluster.evicted.items():
                counts[rule] = counts.get(rule, 0) + count
        return counts

    def failures(self) -> list[Failure]:
        """What detectors and other parts failed on since this fold was made, by part and type of exception."""
        clusters = [cluster.failures for cluster in self._clusters.values()]
        return [failure for _, failure in sorted(together([self._failures, self._fleet.failures, *clusters]).items())]

    @property
    def infos(self) -> dict[str, RuleInfo]:
        """Every rule and detector that can report, by id."""
        return self._infos

    def save_anew(self) -> Savings:
        """All state as it is saved time and again: what waits is stored once, in pieces."""
        unsaved = self._order.unsaved()
        return Savings(self.snapshot(in_pieces=True), unsaved, [*self._order.pieces, *unsaved])

    def note_saved(self, savings: Savings) -> None:
        """These are stored now, and nothing was absorbed since."""
        self._order.note_saved(savings.pieces)

    def snapshot(self, *, in_pieces: bool = False) -> bytes:
        """All state, to go on from after a restart: of every cluster, also where all that came of it still waits."""
        assert not self._due
        for name in self._input.clusters:
            self._cluster(name)
        return msgspec.msgpack.encode(
            Saved(
                version=SNAPSHOT_VERSION,
                order=self._order.snapshot(in_pieces=in_pieces),
                findings=self._book.snapshot(),
                clusters={name: cluster.snapshot() for name, cluster in sorted(self._clusters.items())},
                input=self.input(),
                fleet=self._fleet.snapshot(),
                final=self._final,
            ),
        )

    def restore(self, data: bytes, pieces: Mapping[str, bytes] | None = None) -> None:
        """Go on from a snapshot with its pieces; raises StoreError where they cannot be read."""
        saved = decode_saved(data)
        self._order.restore(saved.order, pieces)
        self._book.restore(saved.findings)
        self._clusters = {}
        for name, parts in saved.clusters.items():
            self._cluster(name).restore(parts)
        self._fleet.restore(saved.fleet)
        self._final = saved.final
        self._input = saved.input
        self._files = dict.fromkeys(saved.input.files)
