"""What makes a caller impatient, what calms them, and when a person is offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.impatience import Impatience, Level
from services.brain.impatience_words import BY_LANGUAGE, spoken
from services.brain.question import Expected

CALM, IMPATIENT, OFFER = Level.CALM, Level.IMPATIENT, Level.OFFER_PERSON
ANYTHING = Expected.ANYTHING
SECOND = 1_000_000


def says(impatience: Impatience, *turns: str, expected: Expected = ANYTHING, from_s: int = 0) -> list[Level]:
    """The levels after each turn; ten seconds lie between them."""
    return [impatience.caller_said(text, expected, (from_s + 10 * at) * SECOND) for at, text in enumerate(turns)]


def presses(
    impatience: Impatience, keys: str, every_ms: int, digits_expected: bool = False, from_s: int = 0
) -> list[Level]:
    levels = []
    for at, key in enumerate(keys):
        impatience.key_pressed(key, digits_expected, from_s * SECOND + at * every_ms * 1000)
        levels.append(impatience.level)
    return levels


@pytest.mark.parametrize(
    "turns",
    [
        ["Hello?", "I'd like to book an appointment.", "Tomorrow at ten.", "Yes.", "Yes.", "Thank you very much."],
        ["What are your hours on Saturday?", "What are your hours on Sunday?"],
        ["Is Tuesday at 9 free?", "Is Thursday at 9 free?", "Is Thursday at 5 free?"],
        ["Your agent told me yesterday to call again.", "He told me to ask for Doctor Shah."],
        ["I have a bloody nose.", "It won't stop bleeding."],
        ["Could I speak to a person?"],
        ["I'd like to book.", "A table for one person please, with a view."],
        ["Yes, please.", "Yes, please.", "Yes, please."],
    ],
)
def test_patient_callers(turns: list[str]) -> None:
    assert set(says(Impatience(), *turns)) == {CALM}


@pytest.mark.parametrize(
    "turns",
    [
        ["I'd like to book.", "Hello?"],
        ["I'd like to book.", "Hello, hello?"],
        ["I'd like to book.", "Are you still there?"],
        ["What are your opening hours?", "What are your opening hours?"],
        ["What are your opening hours?", "I said, what are your opening hours?"],
        ["What are your opening hours?", "Yes.", "What are you opening hours"],
        ["I already told you my name."],
        ["I've just said that."],
        ["You're not listening to me."],
        ["Oh for God's sake."],
        ["F*** this."],
        ["What the hell is going on?"],
        ["Agent.", "Agent!"],
        ["Can I talk to a real person?", "Get me a human, please."],
    ],
)
def test_signs_of_impatience(turns: list[str]) -> None:
    *before, last = says(Impatience(), *turns)
    assert set(before) <= {CALM}
    assert last in (IMPATIENT, OFFER)


@pytest.mark.parametrize(
    ("language", "turns"),
    [
        ("de-DE", ["Ich möchte einen Termin.", "Hallo?"]),
        ("de", ["Das habe ich doch schon gesagt."]),
        ("de", ["Verbinden Sie mich mit einem Menschen.", "Ich will mit einem echten Menschen sprechen!"]),
        ("de", ["So eine Scheiße."]),
        ("es", ["Quiero una cita.", "¿Oiga?"]),
        ("es", ["Ya se lo he dicho."]),
        ("fr", ["Je voudrais un rendez-vous.", "Allô ?"]),
        ("fr", ["Je vous l’ai déjà dit."]),
        ("it", ["Vorrei un appuntamento.", "Pronto?"]),
        ("nl", ["Ik wil een afspraak.", "Bent u er nog?"]),
        ("pt", ["Eu já disse.", "Quero falar com um atendente.", "Falar com uma pessoa!"]),
        ("auto", ["Verdammt noch mal."]),
        # A language without a set of words still has questions that are asked again.
        ("fi", ["Mihin aikaan te avaatte?", "Mihin aikaan te avaatte?"]),
    ],
)
def test_signs_in_other_languages(language: str, turns: list[str]) -> None:
    assert says(Impatience(language), *turns)[-1] in (IMPATIENT, OFFER)


def test_words_of_another_language_are_no_signs() -> None:
    assert says(Impatience("en"), "Ich sage: verdammt.") == [CALM]
    assert says(Impatience("fi"), "Damn.") == [CALM]


def test_every_language_knows_its_own_words() -> None:
    for language, words in BY_LANGUAGE.items():
        patterns = (words.hello, words.told_you, words.person, words.person_word, words.swearing)
        assert not any(one.search(spoken("")) for one in patterns), language


def test_hello_into_the_agents_silence_is_a_sign_and_an_answer_is_not() -> None:
    impatience = Impatience()
    assert says(impatience, "I'd like to book.") == [CALM]
    # After "Are you still there?"
    impatience.waited(2000)
    assert impatience.caller_said("Hello?", Expected.YES_OR_NO, 20 * SECOND) is CALM
    impatience.waited(4000)
    assert impatience.caller_said("Hello?", Expected.YES_OR_NO, 30 * SECOND) is IMPATIENT


def test_a_first_hello_after_a_long_silence_is_a_sign() -> None:
    impatience = Impatience()
    impatience.waited(3000)
    assert says(impatience, "Hello?") == [IMPATIENT]


def test_silence_counts_for_the_turn_behind_it_only() -> None:
    impatience = Impatience()
    impatience.waited(3000)
    says(impatience, "I'd like to book.")
    assert impatience.caller_said("Hello?", Expected.YES_OR_NO, 20 * SECOND) is CALM


def test_what_was_asked_for_may_be_said_again() -> None:
    impatience = Impatience()
    assert says(impatience, "555 0142 789", "555 0142 789", expected=Expected.DIGITS) == [CALM, CALM]
    assert says(impatience, "What are your hours?", "What are your hours?", expected=Expected.DIGITS) == [
        CALM,
        IMPATIENT,
    ]


def test_a_question_asked_again_much_later_was_forgotten() -> None:
    impatience = Impatience()
    assert says(impatience, "What are your hours?") == [CALM]
    assert says(impatience, "What are your hours?", from_s=600) == [CALM]


def test_keys_in_haste() -> None:
    assert presses(Impatience(), "12345", 400) == [CALM] * 4 + [IMPATIENT]
    assert presses(Impatience(), "12345", 600) == [CALM] * 5


def test_one_key_again_and_again() -> None:
    assert presses(Impatience(), "0000", 1500) == [CALM] * 3 + [IMPATIENT]
    assert presses(Impatience(), "0000", 6000) == [CALM] * 4
    assert presses(Impatience(), "0001000", 1500) == [CALM] * 7


def test_digits_that_were_asked_for_may_come_fast() -> None:
    impatience = Impatience()
    assert set(presses(impatience, "5550000142", 150, digits_expected=True)) == {CALM}


def test_a_burst_of_keys_counts_once() -> None:
    impatience = Impatience()
    for from_s, key, level in ((0, "0", IMPATIENT), (60, "0", IMPATIENT), (90, "#", OFFER)):
        presses(impatience, key * 40, 100, from_s=from_s)
        # The same keys as a turn are neither a sign nor a calm one.
        assert impatience.caller_said(key * 40, ANYTHING, (from_s + 8) * SECOND) is level


def test_missed_once_happens_and_twice_in_a_row_wears() -> None:
    impatience = Impatience()
    assert impatience.missed() is CALM
    assert says(impatience, "I'd like to book.") == [CALM]
    assert [impatience.missed(), impatience.missed()] == [CALM, IMPATIENT]
    assert [impatience.missed(), impatience.missed(), impatience.missed()] == [IMPATIENT, OFFER, IMPATIENT]


def test_what_was_understood_at_last_is_answered() -> None:
    impatience = Impatience(offer_after=2)
    presses(impatience, "0000", 1000)
    presses(impatience, "0000", 1000, from_s=30)
    assert says(impatience, "I'd like to book.", from_s=40) == [IMPATIENT]


def test_one_interruption_is_how_people_talk_and_three_in_a_row_are_haste() -> None:
    impatience = Impatience()
    impatience.interrupted()
    assert says(impatience, "No, on Saturday.", "In the morning.") == [CALM, CALM]
    levels = []
    for at, text in enumerate(("No.", "No, the other one.", "Just tell me the time.")):
        impatience.interrupted()
        levels.append(impatience.caller_said(text, ANYTHING, (30 + at) * SECOND))
    assert levels == [CALM, CALM, IMPATIENT]


def test_calm_turns_calm() -> None:
    impatience = Impatience()
    assert says(impatience, "I'd like to book.", "Hello?", "Tomorrow.", "At ten.", "Yes.") == [
        CALM,
        IMPATIENT,
        IMPATIENT,
        CALM,
        CALM,
    ]


def test_signs_far_apart_do_not_add_up() -> None:
    impatience = Impatience()
    for at in range(6):
        turns = ("Hello?", "Tomorrow at ten.", "Doctor Shah.", "Fine, good.")
        assert OFFER not in says(impatience, *turns, from_s=1000 * at)


def test_a_person_is_offered_once() -> None:
    impatience = Impatience()
    levels = says(impatience, "Book it.", "Hello?", "I already told you.", "Hello?", "Damn it.", "Agent.", "Agent!")
    assert levels == [CALM, IMPATIENT, IMPATIENT, OFFER, IMPATIENT, IMPATIENT, IMPATIENT]
    assert impatience.level is IMPATIENT


def test_who_asks_for_a_person_again_is_offered_one_at_once() -> None:
    assert says(Impatience(), "I want to speak to a human.", "Operator!") == [CALM, OFFER]


def test_nobody_is_offered_where_there_is_nobody() -> None:
    impatience = Impatience(can_offer=False)
    assert OFFER not in says(impatience, "Agent.", "Agent!", "Damn.", "Damn.", "Damn.")


def test_the_operator_decides_after_how_much() -> None:
    assert says(Impatience(offer_after=1), "Book it.", "Hello?") == [CALM, OFFER]
    assert says(Impatience(offer_after=5), "Damn.", "Damn.", "Damn.") == [IMPATIENT, IMPATIENT, OFFER]


def test_switched_off() -> None:
    impatience = Impatience(enabled=False)
    assert set(says(impatience, "Damn.", "Agent.", "Agent!", "Hello?")) == {CALM}
    assert set(presses(impatience, "000000", 100)) == {CALM}
    assert impatience.level is CALM


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("said"), st.sampled_from(["Hello?", "Damn.", "Agent!", "Yes.", "", "12", "Book it today."])
            ),
            st.tuples(st.just("key"), st.sampled_from("0123456789*#")),
            st.tuples(st.sampled_from(["missed", "interrupted", "waited"]), st.just("")),
        ),
        max_size=60,
    ),
    st.integers(1, 6),
)
def test_offers_at_most_once_and_calms_down(steps: list[tuple[str, str]], offer_after: int) -> None:
    impatience, levels = Impatience(offer_after=offer_after), []
    for at, (kind, value) in enumerate(steps):
        match kind:
            case "said":
                levels.append(impatience.caller_said(value, ANYTHING, at * SECOND))
            case "key":
                impatience.key_pressed(value, False, at * SECOND)
            case "missed":
                levels.append(impatience.missed())
            case "interrupted":
                impatience.interrupted()
            case _:
                impatience.waited(2000)
    assert levels.count(OFFER) <= 1
    for at in range(400):
        impatience.caller_said("All good.", ANYTHING, (100 + at) * SECOND)
    assert impatience.level is CALM
