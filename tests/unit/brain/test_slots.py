"""How full a slot is after some words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.question import Expected
from services.brain.slots import Filling, digits_said, filling, letters_said


@pytest.mark.parametrize(
    ("number", "language", "full"),
    [
        ("202 555 0142", "en-US", Filling.FULL),
        ("1 202 555 0142", "en-US", Filling.FULL),
        ("555 0142", "en-US", Filling.PART),
        ("07700 900123", "en-GB", Filling.FULL),
        ("020 7946 0958", "en", Filling.FULL),
        ("07700 90012", "en-GB", Filling.PART),
        ("555 0142", "en-GB", Filling.PART),
        ("+33 6 12 34 56 78", "en", Filling.FULL),
        ("0033 6 12 34", "en", Filling.PART),
        ("0171 1234567", "de", Filling.ENOUGH),
        ("0171 123", "de", Filling.PART),
        ("06 12 34 56 78", "fr", Filling.FULL),
        ("zéro six douze trente-quatre", "fr", Filling.PART),
        ("seis uno dos tres cuatro cinco seis siete ocho", "es", Filling.FULL),
        ("Sure.", "en", Filling.NONE),
    ],
)
def test_telephone_numbers_are_as_long_as_their_country_has_them(number: str, language: str, full: Filling) -> None:
    assert filling(number, Expected.PHONE, language) is full


@given(
    st.integers(2, 9).flatmap(lambda head: st.text("0123456789", min_size=1, max_size=4).map(lambda t: f"{head}{t}"))
)
def test_agents_3701_half_a_number_is_never_whole(digits: str) -> None:
    assert filling(digits, Expected.PHONE, "en") is Filling.PART


def test_digits_in_words_and_figures() -> None:
    assert digits_said("oh seven double seven, 900") == "0777900"
    assert digits_said("null eins sieben eins", "de") == "0171"
    assert digits_said("nothing") == ""


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("K O W", "kow"),
        ("K-O-W-A.", "kowa"),
        ("Kowalski, K, O, double L", "koll"),
        ("K for kilo, O as in Oscar", "ko"),
        ("kilo oscar whiskey", "kow"),
        ("I have a name", ""),
        ("Kowalski, K", "k"),
        ("Maria L. Lopez", ""),
    ],
)
def test_spelled_letters(text: str, letters: str) -> None:
    assert letters_said(text)[1] == letters


@pytest.mark.parametrize(
    ("text", "expected", "full"),
    [
        ("Kovalsky, K O W A L S K I", Expected.NAME, Filling.FULL),
        ("Kovalsky, K O W A", Expected.NAME, Filling.PART),
        ("Kowalski, KOW", Expected.NAME, Filling.PART),
        ("Kowalski, K-O-W-I-N-A-S", Expected.NAME, Filling.PART),
        ("Tuesday", Expected.DATE, Filling.NEARLY),
        ("Tuesday the third", Expected.DATE, Filling.ENOUGH),
        ("Maria Lopez", Expected.NAME, Filling.FULL),
        ("My name is", Expected.NAME, Filling.NONE),
        ("maria@example.com", Expected.EMAIL, Filling.FULL),
        ("maria arroba example punto es", Expected.EMAIL, Filling.FULL),
        ("maria at example.co", Expected.EMAIL, Filling.NEARLY),
        ("maria at gmail", Expected.EMAIL, Filling.PART),
        ("Sure.", Expected.EMAIL, Filling.NONE),
        ("The third of March", Expected.DATE, Filling.FULL),
        ("March", Expected.DATE, Filling.PART),
        ("next week sometime", Expected.DATE, Filling.NONE),
        ("the third of March", Expected.DATE_OF_BIRTH, Filling.PART),
        ("the third of March eighty four", Expected.DATE_OF_BIRTH, Filling.FULL),
        ("Tuesday", Expected.DATE_AND_TIME, Filling.NEARLY),
        ("Tuesday at half past two", Expected.DATE_AND_TIME, Filling.FULL),
        ("ten", Expected.TIME, Filling.ENOUGH),
        ("ten thirty", Expected.TIME, Filling.FULL),
        ("twelve", Expected.ADDRESS, Filling.PART),
        ("12 Riverside Walk", Expected.ADDRESS, Filling.NEARLY),
        ("12 Riverside Walk, London SW1A 1AA", Expected.ADDRESS, Filling.FULL),
        ("4711", Expected.DIGITS, Filling.PART),
        ("two", Expected.NUMBER, Filling.FULL),
        ("202 555 0142", Expected.ANYTHING, Filling.NONE),
    ],
)
def test_other_slots(text: str, expected: Expected, full: Filling) -> None:
    assert filling(text, expected) is full


def test_dates_in_other_languages() -> None:
    assert filling("am dritten März", Expected.DATE, "de") is Filling.FULL
    assert filling("le trois mars", Expected.DATE, "fr") is Filling.FULL
    assert filling("um zehn Uhr dreißig", Expected.TIME, "de") is Filling.FULL
