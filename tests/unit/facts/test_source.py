"""Reach and ownership of addresses."""

import pytest

from kubewake.facts import AddressSet, Context, Ownership


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("10.1.2.3", "private"),
        ("172.31.0.1", "private"),
        ("172.32.0.1", "public"),
        ("192.168.1.1", "private"),
        ("fd00::1", "private"),
        ("100.64.0.1", "cgnat"),
        ("203.0.113.9", "public"),
        ("198.51.100.1", "public"),
        ("8.8.8.8", "public"),
        ("2001:db8::1", "public"),
        ("2a00:1450::1", "public"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:8.8.8.8", "public"),
        ("0.0.0.0", "none"),
        ("nonsense", "none"),
    ],
)
def test_scopes(make, address, scope):
    facts = make(sourceIPs=[address])
    assert facts.value("source.scope") == scope
    assert facts.value("source.is_public") is (scope == "public")


def test_the_last_address_is_the_peer(make):
    facts = make(sourceIPs=["127.0.0.1", "203.0.113.9"])
    assert facts.value("source.ip") == "203.0.113.9"
    assert facts.value("source.forwarded") is True
    assert facts.value("source.scope") == "public"


def test_no_address(make):
    facts = make(sourceIPs=[])
    assert facts.value("source.ip") is None
    assert facts.value("source.scope") == "none"
    assert facts.value("source.ips") == []


def test_lists_and_ownership(make):
    context = Context(
        addresses={"feed": AddressSet(["203.0.113.0/24", "2001:db8::/32"]), "tor": AddressSet(["198.51.100.7"])},
        ownership=lambda address: Ownership(64496, "Example", "NL") if address == "203.0.113.9" else None,
    )
    facts = make(context, sourceIPs=["203.0.113.9"])
    assert facts.value("source.lists") == ["feed"]
    assert facts.value("source.tor") is False
    assert (facts.value("source.asn"), facts.value("source.as_org"), facts.value("source.country")) == (
        64496,
        "Example",
        "NL",
    )
    assert make(context, sourceIPs=["198.51.100.7", "10.0.0.1"]).value("source.tor") is True
    assert make(context, sourceIPs=["2001:db8:1::2"]).value("source.lists") == ["feed"]
    assert make(context, sourceIPs=["10.0.0.1"]).value("source.lists") == []


def test_a_claimed_address_does_not_excuse(make):
    context = Context(addresses={name: AddressSet(["198.51.100.7"]) for name in ("feed", "trusted-office", "cloud-x")})
    assert make(context, sourceIPs=["198.51.100.7", "203.0.113.9"]).value("source.lists") == ["feed"]
    claimed = make(context, sourceIPs=["203.0.113.9", "198.51.100.7"])
    assert claimed.value("source.lists") == ["feed", "trusted-office", "cloud-x"]


def test_address_sets():
    known = AddressSet(["10.0.0.0/8", "192.0.2.1", "::1"])
    assert "10.255.0.1" in known
    assert "192.0.2.1" in known
    assert "192.0.2.2" not in known
    assert "::ffff:10.0.0.1" in known
    assert "x" not in known
    assert not AddressSet()
    with pytest.raises(ValueError, match="nonsense"):
        AddressSet(["nonsense"])
