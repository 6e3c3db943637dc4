"""Subtitle credits and stray politeness in noise are no words; a real "bye" is."""

import pytest

from services.asr.phantoms import CREDITS, PLAUSIBLE, phantom


@pytest.mark.parametrize(
    ("text", "language", "confidence", "no_speech", "seconds", "expected"),
    [
        # As measured on noise with the base model, but for one.
        ("You", "en", 0.38, 0.82, 1.0, True),
        ("You", "en", 0.46, 0.81, 2.0, True),  # tiny.en
        ("Thank you.", "en", 0.37, 0.88, 0.5, True),
        ("Bye!", "en", 0.31, 0.79, 0.5, True),
        ("I'm sorry.", "en", 0.21, 0.78, 1.0, True),
        # As measured on callers.
        ("Okay.", "en", 0.43, 0.03, 0.7, False),
        ("Okay.", "en", 0.44, 0.06, 0.8, False),
        ("No, thank you.", "en", 0.53, 0.01, 0.9, False),
        ("John Smith.", "en", 0.3, 0.65, 0.8, False),
        ("Bye.", "en", 0.6, 0.1, 0.6, False),
        ("Bye bye!", "en", 0.55, 0.5, 0.6, False),
        ("Thank you.", "en", 0.4, 0.5, 6.0, False),
        ("Thank you for watching!", "en", 0.5, 0.1, 2.0, True),
        ("Thanks for watching.", "de", 0.6, 0.1, 8.0, True),
        ("Thank you for watching my dog.", "en", 0.5, 0.5, 2.0, False),
        ("Thanks for watching!", "en", 0.8, 0.0, 1.5, False),
        ("Untertitel der Amara.org-Community", "de", 0.6, 0.3, 3.0, True),
        ("Tschüss!", "de", 0.3, 0.7, 0.8, True),
        ("Tschüss!", "de", 0.7, 0.1, 0.8, False),
        ("Merci.", "fr", 0.3, 0.7, 0.8, True),
        ("", "en", 0.1, 0.9, 1.0, False),
    ],
)
def test_phantom(text: str, language: str, confidence: float, no_speech: float, seconds: float, expected: bool) -> None:
    assert phantom(text, language, confidence, no_speech, seconds) is expected


def test_lists_are_written_as_they_are_compared() -> None:
    """Folded, without punctuation: an entry written otherwise would never be met."""
    for table, apart in ((CREDITS, ""), (PLAUSIBLE, "'")):
        for phrases in table.values():
            for phrase in phrases:
                assert phrase == phrase.casefold()
                assert all(one.isalnum() or one == " " or one in apart for one in phrase)
