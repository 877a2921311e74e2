"""Host files behind a storage volume: state that survives a restart and stays bounded."""

from kubewake.detectors import Detection
from kubewake.detectors.hostpath_volume import VOLUMES_MAX, HostpathVolume
from kubewake.engine.stub import make_stub
from kubewake.event import AuditEvent, ObjectRef, Status, User
from kubewake.facts import Facts
from kubewake.observation import Stub


def stub_of(ref: ObjectRef, user: str, **values: object) -> Stub:
    event = AuditEvent(
        verb="create",
        audit_id=f"{ref.resource}-{ref.name}",
        stage="ResponseComplete",
        user=User(user),
        object_ref=ref,
        response_status=Status(code=201),
        stage_timestamp="2026-03-04T10:00:00.000000Z",
    )
    stub = make_stub(event, Facts(event), "log", 1)
    stub.values = {name.replace("__", "."): value for name, value in values.items()}
    return stub


def volume(name: str, claim: str) -> Stub:
    ref = ObjectRef("persistentvolumes", None, name)
    return stub_of(ref, "mallory", storage__host_path="/etc", storage__claims=[claim])


def pod(claim: str) -> Stub:
    return stub_of(ObjectRef("pods", "shop", "web-0"), "alice", storage__claims=[claim])


def run(detector: HostpathVolume, *stubs: Stub) -> list[Detection]:
    return [detection for stub in stubs for detection in detector.observe(stub)]


def test_the_maker_of_the_volume_is_evidence() -> None:
    (found,) = run(HostpathVolume(), volume("data", "shop/files"), pod("files"))
    assert (found.stub.user, found.values["volume_author"], found.values["path"]) == ("alice", "mallory", "/etc")
    assert [item.audit_id for item in found.evidence] == ["persistentvolumes-data"]


def test_state_survives_a_restart() -> None:
    before, after = HostpathVolume(), HostpathVolume()
    run(before, volume("data", "shop/files"))
    after.restore(before.snapshot())
    assert run(after, pod("files")) == run(before, pod("files")) != []


def test_volumes_are_bounded() -> None:
    detector = HostpathVolume()
    run(detector, *(volume(f"data-{number}", f"shop/files-{number}") for number in range(VOLUMES_MAX + 1)))
    assert not run(detector, pod("files-0"))
    assert run(detector, pod(f"files-{VOLUMES_MAX}"))
