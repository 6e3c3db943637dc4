"""The caller who wants one appointment, and what befalls them."""

import random
from datetime import date, datetime

import pytest

from agents.front_desk.api.hours import is_start
from evals.tools.caller import GOODBYE, Caller, Wish, wishes
from evals.tools.mishaps import FAULTS, counted, draw_mishaps

WISH = Wish("Maria Lopez", "5551000000", datetime(2026, 11, 24, 10, 30))
REQUEST = (
    "I'd like to book an appointment on Tuesday the twenty-fourth of November at half past ten in the morning, "
    "my name is Maria Lopez, 5551000000."
)


@pytest.mark.parametrize(
    ("agent", "caller"),
    [
        ("Good day, Riverside Clinic. How can I help you?", REQUEST),
        ("One moment.", None),
        ("I'm putting that in.", None),
        ("Let me read that back: Tuesday, for Maria Lopez. Is that right?", "Yes, that's right."),
        ("What name shall I put it under?", "My name is Maria Lopez."),
        ("And what's your phone number?", "5551000000"),
        ("Nothing is booked yet. Shall I try again, or put you through to a person?", "Yes, try again please."),
        ("You're booked: Tuesday the twenty-fourth of November. Is there anything else?", GOODBYE),
        ("I'm sorry, that time is taken. Which would you like?", GOODBYE),
        ("I'm sorry, something went wrong on my side. Could you say that again?", REQUEST),
    ],
)
def test_what_the_caller_answers(agent: str, caller: str | None) -> None:
    assert Caller(WISH).hears(agent) == caller


def test_what_the_caller_knows_afterwards() -> None:
    caller = Caller(WISH)
    caller.hears("Is that right?")
    assert caller.waits() == "Yes, that's right."
    caller.hears("Shall I try again?")
    caller.hears("You're booked: Tuesday.")
    assert (caller.told, caller.refused, caller.retries) == (True, False, 1)


def test_no_two_callers_want_the_same() -> None:
    wanted = wishes(1000, date(2026, 11, 23), random.Random(1))
    assert len({one.phone for one in wanted}) == len({one.start for one in wanted}) == 1000
    assert all(is_start(one.start) and one.start.date() > date(2026, 11, 23) for one in wanted)


def test_every_mishap_befalls_somebody_and_most_befall_few() -> None:
    draw = random.Random(1)
    drawn = [draw_mishaps(draw) for _ in range(1000)]
    assert {fault for one in drawn for fault in one.faults} == set(FAULTS)
    assert all(20 < count < 600 for count in counted(drawn).values())
    assert draw_mishaps(random.Random(7)) == draw_mishaps(random.Random(7))
