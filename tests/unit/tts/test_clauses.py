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


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Your appointment is confirmed now at half past two.", "Your appointment is confirmed now at half past two."),
        ("Your next appointment is confirmed now at half past two.", "Your next appointment is confirmed now"),
        ("Of course, let me look that up for you.", "Of course, let me look that up for you."),
        (
            "Your appointment with Doctor Smith is confirmed for Thursday the fifth.",
            "Your appointment with Doctor Smith is confirmed",
        ),
        ("We will be there, or we call.", "We will be there,"),
        ("You can pay by card or in cash.", "You can pay by card"),
    ],
)
def test_the_first_clause_ends_where_a_voice_may_draw_breath(text: str, first: str) -> None:
    assert texts(text)[0] == first


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Run this:\n```sh\nls -l, then\nwho. Now\n```\nDone.", ["Run this:", "Done."]),
        ("It is ```ls``` here.", ["It is ```ls``` here."]),
        ("~~~\nx\n~~~\n", []),
        ("Never closed:\n```\nx = 1. y", ["Never closed:"]),
    ],
)
def test_code_is_not_for_the_ear(text: str, clauses: list[str]) -> None:
    assert [clause.text for clause in split(text) if not clause.silent] == clauses
    assert " ".join(texts(text)).split() == text.split()


def test_rows_headings_and_items_are_clauses_of_their_own() -> None:
    text = "## Hours\n\n| Day | Time |\n|---|---|\n| Mon | 9-5 |\n* one\n* two"
    assert texts(text) == ["## Hours", "| Day | Time |", "|---|---|", "| Mon | 9-5 |", "* one", "* two"]
    assert {clause.ends for clause in split(text)} == {Break.SENTENCE}


def test_an_ordinal_in_german_ends_no_clause() -> None:
    splitter = ClauseSplitter(ordinal_dots=True)
    clauses = splitter.feed("Wir sehen uns am 3. März. Gut?") + splitter.flush()
    assert [clause.text for clause in clauses] == ["Wir sehen uns am 3. März.", "Gut?"]


LONG_ANSWER = (
    "Yes, we can do that. I have looked at the calendar of Doctor Smith and found that the whole of next week is taken "
    "because of the holidays so the first day that I can offer you is Tuesday the tenth of March, at half past nine in "
    "the morning, or a little later on the same day. If that is too early for you then there is a place with Doctor "
    "Jones who works on Thursdays and Fridays and who has seen your file before, so you would not need to tell it all "
    "again. Please bring your insurance card, a list of what you take, and the letter from the hospital. "
)


@pytest.mark.parametrize("cost", [0.3, 0.5, 0.7])
def test_a_long_answer_never_starves_on_a_slow_engine(cost: float) -> None:
    """One thread, `cost` seconds of synthesis a letter's second of speech, all the text there at once."""
    splitter = ClauseSplitter(cost)
    clauses = splitter.feed(LONG_ANSWER * 4) + splitter.flush()
    made = cost * heard(clauses[0])
    played_until = made + heard(clauses[0])
    for clause in clauses[1:]:
        made += cost * heard(clause)
        assert made <= played_until + 1e-9 or heard(clause) <= SHORTEST, clause.text
        played_until = max(played_until, made) + heard(clause)


def test_the_clauses_of_a_slow_engine_grow() -> None:
    splitter = ClauseSplitter(0.7)
    lengths = [len(clause.text) for clause in splitter.feed(LONG_ANSWER * 4) + splitter.flush()]
    assert max(lengths[:4]) < 60
    assert max(lengths) > 80


def test_a_quick_engine_changes_no_cut() -> None:
    assert [clause.text for clause in ClauseSplitter(0.0).feed(LONG_ANSWER)] == texts(LONG_ANSWER)


def heard(clause: Clause) -> float:
    """Seconds of speech, by its letters; 15 a second."""
    return (len(clause.text) + 1) / 15


SHORTEST = 24 / 15

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


@given(WRITTEN | st.text(alphabet="`~ab,. \n1|", max_size=60))
def test_clauses_are_the_text(text: str) -> None:
    assert " ".join(texts(text)).split() == text.split()


@given(WRITTEN | st.text(alphabet="`~ab,. \n1|", max_size=60), st.lists(st.integers(0, 120), max_size=12))
@example("At 10 a.m. We", [9, 10, 11])
def test_pieces_change_nothing(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert split(*pieces) == split(text)
