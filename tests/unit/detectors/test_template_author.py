"""Risky templates and their authors: attribution, bounds, and state that survives a restart."""

from kubewake.detectors import Detection
from kubewake.detectors.template_author import TEMPLATES_MAX, TemplateAuthor
from kubewake.engine.stub import make_stub
from kubewake.event import AuditEvent, ObjectRef, Status, User
from kubewake.facts import Facts
from kubewake.observation import Stub


def written(
    resource: str,
    name: str,
    *,
    user: str = "alice",
    risks: tuple[str, ...] = ("privileged",),
    owner: str = "",
    key: int = 1,
) -> Stub:
    event = AuditEvent(
        verb="create",
        audit_id=f"{resource}-{name}-{user}",
        stage="ResponseComplete",
        user=User(username=user),
        object_ref=ObjectRef(resource=resource, namespace="shop", name=name),
        response_status=Status(code=201),
        stage_timestamp="2026-03-04T10:00:00.000000Z",
    )
    stub = make_stub(event, Facts(event), "log", key)
    kind, _, owner_name = owner.partition("/")
    values = {"workload.risks": list(risks), "workload.owner_kind": kind, "workload.owner_name": owner_name}
    stub.values = {name: value for name, value in values.items() if value}
    return stub


def run(detector: TemplateAuthor, *stubs: Stub) -> list[Detection]:
    return [detection for stub in stubs for detection in detector.observe(stub)]


POD = ("pods", "web-1-x")


def test_the_finding_is_about_the_author_and_names_the_pod() -> None:
    detector = TemplateAuthor()
    found = run(
        detector,
        written("deployments", "web"),
        written("replicasets", "web-1", user="controller", owner="Deployment/web"),
        written(*POD, user="controller", owner="ReplicaSet/web-1"),
    )
    assert [(item.stub.user, item.evidence[0].audit_id, item.severity) for item in found] == [
        ("alice", "pods-web-1-x-controller", "high")
    ]


def test_a_template_is_reported_once_and_the_first_author_stays() -> None:
    detector = TemplateAuthor()
    found = run(
        detector,
        written("daemonsets", "agent", user="alice"),
        written("daemonsets", "agent", user="gitops"),
        written("pods", "agent-1", owner="DaemonSet/agent"),
        written("pods", "agent-2", owner="DaemonSet/agent"),
    )
    assert [(item.stub.user, item.severity) for item in found] == [("alice", None)]


def test_who_adds_a_risk_becomes_the_author() -> None:
    found = run(
        TemplateAuthor(),
        written("daemonsets", "agent", user="alice"),
        written("daemonsets", "agent", user="mallory", risks=("privileged", "host-pid")),
        written("pods", "agent-1", owner="DaemonSet/agent", risks=("privileged", "host-pid")),
    )
    assert [item.stub.user for item in found] == ["mallory"]


def test_lesser_risks_do_not_count() -> None:
    assert not run(
        TemplateAuthor(),
        written("daemonsets", "agent", risks=("host-network",)),
        written("pods", "agent-1", owner="DaemonSet/agent", risks=("host-network",)),
    )


def test_state_survives_a_restart() -> None:
    before, after = TemplateAuthor(), TemplateAuthor()
    run(before, written("deployments", "web"), written("replicasets", "web-1", owner="Deployment/web"))
    after.restore(before.snapshot())
    pod = written(*POD, owner="ReplicaSet/web-1")
    assert run(after, pod) == run(before, pod) != []


def test_templates_are_bounded() -> None:
    detector = TemplateAuthor()
    run(detector, *(written("deployments", f"web-{number}") for number in range(TEMPLATES_MAX + 1)))
    oldest = written("pods", "a", owner="Deployment/web-0")
    newest = written("pods", "b", owner=f"Deployment/web-{TEMPLATES_MAX}")
    assert (len(run(detector, oldest)), len(run(detector, newest))) == (0, 1)
