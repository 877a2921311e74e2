"""What is packed comes out the same, whatever the receiver knew before."""

import msgspec
import pytest

from kubewake.demo import recording
from kubewake.engine import Reader
from kubewake.observation import Observation, Stub
from kubewake.pipeline import reading
from kubewake.pipeline.detection import Knowledge
from kubewake.pipeline.reading import read_all
from kubewake.sources.files import FileSource

parcel = pytest.importorskip("kubewake.pipeline.parcel", reason="not compiled here")


@pytest.fixture(scope="module")
def observations(tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "audit.log"
    log.write_bytes(b"\n".join(recording.lines()) + b"\n")
    rules, context = Knowledge().load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNKS_PER_OBSERVATION", 1)
        return list(read_all(FileSource([str(log)], chunk_bytes=512 * 1024).chunks(), Reader(rules, context)))


def test_observations_come_out_as_they_were(observations):
    assert len(observations) > 5
    sender, receiver = parcel.Sender(1), parcel.Receiver()
    for observation in observations:
        assert receiver.unpack(sender.pack(observation)) == observation


def test_what_stubs_of_a_kind_share_is_sent_once(observations):
    sender, receiver = parcel.Sender(1), parcel.Receiver()
    first, again = (receiver.unpack(sender.pack(observations[0])) for _ in range(2))
    assert again == first
    assert {id(stub.user_agent) for stub in again.stubs} <= {id(stub.user_agent) for stub in first.stubs}
    assert len(sender.pack(observations[0])) < len(msgspec.msgpack.encode(observations[0])) * 0.7


def test_a_stub_that_changes_where_it_came_does_not_change_what_comes_later(observations):
    sender, receiver = parcel.Sender(1), parcel.Receiver()
    for stub in receiver.unpack(sender.pack(observations[0])).stubs:
        stub.count, stub.name, stub.hits, stub.members, stub.values = 0, "changed", (), [("t", 1, "a")], {"a": 1}
    assert receiver.unpack(sender.pack(observations[0])) == observations[0]


def test_a_sender_that_has_sent_much_starts_anew(observations, monkeypatch):
    monkeypatch.setattr(parcel, "MAX_KINDS", 10)
    sender, receiver = parcel.Sender(1), parcel.Receiver()
    sizes = []
    for _ in range(2):
        data = sender.pack(observations[0])
        sizes.append(len(data))
        assert receiver.unpack(data) == observations[0]
    assert sizes[0] == sizes[1]


def test_senders_do_not_mix(observations):
    receiver = parcel.Receiver()
    senders = [parcel.Sender(number) for number in range(3)]
    for number, observation in enumerate(observations):
        assert receiver.unpack(senders[number % 3].pack(observation)) == observation


def test_stubs_of_no_known_kind_keep_all_their_fields(observations):
    stubs = [msgspec.structs.replace(stub, kind=0) for stub in observations[0].stubs]
    observation = msgspec.structs.replace(observations[0], stubs=stubs)
    sender, receiver = parcel.Sender(1), parcel.Receiver()
    for _ in range(2):
        assert receiver.unpack(sender.pack(observation)) == observation


def test_stubs_of_a_kind_differ_in_nothing_else_than_what_is_sent_of_each(observations):
    shared = [name for name in Stub.__struct_fields__ if name not in {*parcel.OWN, "values"}]
    kinds: dict[int, tuple[object, ...]] = {}
    repeated = 0
    for stub in (stub for observation in observations for stub in observation.stubs):
        fields = tuple(getattr(stub, name) for name in shared)
        repeated += stub.kind in kinds
        assert kinds.setdefault(stub.kind, fields) == fields
    assert repeated > 1000


def test_what_is_no_parcel_is_an_error():
    with pytest.raises(msgspec.MsgspecError):
        parcel.Receiver().unpack(msgspec.msgpack.encode(Observation(file="", stubs=[])))
