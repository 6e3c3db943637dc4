"""The transfer machine: whatever comes in whatever order, one outcome, and the caller is never left in silence."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.escalation.transfer import (
    REFER_PATIENCE_S,
    TICKET_PATIENCE_S,
    WATCH_ATTEMPTS,
    FileTicket,
    HangUp,
    OpenWatch,
    Outcome,
    Output,
    Progress,
    Result,
    SendRefer,
    Transfer,
    in_words,
)

DESK = "sip:desk@pbx.example"
RING_S = 30.0


@dataclass(frozen=True)
class At:
    """An input at a time: the method's name and its arguments before `now`."""

    now: float
    method: str
    arguments: tuple[Any, ...] = ()


def play(*inputs: At, ring_s: float = RING_S) -> list[Output]:
    """All outputs of a transfer, timers run when they are due, up to the outcome or the last input."""
    transfer = Transfer(DESK, ring_s)
    outputs = transfer.start(0.0)
    for one in inputs:
        while (deadline := transfer.next_deadline()) is not None and deadline < one.now:
            outputs += transfer.expire(deadline)
        outputs += getattr(transfer, one.method)(*one.arguments, one.now)
    return outputs


def outcome_of(*inputs: At) -> Outcome:
    """The outcome, time going on after the last input as long as there is a timer."""
    transfer = Transfer(DESK, RING_S)
    outputs = transfer.start(0.0)
    for one in inputs:
        outputs += getattr(transfer, one.method)(*one.arguments, one.now)
    while (deadline := transfer.next_deadline()) is not None:
        outputs += transfer.expire(deadline)
    (outcome,) = [output for output in outputs if isinstance(output, Outcome)]
    assert outputs[-1] is outcome
    assert transfer.done
    return outcome


TICKET = At(0.1, "ticket_filed")
WATCH = At(0.2, "watch_started")
ACCEPTED = At(0.3, "refer_answered", (202, "Accepted"))
REFERRED = (TICKET, WATCH, ACCEPTED)


def notify(now: float, status: int, phrase: str = "", final: bool = False) -> At:
    return At(now, "notified", (status, phrase, final))


def bye(now: float) -> At:
    return At(now, "call_ended", (True, "BYE"))


def test_the_whole_way() -> None:
    answered = notify(6, 200, "OK", final=True)
    assert play(*REFERRED, notify(0.4, 100, "Trying"), notify(1, 180, "Ringing"), notify(2, 180), answered) == [
        FileTicket(),
        OpenWatch(),
        Progress("ticket filed"),
        SendRefer(DESK),
        Progress("REFER accepted", 202),
        Progress("trying", 100),
        Progress("ringing", 180),
        Progress("answered", 200),
        HangUp("transferred"),
        Outcome(Result.TRANSFERRED, "answered", 200),
    ]


@pytest.mark.parametrize("order", [(TICKET, WATCH), (At(0.1, "watch_started"), At(0.2, "ticket_filed"))])
def test_refer_waits_for_the_watch_and_the_ticket(order: tuple[At, At]) -> None:
    assert SendRefer(DESK) not in play(order[0])
    assert play(*order)[-1] == SendRefer(DESK)


def test_refer_does_not_wait_long_for_the_ticket() -> None:
    assert play(At(0.1, "watch_started"), At(TICKET_PATIENCE_S + 0.1, "ticket_filed")) == [
        FileTicket(),
        OpenWatch(),
        Progress("ticket late"),
        SendRefer(DESK),
        Progress("ticket filed"),
    ]


def test_refer_goes_without_a_ticket() -> None:
    assert play(At(0.1, "ticket_failed"), WATCH)[-2:] == [Progress("ticket not filed"), SendRefer(DESK)]


@pytest.mark.parametrize(
    ("inputs", "outcome"),
    [
        # the person's leg fails
        ((notify(5, 486, "Busy Here", True),), Outcome(Result.RETURNED, "busy", 486)),
        ((notify(5, 180), notify(9, 480, "", True)), Outcome(Result.RETURNED, "not available", 480)),
        ((notify(5, 603, "Decline", True),), Outcome(Result.RETURNED, "declined", 603)),
        ((notify(5, 404, "Not Found", True),), Outcome(Result.RETURNED, "the number is not known", 404)),
        ((notify(5, 503, "Overload"),), Outcome(Result.RETURNED, "out of reach (503 Overload)", 503)),
        ((notify(5, 302, "Moved"),), Outcome(Result.RETURNED, "moved elsewhere (302 Moved)", 302)),
        # no more news of it
        ((notify(5, 0, "", True),), Outcome(Result.RETURNED, "the trunk stopped reporting on the transfer")),
        ((notify(5, 100, "", True),), Outcome(Result.RETURNED, "the trunk stopped reporting on the transfer", 100)),
        ((), Outcome(Result.RETURNED, "no answer in 30 s", 408)),
        ((notify(5, 180),), Outcome(Result.RETURNED, "no answer in 30 s", 408)),
        # a 200 that does not end the subscription is an answer too
        ((notify(5, 200, "OK", False),), Outcome(Result.TRANSFERRED, "answered", 200)),
        # the call ends: the table in transfer.py
        (
            (notify(5, 180), bye(8)),
            Outcome(Result.TRANSFERRED, "the trunk ended our leg while it rang; taken for answered", 180, True),
        ),
        (
            (notify(5, 183), notify(6, 100), bye(8)),
            Outcome(Result.TRANSFERRED, "the trunk ended our leg while it rang; taken for answered", 183, True),
        ),
        ((bye(8),), Outcome(Result.TRANSFERRED, "the trunk ended our leg; taken for answered", 0, True)),
        ((notify(5, 100), bye(8)), Outcome(Result.CALL_GONE, "BYE", 100)),
        ((notify(5, 180), At(8, "call_ended", (False, "cap"))), Outcome(Result.CALL_GONE, "cap", 180)),
        ((At(8, "cancel"),), Outcome(Result.CANCELLED, "the caller would rather stay")),
        ((notify(5, 180), At(8, "cancel")), Outcome(Result.CANCELLED, "the caller would rather stay")),
        # what comes later changes nothing
        ((notify(5, 486), notify(6, 200), bye(7)), Outcome(Result.RETURNED, "busy", 486)),
        ((notify(5, 200), bye(5.1), At(6, "cancel")), Outcome(Result.TRANSFERRED, "answered", 200)),
        # NOTIFYs missed while the watch was away, then it is back
        (
            (At(5, "watch_lost"), At(5.6, "watch_started"), notify(6, 200)),
            Outcome(Result.TRANSFERRED, "answered", 200),
        ),
        # an acceptance that a timer of ours did not see
        (
            (notify(5, 180), At(6, "refer_answered", (408, "")), notify(7, 200)),
            Outcome(Result.TRANSFERRED, "answered", 200),
        ),
    ],
)
def test_after_refer_was_accepted(inputs: tuple[At, ...], outcome: Outcome) -> None:
    assert outcome_of(*REFERRED, *inputs) == outcome


@pytest.mark.parametrize(
    ("inputs", "outcome"),
    [
        ((), Outcome(Result.RETURNED, "the call's gateway does not answer")),
        ((TICKET,), Outcome(Result.RETURNED, "the call's gateway does not answer")),
        ((TICKET, WATCH), Outcome(Result.RETURNED, "the trunk did not answer REFER", 408)),
        (
            (TICKET, WATCH, At(1, "refer_answered", (405, "Method Not Allowed"))),
            Outcome(Result.RETURNED, "the trunk refused REFER (405 Method Not Allowed)", 405),
        ),
        (
            (TICKET, WATCH, At(1, "refer_answered", (408, ""))),
            Outcome(Result.RETURNED, "the trunk did not answer REFER", 408),
        ),
        ((TICKET, WATCH, At(1, "refer_failed", ("no route",))), Outcome(Result.RETURNED, "no route")),
        ((TICKET, bye(1)), Outcome(Result.CALL_GONE, "BYE")),
        ((TICKET, WATCH, bye(1)), Outcome(Result.CALL_GONE, "BYE")),
        ((TICKET, WATCH, bye(1), At(1.1, "refer_answered", (481, ""))), Outcome(Result.CALL_GONE, "BYE")),
        ((TICKET, WATCH, bye(1), At(1.1, "cancel")), Outcome(Result.CALL_GONE, "BYE")),
        ((At(1, "call_unknown"),), Outcome(Result.CALL_GONE, "the gateway no longer knows the call")),
        ((At(1, "cancel"),), Outcome(Result.CANCELLED, "the caller would rather stay")),
        # the 202 was overtaken: by the BYE, by the NOTIFY (RFC 3515 §2.4.4)
        (
            (TICKET, WATCH, bye(1), At(1.1, "refer_answered", (202, ""))),
            Outcome(Result.TRANSFERRED, "the trunk ended our leg; taken for answered", 0, True),
        ),
        ((TICKET, WATCH, notify(1, 100), ACCEPTED, notify(2, 200)), Outcome(Result.TRANSFERRED, "answered", 200)),
        ((TICKET, WATCH, notify(1, 200)), Outcome(Result.TRANSFERRED, "answered", 200)),
        (
            (TICKET, WATCH, notify(1, 180), bye(2)),
            Outcome(Result.TRANSFERRED, "the trunk ended our leg while it rang; taken for answered", 180, True),
        ),
    ],
)
def test_before_refer_was_accepted(inputs: tuple[At, ...], outcome: Outcome) -> None:
    assert outcome_of(*inputs) == outcome


def test_a_lost_watch_is_opened_again_a_bounded_number_of_times() -> None:
    lost = [At(1.0 + number, "watch_lost") for number in range(WATCH_ATTEMPTS)]
    outputs = play(*REFERRED, *lost)
    assert outputs.count(OpenWatch()) == WATCH_ATTEMPTS
    assert outputs[-1] == Outcome(Result.RETURNED, "lost sight of the call: its gateway does not answer")


def test_a_watch_that_hangs_when_opened_again_does_not_hold_the_caller() -> None:
    assert outcome_of(WATCH, At(0.3, "watch_lost")).result is Result.RETURNED


def test_nothing_before_the_refer_counts_as_its_progress() -> None:
    assert play(TICKET, notify(0.2, 200)) == [FileTicket(), OpenWatch(), Progress("ticket filed")]


@pytest.mark.parametrize("status", [300, 400, 482, 500, 606, 699])
def test_every_failure_has_words(status: int) -> None:
    assert str(status) in in_words(status)


steps = st.one_of(
    st.just(("ticket_filed", ())),
    st.just(("ticket_failed", ())),
    st.just(("watch_started", ())),
    st.just(("watch_lost", ())),
    st.just(("call_unknown", ())),
    st.tuples(st.just("refer_answered"), st.tuples(st.sampled_from([200, 202, 405, 408, 503]), st.just(""))),
    st.just(("refer_failed", ("unreachable",))),
    st.tuples(
        st.just("notified"),
        st.tuples(st.sampled_from([0, 100, 180, 183, 200, 302, 486, 603]), st.just(""), st.booleans()),
    ),
    st.tuples(st.just("call_ended"), st.tuples(st.booleans(), st.just("BYE"))),
    st.just(("cancel", ())),
    st.just(("expire", ())),
)


@given(st.lists(st.tuples(st.floats(0, 8), steps), max_size=25))
def test_exactly_one_outcome_whatever_the_order(moves: list[tuple[float, tuple[str, tuple[Any, ...]]]]) -> None:
    now = 0.0
    transfer = Transfer(DESK, RING_S)
    outputs = transfer.start(now)
    for pause, (method, arguments) in moves:
        now += pause
        outputs += getattr(transfer, method)(*arguments, now)
    for _ in range(100):
        if (deadline := transfer.next_deadline()) is None:
            break
        now = max(now, deadline)
        outputs += transfer.expire(now)
    outcomes = [output for output in outputs if isinstance(output, Outcome)]
    assert len(outcomes) == 1
    assert outputs[-1] is outcomes[0]
    assert transfer.done
    assert outputs.count(SendRefer(DESK)) <= 1
    assert outputs.count(OpenWatch()) <= WATCH_ATTEMPTS
    hung_up = HangUp("transferred") in outputs
    assert hung_up == (outcomes[0].result is Result.TRANSFERRED and not outcomes[0].presumed)


@given(st.lists(st.tuples(st.floats(0, 1), steps), max_size=25))
def test_a_silent_network_returns_the_caller_in_bounded_time(
    moves: list[tuple[float, tuple[str, tuple[Any, ...]]]],
) -> None:
    now = 0.0
    transfer = Transfer(DESK, RING_S)
    transfer.start(now)
    for pause, (method, arguments) in moves:
        now += pause
        getattr(transfer, method)(*arguments, now)
    silent_since = now
    while (deadline := transfer.next_deadline()) is not None:
        now = max(now, deadline)
        transfer.expire(now)
    assert now - silent_since <= RING_S + REFER_PATIENCE_S
