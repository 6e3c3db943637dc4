"""What is said for what is written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tts.codes import letter
from services.tts.lexicon import Lexicon
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
        ("+44 20 7946 0018", "plus four four, two zero, seven nine four six, zero zero one eight"),
        ("5550100199", "five five five, zero one zero, zero one nine nine"),
        ("12345678", "one two three, four five six, seven eight"),
        ("007", "zero zero seven"),
        ("42", "forty two"),
        ("1,234", "one thousand two hundred and thirty four"),
        ("2.5", "two point five"),
        ("25%", "twenty five percent"),
        ("5th", "fifth"),
        ("in 1999", "in nineteen ninety nine"),
        ("room A12.", "room {A} twelve."),
        ("5 km", "5 km"),
        ("info@clinic.example", "info at clinic dot example"),
        ("well-known", "well-known"),
        ("", ""),
    ],
)
def test_said(written: str, spoken: str) -> None:
    assert said(written) == spoken


def said(written: str, language: str = "en-US") -> str:
    """What is spoken, with {A} for the letter that must not be read as an article."""
    return spoken_text(speak(written, language)).replace(letter("A", False), "{A}")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("K-O-W-A-L-S-K-I.", "K, O, W; {A}, L, S; K, I."),
        ("K O W A L S K I", "K, O, W; {A}, L, S; K, I"),
        ("that is J-O-E-L, yes", "that is J, O, E, L, yes"),
        ("a-b-c", "{A}, B, C"),
        ("Plan A-B", "Plan A-B"),
        ("Z-O-E", "zed, O, E"),
        ("A12", "{A} twelve"),
        ("flat 12A", "flat twelve {A}"),
        ("M25", "M twenty five"),
        ("ref. AB-1234", "reference {A}, B, one two three four"),
        ("X9Z-22-BB", "X, nine, zed, two two, B, B"),
        ("ORDER-55123", "Order, five five one, two three"),
        ("AB100042", "{A}, B, one zero zero, zero four two"),
        ("4G", "four G"),
        ("B2B", "B two B"),
        ("COVID-19", "Covid, one nine"),
        ("10GB", "10GB"),
        ("SW1A 1AA", "S, W, one, {A}; one, {A}, {A}"),
        ("M1 1AE,", "M, one; one, {A}, E,"),
        ("020 7946 0018", "zero two zero, seven nine four six, zero zero one eight"),
        ("07700 900123", "zero seven, seven zero zero, nine zero zero, one two three"),
        ("+1 212 555 0100", "plus one, two one two, five five five, zero one zero zero"),
        ("4111 1111 1111 1111", "four one one one" + ", one one one one" * 3),
        ("01234567890123456789", "zero one two three, four five six seven, eight nine zero one, two three four five, "
         "six seven eight nine"),
        ("1234567", "one two three, four five six seven"),
        ("24/7", "twenty four seven"),
        ("9-5", "nine to five"),
        ("Mon-Fri 9-5", "Monday to Friday nine to five"),
        ("Sat – Sun", "Saturday to Sunday"),
        ("Sun and sea", "Sun and sea"),
        ("Tue at ten", "Tuesday at ten"),
        ("e.g. this", "for example this"),
        ("tea, coffee, etc.", "tea, coffee, et cetera."),
        ("R & D", "R and D"),
        ("two + two = four", "two plus two equals four"),
        ("@ home", "at home"),
        ("#1", "number one"),
        ("No. 5", "number five"),
        ("No. I am", "No. I am"),
        ("1st Floor", "first Floor"),
        ("10-12 a.m.", "ten to twelve A.M."),
        ("9:30-11", "nine thirty to eleven"),
        ("10:00-12:30", "ten to twelve thirty"),
        ("10:30/11:30", "ten thirty/eleven thirty"),
        ("£5.50/h", "five pounds and fifty pence an hour"),
        ("$2 million", "two million dollars"),
        ("£5-£10", "five to ten pounds"),
        ("£5.5", "five pounds and fifty pence"),
        ("3.5%", "three point five percent"),
        ("10-15%", "ten to fifteen percent"),
        ("2x a day", "two times a day"),
        ("50+ people", "fifty plus people"),
        ("-5 degrees", "minus five degrees"),
        ("5-10 km", "five to ten km"),
        ("2020-2026", "twenty twenty to twenty twenty six"),
        ("1/2", "1/2"),
        ("Henry VIII", "Henry VIII"),
        ("3.14159", "three point one four one five nine"),
        ("3.04.2026", "April third, twenty twenty six"),
        ("www.clinic.example/a-b.", "W W W dot clinic dot example slash a dash b."),
        ("and/or", "and or"),
    ],
)  # fmt: skip
def test_codes_signs_and_ranges_in_britain(written: str, spoken: str) -> None:
    assert said(written, "en-GB") == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("| Mon | 10-12 | £5 |", "Monday , ten to twelve , five pounds"),
        ("|Mon|10-12|", "Monday, ten to twelve"),
        ("__Note:__ <b>bring</b> it<br>", "Note: bring it"),
        ("![a map](map.png)", "a map"),
        ("## 1. Hours", "one. Hours"),
        ("> quoted", "quoted"),
        ("***", ""),
        ("---", ""),
        ("[call 5](tel:5)", "call five"),
    ],
)
def test_markdown_is_not_heard(written: str, spoken: str) -> None:
    assert said(written) == spoken


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("de-DE", "am 3. März 2026 um 14:30 Uhr", "am dritten März zweitausendsechsundzwanzig um vierzehn Uhr dreißig"),
        ("de-DE", "am 03.04.2026", "am dritten April zweitausendsechsundzwanzig"),
        ("de-DE", "5,50 €, 1 €", "fünf Euro und fünfzig Cent, ein Euro"),
        ("de-DE", "1.234,5", "eintausendzweihundertvierunddreißig Komma fünf"),
        ("de-DE", "Mo-Fr, z.B. 50 %", "Montag bis Freitag, zum Beispiel fünfzig Prozent"),
        ("de-DE", "030 123456", "null drei null, eins zwei drei, vier fünf sechs"),
        ("fr-FR", "le 1er mars à 14h30", "le premier mars à quatorze heures trente"),
        ("fr-FR", "01 23 45 67 89", "zéro un, vingt trois, quarante cinq, soixante sept, quatre vingt neuf"),
        ("fr-FR", "5,50 € ou 1 h", "cinq euros et cinquante centimes ou une heure"),
        ("es-ES", "el 3 de marzo de 2026", "el tres de marzo de dos mil veintiséis"),
        ("es-ES", "a las 14:30", "a las catorce y treinta"),
        ("es-ES", "50 % de 5,50 €", "cincuenta por ciento de cinco euros con cincuenta céntimos"),
        ("xx", "42", "forty two"),
    ],
)
def test_other_languages_have_their_own_words(language: str, written: str, spoken: str) -> None:
    assert said(written, language) == spoken


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        ("en-US", "March fourth, twenty twenty six"),
        ("", "March fourth, twenty twenty six"),
        ("en-GB", "April third, twenty twenty six"),
        ("en_ie", "April third, twenty twenty six"),
    ],
)
def test_a_date_of_digits_is_read_as_its_country_writes_it(language: str, spoken: str) -> None:
    assert said("3/4/2026", language) == spoken


TOKENS = (
    *(
        "A12",
        "AB-1234",
        "K-O-W",
        "SW1A",
        "1AA",
        "24/7",
        "9-5",
        "Mon-Fri",
        "e.g.",
        "No.",
        "&",
        "@",
        "#1",
        "10-12",
        "a.m.",
    ),
    *(
        "£5.50/h",
        "3.5%",
        "2x",
        "+44",
        "020",
        "7946",
        "|",
        "**bold**",
        "[a](b)",
        "😀",
        "1/2",
        "3.",
        "März",
        "14h30",
        "2026",
    ),
    *(
        "Siobhan's",
        "1,000,000",
        "9" * 40,
        "$" + "9" * 30,
        "0" * 5,
        "1" * 400,
        "²",
        "٣٤",
        "①",
        "99:99",
        "31/31/31",
        "\n",
    ),
)


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=80)
    | st.text(alphabet="0123456789 .,:/-()+$£€%apmthx*[]#&@|ABKZ", max_size=40)
    | st.lists(st.sampled_from(TOKENS), max_size=8).map(" ".join)
    | st.lists(st.sampled_from(TOKENS), max_size=4).map("".join),
    st.sampled_from(["", "en-GB", "de-DE", "fr-FR", "es-ES"]),
)
def test_written_words_stay_in_order_whatever_they_are(text: str, language: str) -> None:
    lexicon = Lexicon({"Siobhan": "shiv AWN", "a": "/ˈA/", "No. 5": "five"})
    pieces = speak(text, language, lexicon)
    assert [word for piece in pieces for word in piece.written] == text.split()
