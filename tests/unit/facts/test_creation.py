"""What counts as making something new, and which namespaces belong to the platform."""

import pytest

from kubewake.event import AuditEvent, ObjectRef, Status
from kubewake.facts import Facts


def facts(verb: str, ref: ObjectRef, code: int) -> Facts:
    return Facts(AuditEvent(verb=verb, object_ref=ref, response_status=Status(code=code)))


@pytest.mark.parametrize("resource", [
    "pods", "podtemplates", "replicationcontrollers", "deployments", "daemonsets", "statefulsets", "replicasets",
    "jobs", "cronjobs",
])  # fmt: skip
@pytest.mark.parametrize("verb", ["create", "update", "patch"])
def test_workload_writes(resource: str, verb: str) -> None:
    assert facts(verb, ObjectRef(resource, "shop", "web"), 200).value("workload.is_write") is True
    assert (
        facts(verb, ObjectRef(resource, "shop", "web", subresource="status"), 200).value("workload.is_write") is False
    )


@pytest.mark.parametrize(("verb", "ref", "write"), [
    ("get", ObjectRef("pods", "shop", "web"), False),
    ("delete", ObjectRef("pods", "shop", "web"), False),
    ("patch", ObjectRef("pods", "shop", "web", subresource="ephemeralcontainers"), True),
    ("create", ObjectRef("services", "shop", "web"), False),
    ("create", ObjectRef("rollouts", "shop", "web", api_group="argoproj.io"), True),
    ("create", ObjectRef(), False),
])  # fmt: skip
def test_other_writes(verb: str, ref: ObjectRef, *, write: bool) -> None:
    assert facts(verb, ref, 200).value("workload.is_write") is write


@pytest.mark.parametrize(("verb", "subresource", "code", "workload", "created"), [
    ("create", None, 201, True, True),
    ("patch", None, 201, True, True),
    ("patch", None, 200, False, False),
    ("update", None, 200, False, False),
    ("patch", "ephemeralcontainers", 200, True, False),
    ("create", "eviction", 201, False, False),
])  # fmt: skip
def test_creation(verb: str, subresource: str | None, code: int, *, workload: bool, created: bool) -> None:
    found = facts(verb, ObjectRef("pods", "shop", "web", subresource=subresource), code)
    assert (found.value("workload.is_creation"), found.value("object.is_created")) == (workload, created)


@pytest.mark.parametrize(("namespace", "system"), [
    ("kube-system", True), ("kube-public", True), ("kube-node-lease", True), ("gke-managed-cim", True),
    ("openshift-dns", True), ("shop", False), ("kube-system-shop", False), (None, False),
])  # fmt: skip
def test_platform_namespaces(namespace: str | None, *, system: bool) -> None:
    assert facts("get", ObjectRef("pods", namespace), 200).value("object.in_system_namespace") is system
