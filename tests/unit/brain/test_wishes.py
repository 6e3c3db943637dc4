"""Wishes that want a day or a time."""

import pytest

from services.brain.wishes import wants_a_time


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("Hello, can I book an appointment?", "en", True),
        ("I need a table", "en", True),
        ("Can I book an appointment for next Tuesday?", "en", True),
        ("I'd like to book an appointment for next Tuesday at ten in the morning.", "en", False),
        ("Are you open on Saturday?", "en", False),
        ("I'd like to cancel the one on Friday.", "en", False),
        ("I lost my card this morning.", "en", False),
        ("Is the appointment free?", "en", False),
        ("", "en", False),
        ("Ich hätte gerne einen Termin.", "de", True),
        ("Ich hätte gerne einen Termin am Dienstag um zehn Uhr.", "de", False),
        ("Je voudrais un rendez-vous.", "fr", True),
        ("Quisiera una cita.", "es", True),
    ],
)
def test_wants_a_time(text: str, language: str, wanted: bool) -> None:
    assert wants_a_time(text, language) is wanted
