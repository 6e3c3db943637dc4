"""A flow from its first question to its end: answers, several at once, other subjects, silence, texts, tools."""

import json
from typing import Any

import pytest

from services.brain.flow.outputs import Output, Say, hidden
from services.brain.question import Expected
from services.brain.turn_profile import Situation

# ruff: noqa: E501 -- tables
from tests.unit.brain.flow.plays import (
    ACCOUNT,
    BOOKING,
    LEGAL,
    NOW,
    begun,
    failed,
    feed,
    flow_of,
    ok,
    one_step,
    play,
    shown,
)

BOOKED = ("next Tuesday", "at ten", "Maria Lopez", "020 7946 0123", "yes", "two")


def last_said(outputs: list[Output]) -> tuple[Situation, Expected]:
    said = [one for one in outputs if isinstance(one, Say)]
    return said[-1].situation, said[-1].expected


def test_question_by_question() -> None:
    flow = flow_of(BOOKING)
    assert [shown(one) for one in flow.begin({}, NOW)] == ["Which day?"]
    for said, asked in [
        ("next Tuesday", ["What time?"]),
        ("half past two", ["What name?"]),
        ("Maria Lopez", ["What number?"]),
        ("020 7946", ["I have 0 2 0, 7 9 4 6. What comes next?"]),
        ("0123", ["020 7946 0123. Is that right?"]),
        ("yes", ["How many people?"]),
        ("just me", ["[find {'day': '2026-11-24', 'at': '14:30'}]"]),
        (
            ok({"id": 7}),
            [
                "Tuesday the twenty-fourth of November at half past two in the afternoon, for Maria Lopez. Shall I book it?"
            ],
        ),
        (
            "yes please",
            [
                "[book {'day': '2026-11-24', 'at': '14:30', 'name': 'Maria Lopez', 'phone': '+442079460123', 'people': 1, 'table': 7}]"
            ],
        ),
    ]:
        assert play(flow, said) == asked
        assert not flow.over
    end = play(flow, ok({"number": 1}))
    assert end[0] == "Booked."
    assert flow.result is not None
    assert flow.result["ok"]
    assert flow.result["value"]["phone"] == "+442079460123"
    assert flow.over
    assert play(flow, "hello") == []


@pytest.mark.parametrize(
    ("prefilled", "said", "asked"),
    [
        ({}, "next Tuesday at ten", "What name?"),
        ({"day": "2026-11-24"}, "ten, no, eleven", "What name?"),
        ({}, "next Tuesday at ten, my name is Maria Lopez", "What number?"),
        ({"day": "2026-11-24"}, "ten", "What name?"),
        ({"day": "2026-11-24", "name": "Maria Lopez"}, "ten", "What number?"),
        ({"day": "2020-01-01"}, "tomorrow", "What time?"),
        ({"day": "soon", "people": True}, "tomorrow", "What time?"),
        ({"day": "2026-11-24T15:30:00"}, "ten", "What name?"),
        ({"at": "10:00"}, "tomorrow", "What time?"),  # no parameter of the flow
    ],
)
def test_what_is_known_is_not_asked(prefilled: dict[str, Any], said: str, asked: str) -> None:
    assert play(begun(BOOKING, **prefilled), said) == [asked]


@pytest.mark.parametrize(
    ("before", "said", "outputs"),
    [
        (
            (),
            "what are your opening hours?",
            ["[aside: what are your opening hours?]", "Back to where we were. Which day?"],
        ),
        (
            ("tomorrow",),
            "do you have a car park",
            ["[aside: do you have a car park]", "Back to where we were. What time?"],
        ),
        (
            (*BOOKED[:2],),
            "I also wanted to ask about my invoice",
            ["[aside: I also wanted to ask about my invoice]", "Back to where we were. What name?"],
        ),
        (
            (*BOOKED[:4],),
            "why do you need it?",
            ["[aside: why do you need it?]", "Back to where we were. 020 7946 0123. Is that right?"],
        ),
        # Questions in form, answers in fact.
        ((), "how about Thursday?", ["What time?"]),
        (("tomorrow",), "can we make it at ten?", ["What name?"]),
        ((*BOOKED[:3],), "can you use the number I'm calling from?", ["020 7946 0123. Is that right?"]),
        # No change of subject.
        ((), "pardon?", ["Which day?"]),
        ((), "hm", ["Sorry, I didn't get that. Which day?"]),
        ((), "hold on a second", ["Take your time."]),
        ((*BOOKED[:3],), "um, let me see, it's on my card", ["Take your time."]),
        ((*BOOKED[:3],), "let me see, it's 020 7946 0123", ["020 7946 0123. Is that right?"]),
        ((), "hang on, is parking free?", ["[aside: hang on, is parking free?]", "Back to where we were. Which day?"]),
        ((), "I'd like to talk to a person", ["[person]"]),
        ((), "never mind", ["[failed cancelled]"]),
        ((*BOOKED[:4],), "oh forget it", ["[failed cancelled]"]),
    ],
)
def test_other_subjects_and_wishes(before: tuple[str, ...], said: str, outputs: list[str]) -> None:
    assert play(begun(BOOKING, *before), said) == outputs


def test_after_another_subject_the_answer_counts() -> None:
    flow = begun(BOOKING, "what are your opening hours?")
    assert play(flow, "tomorrow then") == ["What time?"]


def test_the_subject_is_not_changed_for_ever() -> None:
    flow = begun(BOOKING)
    outputs = [play(flow, "what are your opening hours?") for _ in range(6)]
    assert [one[0][:7] for one in outputs] == ["[aside:"] * 3 + ["Sorry, "] * 2 + ["[failed"]


def test_a_choice_may_be_called_like_a_wish() -> None:
    flow = one_step("kind: choice, choices: {cancel: [cancel it], person: [a person]}")
    flow.begin({}, NOW)
    assert play(flow, "cancel it") == ["[done {'it': 'cancel'}]"]


def test_attempts_run_out() -> None:
    flow = begun(BOOKING, "tomorrow", "ten")
    assert play(flow, "um") == ["First and last name?"]
    assert play(flow, "hm") == ["Spell it?"]
    assert play(flow, "um") == ["[failed attempts]"]
    assert flow.result == {
        "ok": False,
        "code": "attempts",
        "error": "name was not understood",
        "value": {"day": "2026-11-24", "at": "10:00"},
    }


def test_attempts_lead_elsewhere_where_the_flow_says_so() -> None:
    flow = flow_of(
        "description: One.\nsteps:\n  - collect: {slot: it, kind: date, ask: 'When?', attempts: 1, failed: other}\n"
        "  - end: {say: 'At {{ it }}.'}\n  - {name: other, collect: {slot: why, kind: text, ask: 'What then?'}}\n"
    )
    flow.begin({}, NOW)
    assert play(flow, "um") == ["What then?"]
    assert play(flow, "I don't know") == ["[done {'why': \"I don't know\"}]"]


@pytest.mark.parametrize("kind", ["phone", "digits, min: 6"])
def test_a_confirmation_that_is_always_refused_ends(kind: str) -> None:
    flow = one_step(f"kind: {kind}, confirm: always")
    flow.begin({}, NOW)
    for _ in range(3):
        assert not flow.over
        assert "Is that right?" in play(flow, "020 7946 0123")[0]
        play(flow, "no")
    assert flow.result is not None
    assert flow.result["code"] == "attempts"
    assert flow.result["value"] == {}


def test_silence() -> None:
    flow = begun(BOOKING)
    assert play(flow, "...") == ["Which day?"]
    assert play(flow, "tomorrow", "...") == ["What time?"]
    assert play(flow, "...") == ["What time?"]
    assert play(flow, "...") == ["[failed silence]"]


def test_a_flow_ends_after_its_turns() -> None:
    flow = flow_of(BOOKING.replace("description: A visit.", "description: A visit.\nturns: 3"))
    flow.begin({}, NOW)
    assert play(flow, "pardon?", "pardon?", "pardon?") == ["Which day?"]
    assert play(flow, "pardon?") == ["[failed too_long]"]


def test_keys_are_answers_where_they_can_be() -> None:
    flow = begun(BOOKING, *BOOKED[:3])
    assert play(flow, "#02079460123") == ["020 7946 0123. Is that right?"]
    assert play(flow, "#1") == ["How many people?"]
    assert play(flow, "#9") == ["Sorry, I didn't get that. How many people?"]
    assert play(flow, "#2")[0].startswith("[find")
    assert play(begun(BOOKING, *BOOKED[:3]), "#020794", "#*", "#02079460123") == ["020 7946 0123. Is that right?"]


# What the turn machine is told.


def test_questions_tell_what_they_expect() -> None:
    flow = begun(BOOKING, *BOOKED[:2])
    asked = feed(flow, "Maria Lopez")
    assert last_said(asked) == (Situation.COLLECTING_DIGITS, Expected.PHONE)
    confirm = feed(flow, "020 7946 0123")
    assert last_said(confirm) == (Situation.SPEAKING, Expected.YES_OR_NO)


# Texts to be heard in full.


def test_a_legal_text_is_heard_before_anything_follows() -> None:
    flow = flow_of(LEGAL)
    said = flow.begin({}, NOW)
    assert said == [Say("It is so.", Situation.LEGAL_TEXT, Expected.ANYTHING, in_full=True)]
    assert play(flow, "(heard)") == ["And so."]
    assert play(flow, "(heard)") == ["Do you agree?"]
    assert play(flow, "well") == ["Yes or no?"]
    assert play(flow, "yes") == ["Good.", "[done {'agreed': True}]"]


@pytest.mark.parametrize("stop", ["stop", "#5", "please stop it"])
def test_a_legal_text_broken_off_is_read_again_or_declined(stop: str) -> None:
    asked = ["I have to read that to the end before we can go on. Shall I?"]
    flow = begun(LEGAL)
    assert play(flow, stop) == asked
    assert play(flow, "yes") == ["It is so."]
    assert play(flow, stop) == asked
    assert play(flow, "no") == ["A pity.", "[failed declined]"]


def test_a_legal_text_that_was_talked_over_is_read_again_and_not_for_ever() -> None:
    flow = begun(LEGAL)
    assert play(flow, "yes yes") == ["It is so."]
    assert play(flow, "yes yes") == ["It is so."]
    assert play(flow, "yes yes") == ["A pity.", "[failed declined]"]


def test_no_consent() -> None:
    assert play(begun(LEGAL, "(heard)", "(heard)"), "no") == ["A pity.", "[failed declined]"]


# Tools.


def test_authentication() -> None:
    flow = begun(ACCOUNT, "123456")
    assert play(flow, "1234") == ["[open]", "[check {'customer': '123456', 'pin': 'hidden'}]"]
    assert play(flow, failed()) == ["That doesn't match what I have. Let's try once more.", "Customer number?"]
    flow_says = play(flow, "123457")
    assert flow_says == ["[secret]", "PIN?"]
    assert play(flow, "4321") == ["[open]", "[check {'customer': '123457', 'pin': 'hidden, 2'}]"]
    assert play(flow, failed()) == ["[failed not_authenticated]"]


def test_a_system_that_is_down_is_not_the_callers_mistake() -> None:
    flow = begun(ACCOUNT, "123456", "1234")
    assert play(flow, failed("timeout")) == ["I'm sorry, I can't check that right now.", "[failed tool]"]


def test_a_tool_that_fails_may_ask_again() -> None:
    text = BOOKING.replace("save_as: table}", "save_as: table, failed: {say: 'Full.', clear: [at], attempts: 2}}")
    flow = begun(text, *BOOKED)
    assert play(flow, failed("full")) == ["Full.", "What time?"]
    assert play(flow, "eleven") == ["[find {'day': '2026-11-24', 'at': '11:00'}]"]
    assert play(flow, failed("full")) == ["Full.", "[failed tool]"]


def test_goto_back_asks_again() -> None:
    flow = flow_of(
        "description: A list.\nsteps:\n  - {name: item, collect: {slot: item, kind: text, ask: 'What?'}}\n"
        "  - tool: {name: add, arguments: {item: item}}\n  - collect: {slot: more, kind: yes_no, ask: 'More?'}\n"
        "  - {when: more, goto: item}\n  - end: {say: 'That is all.'}\n"
    )
    flow.begin({}, NOW)
    assert play(flow, "milk") == ["[add {'item': 'milk'}]"]
    assert play(flow, ok(), "yes") == ["What?"]
    assert play(flow, "bread") == ["[add {'item': 'bread'}]"]
    assert play(flow, ok(), "no")[0] == "That is all."


def test_a_circle_without_the_caller_ends() -> None:
    flow = flow_of("description: A.\nsteps:\n  - {name: a, say: A}\n  - goto: a\n")
    assert shown(flow.begin({}, NOW)[-1]) == "[failed too_long]"


def test_a_template_that_fails_ends_the_flow_and_tells_no_value() -> None:
    flow = flow_of(
        "description: A.\nsteps:\n  - collect: {slot: pin, kind: digits, length: 4, secret: true, ask: P}\n"
        "  - tool: {name: t, arguments: {x: pin|day}}\n"
    )
    flow.begin({}, NOW)
    assert play(flow, "9753") == ["[open]", "[failed broken]"]
    assert "9753" not in json.dumps(flow.result)


# Secrets.


def test_a_secret_is_nowhere_in_clear() -> None:
    flow = begun(ACCOUNT, "123456")
    assert flow.secret
    feed(flow, "#97")
    assert "97" not in json.dumps(flow.to_json())
    outputs = feed(flow, "#53")
    assert "9753" not in repr(outputs)
    assert "9753" not in repr(flow.__dict__)
    assert outputs[-1].arguments["pin"] == "9753"  # type: ignore[union-attr]
    assert "9753" not in json.dumps(flow.to_json())
    assert not flow.secret
    flow.tool_answered(ok({"name": "Lopez"}), NOW)
    play(flow, "020 7946 0123", "yes", "(heard)", "yes")
    play(flow, ok())
    assert flow.result is not None
    assert flow.result["value"]["pin"] == "hidden"
    assert "9753" not in json.dumps(flow.result)


@pytest.mark.parametrize("said", ["I'm not sure", "maybe", "I don't know"])
def test_who_is_not_sure_has_not_said_no(said: str) -> None:
    flow = begun(BOOKING, *BOOKED, ok({"id": 7}))
    assert play(flow, said)[0].startswith("Sorry, I didn't get that.")


def test_the_model_does_not_get_a_secret_in_another_subject() -> None:
    flow = begun(ACCOUNT, "123456")
    assert play(flow, "why do you need my pin?")[0] == "[aside: why do you need my pin?]"
    assert play(flow, "isn't nine seven five enough for you, I thought so?") == ["Sorry, I didn't get that. PIN?"]
    assert hidden("nine seven five") == "[not recorded]"
