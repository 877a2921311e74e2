"""Threat intelligence and local knowledge: lists from files and HTTP(S), and databases of who owns an address.

A configuration is one YAML or TOML file:

    lists:                     # name: file, URL, or the entries themselves
      malicious-botnets: https://feeds.example/addresses.txt
      tor: tor-exits.txt
      trusted: [198.51.100.0/24]
      malicious_images: images.txt
    user_agents: {our-red-team: agents.txt}
    databases: [GeoLite2-ASN.mmdb, GeoLite2-Country.mmdb]
    refresh_seconds: 86400
    max_bytes: 20000000

or a folder of such lists, each file named after its list. Lists with the names of `ADDRESS_LISTS` hold addresses and
networks; all others hold texts that rules refer to as `%name%`.
"""

from kubewake.intelligence.lists import ADDRESS_LISTS, is_address_list
from kubewake.intelligence.loading import Intelligence, load_context, load_intelligence, make_context

__all__ = [
    "ADDRESS_LISTS",
    "Intelligence",
    "is_address_list",
    "load_context",
    "load_intelligence",
    "make_context",
]
