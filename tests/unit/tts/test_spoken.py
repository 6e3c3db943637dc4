"""What is said for what is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.rendering import spoken_text
from services.tts.spoken import speak


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Hello there.", "Hello there."),
        ("**Tuesday** at _noon_", "Tuesday at noon"),
        ("# Opening hours", "Opening hours"),
        ("- Monday", "Monday"),
        ("Great! 😀👍🏽", "Great!"),
        ("`code` ~struck~", "code struck"),
        ("see [our site](https://x.example/a) now", "see our site now"),
        ("[hello](/həlˈO/)", "hello"),
        ("10:30 a.m.", "ten thirty A.M."),
        ("10:05", "ten oh five"),
        ("9:00,", "nine o'clock,"),
        ("at 3pm.", "at three P.M.."),
        ("25:99", "25:99"),
        ("$3.50", "three dollars and fifty cents"),
        ("$1", "one dollar"),
        ("£0.01", "one penny"),
        ("£1,200,", "one thousand two hundred pounds,"),
        ("2026-03-04", "March fourth, twenty twenty six"),
        ("3/4/2026", "March fourth, twenty twenty six"),
        ("13/4/26", "April thirteenth, twenty twenty six"),
        ("March 3, 2026.", "March third, twenty twenty six."),
        ("3rd of March", "third of March"),
        ("Sept. 1st", "September first"),
        ("555-0100", "five five five, zero one zero zero"),
        ("(555) 010-0199.", "five five five, zero one zero, zero one nine nine."),
        ("+44 20 7946 0018", "four four, two zero, seven nine four six, zero zero one eight"),
        ("5550100199", "five five five, zero one zero, zero one nine nine"),
        ("12345678", "one two three, four five six, seven eight"),
        ("007", "zero zero seven"),
        ("42", "forty two"),
        ("1,234", "one thousand two hundred and thirty four"),
        ("2.5", "two point five"),
        ("25%", "twenty five percent"),
        ("5th", "fifth"),
        ("in 1999", "in nineteen ninety nine"),
        ("room A12", "room A12"),
        ("5 km", "5 km"),
        ("info@clinic.example", "info at clinic dot example"),
        ("well-known", "well-known"),
        ("", ""),
    ],
)
def test_said(written: str, spoken: str) -> None:
    assert spoken_text(speak(written)) == spoken


def test_british_dates_begin_with_the_day() -> None:
    assert spoken_text(speak("3/4/2026", day_first=True)) == "April third, twenty twenty six"


@given(st.text(max_size=80) | st.text(alphabet="0123456789 .,:/-()+$£%apmth*[]", max_size=40))
def test_written_words_stay_in_order(text: str) -> None:
    assert [word for piece in speak(text) for word in piece.written] == text.split()
