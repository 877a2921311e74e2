"""Where the request came from. Only the last address of sourceIPs is the real peer."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from kubewake.facts.context import Ownership, parse_address
from kubewake.facts.facts import Facts
from kubewake.facts.registry import field

_PRIVATE = tuple(IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_CGNAT = IPv4Network("100.64.0.0/10")
_UNIQUE_LOCAL = IPv6Network("fc00::/7")


@lru_cache(maxsize=16384)
def scope_of_address(text: str) -> str:
    """Reach of an address: loopback, link-local, private, cgnat, public, or none where the text is no address.

    Documentation ranges (RFC 5737) count as public: recordings and examples stand for the Internet with them.
    """
    address = parse_address(text)
    if address is None or address.is_unspecified or address.is_multicast:
        return "none"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if isinstance(address, IPv4Address):
        if any(address in network for network in _PRIVATE):
            return "private"
        return "cgnat" if address in _CGNAT else "public"
    return "private" if address in _UNIQUE_LOCAL else "public"


def peer(facts: Facts) -> str:
    """The real peer's address; empty where the event names none."""
    addresses = facts.event.source_ips
    return (addresses[-1] or "") if addresses else ""


@field("source.ip", "text", "Address of the real peer: the last entry of sourceIPs. Entries before it are the "
       "client's word.", scope="behaviour", example="10.0.3.7")  # fmt: skip
def source_ip(facts: Facts) -> str | None:
    return peer(facts) or None


@field("source.ips", "list", "All addresses of sourceIPs, the real peer last.", scope="behaviour",
       example="[203.0.113.250, 10.0.3.7]")  # fmt: skip
def source_ips(facts: Facts) -> list[str]:
    return list(facts.event.source_ips or ())


@field("source.scope", "text", "Reach of the real peer's address: loopback, link-local, private, cgnat, public or "
       "none.", scope="behaviour", example="public")  # fmt: skip
def source_scope(facts: Facts) -> str:
    return scope_of_address(peer(facts))


@field("source.is_public", "boolean", "Whether the real peer has a public address.", scope="behaviour",
       example="true")  # fmt: skip
def is_public(facts: Facts) -> bool:
    return scope_of_address(peer(facts)) == "public"


@field("source.forwarded", "boolean", "Whether sourceIPs has more than one entry: a proxy, or a client that claims "
       "one.", scope="behaviour", example="false")  # fmt: skip
def is_forwarded(facts: Facts) -> bool:
    return len(facts.event.source_ips or ()) > 1


_EXCUSING = ("trusted", "cloud")
"""Beginnings of the names of lists that excuse: what a client claims of itself may speak against it, not for it."""


@field("source.lists", "list", "Names of the configured address lists that any of sourceIPs is on; lists named "
       "trusted or cloud count for the real peer alone.", scope="behaviour", example="[threat-feed]")  # fmt: skip
def source_lists(facts: Facts) -> list[str]:
    addresses = facts.event.source_ips or ()
    return [
        name
        for name, known in facts.context.addresses.items()
        if any(address in known for address in (addresses[-1:] if name.startswith(_EXCUSING) else addresses))
    ]


@field("source.tor", "boolean", "Whether any of sourceIPs is on a configured list named tor, or an enrichment says "
       "that it is a Tor exit.", scope="behaviour", example="true")  # fmt: skip
def is_tor(facts: Facts) -> bool:
    if any(name == "tor" or name.startswith("tor-") for name in source_lists(facts)):
        return True
    return bool(facts.value("p_enrichment.tor_exit_nodes"))


def _ownership(facts: Facts) -> Ownership | None:
    address = peer(facts)
    if not address:
        return None
    lookup = facts.context.ownership
    found = lookup(address) if lookup is not None else None
    return found if found is not None else _enriched(facts, address)


def _enriched(facts: Facts, address: str) -> Ownership | None:
    """What the envelope's own enrichment (IPinfo, as log platforms attach it) says of the address."""
    envelope = facts.event.envelope
    enrichment = envelope.get("p_enrichment") if envelope else None
    if not isinstance(enrichment, dict):
        return None
    asn: int | None = None
    organisation: str | None = None
    country: str | None = None
    for source in ("ipinfo_asn", "ipinfo_location"):
        for matches in (enrichment.get(source) or {}).values():
            for match in matches if isinstance(matches, list) else ():
                if match.get("p_match") != address:
                    continue
                number = str(match.get("asn") or "").upper().removeprefix("AS")
                asn = asn or (int(number) if number.isdecimal() else None)
                organisation = organisation or match.get("name")
                country = country or match.get("country")
    return Ownership(asn, organisation, country)


@field("source.asn", "number", "Number of the network (AS) that the real peer's address belongs to; needs a "
       "database.", scope="behaviour",
       example="64496")  # fmt: skip
def source_asn(facts: Facts) -> int | None:
    owner = _ownership(facts)
    return owner.asn if owner is not None else None


@field("source.as_org", "text", "Organisation that runs that network; needs a database.",
       scope="behaviour",
       example="Example Hosting")  # fmt: skip
def source_as_org(facts: Facts) -> str | None:
    owner = _ownership(facts)
    return owner.organisation if owner is not None else None


@field("source.country", "text", "Country of the real peer's address, two letters; needs a database.", scope="behaviour",
       example="NL")  # fmt: skip
def source_country(facts: Facts) -> str | None:
    owner = _ownership(facts)
    return owner.country if owner is not None else None
