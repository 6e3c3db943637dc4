"""Telephone numbers, names, yes and no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.script.names import read_name
from services.brain.script.phone import read_phone, wants_calling_number, without_phone
from services.brain.script.reply import spoken_digits
from services.brain.script.yesno import read_yes_no


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("555-0142-789", "5550142789"),
        ("555 0142 789.", "5550142789"),
        ("five five five zero one four two", "5550142"),
        ("five double seven oh one two triple four", "577012444"),
        ("my number is 5 5 5, 0 1 4 2, 7 8 9, thanks", "5550142789"),
        ("5 5 5 oh 1 4 to 7 8 9", "5550142789"),
        ("555 for 142", "5554142"),
        ("(555) 014-2789", "5550142789"),
        ("area code 555 then 014 2789", "5550142789"),
        ("+44 20 7946 0958", "442079460958"),
        ("five five five", "555"),
        ("no idea", ""),
    ],
)
def test_phone_numbers_are_read_as_digits(text: str, digits: str) -> None:
    assert read_phone(text) == digits


@given(st.text("0123456789", min_size=7, max_size=15))
def test_a_number_read_out_is_understood(digits: str) -> None:
    assert read_phone(spoken_digits(digits)) == digits


def test_the_number_they_call_from_is_recognised() -> None:
    assert wants_calling_number("use the number I'm calling from")
    assert not wants_calling_number("my number is five")


def test_a_phone_number_is_no_time() -> None:
    assert "142" not in without_phone("tuesday at ten, 555-0142-789")
    assert "10" in without_phone("tuesday at ten, 555-0142-789")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my name is Maria Lopez", "Maria Lopez"),
        ("My name, is maria lopes.", "Maria Lopes"),
        ("John Smith.", "John Smith"),
        ("yes it's Anna van der Berg", "Anna van der Berg"),
        ("my first name is Sarah last name Connor", "Sarah Connor"),
        ("Maria, Maria Lopez", "Maria Lopez"),
        ("O'Brien", "O'Brien"),
        ("it's jean-luc picard", "Jean-Luc Picard"),
        ("this is Peter Brown speaking", "Peter Brown"),
        ("My name is John Smith and my number is 555 0142", "John Smith"),
        ("I don't know", ""),
        ("why do you need that", ""),
        ("next Tuesday at ten", ""),
        ("can you repeat that", ""),
    ],
)
def test_a_name_that_was_asked_for_is_read(text: str, name: str) -> None:
    assert read_name(text, asked=True) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("it's Kowalski K-O-W-A-L-S-K-I", "Kowalski"),
        ("It's Kowalsky, K O W A L S K I.", "Kowalski"),
        ("Maria Lopes. L-O-P-E-Z", "Maria Lopez"),
        ("K as in kilo, O, W, A, L, S, K, I", "Kowalski"),
        ("Miller, m i double l e r", "Miller"),
        ("november oscar whiskey alfa kilo", "Nowak"),
    ],
)
def test_spelling_wins_over_what_was_heard(text: str, name: str) -> None:
    assert read_name(text, asked=True) == name


def test_spelling_alone_mends_the_known_name() -> None:
    assert read_name("no, L-O-P-E-Z", asked=False, known="Maria Lopes") == "Maria Lopez"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hi, I'm Tom Baker and I need an appointment", "Tom Baker"),
        ("book me in for Friday at two for John Smith", "John Smith"),
        ("this is about my appointment", ""),
        ("I'm really struggling", ""),
        ("it's for Tuesday morning", ""),
        ("that's right", ""),
        ("I'm sick", ""),
    ],
)
def test_unasked_a_name_needs_a_cue(text: str, name: str) -> None:
    assert read_name(text, asked=False) == name


@given(st.text(max_size=80), st.booleans())
def test_no_text_breaks_the_readers(text: str, asked: bool) -> None:
    read_name(text, asked)
    read_phone(text)
    without_phone(text)
    read_yes_no(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", "yes"),
        ("yeah that's right", "yes"),
        ("sure go ahead", "yes"),
        ("no problem", "yes"),
        ("no that's right", "yes"),
        ("nope", "no"),
        ("that's not right", "no"),
        ("no, Thursday", "no"),
        ("I don't think so", "no"),
        ("tomorrow", ""),
    ],
)
def test_yes_and_no(text: str, answer: str) -> None:
    assert read_yes_no(text) == answer
