"""Sessions over many pods, and identities taken out of entered pods."""

import pytest

from kubewake.detectors import Detection
from kubewake.detectors.keyboard_session import SWEEP_PODS, KeyboardSession
from kubewake.engine.stub import make_stub
from kubewake.event import AuditEvent, ObjectRef, Status, User
from kubewake.facts import Facts
from kubewake.observation import Stub


def entry(pod: str, namespace: str = "shop", user: str = "alice", second: int = 0) -> Stub:
    return stub_of(
        "get", ObjectRef("pods", namespace, pod, subresource="exec"), User(user), "kubectl/v1.34", 101, second
    )


def use(pod: str, client: str = "curl/8.5", second: int = 30) -> Stub:
    extra = {"authentication.kubernetes.io/pod-name": [pod]}
    user = User("system:serviceaccount:shop:web", extra=extra)
    return stub_of("list", ObjectRef("secrets", "shop"), user, client, 200, second)


def stub_of(verb: str, ref: ObjectRef, user: User, client: str, code: int, second: int) -> Stub:
    event = AuditEvent(
        verb=verb,
        audit_id=f"{ref.name}-{second}",
        stage="ResponseComplete",
        user=user,
        user_agent=client,
        source_ips=("10.0.0.1",),
        object_ref=ref,
        response_status=Status(code=code),
        stage_timestamp=f"2026-03-04T10:00:{second:02}.000000Z",
    )
    return make_stub(event, Facts(event), "log", second)


def run(detector: KeyboardSession, *stubs: Stub) -> list[Detection]:
    return [detection for stub in stubs for detection in detector.observe(stub)]


@pytest.mark.parametrize(("pods", "severity"), [(8, None), (SWEEP_PODS, "high")])
def test_a_sweep_weighs_more_than_a_look_around(pods: int, severity: str | None) -> None:
    found = run(KeyboardSession(), *(entry(f"web-{number}", f"ns-{number}") for number in range(pods)))
    assert found[-1].severity == severity
    assert found[-1].values["pods"] == pods
    assert len(found[-1].evidence) == pods - 1


def test_a_tool_of_the_pod_itself_is_not_strange() -> None:
    detector = KeyboardSession()
    assert not run(detector, use("web-0"), entry("web-0"), use("web-0"))
    assert [item.rule for item in run(detector, use("web-0", "kubectl/v1.34"))] == ["entered-pod-identity-used"]


def test_what_was_reported_stays_reported() -> None:
    assert len(run(KeyboardSession(), entry("web-0"), use("web-0"), use("web-0", second=40))) == 2


def test_state_survives_a_restart() -> None:
    before, after = KeyboardSession(), KeyboardSession()
    run(before, entry("web-0"), *(entry(f"web-{number}", f"ns-{number}") for number in range(4)))
    after.restore(before.snapshot())
    nexts = (use("web-0"), entry("last", "last"))
    assert [(item.rule, item.values) for item in run(after, *nexts)] == [
        (item.rule, item.values) for item in run(before, *nexts)
    ]
    assert len(run(before, use("web-0", second=50))) == 1
