"""Other people on the line: the agent says nothing while it only listens, and is there again when they are gone."""

from hypothesis import given
from hypothesis import strategies as st

from services.brain.company import Bridged, Company, CompanyEvent, Unbridged, bridge_event
from services.brain.turn_events import (
    Audible,
    Digit,
    HangUp,
    HoldChanged,
    Played,
    Release,
    ReplyBegan,
    ReplyDone,
    Say,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    Transcript,
    TransferBegan,
    TransferReturned,
)
from services.brain.turn_state import State
from tandem.v1.brain_pb2 import BridgeChanged, BridgeJoined, BridgeLeft
from tests.unit.brain.turn_tables import ANSWER, GREETING, QUESTION, a_machine, play, respond, start, stop, words


class Line:
    """A machine and its company, for the tables."""

    def __init__(self) -> None:
        self.machine = a_machine()
        self.handle = Company(self.machine).handle
        self.expire, self.next_deadline = self.machine.expire, self.machine.next_deadline

    @property
    def state(self) -> State:
        return self.machine.state


def test_two_people_are_not_answered_and_then_the_caller_is_asked() -> None:
    machine = Line()
    play(
        machine,
        [
            *GREETING,
            (3000, Bridged(speaks=False), [StopSpeaking()]),
            (4000, start(3900), []),
            (5000, stop(4800), []),
            (5300, words("So what about my bill?"), []),
            (6000, Digit("5"), []),
            (6100, Digit("#"), []),
            (60000, None, []),
            (60100, Bridged(speaks=False), []),  # a third one came
            (61000, Unbridged(), [Say.STILL_THERE]),
            (61500, Audible(9), [Release(9)]),
        ],
    )
    assert machine.state is State.SPEAKING


def test_a_reply_under_way_is_stopped_and_so_is_what_of_it_comes_late() -> None:
    machine = Line()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (5000, Bridged(speaks=False), [StopSpeaking()]),
            (5100, Audible(2), [StopSpeaking()]),
            (5800, ReplyDone(), []),
            (5900, Played(2), []),
        ],
    )
    assert (machine.state, machine.next_deadline()) == (State.TRANSFERRING, None)


def test_a_transfer_that_made_the_bridge_hangs_nobody_up() -> None:
    machine = Line()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (5000, TransferBegan(), []),
            (9000, Bridged(speaks=False), []),  # its reply goes on to wait for the outcome
            (9500, ReplyDone(), []),
            (60000, None, []),
            (61000, Unbridged(), [Say.STILL_THERE]),
        ],
    )


def test_a_bridge_that_ends_before_the_transfers_outcome_waits_for_it() -> None:
    machine = Line()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (5000, TransferBegan(), []),
            (9000, Bridged(speaks=False), []),
            (9500, Unbridged(), []),
        ],
    )
    assert machine.state is State.TRANSFERRING
    play(machine, [(9600, TransferReturned(), []), (9700, Audible(3), [Release(3)])])


def test_an_agent_that_takes_part_answers_and_asks_nobody_whether_they_are_there() -> None:
    machine = Line()
    play(
        machine,
        [
            *GREETING,
            (2900, Bridged(speaks=True), []),
            *QUESTION,
            *ANSWER,
            (7000, Played(2), []),
            (60000, None, []),
            (61000, Bridged(speaks=False), [StopSpeaking()]),
            (62000, start(61900, 5), []),
            (63000, Bridged(speaks=True), []),
            (64000, start(63900, 6), []),
            (65200, stop(65000, 6), []),
            (65600, words("Are you there?", 6), [respond("Are you there?", 63900, 65000)]),
        ],
    )


EVENTS = st.one_of(
    st.sampled_from([SpeechStarted(1, 0), SpeechStopped(1, 0), Transcript(1, "Hello there."), Digit("1"), Digit("#")]),
    st.sampled_from([ReplyBegan(), ReplyDone(), TransferBegan(), TransferReturned(), HoldChanged(True), Played(1)]),
    st.sampled_from([Audible(1), Audible(2), Bridged(speaks=False)]),
)


@given(
    st.lists(st.tuples(st.integers(0, 20_000), EVENTS), max_size=30),
    st.lists(st.tuples(st.integers(0, 20_000), EVENTS), max_size=30),
)
def test_whatever_happens_it_says_nothing_while_people_talk(
    before: list[tuple[int, CompanyEvent]], after: list[tuple[int, CompanyEvent]]
) -> None:
    machine, now_us = Line(), 0
    for wait_ms, event in before:
        now_us += wait_ms * 1000
        machine.expire(now_us)
        machine.handle(event, now_us)
    if machine.state is State.ENDED:
        return
    machine.handle(Bridged(speaks=False), now_us)
    for wait_ms, event in after:
        now_us += wait_ms * 1000
        out = machine.expire(now_us) + machine.handle(event, now_us)
        assert set(out) <= {StopSpeaking()}
        assert machine.next_deadline() is None
    assert HangUp() not in machine.handle(Unbridged(), now_us)


def test_what_the_gateway_tells() -> None:
    for ai, speaks in [(0, False), (1, False), (2, True), (3, False), (4, True)]:
        assert bridge_event(BridgeChanged(joined=BridgeJoined(ai=ai))) == Bridged(speaks)  # type: ignore[arg-type]
    assert bridge_event(BridgeChanged(left=BridgeLeft(reason="enough"))) == Unbridged()
