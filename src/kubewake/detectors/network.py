"""Where an address belongs: what counts as one place when origins are compared."""

from functools import lru_cache
from ipaddress import ip_network

from kubewake.facts.source import scope_of_address

INSIDE = "the cluster's own network"
PREFIX_BITS = {4: 24, 6: 48}
"""Public addresses that share so many bits count as one network: what providers hand to one customer or site."""


@lru_cache(maxsize=8192)
def network_of(address: str) -> str:
    """The network of a public address, `INSIDE` for any other, "" for none."""
    scope = scope_of_address(address)
    if scope == "none":
        return ""
    if scope != "public":
        return INSIDE
    version = 6 if ":" in address else 4
    return str(ip_network(f"{address.partition('%')[0]}/{PREFIX_BITS[version]}", strict=False))
