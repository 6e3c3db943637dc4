"""Values of each kind, as callers say and key them, and as they are said back."""

from typing import Any

import pytest

from services.brain.flow.declaration import Collect
from services.brain.flow.progress import FlowFacts
from services.brain.flow.values import Context, keyed_value, read_value, spoken
from tests.unit.brain.flow.plays import NOW, feed, one_step

WORDS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("digits", {"length": 4}, "one two three four", "1234"),
    ("digits", {"length": 4}, "it's double five seven eight", "5578"),
    ("digits", {"length": 4}, "one two three four five", None),
    ("digits", {"min": 3, "max": 5}, "1 2 3", "123"),
    ("digits", {"length": 4, "pattern": "9.*"}, "1234", None),
    ("phone", {}, "020 7946 0123", "+442079460123"),
    ("phone", {}, "it's four one five five five five oh one four two", "+14155550142"),
    ("phone", {}, "the number I'm calling from", "+442079460123"),
    ("phone", {}, "plus forty nine thirty 1234567", "+49301234567"),
    ("phone", {}, "one two three four five six seven eight nine ten eleven twelve thirteen", None),
    ("number", {"max": 20}, "two", 2),
    ("number", {"max": 20}, "for two and a half", 2.5),
    ("number", {}, "just me", 1),
    ("number", {}, "a couple", 2),
    ("number", {"max": 20}, "two hundred", None),
    ("number", {}, "no idea", None),
    ("money", {}, "twelve fifty", "12.50"),
    ("money", {}, "twelve pounds and fifty pence", "12.50"),
    ("money", {}, "a hundred and twenty euros", "120.00"),
    ("money", {}, "$12.50", "12.50"),
    ("money", {}, "fifty cents", "0.50"),
    ("money", {"min": 1}, "fifty cents", None),
    ("money", {}, "two and a half thousand", "2500.00"),
    ("date", {}, "next Tuesday", "2026-11-24"),
    ("date", {}, "the third of December", "2026-12-03"),
    ("date", {}, "3.12.2026", "2026-12-03"),
    ("date", {}, "in two weeks", "2026-12-07"),
    ("date", {"past": True}, "the third of March nineteen eighty five", "1985-03-03"),
    ("date", {"past": True}, "March third, 1985", "1985-03-03"),
    ("date", {"past": True}, "twelfth of the fourth 1990", "1990-04-12"),
    ("date", {"past": True}, "3.4.85", "1985-04-03"),
    ("date", {"past": True}, "the third of March", None),
    ("date", {"past": False}, "3.4.1985", None),
    ("time", {}, "ten", "10:00"),
    ("time", {}, "half past three", "15:30"),
    ("email", {}, "maria dot lopez at gmail dot com", "maria.lopez@gmail.com"),
    ("email", {}, "it's m l o p e z at g mail dot com", "mlopez@gmail.com"),
    ("email", {}, "my email is john underscore 5 at web dot de", "john_5@web.de"),
    ("email", {}, "Maria.Lopez@gmail.com.", "maria.lopez@gmail.com"),
    ("email", {}, "at home", None),
    ("spelling", {}, "K-O-W-A-L-S-K-I", "KOWALSKI"),
    ("spelling", {}, "k as in kilo, o, double l", "KOLL"),
    ("spelling", {}, "kilo oscar whiskey", "KOW"),
    ("spelling", {}, "a b one two", "AB12"),
    ("spelling", {}, "I am in a hurry", None),
    ("name", {}, "my name is Maria Lopez", "Maria Lopez"),
    ("name", {}, "Thursday", None),
    ("choice", {"choices": {"red": [], "blue": ["navy"]}}, "navy please", "blue"),
    ("choice", {"choices": {"red": [], "blue": ["navy"]}}, "the first one", "red"),
    ("choice", {"choices": {"red": [], "blue": ["navy"]}}, "red or blue", None),
    ("yes_no", {}, "nope", False),
    ("yes_no", {}, "yeah sure", True),
    ("yes_no", {}, "blue", None),
    ("text", {}, " my heater is broken ", "my heater is broken"),
]


def collect(kind: str, **more: Any) -> Collect:
    return Collect.model_validate({"slot": "it", "kind": kind, "ask": "What?", **more})


@pytest.mark.parametrize(("kind", "more", "text", "value"), WORDS)
def test_words(kind: str, more: dict[str, Any], text: str, value: Any) -> None:
    read = read_value(collect(kind, **more), text, Context(NOW, caller_number="+442079460123"))
    assert (read.value if read else None) == value


@pytest.mark.parametrize(
    ("language", "kind", "text", "value"),
    [
        ("de", "digits", "eins zwei drei vier", "1234"),
        ("de", "yes_no", "ja, genau", True),
        ("de", "yes_no", "nein danke", False),
        ("de", "date", "am dritten Dezember", "2026-12-03"),
        ("de", "date", "3. Dezember", "2026-12-03"),
        ("de", "email", "maria punkt lopez at web punkt de", "maria.lopez@web.de"),
        ("fr", "yes_no", "oui, c'est ça", True),
        ("de-AT", "phone", "0664 1234567", "+436641234567"),
    ],
)
def test_words_of_another_language(language: str, kind: str, text: str, value: Any) -> None:
    read = read_value(collect(kind), text, Context(NOW, language=language))
    assert (read.value if read else None) == value


@pytest.mark.parametrize(
    ("kind", "more", "keys", "value"),
    [
        ("digits", {"length": 4}, "1234", "1234"),
        ("phone", {}, "02079460123", "+442079460123"),
        ("number", {}, "12", 12),
        ("yes_no", {}, "1", True),
        ("yes_no", {}, "2", False),
        ("yes_no", {}, "3", None),
        ("choice", {"choices": {"red": [], "blue": []}}, "2", "blue"),
        ("choice", {"choices": {"red": [], "blue": []}}, "3", None),
        ("digits", {"length": 4, "dtmf": False}, "1234", None),
        ("name", {}, "62742", None),
    ],
)
def test_keys(kind: str, more: dict[str, Any], keys: str, value: Any) -> None:
    read = keyed_value(collect(kind, **more), keys, Context(NOW))
    assert (read.value if read else None) == value


@pytest.mark.parametrize(
    ("kind", "more", "value", "text"),
    [
        ("digits", {}, "4150142", "4 1 5, 0 1 4 2"),
        ("phone", {}, "+442079460123", "020 7946 0123"),
        ("phone", {}, "5550142", "5 5 5, 0 1 4 2"),
        ("spelling", {}, "KOW", "K-O-W"),
        ("date", {}, "2026-12-03", "Thursday the third of December"),
        ("date", {"past": True}, "1985-03-03", "Sunday the third of March 1985"),
        ("time", {}, "15:30", "half past three in the afternoon"),
        ("yes_no", {}, True, "yes"),
        ("digits", {"secret": True}, "1234", ""),
    ],
)
def test_said_back(kind: str, more: dict[str, Any], value: Any, text: str) -> None:
    assert spoken(collect(kind, **more), value) == text


@pytest.mark.parametrize(
    ("kind", "text", "confidence", "asked_back"),
    [
        ("kind: name", "Maria Lopez", 0.9, False),
        ("kind: name", "Maria Lopez", 0.4, True),
        ("kind: email", "maria lopez at gmail dot com", 0.9, True),
        ("kind: email", "maria dot lopez at gmail dot com", 0.9, False),
        ("kind: phone", "999 999 999 999", 0.9, True),
        ("kind: phone, confirm: never", "999 999 999 999", 0.9, False),
        ("kind: phone, confirm: always", "020 7946 0123", 0.9, True),
    ],
)
def test_what_is_confirmed(kind: str, text: str, confidence: float, asked_back: bool) -> None:
    flow = one_step(kind, FlowFacts())
    flow.begin({}, NOW)
    flow.heard(text, NOW, confidence)
    assert flow.over is not asked_back
    if asked_back:
        feed(flow, "yes")
        assert flow.over
