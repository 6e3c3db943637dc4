"""Fillers fit what is waited for, are not said twice in a row, and differ between callers."""

from hypothesis import given
from hypothesis import strategies as st

from services.brain.agent import FillerSentences
from services.brain.fillers import Fillers, Kind
from services.brain.impatience import Level

THINKING = ["One moment.", "Let me see.", "Just a second."]
TOOL = ["Let me look that up.", "One second, I'm checking."]
AGAIN = ["I'm still looking.", "Just a little longer, please.", "Still with you."]
SENTENCES = FillerSentences(thinking=THINKING, tool=TOOL, again=AGAIN)


def test_the_kind_decides() -> None:
    fillers = Fillers(SENTENCES, "call")
    assert fillers.next(Kind.THINKING) in THINKING
    assert fillers.next(Kind.TOOL) in TOOL
    assert fillers.next(Kind.AGAIN) in AGAIN


def test_a_tool_says_its_own() -> None:
    assert Fillers(SENTENCES, "call").next(Kind.TOOL, "Let me find it.") == "Let me find it."


def test_the_same_tool_again_says_something_else() -> None:
    fillers = Fillers(SENTENCES, "call")
    said = [fillers.next(Kind.TOOL, "Let me find it.") for _ in range(3)]
    assert said[0] == said[2] == "Let me find it."
    assert said[1] in TOOL


def test_all_are_used_in_turn() -> None:
    fillers = Fillers(SENTENCES, "call")
    assert {fillers.next(Kind.THINKING) for _ in THINKING} == set(THINKING)


def test_callers_hear_different_orders_and_the_same_call_the_same() -> None:
    def heard(seed: str) -> tuple[str | None, ...]:
        fillers = Fillers(SENTENCES, seed)
        return tuple(fillers.next(kind) for kind in (Kind.THINKING, Kind.AGAIN, Kind.TOOL))

    assert heard("call-1") == heard("call-1")
    assert len({heard(f"call-{number}") for number in range(20)}) > 5


def test_a_list_alone_serves_every_kind() -> None:
    fillers = Fillers(FillerSentences(thinking=THINKING), "call")
    said = [fillers.next(kind) for kind in (Kind.THINKING, Kind.AGAIN, Kind.TOOL)]
    assert sorted(map(str, said)) == sorted(THINKING)


def test_better_silence_than_the_same_sentence_again() -> None:
    fillers = Fillers(FillerSentences(thinking=["One moment."]), "call")
    assert [fillers.next(Kind.THINKING), fillers.next(Kind.AGAIN)] == ["One moment.", None]
    assert fillers.next(Kind.THINKING) == "One moment."


def test_a_caller_in_a_hurry_hears_short_ones_only() -> None:
    fillers = Fillers(FillerSentences(thinking=["Let me have a closer look at that for you.", "One moment."]), "call")
    assert fillers.next(Kind.TOOL, "Let me look at the calendar.", Level.IMPATIENT) == "One moment."
    assert fillers.next(Kind.TOOL, "Let me look at the calendar.", Level.IMPATIENT) is None
    assert fillers.next(Kind.TOOL, "Let me look.", Level.OFFER_PERSON) == "Let me look."


sentences = st.lists(st.sampled_from(["A.", "B.", "C.", "A rather long sentence to wait with."]), max_size=4)


@given(
    st.builds(FillerSentences, thinking=sentences.filter(bool), tool=sentences, again=sentences),
    st.text(max_size=5),
    st.lists(st.tuples(st.sampled_from(Kind), st.sampled_from(["", "A.", "D."]), st.sampled_from(Level)), max_size=30),
)
def test_never_the_same_twice_in_a_row(known: FillerSentences, seed: str, waits: list[tuple[Kind, str, Level]]) -> None:
    fillers, last = Fillers(known, seed), None
    for kind, tool_says, level in waits:
        said = fillers.next(kind, tool_says, level)
        assert said is None or said != last
        assert said is None or said in {*known.thinking, *known.tool, *known.again, tool_says}
        last = said
