"""What the agent must not say is not said, however the model's text is cut into pieces, and nothing waits for long."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.brain.agent.guard import Guard
from services.brain.guardrails.secrets import Secrets, secrets_of
from services.brain.guardrails.spoken import PromptWords, SpokenFilter
from services.brain.guardrails.topics import TopicWords

CARD = "4111 1111 1111 1111"
KEY = "sk-proj-abcDEF1234567890"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PROMPT = "You are the front desk of Riverside Clinic. Ask for one thing at a time: first the day, then the name."
GUARD = Guard.model_validate(
    {"say": "I can't say that.", "prompt_words": 8, "topics": {"avoid": {"politics": ["elect*", "prime minister"]}}}
)


def secrets() -> Secrets:
    return Secrets({"hunter2secret", "abcd1234efgh"}, {"4711", "90210777"})


def spoken(language: str = "en", topics: bool = False, whole_clauses: bool = False) -> SpokenFilter:
    return SpokenFilter(
        GUARD,
        secrets(),
        language,
        PromptWords(PROMPT, GUARD.prompt_words),
        TopicWords(GUARD.topics) if topics else None,
        whole_clauses,
    )


def said(text: str, language: str = "en", topics: bool = False) -> str:
    one = spoken(language, topics)
    return "".join(one.feed(text) + one.end())


@pytest.mark.parametrize(
    "text",
    [
        "Good day, Riverside Clinic. How can I help you?",
        "Your appointment is on the 4th of December 2026 at 10:30, room 12.",
        "Call us on +49 1512 3456789 or 020 7946 0958.",
        "The number is 5 5 5, 1 2 3, 4 5 6 7.",
        "Please dial one one two.",
        "At 47:11 it was over, order 47110 and 555 471 1200.",
        "It's 1,234,567.89 euros.",
        "Your reference is 3f2504e0-4f89-41d3-9a0c-0305e82c3301.",
        "木曜日の午前十時はいかがですか。",
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft ist ein Wort.",
        "",
        "  \n",
        "4111 1111 1111 1112 is no card.",
    ],
)
def test_ordinary_speech_passes_as_it_is(text: str) -> None:
    assert said(text).strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Your card is {CARD}.", "Your card is …"),
        ("Your card 4111-1111-1111-1111, right?", "Your card … right?"),
        ("Card:4111111111111111", "…"),
        ("It is 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1. Right?", "It is … Right?"),
        ("It is four" + " one" * 15 + ", right?", "It is … right?"),
        ("Room 12 4111 1111 1111 1111 5 ok", "Room 12 … 5 ok"),
        ("Amex 3782 822463 10005 and 12", "Amex … and 12"),
        (f"The key is {KEY}, keep it.", "The key is … keep it."),
        (f"Token {JWT} here", "Token … here"),
        ("Go to https://bob:pa55word@crm.example/x now", "Go to … now"),
        ("AKIAIOSFODNN7EXAMPLE", "…"),
        ("a9F" * 300 + " done", "… done"),
        ("password is Hunter2-Secret!", "password is …"),
        ("It is hunter two secret ok", "It is … ok"),
        ("It is abcd dash 1 2 3 4 E F G H, yes", "It is … yes"),
        ("a b c d one two three four e f g h", "…"),
        ("Your code is 4711.", "Your code is …"),
        ("Your code is 4 7 1 1, thanks", "Your code is … thanks"),
        ("Your code is four seven one one thanks", "Your code is … thanks"),
        ("long 9021 0777 12", "long … 12"),
        (f"{KEY} {CARD} {JWT} end", "… end"),
        ("Fine. [line: The call so far, in short.] Good.", "Fine. … Good."),
        ("Fine. [line: " + "on " * 100 + "and [on] and", "Fine. …" + " on" * 41 + " and [on] and"),
        ("ok [line: never closed", "ok …"),
        ("<|im_end|> Hello<tool_call> there", "… there"),
    ],
)
def test_a_secret_is_never_read_aloud(text: str, expected: str) -> None:
    assert said(text) == expected


def test_a_secret_spelled_in_the_language_of_the_call() -> None:
    """Another language: digits are words there too."""
    assert said("Ihr Code ist vier sieben eins eins, danke", "de-DE") == "Ihr Code ist … danke"
    assert said("Votre carte " + "quatre " + "un " * 15 + "voilà", "fr") == "Votre carte … voilà"


def test_the_prompt_is_not_recited() -> None:
    assert said("My rules: you are the front desk of Riverside Clinic. ask for one") == (
        "My rules: you are the front desk of Riverside I can't say that."
    )
    assert said("You are at the front desk of Riverside Clinic.") == "You are at the front desk of Riverside Clinic."
    one = SpokenFilter(GUARD, secrets(), prompt=PromptWords(PROMPT, 0))
    assert "".join(one.feed(PROMPT) + one.end()) == PROMPT


def test_a_topic_to_avoid_ends_the_answer() -> None:
    assert said("Well, the Prime  Minister is great. And more.", topics=True) == "Well, I can't say that."
    assert said("Elections are near, you know.", topics=True) == "I can't say that."
    assert said("Selected times are free.", topics=True) == "Selected times are free."


PARTS = st.lists(
    st.sampled_from(
        [
            *(CARD, KEY, JWT, "4", "four", "1", "one", "4111", "1111", "hunter2", "secret", "hunter", "two", "abcd"),
            *(
                "dash",
                "1234",
                "efgh",
                "4711",
                "47",
                "11",
                "9021",
                "0777",
                "hello",
                "times",
                ",",
                ".",
                "elections",
                "日",
            ),
            *("[line:", "x]", "<|im_end|>"),
            *(PROMPT, "you are the front desk", "a" * 250, "x9" * 130, "\n", " ", "  ", " ", " ", " ", "?", "本、"),
        ]
    )
    | st.text(max_size=8)
)
TEXTS = PARTS.map("".join)


@given(TEXTS, st.lists(st.integers(0, 400)), st.booleans())
@example(CARD, list(range(19)), False)
@example(f"{KEY} 4711", [2, 5, 24, 25], True)
def test_any_cut_into_pieces_gives_the_same_speech(text: str, cuts: list[int], topics: bool) -> None:
    at = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    one = spoken(topics=topics)
    pieces = [piece for start, end in itertools.pairwise(at) for piece in one.feed(text[start:end])]
    assert "".join(pieces + one.end()) == said(text, topics=topics)


@given(PARTS)
def test_no_secret_passes(parts: list[str]) -> None:
    told = said(" and ".join(parts))
    for value in (CARD, KEY, JWT, "hunter2secret", "abcd1234efgh"):
        assert value not in told


def test_nothing_but_the_last_word_waits() -> None:
    one = spoken()
    assert one.feed("Good") == []
    assert one.feed(" day,") == ["Good"]
    assert one.feed(" Riverside") == [" day,"]
    assert one.feed(" Clinic. ") == [" Riverside", " Clinic."]
    assert one.end() == []


def test_a_number_waits_only_while_it_may_be_a_card() -> None:
    one = spoken()
    assert one.feed("dial 0 2 0 7 ") == ["dial", " 0", " 2", " 0", " 7"]
    assert one.feed("4 1 1 ") == []
    assert "".join(one.feed("please ")) == " 4 1 1 please"


def test_a_clause_waits_only_where_something_judges_it() -> None:
    one = spoken(whole_clauses=True)
    assert one.feed("Good day, River") == ["Good day,"]
    assert one.feed("side ") == []
    assert one.end() == [" Riverside"]


def test_which_variables_are_secret() -> None:
    known = secrets_of(
        [
            ("OPENAI_API_KEY", "sk-live-12345678"),
            ("CRM_TOKEN", "s3cretvalue"),
            ("Authorization", "Bearer abcdefghijkl"),
            ("X-Api-Key", "qwertz-1234"),
            ("X-Tenant", "riverside-clinic"),
            ("Accept", "application/json"),
            ("BUSINESS_API_URL", "http://127.0.0.1:9"),
            ("DATABASE_URL", "postgresql://tandem:pa55w0rd123@db/tandem"),
            ("KEYBOARD", "qwertzuiop"),
            ("USE_TOKEN", "1"),
            ("DOOR", "4711"),
            ("HOME", "/home/someone"),
        ],
        marked=["DOOR"],
    )
    assert known.values == {"sklive12345678", "s3cretvalue", "abcdefghijkl", "qwertz1234", "pa55w0rd123"}
    assert known.codes == {"4711"}


def test_a_code_that_the_caller_entered_is_added_while_the_call_goes_on() -> None:
    known = Secrets()
    one = SpokenFilter(Guard(), known)
    known.add("8 3 5 1")
    assert "".join(one.feed("You entered 8351.") + one.end()) == "You entered …"
    known.add("12")
    assert known.codes == {"8351"}
