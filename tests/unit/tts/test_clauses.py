"""Invariants: clauses are the text; and how the text was cut into pieces changes nothing."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.tts.clauses import LONGEST_CHARS, Break, Clause, ClauseSplitter


def split(*pieces: str) -> list[Clause]:
    splitter = ClauseSplitter()
    return [clause for piece in pieces for clause in splitter.feed(piece)] + splitter.flush()


def texts(*pieces: str) -> list[str]:
    return [clause.text for clause in split(*pieces)]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("  \n ", []),
        ("Hello.", ["Hello."]),
        ("Hi. How can I help?", ["Hi.", "How can I help?"]),
        ("Yes, of course.", ["Yes, of course."]),
        ("Of course I can do that, one moment.", ["Of course I can do that,", "one moment."]),
        (
            "I have you down for Tuesday morning and the doctor will see you.",
            ["I have you down for Tuesday morning", "and the doctor will see you."],
        ),
        ("It is $3.50, or 3.5 percent. Fine?", ["It is $3.50, or 3.5 percent.", "Fine?"]),
        ("Dr. Smith and Mrs. Jones are in. Ok?", ["Dr. Smith and Mrs. Jones are in.", "Ok?"]),
        ("At 10:30 a.m. we open. Good?", ["At 10:30 a.m. we open.", "Good?"]),
        ("We open at 10 a.m. The doctor comes later.", ["We open at 10 a.m.", "The doctor comes later."]),
        ("Is it you, J. K. Rowling? No.", ["Is it you, J. K. Rowling?", "No."]),
        ("Please take No. 5 then. No. Wait!", ["Please take No. 5 then.", "No.", "Wait!"]),
        ("You can call us on 020, 7946, 0018 any day.", ["You can call us on 020, 7946, 0018 any day."]),
        ("You are booked for Monday, March 3, 2026 at ten.", ["You are booked for Monday,", "March 3, 2026 at ten."]),
        ("Really?! Wow... Well.", ["Really?!", "Wow...", "Well."]),
        ('She said "Good morning." Then left.', ['She said "Good morning."', "Then left."]),
        ("We have:\n- Monday\n- Tuesday\n", ["We have:", "- Monday", "- Tuesday"]),
        ("1. Press one. 2. Press two.", ["1. Press one.", "2. Press two."]),
        ("version 2.0.1 is out", ["version 2.0.1 is out"]),
        ("I can offer you Monday — or Tuesday.", ["I can offer you Monday —", "or Tuesday."]),
        ("Visit www.clinic.example today. Bye.", ["Visit www.clinic.example today.", "Bye."]),
    ],
)
def test_where_text_is_cut(text: str, clauses: list[str]) -> None:
    assert texts(text) == clauses


def test_first_clause_is_released_as_soon_as_it_is_sure() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("One moment.") == [], "3.50 could still follow a digit; a word waits for its space"
    assert splitter.feed(" ") == [Clause("One moment.", Break.SENTENCE)]


def test_only_the_first_clause_is_cut_at_an_early_comma() -> None:
    assert texts("Yes. You can come on Monday at ten, or on Tuesday.") == [
        "Yes.",
        "You can come on Monday at ten, or on Tuesday.",
    ]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("Hello there.", [Break.SENTENCE]),
        ("Let me see what we have, one moment", [Break.COMMA, Break.SENTENCE]),
        ("I have you down for Tuesday morning and that is all", [Break.NONE, Break.SENTENCE]),
    ],
)
def test_how_a_clause_ends(text: str, ends: list[Break]) -> None:
    assert [clause.ends for clause in split(text)] == ends


def test_text_without_punctuation_is_cut_all_the_same() -> None:
    clauses = texts("word " * 500)
    assert all(len(clause) <= LONGEST_CHARS + 10 for clause in clauses)


WRITTEN = st.text(alphabet="aB9 .,?!:;-\n'\")(—and$", max_size=120) | st.lists(
    st.sampled_from(
        [
            "Dr.",
            "3.50",
            "10:30",
            "a.m.",
            "The",
            "and",
            "so",
            "No.",
            "5",
            "020,",
            "7946",
            "Hi!",
            "yes,",
            "e.g.",
            "—",
            "\n",
        ]
    ),
    max_size=40,
).map(" ".join)


@given(WRITTEN)
def test_clauses_are_the_text(text: str) -> None:
    assert " ".join(texts(text)).split() == text.split()


@given(WRITTEN, st.lists(st.integers(0, 120), max_size=12))
@example("At 10 a.m. We", [9, 10, 11])
def test_pieces_change_nothing(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert split(*pieces) == split(text)
