"""An agent's own words are said its way, and the written word stays what it was."""

import pytest

from services.tts.lexicon import LONGEST_ENTRY, MOST_ENTRIES, Lexicon, LexiconInvalid, lexicon_of
from services.tts.rendering import spoken_text
from services.tts.spoken import Piece, speak

LEXICON = Lexicon(
    {
        "Siobhan": "shiv AWN",
        "nhs": "national health",
        "St. Mary's": "saint mairies",
        "Mary": "mairy",
        "Kowalski": "/kəvˈɑlski/",
        "Bass": "/bˈæs/",
        "Mark": "/mˈɑɹk/",
        "New Anna": "/nˈu ˈɑnə/",
        "A12": "the a twelve",
        "C++": "see plus plus",
    }
)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Siobhan speaks", "shiv AWN speaks"),
        ("Is Siobhan's line free?", "Is shiv AWN's line free?"),
        ("Siobhan\u2019s", "shiv AWN's"),
        ("**Siobhan**, hello", "shiv AWN, hello"),
        ("_Siobhan_", "shiv AWN"),
        ("siobhan", "siobhan"),
        ("Siobhana and Siobhan-Marie", "Siobhana and Siobhan-Marie"),
        ("The NHS or nhs", "The national health or national health"),
        ("at St. Mary's, Mary", "at saint mairies, mairy"),
        ("Mr. Kowalski.", "Mr. [name](/kəvˈɑlski/)."),
        ("Kowalski's", "[name](/kəvˈɑlskiz/)"),
        ("Bass's", "[name](/bˈæsᵻz/)"),
        ("Mark's", "[name](/mˈɑɹks/)"),
        ("New  Anna", "[name](/nˈu/) [name](/ˈɑnə/)"),
        ("take the A12", "take the the a twelve"),
        ("Siobhan/Mary", "shiv AWN/mairy"),
        ("[Siobhan](https://x.example)", "shiv AWN"),
        ("C++ and", "see plus plus and"),
    ],
)
def test_said_as_the_agent_wants(written: str, spoken: str) -> None:
    pieces = speak(written, "en-GB", LEXICON)
    assert spoken_text(pieces) == spoken
    assert [word for piece in pieces for word in piece.written] == written.split()


def test_an_agents_entries_are_built_once() -> None:
    assert lexicon_of({"a": "b", "c": "d"}) is lexicon_of({"c": "d", "a": "b"})
    assert lexicon_of({}) is lexicon_of({})


def test_the_written_word_stays_in_the_alignment() -> None:
    assert speak("ask Siobhan", lexicon=LEXICON) == [Piece(("ask",), "ask"), Piece(("Siobhan",), "shiv AWN")]


def test_only_the_entries_of_a_text_are_in_its_key() -> None:
    assert LEXICON.used_in("Mary and the NHS's Mary") == (("Mary", "mairy"), ("nhs", "national health"))
    assert LEXICON.used_in("nobody") == ()
    assert Lexicon().used_in("Mary") == ()


@pytest.mark.parametrize(
    "entries",
    [
        {"": "a"},
        {"--": "a"},
        {"a": ""},
        {"a": "//"},
        {"a": "/ab"},
        {"a": "and/or"},
        {"a": "/a](b/"},
        {"a" * (LONGEST_ENTRY + 1): "a"},
        {"a": "b" * (LONGEST_ENTRY + 1)},
        {f"a{n}": "b" for n in range(MOST_ENTRIES + 1)},
    ],
)
def test_an_entry_that_cannot_be_said_is_refused_by_name(entries: dict[str, str]) -> None:
    with pytest.raises(LexiconInvalid, match="lexicon"):
        Lexicon(entries)
