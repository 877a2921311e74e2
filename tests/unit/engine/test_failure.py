"""A part of the engine that raises costs its own word on one event: nothing of the others, and it is told."""

import importlib
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from kubewake.engine import Fold, Reader
from kubewake.engine.saved import decode_saved
from kubewake.facts import Context
from kubewake.finding import Notice, ResultDocument
from kubewake.formats import batches
from kubewake.observation import Observation, Stub
from kubewake.rules.pack import load_rules

DATA = Path(__file__).parents[2] / "data" / "lineage"
SLICES = ("farmed-tokens", "node-identity-stolen", "certificate-issued-and-used", "grant-and-use")
SECRET = "text from the log"

FIND_ALL = {
    "rbac": "kubewake.engine.access:Access.observe",
    "versions": "kubewake.engine.versions:Versions.observe",
    "correlations": "kubewake.rules.correlation:Correlator.observe",
    "baseline": "kubewake.baseline.baseline:Baseline.observe",
    "lineage": "kubewake.lineage.lineage:Lineage.observe",
    "incidents": "kubewake.incidents.builder:IncidentBuilder.observe",
    "settled": "kubewake.engine.settled:Settled.is_repeat",
}
"""Parts whose failure on an event that rules hit costs no finding."""
TELL_ALL = {name: FIND_ALL[name] for name in ("rbac", "versions", "settled", "correlations", "baseline")}
"""Parts whose failure costs no incident either."""


class Outcome(NamedTuple):
    document: ResultDocument
    notices: list[Notice]
    snapshot: bytes

    @property
    def findings(self) -> set[tuple[str, ...]]:
        return {(finding.rule, *finding.audit_ids) for finding in self.document.findings}

    @property
    def incidents(self) -> dict[str, list[str]]:
        return {incident.id: incident.audit_ids for incident in self.document.incidents}


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture(scope="module")
def observed(rules):
    found = [line for name in SLICES for line in (DATA / f"{name}.jsonl").read_bytes().splitlines()]
    lines = sorted(found, key=lambda line: msgspec.json.decode(line)["stageTimestamp"])
    data = b"\n".join(lines) + b"\n"
    return msgspec.msgpack.encode(Reader(rules, Context()).read(batches(data, file="log", cluster="c", hint=None)))


def judge(rules, observed: bytes) -> Outcome:
    fold = Fold(rules)
    fold.absorb(msgspec.msgpack.decode(observed, type=Observation))
    notices = [item for item in fold.advance(flush=True) if isinstance(item, Notice)]
    snapshot = fold.snapshot()
    return Outcome(fold.document(fold.finish()), notices, snapshot)


@pytest.fixture(scope="module")
def whole(rules, observed):
    outcome = judge(rules, observed)
    assert len(outcome.incidents) > 2
    assert not [notice for notice in outcome.document.notices if "failed" in notice.title]
    return outcome


@pytest.fixture(scope="module")
def victims(whole):
    """Events that a rule hit, within an incident, by resource."""
    told = {audit_id for ids in whole.incidents.values() for audit_id in ids}
    hit = [(finding.target.resource, finding.audit_ids[0]) for finding in whole.document.findings]
    return {resource: audit_id for resource, audit_id in reversed(hit) if audit_id in told}


@pytest.fixture
def victim(request, victims):
    """One of them that the part looks at which the test is about."""
    part = request.getfixturevalue("part") if "part" in request.fixturenames else ""
    return victims["rolebindings" if part == "rbac" else "certificatesigningrequests"]


@pytest.fixture
def breaks(monkeypatch):
    """Makes a method of a part raise, on the stubs of one event or always."""

    def broken(place: str, victim: str | None, error: BaseException) -> None:
        module, _, path = place.partition(":")
        owner, _, method = path.rpartition(".")
        holder = getattr(importlib.import_module(module), owner)
        healthy = getattr(holder, method)

        def raising(self, *words, **more):
            if victim is None or any(isinstance(word, Stub) and word.audit_id == victim for word in words):
                raise error
            return healthy(self, *words, **more)

        monkeypatch.setattr(holder, method, raising)

    return broken


@pytest.mark.parametrize("part", FIND_ALL)
def test_other_parts_find_what_they_found_and_the_failure_is_told(part, rules, observed, whole, victim, breaks):
    breaks(FIND_ALL[part], victim, LookupError(SECRET))
    outcome = judge(rules, observed)
    assert outcome.findings == whole.findings
    [told] = outcome.notices
    [kept] = [notice for notice in outcome.document.notices if "failed" in notice.title]
    assert told.id == kept.id
    for words in (part, "LookupError", "test_failure.py:", f"audit id {victim}", "once"):
        assert words in told.detail
    assert part in told.title
    assert SECRET not in msgspec.json.encode(outcome.document).decode()
    if part in TELL_ALL:
        assert outcome.incidents == whole.incidents
    else:
        untouched = {id_: ids for id_, ids in whole.incidents.items() if victim not in ids}
        assert untouched
        assert untouched.items() <= outcome.incidents.items()


def test_a_finding_that_cannot_be_opened_costs_no_other(rules, observed, whole, victim, breaks):
    breaks("kubewake.engine.findings:FindingBook.add", victim, LookupError(SECRET))
    outcome = judge(rules, observed)
    missing = whole.findings - outcome.findings
    assert missing
    assert all(victim in finding for finding in missing)
    assert "findings" in outcome.notices[0].title


def test_a_failure_outside_all_parts_costs_no_event_behind_it(rules, observed, whole, victim, breaks):
    breaks("kubewake.detectors:DetectorSet.observe", victim, LookupError(SECRET))
    outcome = judge(rules, observed)
    assert {finding for finding in whole.findings if victim not in finding} <= outcome.findings
    assert outcome.notices[0].title.endswith("fold")


def test_what_filters_fail_on_is_told_rather_than_hidden(rules, observed, whole, breaks):
    breaks("kubewake.rules.ruleset:RuleSet.suppressor_of_stub", None, LookupError(SECRET))
    outcome = judge(rules, observed)
    assert outcome.findings == whole.findings
    assert outcome.notices[0].title.endswith("filters")


def test_an_incident_that_cannot_be_told_hides_no_other(rules, observed, whole, monkeypatch):
    from kubewake.incidents import builder

    build = builder.build_incident
    lost = next(iter(whole.incidents))

    def broken(campaign, *others):
        if campaign.id == lost:
            raise LookupError(SECRET)
        return build(campaign, *others)

    monkeypatch.setattr(builder, "build_incident", broken)
    outcome = judge(rules, observed)
    assert outcome.incidents == {id_: ids for id_, ids in whole.incidents.items() if id_ != lost}
    [told] = outcome.notices
    assert "incidents" in told.title
    assert any(f"audit id {audit_id}" in told.detail for audit_id in whole.incidents[lost])


def test_failures_of_one_kind_are_one_notice_with_their_number(rules, observed, breaks):
    breaks("kubewake.engine.versions:Versions.observe", None, LookupError(SECRET))
    outcome = judge(rules, observed)
    assert len(outcome.notices) == 1
    [kept] = [notice for notice in outcome.document.notices if "failed" in notice.title]
    assert " times, first on an event of " in kept.detail


@pytest.mark.parametrize("part", FIND_ALL)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_it(part, error, rules, observed, victim, breaks):
    breaks(FIND_ALL[part], victim, error())
    with pytest.raises(error):
        judge(rules, observed)


def restored(rules, snapshot: bytes) -> tuple[Fold, list[Notice]]:
    fold = Fold(rules)
    fold.restore(snapshot)
    return fold, [item for item in fold.advance() if isinstance(item, Notice)]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("correlations", "kubewake.rules.correlation:Correlator.snapshot"),
        ("detectors", "kubewake.detectors:DetectorSet.snapshot"),
        ("rbac", "kubewake.rbac.state:RbacState.snapshot"),
        ("settled", "kubewake.engine.settled:Settled.snapshot"),
        ("versions", "kubewake.engine.versions:Versions.snapshot"),
        ("stories", "kubewake.lineage.lineage:Lineage.snapshot"),
        ("baseline", "kubewake.baseline.baseline:Baseline.snapshot"),
    ],
)
def test_a_part_that_cannot_be_saved_begins_anew_alone(part, place, rules, observed, whole, breaks, monkeypatch):
    whole_parts = decode_saved(whole.snapshot).clusters["c"]
    fold = Fold(rules)
    fold.absorb(msgspec.msgpack.decode(observed, type=Observation))
    fold.advance(flush=True)
    fleet = fold._fleet.snapshot()
    monkeypatch.setattr(fold._fleet, "snapshot", lambda: fleet)
    breaks(place, None, LookupError(SECRET))
    snapshot = fold.snapshot()
    assert decode_saved(snapshot).clusters["c"].keys() == whole_parts.keys() - {part}
    [told] = [item for item in fold.advance() if isinstance(item, Notice)]
    assert part in told.title
    assert "has to begin anew" in told.detail
    assert told.time == whole.document.input.last_time
    again, _ = restored(rules, snapshot)
    assert (not again.incidents()) == (part == "stories")
    assert (not again.archives()["c"].identities) == (part == "baseline")


@pytest.mark.parametrize("part", ["correlations", "detectors", "rbac", "settled", "versions", "stories", "baseline"])
def test_a_part_whose_state_cannot_be_read_begins_anew_alone(part, rules, whole):
    saved = decode_saved(whole.snapshot)
    saved.clusters["c"][part] = b"\xc1"
    fold, [told] = restored(rules, msgspec.msgpack.encode(saved))
    assert part in told.title
    assert "cannot be read" in told.detail
    assert "has to begin anew" in told.detail
    assert (not fold.incidents()) == (part == "stories")
    assert (not fold.archives()["c"].identities) == (part == "baseline")
