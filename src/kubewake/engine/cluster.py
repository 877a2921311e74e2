"""All that is learnt about one cluster: stubs in event-time order in, accusations against identities out."""

from collections.abc import Collection, Iterable, Sequence

from kubewake.baseline import Baseline
from kubewake.baseline.catalog import rows_of
from kubewake.detectors import Detector, DetectorSet, cluster_detectors
from kubewake.detectors.failure import Failures, Part, note, restore_parts, save_parts, together
from kubewake.engine.access import KINDS, Access
from kubewake.engine.findings import FindingBook
from kubewake.engine.saved import BASELINE
from kubewake.engine.settled import Settled, is_upkeep
from kubewake.engine.versions import Versions
from kubewake.finding import Finding, Notice, Severity
from kubewake.incidents import Accusation, Stories
from kubewake.observation import Evidence, Hit, Signal, Stub
from kubewake.rbac import RbacState
from kubewake.rules.model import RuleInfo
from kubewake.rules.ruleset import RuleSet

# ruff: noqa: BLE001  # a part that raises is counted and told; a `try` that holds costs nothing


class ClusterFold:
    """Everything that is learnt about one cluster: windows, detectors, RBAC, lineage and stories.

    A part that raises on a stub costs its own word on that stub: `failures` counts it, and all others see the stub.
    """

    def __init__(
        self,
        rules: RuleSet,
        detectors: Iterable[type[Detector]] | None,
        infos: dict[str, RuleInfo],
        rbac: RbacState | None,
    ) -> None:
        self._rules = rules
        self._infos = infos
        self._correlator = rules.new_correlator()
        self._detectors = DetectorSet(cluster_detectors(detectors), {**rules.infos, **infos})
        self._settled = Settled()
        self._versions = Versions()
        self._access = Access(None if rbac is None else rbac.copy())
        self.stories = Stories(infos, reach=self._access)
        self.baseline = Baseline(self.stories.is_suspected)
        self._notices: list[Notice] = []
        self._failures: Failures = {}

    def observe(self, stub: Stub, book: FindingBook, fleet: DetectorSet) -> None:
        """Pass one stub through every stateful part, the fleet's detectors too; findings open and grow in the book."""
        accusations: list[Accusation] = []
        if stub.is_feed:
            self._correlate(stub, book, accusations)
            if accusations:
                self.stories.observe(stub, accusations)
            return
        repeat = False
        try:
            repeat = self._settled.is_repeat(stub)
        except Exception as error:
            note(self._failures, "settled", error, stub)
        if stub.resource in KINDS:
            try:
                self._access.observe(stub)
            except Exception as error:
                note(self._failures, "rbac", error, stub)
        if not repeat:  # which would name the same client again
            try:
                self._versions.observe(stub)
            except Exception as error:
                note(self._failures, "versions", error, stub)
        for hit in stub.records:
            self._find(book, hit, stub, (), None, None)
        for hit in stub.hits:
            self._accuse(accusations, book, hit, stub, (), None, None)
        if stub.hits or self._correlator.due:
            self._correlate(stub, book, accusations)
        detections = self._detectors.observe(stub, repeat)
        if not repeat and (stub.hits or not fleet.of_hits):
            detections = [*detections, *fleet.observe(stub)]
        for detection in detections:
            suppressor = self._suppressor(detection.rule, detection.stub)
            hit = Hit(detection.rule, suppressor, detection.values)
            self._accuse(accusations, book, hit, detection.stub, detection.evidence, None, detection.severity)
        if repeat and not accusations and is_upkeep(stub):
            return
        day = self.baseline.day
        surprises: tuple[Signal, ...] = ()
        try:
            surprises = self.baseline.observe(stub)
            if surprises:
                self._report(surprises, stub, book, {item.rule.id for item in accusations})
        except Exception as error:
            note(self._failures, BASELINE, error, stub)
        self.stories.observe(stub, accusations, surprises)
        if surprises or self.baseline.day != day:
            self._balance(stub, day)

    def _correlate(self, stub: Stub, book: FindingBook, accusations: list[Accusation]) -> None:
        """Pass a stub to the correlations, and what they complete to the book."""
        try:
            for match in self._correlator.observe(stub):
                hit = Hit(match.rule, match.suppressed_by, match.values)
                self._accuse(accusations, book, hit, match.stub, match.evidence, match.group, None)
        except Exception as error:
            note(self._failures, "correlations", error, stub)

    def _suppressor(self, rule: str, stub: Stub) -> str | None:
        """The filter that marks what was found in the stub; none where filters fail: rather told than hidden."""
        try:
            return self._rules.suppressor_of_stub(rule, stub)
        except Exception as error:
            note(self._failures, "filters", error, stub)
            return None

    def _report(self, surprises: Sequence[Signal], stub: Stub, book: FindingBook, told: Collection[str]) -> None:
        """Open the findings that rest on the baseline. In incidents the surprises weigh, not these."""
        for rule, signal in rows_of(stub, surprises):
            info = self._infos.get(rule)
            if info is None or rule in told:
                continue
            new = [trait["facet"] for trait in signal.detail["traits"] if trait["nats"] > 0]
            values = {
                "value": signal.detail["action"],
                "aspects": new,
                "surprise": signal.text,
                "user.username": stub.user,
            }
            hit = Hit(rule, self._suppressor(rule, stub), values)
            signal.detail.setdefault("finding", book.add(info, hit, stub).id)

    def _balance(self, stub: Stub, day: int) -> None:
        """Move the bar for statistical incidents, and tell of the day (since 1970) that has ended."""
        try:
            self.stories.shift_bar(self.baseline.bar_shift(self.stories.statistical))
            if day and self.baseline.day != day:
                digest = self.stories.digest(stub.time)
                self._notices += [] if digest is None else [digest]
        except Exception as error:
            note(self._failures, "digest", error, stub)

    def _accuse(
        self,
        accusations: list[Accusation],
        book: FindingBook,
        hit: Hit,
        stub: Stub,
        earlier: Sequence[Evidence],
        group: tuple[object, ...] | None,
        severity: Severity | None,
    ) -> None:
        finding = self._find(book, hit, stub, earlier, group, severity)
        if finding is not None:
            info, suppressed = self._infos[hit.rule], hit.suppressed_by is not None
            accusations.append(Accusation(info, finding.id, stub, earlier, suppressed, severity))

    def _find(
        self,
        book: FindingBook,
        hit: Hit,
        stub: Stub,
        earlier: Sequence[Evidence],
        group: tuple[object, ...] | None,
        severity: Severity | None,
    ) -> Finding | None:
        """Let the finding of a hit open or grow; None where the rule may not report, or this fails."""
        info = self._infos.get(hit.rule)
        if info is None:
            return None
        try:
            finding = book.add(info, hit, stub, earlier, group, severity)
        except Exception as error:
            note(self._failures, "findings", error, stub)
            return None
        if info.affected:
            try:
                self._versions.explain(info, finding)
            except Exception as error:
                note(self._failures, "versions", error, stub)
        return finding

    def notices(self) -> list[Notice]:
        """Notices since the last call: shifts of what is usual, and each day's digest."""
        notices, self._notices = [*self._notices, *self.baseline.notices()], []
        return notices

    @property
    def evicted(self) -> dict[str, int]:
        """Windows and events that correlations forgot to stay within bounds, by rule."""
        return self._correlator.evicted

    @property
    def failures(self) -> Failures:
        """What parts failed on since the start."""
        return together([self._failures, self._detectors.failures, self.stories.failures])

    @property
    def _parts(self) -> dict[str, Part]:
        return {
            "correlations": self._correlator,
            "detectors": self._detectors,
            "rbac": self._access.state,
            "settled": self._settled,
            "versions": self._versions,
            "stories": self.stories,
            BASELINE: self.baseline,
        }

    def snapshot(self) -> dict[str, bytes]:
        """State of each part, by name."""
        return save_parts(self._parts, self._failures)

    def restore(self, states: dict[str, bytes]) -> None:
        """Go on from `snapshot()`; a part that it lacks or that cannot read its state begins anew, and that is told."""
        restore_parts(self._parts, states, self._failures)
