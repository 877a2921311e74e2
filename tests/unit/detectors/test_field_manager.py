"""Programs that write in another way than they ever did."""

import pytest

from kubewake.detectors.field_manager import HABIT_WRITES, MAX_WRITERS, FieldManager, manager_of
from tests.unit.engine.stubs import stub

USER = "system:serviceaccount:gitops:deployer"


def write(second, manager, *, pod="p-0", count=1):
    uri = f"/apis/apps/v1/namespaces/shop/deployments/web?fieldManager={manager}" if manager else "/apis/apps/v1"
    return stub(second, f"2026-05-04T10:{second // 60:02d}:{second % 60:02d}.000000Z", user=USER, verb="patch",
                actor_kind="serviceaccount", resource="deployments", uri=uri, pod=pod, pod_uid=pod, count=count)  # fmt: skip


def run(detector, *writes):
    return [found for item in writes for found in detector.observe(item)]


def test_a_foreign_manner_stays_foreign():
    foreign = [write(second, "") for second in range(200, 260)]
    assert len(run(FieldManager(), write(0, "deployer", count=HABIT_WRITES), *foreign)) == len(foreign)


@pytest.mark.parametrize(("pod", "severity"), [("p-0", None), ("", "medium")])
def test_a_token_that_build_systems_share_says_less(pod, severity):
    habit = write(0, "kubectl-client-side-apply", pod=pod, count=HABIT_WRITES)
    [found] = run(FieldManager(), habit, write(200, "", pod=pod))
    assert found.severity == severity
    assert found.values == {"writer.usual": "kubectl-client-side-apply", "writer.now": "a nameless writer"}


def test_snapshot_in_the_middle_changes_nothing():
    first, second = FieldManager(), FieldManager()
    run(first, write(0, "deployer", count=HABIT_WRITES))
    second.restore(first.snapshot())
    assert len(run(second, write(200, "kubectl-edit"))) == 1
    assert second.snapshot() == first.snapshot()


def test_a_writer_at_work_is_not_forgotten_for_newcomers():
    detector = FieldManager()
    run(detector, write(0, "deployer", count=HABIT_WRITES))
    for number in range(MAX_WRITERS):
        run(detector, write(1, "x", pod=f"other-{number}"))
        if number % 1000 == 0:
            run(detector, write(2, "deployer"))
    assert len(run(detector, write(200, ""))) == 1


@pytest.mark.parametrize(
    ("uri", "manager"),
    [
        ("/api/v1/pods", ""),
        ("/api/v1/pods?limit=5", ""),
        ("/api/v1/pods?dryRun=All&fieldManager=kubectl%20run", "kubectl run"),
        ("/api/v1/pods?fieldManager=a&fieldManager=b", "a"),
        (f"/api/v1/pods?fieldManager={'x' * 300}", "x" * 128),
    ],
)
def test_the_manager_is_read_from_the_uri(uri, manager):
    assert manager_of(uri) == manager
