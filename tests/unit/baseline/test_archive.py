"""Baselines as files: merging is a sum."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewake.baseline import Archive, Baseline, decode, encode
from kubewake.baseline.archive import ARCHIVE_VERSION, unpack
from kubewake.errors import StoreError
from tests.unit.baseline.house import PEOPLE, House, at, learnt, said, total

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.integers(0, 12),
        st.sampled_from(["get", "list", "patch"]),
        st.sampled_from(["pods", "secrets", "deployments"]),
        st.sampled_from(["shop", "pay"]),
    ),
    max_size=25,
)


def archive_of(events: list[tuple[str, int, str, str, str]]) -> Archive:
    house, baseline = House(), Baseline()
    for who, day, verb, resource, namespace in sorted(events, key=lambda event: event[1]):
        baseline.observe(house.person(who, at(day), verb=verb, resource=resource, namespace=namespace))
    baseline.teach("anna", benign=False)
    baseline.settle()
    return baseline.archive


def plain(archive: Archive) -> object:
    return msgspec.to_builtins(archive)


@settings(max_examples=40, deadline=None)
@given(EVENTS, EVENTS, EVENTS)
def test_merging_is_commutative_and_associative(one, two, three) -> None:
    a, b, c = archive_of(one), archive_of(two), archive_of(three)

    assert plain(a.merge(b)) == plain(b.merge(a))
    assert plain(a.merge(b).merge(c)) == plain(a.merge(b.merge(c)))


def test_merging_with_nothing_changes_nothing() -> None:
    _, baseline = learnt(2)
    merged = baseline.archive.merge(Archive())

    assert plain(merged) == plain(Archive().merge(baseline.archive))
    assert merged.identities.keys() == baseline.archive.identities.keys()


def test_a_baseline_that_starts_warm_says_at_once_what_a_trained_one_says() -> None:
    house, baseline = learnt()
    baseline.settle()
    warm = Baseline()
    warm.start_from(decode(encode({"c": baseline.archive}), "file")["c"])
    attack = house.theft(10)

    assert total(said(warm, attack)) == pytest.approx(total(said(baseline, attack)), rel=0.05)


@pytest.mark.parametrize(
    "data", [b"", b"junk", b"\x81\xa1\xff\x80", msgspec.msgpack.encode({"c": {"version": ARCHIVE_VERSION + 1}})]
)
def test_files_that_cannot_be_used_are_named(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"old\.kwb"):
        decode(data, "old.kwb")


def test_snapshots_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(StoreError, match="delete the state"):
        unpack(b"junk")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b'{"kind":"Event"}\n',
            "audit.log: is no baseline file; .*`kubewake baseline train audit.log --out house.kwb`",
        ),
        (b"\x28\xb5\x2f\xfd", "audit.log: is no baseline file; .*`kubewake baseline train audit.log --out house.kwb`"),
        (b"", "audit.log: is empty; .*`kubewake baseline train LOGS --out house.kwb`"),
        (encode({"c": Archive()})[:-3], "audit.log: the baseline cannot be read"),
    ],
    ids=["a log", "a compressed log", "an empty file", "half a file"],
)
def test_what_is_no_baseline_is_said_with_the_command_that_makes_one(data, said) -> None:
    with pytest.raises(StoreError, match=said):
        decode(data, "audit.log")
