"""Where a credential belongs: what is reported, for how long, and what roams."""

from kubewake.detectors import Detection
from kubewake.detectors.shared_credential import CREDENTIALS_MAX, PLACES_MAX, SharedCredential
from kubewake.observation import Stub
from tests.unit.engine.stubs import stub

START = "2026-05-04T10:00:00.000000Z"


def use(number: int, time: str = START, **changes: object) -> Stub:
    of_pod = {"user": "system:serviceaccount:shop:web", "actor_kind": "serviceaccount", "client": "client-go"}
    return stub(number, time, **{**of_pod, "credential": "JTI=7f", "pod": "web-0", **changes})


def found(detector: SharedCredential, *stubs: Stub) -> list[Detection]:
    return [item for each in stubs for item in detector.observe(each)]


def test_use_from_a_reported_place_belongs_to_the_finding_for_a_day() -> None:
    detector = SharedCredential()
    first, again = found(detector, use(1), use(2, source="8.8.4.4"), use(3, source="8.8.4.9"))
    assert first.rule == again.rule == "credential-shared-sources"
    assert [item.key for item in first.evidence] == [use(1).key]
    assert again.evidence == ()
    assert first.values["network"] == "8.8.4.0/24"
    assert found(detector, use(4, "2026-05-05T11:00:00.000000Z", source="8.8.4.4")) == []


def test_a_credential_that_roams_is_left_alone() -> None:
    detector = SharedCredential()
    spread = [use(number, source=f"8.8.{number}.4") for number in range(1, PLACES_MAX + 2)]
    reported = found(detector, *spread)
    assert len(reported) == PLACES_MAX - 1
    assert found(detector, use(99, source="9.9.9.9")) == []


def test_credentials_are_bounded_and_the_longest_idle_goes_first() -> None:
    detector = SharedCredential()
    found(detector, *(use(number, credential=f"JTI={number}") for number in range(CREDENTIALS_MAX + 1)))
    assert len(detector._uses) == CREDENTIALS_MAX
    assert "JTI=0" not in detector._uses


def test_like_requests_told_as_one_count_when_the_last_of_them_has_come() -> None:
    later = "2026-05-04T10:08:00.000000Z"
    many = use(1, client="curl", count=200, last_time=later)
    typed = {"client": "kubectl", "credential": "JTI=7f"}
    early, late = SharedCredential(), SharedCredential()
    assert found(early, many, use(2, "2026-05-04T10:04:00.000000Z", **typed)) == []
    assert [item.rule for item in found(late, many, use(2, later, **typed))] == ["credential-shared-clients"]
