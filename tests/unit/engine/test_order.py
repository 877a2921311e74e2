import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kubewake.engine.order import Order, joined
from kubewake.event import STAGES
from kubewake.observation import Hit, Observation, Stub
from tests.unit.engine.stubs import observation, second, stub


def set_stage(item: Stub, code: int) -> None:
    item.stage = STAGES[code]
    item.key |= code


def taken(chunks: list[Observation], lateness: int = 30) -> list[Stub]:
    order = Order(lateness)
    result: list[Stub] = []
    for chunk in chunks:
        order.put(msgspec.convert(msgspec.to_builtins(chunk), Observation))
        result += order.take()
    return [*result, *order.take(flush=True)]


class TestTake:
    def test_puts_stubs_in_event_time_order(self):
        stubs = [stub(1, second(5)), stub(2, second(3)), stub(3, second(4))]

        assert [2, 3, 1] == [item.key >> 2 for item in taken([observation(*stubs)])]

    def test_holds_back_what_could_still_be_preceded(self):
        order = Order(30)
        order.put(observation(stub(1, second(599)), stub(2, second(620))))

        assert [] == order.take()

        order.put(observation(stub(3, second(631))))

        assert [1] == [item.key >> 2 for item in order.take()]

    def test_counts_what_comes_after_its_minute_was_passed_on_and_still_gives_it(self):
        order = Order(30)
        order.put(observation(stub(1, second(0)), stub(2, second(700))))
        order.take()
        order.put(observation(stub(3, second(1))))

        assert [3, 2] == [item.key >> 2 for item in order.take(flush=True)]
        assert order.counts.late == 1

    def test_gives_stubs_without_a_time_at_the_end(self):
        assert [1] == [item.key >> 2 for item in taken([observation(stub(1, ""))])]

    @given(
        seconds=st.lists(st.floats(0, 2400), min_size=1, max_size=40),
        cuts=st.lists(st.integers(0, 40), max_size=6),
        shifts=st.lists(st.floats(-20, 20), min_size=40, max_size=40),
    )
    def test_does_not_depend_on_how_the_input_was_cut(self, seconds, cuts, shifts):
        arrival = sorted(range(len(seconds)), key=lambda i: seconds[i] + shifts[i % 40] / 2)
        stubs = [stub(i + 1, second(seconds[i]), behaviour=i % 3) for i in arrival]
        edges = sorted({0, len(stubs), *(cut for cut in cuts if cut < len(stubs))})
        chunks = [observation(*stubs[a:b]) for a, b in itertools.pairwise(edges)]

        whole, cut = taken([observation(*stubs)]), taken(chunks)

        assert [(s.time, s.key, s.count, s.last_key, s.members) for s in whole] == [
            (s.time, s.key, s.count, s.last_key, s.members) for s in cut
        ]


class TestDuplicates:
    def test_a_repeated_event_is_dropped_and_counted_within_and_between_batches(self):
        order = Order(30)
        order.put(observation(stub(1, second(1)), stub(1, second(1))))
        order.put(observation(stub(1, second(1)), stub(2, second(2))))

        assert [1, 2] == [item.key >> 2 for item in order.take(flush=True)]
        assert order.counts.duplicates == 2

    def test_an_ordinary_duplicate_is_taken_out_of_its_count(self):
        order = Order(30)
        order.put(observation(stub(1, second(1), behaviour=7)))
        many = stub(2, second(2), behaviour=7, count=2)
        repeated = observation(many)
        from array import array

        repeated.keys = array("Q", [2 << 2, 1 << 2]).tobytes()
        repeated.owners = array("I", [0, 0]).tobytes()
        order.put(repeated)

        assert [2] == [item.count for item in order.take(flush=True)]

    def test_recognised_after_a_restart(self):
        order = Order(30)
        order.put(observation(stub(1, second(1))))
        order.take(flush=True)
        restored = Order(30)
        restored.restore(order.snapshot())
        restored.put(observation(stub(1, second(1))))

        assert [] == restored.take(flush=True)
        assert restored.counts.duplicates == 1


class TestStages:
    def test_a_long_request_is_judged_once(self):
        started = stub(1, second(1), hits=(Hit("pod-exec"),))
        set_stage(started, 1)
        ended = stub(1, second(9), hits=(Hit("pod-exec"),))

        assert [started.key] == [item.key for item in taken([observation(started), observation(ended)])]

    def test_the_end_is_judged_when_it_shows_more_than_the_start(self):
        started = stub(1, second(1), hits=(Hit("pod-exec"),))
        set_stage(started, 1)
        ended = stub(1, second(9), hits=(Hit("pod-exec"), Hit("other")))

        assert 2 == len(taken([observation(started), observation(ended)]))

    def test_a_received_request_counts_only_when_no_answer_comes(self):
        received = stub(1, second(1), hits=(Hit("x"),))
        set_stage(received, 2)
        other = stub(2, second(1), hits=(Hit("x"),))
        set_stage(other, 2)
        answered = stub(1, second(2))

        keys = [
            item.key
            for item in taken([observation(received, other), observation(answered), observation(stub(9, second(200)))])
        ]

        assert [other.key, answered.key, 9 << 2] == keys


def test_stubs_of_one_behaviour_become_the_earliest_with_the_end_of_the_latest():
    one = joined(stub(1, second(5), behaviour=7, count=2), stub(2, second(3), behaviour=7))

    assert (2, 3, second(5)) == (one.key >> 2, one.count, one.last_time)


def test_stubs_that_become_one_name_the_events_of_both_in_order():
    many = stub(2, second(3), behaviour=7, count=3, members=[(second(n), n << 2, f"a{n}") for n in (3, 4, 6)])

    assert ["a3", "a4", "a1", "a6"] == [member[2] for member in joined(stub(1, second(5), behaviour=7), many).members]


def test_gives_an_unanswered_request_of_the_last_seconds_when_the_input_ends():
    received = stub(1, second(5), hits=(Hit("x"),))
    set_stage(received, 2)

    assert [received.key, 2 << 2] == [item.key for item in taken([observation(received, stub(2, second(6)))])]


def test_at_once_gives_everything_but_a_request_that_may_still_be_answered():
    received = stub(1, second(5), hits=(Hit("x"),))
    set_stage(received, 2)
    order = Order(30)
    order.put(observation(received, stub(2, second(6))))

    assert [2] == [item.key >> 2 for item in order.take(at_once=True)]

    order.put(observation(stub(3, second(40))))

    assert [1, 3] == [item.key >> 2 for item in order.take(at_once=True)]
    assert not order.committed


def test_does_not_let_more_wait_than_it_may(monkeypatch):
    monkeypatch.setattr("kubewake.engine.order.MAX_WAITING", 2)
    order = Order(30)
    order.put(observation(stub(1, second(1)), stub(2, second(2)), stub(3, second(3), behaviour=7)))
    order.put(observation(stub(4, second(4), behaviour=7)))

    assert order.is_ready
    assert [1, 2, 3] == [item.key >> 2 for item in order.take()]
    assert order.counts.hurried == 3


def test_what_waits_is_saved_once_in_pieces():
    order = Order(30)
    order.put(observation(stub(1, second(1)), stub(2, second(2), behaviour=7)))
    first = order.unsaved()
    order.note_saved(first)
    order.put(observation(stub(3, second(3)), stub(4, second(4), behaviour=7), stub(5, second(700))))
    later = order.unsaved()
    order.note_saved(later)
    assert [1, 2] == [len(first), len(later)]
    assert not order.unsaved()

    restored = Order(30)
    restored.restore(order.snapshot(in_pieces=True), {**later, **first})

    assert sorted(order.pieces) == sorted(restored.pieces)
    assert not restored.unsaved()
    assert [(1, 1), (2, 2), (3, 1)] == [(item.key >> 2, item.count) for item in restored.take()]
    assert [name for name in later if name.startswith(second(700)[:15])] == restored.pieces


def test_what_comes_too_late_or_without_a_time_goes_with_the_next_span():
    order = Order(30)
    order.put(observation(stub(1, second(0)), stub(2, second(700))))
    order.take()
    order.put(observation(stub(3, second(1)), stub(4, "")))

    assert not order.is_ready
    assert [] == order.take()

    order.put(observation(stub(5, second(1300))))

    assert [4, 3, 2] == [item.key >> 2 for item in order.take()]


def test_requests_that_wait_for_their_answer_do_not_fill_the_room_of_others(monkeypatch):
    monkeypatch.setattr("kubewake.engine.order.MAX_WAITING", 1)
    received = [stub(number, second(number), hits=(Hit("x"),)) for number in (1, 2, 3)]
    for item in received:
        set_stage(item, 2)
    order = Order(30)
    order.put(observation(*received))

    assert not order.is_ready
    assert [] == order.take()
