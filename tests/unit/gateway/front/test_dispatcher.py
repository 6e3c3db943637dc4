"""Which worker a message is for."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.front.dispatcher import Dispatcher, WorkerState

READY, GONE, DRAINING = WorkerState.READY, WorkerState.GONE, WorkerState.DRAINING


def message(call_id: str, method: str = "INVITE", to_tag: str = "", more: str = "", to: str = "To") -> bytes:
    tag = f";tag={to_tag}" if to_tag else ""
    head = f"{method} sip:1@192.0.2.1 SIP/2.0" if method != "200" else "SIP/2.0 200 OK"
    return f"{head}\r\n{to}: <sip:1@192.0.2.1>{tag}\r\nCall-ID: {call_id}\r\n{more}Content-Length: 0\r\n\r\n".encode()


def all_ready(workers: int = 3, most_learned: int = 100) -> Dispatcher:
    dispatcher = Dispatcher(workers, b"key", most_learned)
    for number in range(workers):
        dispatcher.set_state(number, READY)
    return dispatcher


def at(dispatcher: Dispatcher, worker: int, nth: int = 0) -> str:
    """A Call-ID whose home is `worker`."""
    found = (one for one in (f"call{index}" for index in range(10_000)) if dispatcher.worker_of(one.encode()) == worker)
    for _ in range(nth):
        next(found)
    return next(found)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60), st.integers(1, 64))
def test_all_messages_of_a_call_are_for_one_worker(call_id: str, workers: int) -> None:
    dispatcher = all_ready(workers)
    home = dispatcher.receive(message(call_id))
    assert home in range(workers)
    for method, tag in (("ACK", "a"), ("CANCEL", ""), ("BYE", "a"), ("INVITE", "a"), ("200", "a"), ("OPTIONS", "")):
        assert dispatcher.receive(message(call_id, method, tag)) == home
    assert dispatcher.learned == 0


def test_calls_spread_evenly() -> None:
    dispatcher = all_ready(4)
    counts = Counter(dispatcher.receive(message(f"{index}-4711@192.0.2.9")) for index in range(4000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(850 < count < 1150 for count in counts.values())


def test_the_key_decides() -> None:
    """Who does not know it cannot bring all calls to one worker."""
    names = [f"call{index}".encode() for index in range(100)]
    one, other = Dispatcher(8, b"a"), Dispatcher(8, b"b")
    assert [one.worker_of(name) for name in names] != [other.worker_of(name) for name in names]


def test_nobody_is_there() -> None:
    assert Dispatcher(3).receive(message("a")) is None


def test_a_call_of_a_workers_own_comes_back_to_it() -> None:
    dispatcher = all_ready()
    ours = at(dispatcher, 2)
    dispatcher.sent(message(ours), 1)
    assert dispatcher.receive(message(ours, "200", "x")) == 1
    assert dispatcher.receive(message(ours, "BYE", "x")) == 1
    # What is home already needs no memory, and an answer says nothing.
    dispatcher.sent(message(at(dispatcher, 0)), 0)
    dispatcher.sent(message(at(dispatcher, 0, 1), "200"), 1)
    assert dispatcher.learned == 1


def test_a_call_that_came_stays_when_we_send_requests_in_it() -> None:
    dispatcher = all_ready()
    call = at(dispatcher, 2)
    dispatcher.sent(message(call, "BYE", "x"), 2)
    assert dispatcher.receive(message(call, "200")) == 2
    assert dispatcher.learned == 0


@pytest.mark.parametrize("header", ["Replaces: ", "replaces:", "REPLACES : ", "Replaces:\r\n "])
def test_replaces_goes_where_the_replaced_call_is(header: str) -> None:
    dispatcher = all_ready()
    old, new = at(dispatcher, 0), at(dispatcher, 1)
    assert dispatcher.receive(message(new, more=f"{header}{old};to-tag=a;from-tag=b\r\n")) == 0
    # Also what follows, which names the old call no more.
    assert dispatcher.receive(message(new, "ACK", "t")) == 0
    assert dispatcher.receive(message(new, "CANCEL")) == 0
    assert dispatcher.receive(message(new, "INVITE", "t")) == 0


def test_replaces_of_a_call_that_is_not_at_home() -> None:
    dispatcher = all_ready()
    ours, taken = at(dispatcher, 0), at(dispatcher, 1)
    dispatcher.sent(message(ours), 2)
    assert dispatcher.receive(message(taken, more=f"Replaces: {ours};to-tag=a;from-tag=b\r\n")) == 2
    again = at(dispatcher, 1, 1)
    assert dispatcher.receive(message(again, more=f"Replaces: {taken};to-tag=a;from-tag=b\r\n")) == 2


def test_replaces_means_nothing_inside_a_call_or_from_a_stranger() -> None:
    dispatcher = all_ready()
    old, new = at(dispatcher, 0), at(dispatcher, 1)
    replaces = f"Replaces: {old};to-tag=a;from-tag=b\r\n"
    assert dispatcher.receive(message(new, to_tag="t", more=replaces)) == 1
    assert dispatcher.receive(message(new, to_tag="t", more=replaces, to="t")) == 1
    assert dispatcher.receive(message(new, more=replaces), trusted=False) == 1
    assert dispatcher.learned == 0


def test_a_dead_worker_takes_only_its_calls() -> None:
    dispatcher = all_ready()
    calls = [f"call{index}" for index in range(300)]
    before = {call: dispatcher.receive(message(call)) for call in calls}
    dispatcher.set_state(1, GONE)
    for call, worker in before.items():
        found = dispatcher.receive(message(call, "BYE", "t"))
        assert found == worker if worker != 1 else found in (0, 2)  # which says 481 at once
    assert dispatcher.learned == 0
    dispatcher.set_state(1, READY)
    assert {call: dispatcher.receive(message(call, "BYE", "t")) for call in calls} == before


def test_new_calls_go_elsewhere_meanwhile_and_stay_there() -> None:
    dispatcher = all_ready(4)
    calls = [at(dispatcher, 1, nth) for nth in range(60)]
    dispatcher.set_state(1, GONE)
    there = {call: dispatcher.receive(message(call)) for call in calls}
    assert set(there.values()) == {0, 2, 3}
    dispatcher.set_state(1, READY)
    for call, worker in there.items():
        for method, tag in (("INVITE", ""), ("CANCEL", ""), ("ACK", "t"), ("BYE", "t")):
            assert dispatcher.receive(message(call, method, tag)) == worker
    dispatcher.set_state(3, GONE)  # and is started again: 481 from there
    dispatcher.set_state(3, READY)
    assert {call: dispatcher.receive(message(call, "BYE", "t")) for call in calls} == there


def test_pings_are_answered_by_anybody_and_leave_nothing() -> None:
    dispatcher = all_ready()
    ping = message(at(dispatcher, 1), "OPTIONS")
    dispatcher.set_state(1, GONE)
    assert dispatcher.receive(ping) in (0, 2)
    assert dispatcher.learned == 0


def test_a_draining_worker_keeps_its_calls_and_gets_no_new_ones() -> None:
    dispatcher = all_ready()
    call = at(dispatcher, 1)
    dispatcher.set_state(1, DRAINING)
    assert dispatcher.ready == [0, 2]
    for method, tag in (("BYE", "t"), ("CANCEL", ""), ("ACK", "t"), ("200", "t"), ("INVITE", "t")):
        assert dispatcher.receive(message(call, method, tag)) == 1
    assert dispatcher.receive(message(call)) in (0, 2)


def test_when_all_drain_each_refuses_its_own() -> None:
    dispatcher = all_ready()
    for number in range(3):
        dispatcher.set_state(number, DRAINING)
    assert dispatcher.receive(message("new")) in (0, 1, 2)


@given(st.lists(st.integers(0, 30), max_size=100))
def test_memory_is_bounded_and_the_silent_go_first(calls: list[int]) -> None:
    dispatcher = all_ready(2, most_learned=5)
    heard: list[int] = []
    for call in calls:
        dispatcher.sent(message(f"call{call}"), 1 - Dispatcher(2, b"key").worker_of(f"call{call}".encode()))
        heard = [one for one in heard if one != call] + [call]
        assert dispatcher.learned <= 5
        for one in heard[-5:]:
            assert dispatcher.worker_of(f"call{one}".encode()) == 1 - Dispatcher(2, b"key").worker_of(
                f"call{one}".encode()
            )


@given(st.binary(max_size=300), st.lists(st.sampled_from(list(WorkerState)), min_size=3, max_size=3), st.booleans())
def test_no_octets_hurt(data: bytes, states: list[WorkerState], trusted: bool) -> None:
    dispatcher = Dispatcher(3)
    for number, state in enumerate(states):
        dispatcher.set_state(number, state)
    for one in (data, b"INVITE " + data, b"INVITE sip:a SIP/2.0\r\nReplaces:" + data):
        found = dispatcher.receive(one, trusted)
        assert found is None or states[found] is not GONE
        dispatcher.sent(one, 1)
