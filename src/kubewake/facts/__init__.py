"""What a request means: facts derived from one audit event, each a named field (see `kubewake.fields`)."""

from kubewake.facts import (
    actor,
    admission,
    authorization,
    certificate,
    client,
    cluster,
    credential,
    execution,
    network,
    objects,
    profile,
    rbac,
    request,
    review,
    risk,
    source,
    storage,
    workload,
)
from kubewake.facts.context import EMPTY, AddressSet, Context, Ownership, parse_network
from kubewake.facts.facts import Facts

__all__ = ["EMPTY", "AddressSet", "Context", "Facts", "Ownership", "parse_network"]

FIELD_MODULES = (
    actor,
    client,
    source,
    authorization,
    request,
    execution,
    objects,
    workload,
    risk,
    rbac,
    credential,
    certificate,
    review,
    network,
    admission,
    storage,
    cluster,
    profile,
)
"""The modules whose import fills the table of fields, in the order of its documentation."""
