"""What users of other phone agents complain about, each told as it happens to them, and what happens here."""

import json

import pytest

from services.brain.heard import AlignedWord, HeardText
from services.brain.history import History
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Audible,
    Discard,
    Event,
    HearingLost,
    Ignored,
    Output,
    Partial,
    Pause,
    Played,
    Release,
    ReplyDone,
    Respond,
    Resume,
    Say,
    Speculate,
    StopSpeaking,
    Transcript,
)
from services.brain.turn_profile import PROFILES, with_changes
from services.brain.turn_state import State
from tests.unit.brain.turn_tables import GREETING, run_to, start, stop, words

Happening = tuple[int, Event]

# How long the silence after a turn has to be is not of interest here.
SURELY_OVER_MS = 4000

GREETED: list[Happening] = [(ms, event) for ms, event, _ in GREETING if event is not None]
ASKED: list[Happening] = [*GREETED, (3000, start(2900)), (4200, stop(4000)), (4350, words("What are your hours?"))]
# The agent's answer is heard from 8.1 s on.
ANSWERED: list[Happening] = [*ASKED, (8100, Audible(2)), (8101, ReplyDone())]


def happen(machine: TurnMachine, *rows: Happening, until_ms: int = 0) -> list[Output]:
    """What the machine does, without the answers it only prepares."""
    out: list[Output] = []
    for ms, event in rows:
        out += run_to(machine, ms)
        out += machine.handle(event, ms * 1000)
    out += run_to(machine, until_ms)
    return [one for one in out if not isinstance(one, Speculate | Discard)]


def responses(outputs: list[Output]) -> list[str]:
    return [one.text for one in outputs if isinstance(one, Respond)]


def answering() -> TurnMachine:
    """A machine whose agent has begun to answer the caller's question."""
    machine = TurnMachine()
    assert responses(happen(machine, *ANSWERED)) == ["What are your hours?"]
    assert machine.state is State.SPEAKING
    return machine


def still_answers(machine: TurnMachine, from_ms: int) -> None:
    """The call goes on: the next question gets its answer, and the answer is heard."""
    question = [(from_ms, start(from_ms, 90)), (from_ms + 900, stop(from_ms + 900, 90))]
    asked = happen(machine, *question, (from_ms + 1000, words("And on Sunday?", 90)), until_ms=from_ms + SURELY_OVER_MS)
    assert responses(asked) == ["And on Sunday?"]
    assert happen(machine, (from_ms + SURELY_OVER_MS, Audible(91))) == [Release(91)]


# What the model thinks it said.


def spoken(text: str) -> HeardText:
    """A word each 100 samples."""
    return HeardText([AlignedWord(word, at * 100, at * 100 + 100) for at, word in enumerate(text.split())])


def lines(history: History) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in history.messages()[1:]]


ANSWER = "We open at eight, and on Saturdays at ten."


@pytest.mark.parametrize(
    ("played", "kept"),
    [(49, ""), (50, "We"), (240, "We open"), (250, "We open at"), (399, "We open at eight,"), (900, ANSWER)],
)
def test_pipecat_5426_unheard_text_kept(played: int, kept: str) -> None:
    """The caller interrupts; the model must not believe that it said all it wrote."""
    history, heard = History("s"), spoken(ANSWER)
    history.caller_said("Hours?")
    history.agent_speaks(1, heard)
    heard.samples_played = played
    history.caller_said("And on Sundays?")
    said = [("assistant", kept)] if kept else []
    assert lines(history) == [("user", "Hours?"), *said, ("user", "And on Sundays?")]
    assert [one["content"] for one in json.loads(history.to_json())] == [content for _, content in lines(history)]


def test_pipecat_5426_unheard_text_kept_of_an_utterance_that_waited_behind_another() -> None:
    history, first, second = History("s"), spoken("One moment."), spoken(ANSWER)
    history.caller_said("Hours?")
    history.agent_speaks(1, first)
    history.agent_speaks(2, second)
    first.samples_played = 200
    history.caller_said("Hello?")
    assert lines(history) == [("user", "Hours?"), ("assistant", "One moment."), ("user", "Hello?")]


def test_pipecat_5426_unheard_text_kept_when_words_are_aligned_after_the_interruption() -> None:
    history, heard = History("s"), spoken("We open at eight,")
    history.agent_speaks(1, heard)
    heard.samples_played = 200
    history.caller_said("Thanks.")
    heard.words += [AlignedWord("and", 400, 500), AlignedWord("later.", 500, 600)]
    assert lines(history) == [("assistant", "We open"), ("user", "Thanks.")]


def test_pipecat_4996_heard_text_lost_when_the_gateway_tells_it_late() -> None:
    """The interruption overtakes the report of what was played: it still counts, and stands where it was said."""
    history, heard = History("s"), spoken(ANSWER)
    history.caller_said("Hours?")
    history.agent_speaks(1, heard)
    heard.samples_played = 100
    history.caller_said("And on Sundays?")
    heard.samples_played = 400
    assert lines(history)[1:] == [("assistant", "We open at eight,"), ("user", "And on Sundays?")]


def test_pipecat_4996_heard_text_lost_when_alignment_comes_after_the_sound() -> None:
    history, heard = History("s"), HeardText()
    history.agent_speaks(1, heard)
    heard.samples_played = 400
    history.caller_said("And on Sundays?")
    heard.words += spoken(ANSWER).words
    assert lines(history) == [("assistant", "We open at eight,"), ("user", "And on Sundays?")]


def test_pipecat_4996_heard_text_lost_when_another_brain_takes_over() -> None:
    history, heard = History("s"), spoken(ANSWER)
    history.caller_said("Hours?")
    history.agent_speaks(1, heard)
    heard.samples_played = 400
    again = History("s", json.loads(history.to_json()))
    assert lines(again) == [("user", "Hours?"), ("assistant", "We open at eight,")]


def test_pipecat_4996_heard_text_lost_when_the_tool_it_announced_is_given_up() -> None:
    history, heard = History("s"), spoken("I'm putting that in.")
    history.caller_said("Book it.")
    history.agent_calls([{"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}])
    history.agent_speaks(1, heard)
    heard.samples_played = 400
    history.caller_said("Wait.")
    assert lines(history) == [("user", "Book it."), ("assistant", "I'm putting that in."), ("user", "Wait.")]


# End of turn.


@pytest.mark.parametrize(
    ("speech", "what"),
    [
        ([(4000, stop(3900)), (4100, words(""))], "words that are none"),
        ([(4000, stop(3900))], "a transcript that never comes"),
        ([(4000, stop(3900)), (4050, HearingLost())], "recognition that dies"),
        ([(3500, HearingLost())], "recognition that dies while the caller speaks"),
        ([(3300, stop(3100)), (3400, words(""))], "a cough"),
        ([(3500, stop(3400)), (3600, words("")), (3700, start(3650, 2)), (4500, stop(4400, 2)), (4600, words("", 2))],
         "two sounds in a row"),
        ([(3500, stop(3400)), (3550, start(3520, 2)), (4500, stop(4400, 2)), (4600, words(" ", 2)), (4650, words(""))],
         "two sounds that were one"),
    ],
)  # fmt: skip
def test_pipecat_5240_stall_when_vad_fires_and_asr_is_empty(speech: list[Happening], what: str) -> None:
    machine = TurnMachine()
    happen(machine, *GREETED, (3000, start(2900)), *speech, until_ms=8000)
    assert machine.state in (State.LISTENING, State.THINKING), what
    assert machine.next_deadline() is not None, what
    still_answers(machine, 9000)


def test_pipecat_5240_stall_when_vad_fires_and_asr_is_empty_is_told_to_the_caller() -> None:
    spoken_for_a_second = [(3000, start(2900)), (4000, stop(3900)), (4100, words(""))]
    assert happen(TurnMachine(), *GREETED, *spoken_for_a_second, until_ms=5500)[-1:] == [Say.MISSED]


def test_pipecat_5240_stall_when_vad_fires_and_asr_is_empty_after_words() -> None:
    """The words before the empty sound are answered, not lost with it."""
    rows = [*ASKED[:-1], (4350, words("What are your hours?")), (4400, start(4380, 2)), (4600, stop(4550, 2))]
    assert responses(happen(TurnMachine(), *rows, (4700, words("", 2)), until_ms=8000)) == ["What are your hours?"]


# Barge-in.


def cough(ms: int, utterance: int = 2, length_ms: int = 200, text: str = "") -> list[Happening]:
    end = ms + length_ms
    return [
        (ms + 100, start(ms, utterance)),
        (end + 200, stop(end, utterance)),
        (end + 300, Transcript(utterance, text)),
    ]


def test_agents_4039_resume_broke() -> None:
    machine = answering()
    assert happen(machine, *cough(9000)) == [Pause(), Ignored(), Resume()]
    assert machine.state is State.SPEAKING
    assert happen(machine, *cough(10_000, 3, text="Mm-hm.")) == [Pause(), Ignored(), Resume()]
    assert happen(machine, (14_000, Played(2))) == []
    assert machine.state is State.LISTENING


def test_agents_4039_resume_broke_when_the_cough_has_no_transcript() -> None:
    rows = [(9100, start(9000, 2)), (9400, stop(9200, 2))]
    assert happen(answering(), *rows, until_ms=13_000) == [Pause(), Ignored(), Resume()]


def test_agents_4039_resume_broke_when_recognition_died_meanwhile() -> None:
    rows = [(9100, start(9000, 2)), (9300, HearingLost())]
    assert happen(answering(), *rows, until_ms=13_000) == [Pause(), Ignored(), Resume()]


def test_agents_4039_resume_broke_for_what_became_ready_in_the_pause() -> None:
    machine = TurnMachine()
    happen(machine, *ASKED, (8100, Audible(2)))
    onset, *rest = cough(9000)
    assert happen(machine, onset, (9200, Audible(3)), (9201, ReplyDone())) == [Pause()]
    assert happen(machine, *rest) == [Ignored(), Resume(), Release(3)]
    assert happen(machine, (11_000, Played(2)), (13_000, Played(3))) == []
    assert machine.state is State.LISTENING


@pytest.mark.parametrize("played", range(0, 900, 30))
def test_agents_4039_resume_broke_nothing_is_skipped(played: int) -> None:
    """It goes on at the beginning of a word, and of no later one than the first that was not heard in full."""
    heard = spoken(ANSWER)
    heard.samples_played = played
    begins = [word.start_sample for word in heard.words]
    assert heard.resume_sample() in begins
    assert heard.resume_sample() <= played
    assert played - heard.resume_sample() <= 100


def test_agents_1229_mute_after_a_cough() -> None:
    machine = answering()
    happen(machine, *cough(9000), (12_000, Played(2)))
    still_answers(machine, 13_000)


def test_agents_1229_mute_after_a_cough_before_the_answer() -> None:
    """The answer is ready while the cough is not yet known to be one."""
    machine = TurnMachine()
    happen(machine, *ASKED, until_ms=8000)
    onset, *rest = cough(8100)
    assert happen(machine, onset, (8250, Audible(2)), (8251, ReplyDone()), *rest) == [Ignored(), Release(2)]


def test_agents_1229_mute_after_a_cough_into_the_last_word() -> None:
    machine = answering()
    onset, *rest = cough(9000)
    happen(machine, onset, (9150, Played(2)), *rest)
    still_answers(machine, 10_000)


def test_agents_1229_mute_after_a_cough_that_lasted() -> None:
    """So long that the agent gave up its turn: there was nothing to answer, and the caller is not left in silence."""
    machine = answering()
    out = happen(machine, *cough(9000, length_ms=3000), until_ms=14_000)
    assert StopSpeaking() not in out or Say.MISSED in out
    still_answers(machine, 15_000)


def test_agents_1229_mute_after_a_cough_in_the_greeting() -> None:
    machine = TurnMachine()
    out = happen(machine, *GREETED[:3], *cough(600), (2600, Played(1)))
    assert out[-3:] == [Pause(), Ignored(), Resume()]
    still_answers(machine, 4000)


@pytest.mark.parametrize("into_ms", [200, 1000, 1500, 2000])
@pytest.mark.parametrize(("length_ms", "text"), [(150, ""), (300, "Okay."), (500, "Mm-hm."), (700, "Yeah, right.")])
def test_ava_467_cut_after_one_or_two_seconds(into_ms: int, length_ms: int, text: str) -> None:
    machine = answering()
    at = 8100 + into_ms
    assert happen(machine, *cough(at, 2, length_ms, text)) == [Pause(), Ignored(), Resume()]
    assert machine.state is State.SPEAKING


def test_ava_467_cut_after_one_or_two_seconds_by_its_own_echo() -> None:
    """What comes back of the agent's voice is words that recognition is not sure of."""
    machine = answering()
    echo = [(9300, start(9200, 2)), (9500, Partial(2, "we hoping it", 0.3)), (9900, stop(9800, 2))]
    assert happen(machine, *echo, (10_000, Transcript(2, "We hoping it ate.", 0.3))) == [Pause(), Ignored(), Resume()]


def test_ava_467_cut_after_one_or_two_seconds_but_not_deaf_to_words() -> None:
    machine = answering()
    rows = [(9300, start(9200, 2)), (9900, stop(9800, 2)), (10_000, words("No, on Saturday.", 2))]
    out = happen(machine, *rows, until_ms=14_000)
    assert out[:2] == [Pause(), StopSpeaking()]
    assert responses(out) == ["No, on Saturday."]


def test_agents_3427_thinking_and_speaking_tuned_apart() -> None:
    profiles = with_changes(PROFILES, {"thinking": {"barge_in_after_ms": 200}, "speaking": {"barge_in_after_ms": 900}})
    thinking, speaking = TurnMachine(profiles=profiles), TurnMachine(profiles=profiles)
    happen(thinking, *ASKED, until_ms=8000)
    happen(speaking, *ANSWERED)
    sound = (9050, start(9000, 2))
    assert StopSpeaking() in happen(thinking, sound, until_ms=9200)
    assert happen(speaking, sound, until_ms=9899) == [Pause()]
    assert happen(speaking, until_ms=9900) == [StopSpeaking()]
