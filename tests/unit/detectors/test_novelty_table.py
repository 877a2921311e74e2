"""What an entry says of the kinds of objects that it is about must hold of what it applies to."""

import itertools

import pytest

from kubewake.detectors.novelty_table import BINDINGS, ENTRIES, GRANTS, REVIEWS, ROLES, WORKLOADS, entries_about
from tests.unit.engine.stubs import stub

RESOURCES = sorted(
    WORKLOADS | BINDINGS | ROLES | REVIEWS | {"", "secrets", "configmaps", "nodes", "serviceaccounts", "widgets"}
)
VERBS = ("get", "list", "create", "update", "patch", "delete")
SUBRESOURCES = ("", "exec", "attach", "token", "portforward")
VALUES = {
    **dict.fromkeys(GRANTS, True),
    "workload.images": ["registry.example.com/a:1"],
    "workload.risks": ["privileged", "sensitive-host-path", "runtime-socket"],
    "rbac.role_name": "edit",
    "rbac.subjects.full": ["User/x"],
}


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.resources is not None], ids=lambda e: e.info.id)
def test_an_entry_applies_to_no_other_kind_than_it_names(entry):
    applied = set()
    for resource, verb, subresource, kind, namespace in itertools.product(
        RESOURCES, VERBS, SUBRESOURCES, ("human", "serviceaccount"), ("shop", "kube-system", "")
    ):
        request = stub(
            4,
            resource=resource,
            verb=verb,
            subresource=subresource,
            actor_kind=kind,
            namespace=namespace,
            values=dict(VALUES),
        )
        if entry.applies(request):
            applied.add(resource)
            assert entry in entries_about(resource)
    assert applied, "the stubs of this test are too plain for the entry"
    assert applied <= entry.resources
