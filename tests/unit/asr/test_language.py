"""With `auto` the first utterance that is certain enough fixes the call's language; three that are not, the default."""

import pytest

from services.asr.language import CallLanguage, primary
from services.asr.whisper import Transcript


def said(text: str, language: str, probability: float) -> Transcript:
    return Transcript(text, (), 0.8, language, probability)


UNSURE = said("ja", "en", 0.5)


@pytest.mark.parametrize(
    ("wanted", "heard", "expected"),
    [
        ("de", [], "de"),
        ("de", [said("hello", "en", 0.99)], "de"),
        ("auto", [], "auto"),
        ("auto", [said("guten Tag", "de", 0.95)], "de"),
        ("auto", [said("guten Tag", "de", 0.95), said("hello", "en", 0.99)], "de"),
        ("auto", [said("", "ja", 0.9)], "auto"),  # no words
        ("auto", [UNSURE, UNSURE], "auto"),
        ("auto", [UNSURE, said("bonjour", "fr", 0.8)], "fr"),
        ("auto", [UNSURE, UNSURE, UNSURE], "en"),
        ("auto", [UNSURE, UNSURE, UNSURE, said("bonjour", "fr", 0.8)], "en"),
    ],
)
def test_language_of_a_call(wanted: str, heard: list[Transcript], expected: str) -> None:
    language = CallLanguage(wanted, "en", 0.7)
    for transcript in heard:
        language.heard(transcript)
    assert language.now == expected
    assert language.named == ("en" if expected == "auto" else expected)


def test_primary_subtag() -> None:
    assert [primary(one) for one in ("en-GB", "DE", "auto")] == ["en", "de", "auto"]
