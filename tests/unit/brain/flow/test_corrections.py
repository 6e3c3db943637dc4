"""What callers take back, in the middle of everything."""

from typing import Any

import pytest

from tests.unit.brain.flow.plays import ACCOUNT, BOOKING, PAYMENT, begun, ok, play

DAY, TIME, NAME, NUMBER = "next Tuesday", "at ten", "Maria Lopez", "020 7946 0123"


@pytest.mark.parametrize(
    ("before", "said", "slot", "value", "asked"),
    [
        ((DAY,), "no, Thursday", "day", "2026-11-26", "What time?"),
        ((DAY, TIME), "no, Thursday", "day", "2026-11-26", "What name?"),
        ((DAY, TIME), "sorry, I meant Thursday", "day", "2026-11-26", "What name?"),
        ((DAY, TIME), "make that half past ten", "at", "10:30", "What name?"),
        ((DAY, TIME), "Thursday, not Tuesday", "day", "2026-11-26", "What name?"),
        ((DAY, TIME), "change the day to Friday", "day", "2026-11-27", "What name?"),
        ((DAY, TIME), "the time should be eleven", "at", "11:00", "What name?"),
        ((DAY, TIME, NAME), "no, my name is Maria Gomez", "name", "Maria Gomez", "What number?"),
        ((DAY, TIME, NAME, NUMBER), "no, 020 7946 0456", "phone", "+442079460456", "020 7946 0456. Is that right?"),
        ((DAY, TIME, NAME, NUMBER), "I meant 4 6 not 2 3", "phone", "+442079460146", "020 7946 0146. Is that right?"),
        ((DAY, TIME, NAME, NUMBER), "not 0 1 2 3, 0 4 5 6", "phone", "+442079460456", "020 7946 0456. Is that right?"),
        ((DAY, TIME, NAME, NUMBER), "no, it's on Thursday", "day", "2026-11-26", "020 7946 0123. Is that right?"),
        ((DAY, TIME, NAME, NUMBER, "yes"), "no, Thursday", "day", "2026-11-26", "How many people?"),
        (
            (DAY, TIME, NAME, NUMBER),
            "no, it's 0 1 2 4 at the end",
            "phone",
            "+442079460124",
            "020 7946 0124. Is that right?",
        ),
        (
            (DAY, TIME, NAME, NUMBER),
            "yes, but can we make it Thursday",
            "day",
            "2026-11-26",
            "020 7946 0123. Is that right?",
        ),
        ((DAY, TIME, NAME, NUMBER), "hm, what about Thursday?", "day", "2026-11-26", "020 7946 0123. Is that right?"),
        (
            (DAY, TIME, NAME, NUMBER, "yes"),
            "you got my name wrong, it's Maria Gomez",
            "name",
            "Maria Gomez",
            "How many people?",
        ),
        ((DAY, TIME, NAME, NUMBER, "yes"), "wait, the time is wrong", "at", None, "What time?"),
        ((DAY, TIME, NAME, NUMBER, "yes"), "that's not my number", "phone", None, "What number?"),
        # And what is asked is answered as well.
        ((DAY,), "no wait, actually Wednesday at ten", "at", "10:00", "What name?"),
        # Nothing said anew: asked again.
        ((DAY, TIME, NAME, NUMBER, "yes"), "no, the other number", "phone", None, "What number?"),
        ((DAY, TIME, NAME, NUMBER), "no", "phone", None, "Sorry, I didn't get that. What number?"),
        ((DAY, TIME, NAME), "the day is wrong", "day", None, "Which day?"),
        ((DAY, TIME, NAME, NUMBER), "the name is wrong", "name", None, "What name?"),
    ],
)
def test_the_right_slot_is_changed(before: tuple[str, ...], said: str, slot: str, value: Any, asked: str) -> None:
    flow = begun(BOOKING, *before)
    outputs = play(flow, said)
    assert flow.to_json()["slots"].get(slot) == value
    assert outputs[-1] == asked


def test_after_a_correction_the_flow_goes_on_where_it_was() -> None:
    flow = begun(BOOKING, DAY, TIME, NAME, NUMBER, "yes")
    assert play(flow, "no, the other number") == ["All right.", "What number?"]
    assert play(flow, "020 7946 0456") == ["020 7946 0456. Is that right?"]
    assert play(flow, "yes") == ["How many people?"]


def test_what_hangs_on_the_slot_is_looked_up_again() -> None:
    flow = begun(BOOKING, DAY, TIME, NAME, NUMBER, "yes", "two", ok({"id": 7}))
    assert play(flow, "no, at eleven") == ["All right.", "[find {'day': '2026-11-24', 'at': '11:00'}]"]
    assert "eleven in the morning" in play(flow, ok({"id": 8}))[0]
    assert "'table': 8" in play(flow, "yes")[0]


def test_nobody_stays_authenticated_with_another_number() -> None:
    flow = begun(ACCOUNT, "123456", "1234", ok({"name": "Lopez"}))
    assert play(flow, "sorry, the customer number should be 654321") == [
        "All right.",
        "[check {'customer': '654321', 'pin': 'hidden, 2'}]",
    ]
    assert "account" not in flow.to_json()["slots"]


def test_what_is_done_is_done() -> None:
    text = BOOKING.replace('  - end: {say: "Booked."}', '  - collect: {slot: hint, kind: text, ask: "Any wishes?"}')
    flow = begun(text, DAY, TIME, NAME, NUMBER, "yes", "two", ok({"id": 7}), "yes", ok())
    assert play(flow, "no, Thursday") == ["I'm sorry, that can't be changed any more.", "Any wishes?"]


def test_a_no_is_an_answer_to_a_question_for_yes_or_no() -> None:
    flow = begun(BOOKING, DAY, TIME, NAME, NUMBER, "yes", "two", ok({"id": 7}))
    assert play(flow, "no")[0] == "Then not."


TRIP = """
description: A trip.
steps:
  - collect: {slot: there, kind: date, ask: "When do you leave?", words: [departure]}
  - collect: {slot: back, kind: date, ask: "When do you return?", words: [return]}
  - collect: {slot: people, kind: number, ask: "How many?"}
"""


@pytest.mark.parametrize(
    ("said", "there", "back"),
    [
        ("Thursday", "2026-11-24", "2026-11-26"),
        ("can we make it Thursday?", "2026-11-24", "2026-11-26"),
        ("I meant Thursday", "2026-11-26", None),
        ("change the departure to Thursday", "2026-11-26", None),
    ],
)
def test_two_slots_of_a_kind(said: str, there: str, back: str | None) -> None:
    flow = begun(TRIP, DAY)
    play(flow, said)
    assert (flow.to_json()["slots"]["there"], flow.to_json()["slots"].get("back")) == (there, back)


def test_a_yes_may_bring_more() -> None:
    flow = begun(BOOKING, "tomorrow")
    assert play(flow, "at ten, the name's Maria Lopez") == ["What number?"]


def test_a_mistyped_card_is_keyed_in_again() -> None:
    flow = begun(PAYMENT, "#4111111111111111")
    assert play(flow, "sorry, that was the wrong card") == ["Please key in your card number, and then the pound key."]
