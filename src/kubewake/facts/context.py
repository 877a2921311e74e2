"""What a deployment knows beside the events: lists, networks and address ownership. Immutable, empty by default."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct


@lru_cache(maxsize=16384)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that the text spells, IPv4-mapped IPv6 unwrapped; None where it is none."""
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


_MAPPED_BITS = 96
"""Bits of an IPv4-mapped IPv6 address before the IPv4 address."""


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """The address or CIDR as a network, IPv4-mapped IPv6 unwrapped; ValueError where it is neither."""
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


class AddressSet:
    """Addresses and networks, asked by membership in time that does not grow with their number."""

    __slots__ = ("_networks",)

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Entries are addresses or CIDRs; ValueError names one that is neither."""
        networks: dict[tuple[int, int], set[int]] = {}
        for entry in entries:
            network = parse_network(entry)
            shift = network.max_prefixlen - network.prefixlen
            networks.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        self._networks = tuple((version, shift, frozenset(starts)) for (version, shift), starts in networks.items())

    def __contains__(self, text: str) -> bool:
        address = parse_address(text)
        if address is None:
            return False
        number, own = int(address), address.version
        return any(own == version and number >> shift in starts for version, shift, starts in self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)


class Ownership(Struct, frozen=True):
    """Who an address belongs to, as far as a database tells."""

    asn: int | None = None
    organisation: str | None = None
    country: str | None = None


class Context(Struct, frozen=True):
    """What a deployment knows beside the events.

    `addresses` are named sets (threat lists, "tor", "trusted"): membership shows in `source.lists`.
    `patterns` are named regular expressions for user agents (family "attack-tool"), matched ignoring case.
    `names` are named allow or deny lists of text for rules. `ownership` looks an address up (ASN, country).
    `notices` are titles and texts of what a user should hear about the lists.
    """

    addresses: Mapping[str, AddressSet] = {}
    user_agents: Mapping[str, re.Pattern[str]] = {}
    names: Mapping[str, frozenset[str]] = {}
    ownership: Callable[[str], Ownership | None] | None = None
    trusted_sources: AddressSet | None = None
    """Public addresses that the cluster's own components come from (NAT of nodes, cloud control plane)."""
    notices: tuple[tuple[str, str], ...] = ()


EMPTY = Context()
