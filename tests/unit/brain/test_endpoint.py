"""What the agent's question asks for."""

import pytest

from services.brain.endpoint import Expected, expected_answer, is_backchannel


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What can I do for you?", Expected.ANYTHING),
        ("What's the best phone number for you?", Expected.DIGITS),
        ("And your telephone number, please.", Expected.DIGITS),
        ("What's your name?", Expected.SPELLING),
        ("Booked for Tuesday. Anything else?", Expected.YES_OR_NO),
        ("Maria Lopez, Tuesday at ten. Is that right?", Expected.YES_OR_NO),
        ("May I have your name?", Expected.SPELLING),
        ("Our number is on the website. When would you like to come?", Expected.ANYTHING),
    ],
)
def test_expected_answer(question: str, expected: Expected) -> None:
    assert expected_answer(question) is expected


@pytest.mark.parametrize(
    ("text", "backchannel"),
    [("Mm-hm.", True), ("Okay, yeah.", True), ("Thank you.", True), ("No.", False), ("Okay, but when?", False)],
)
def test_backchannels(text: str, backchannel: bool) -> None:
    assert is_backchannel(text) is backchannel
