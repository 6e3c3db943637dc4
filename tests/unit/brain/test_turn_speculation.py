"""Answers begun before the turn is surely over: kept when it was, and gone without a trace when it was not."""

from hypothesis import given
from hypothesis import strategies as st

from services.brain.endpoint import Evidence
from services.brain.turn_events import (
    Audible,
    Digit,
    Discard,
    EndLikely,
    Event,
    HungUp,
    Output,
    Played,
    Release,
    ReplyDone,
    Respond,
    Silenced,
    Speculate,
    StopSpeaking,
)
from services.brain.turn_state import State
from tests.unit.brain.turn_tables import GREETING, Row, a_machine, play, respond, run_to, start, stop, words

HOURS = respond("What are your opening hours?", 2900, 4000)
ASKED: list[Row] = [
    *GREETING,
    (3000, start(2900), []),
    (4200, stop(4000), []),
    (4350, words(HOURS.text), [Speculate(HOURS)]),
]


def test_the_answer_is_released_the_moment_the_turn_is_over() -> None:
    machine = a_machine(speculations=2)
    play(machine, [*ASKED, (4420, Audible(2), []), (4550, None, [HOURS, Release(2)]), (4600, ReplyDone(), [])])
    assert machine.state is State.SPEAKING


def test_audio_that_comes_after_the_decision_is_released_at_once() -> None:
    play(a_machine(speculations=2), [*ASKED, (4550, None, [HOURS]), (4600, Audible(2), [Release(2)])])


def test_the_caller_goes_on_and_nothing_of_it_is_left() -> None:
    whole = respond("What are your opening hours? On Saturday.", 2900, 5000)
    play(
        a_machine(speculations=2),
        [
            *ASKED,
            (4420, Audible(2), []),
            (4500, start(4450, 2), [Discard()]),
            (5200, stop(5000, 2), []),
            (5300, words("On Saturday.", 2), [Speculate(whole)]),
            (5350, Audible(3), []),
            (5550, None, [whole, Release(3)]),
        ],
    )


def test_no_more_answers_are_begun_than_the_profile_allows() -> None:
    play(
        a_machine(speculations=1),
        [
            *ASKED,
            (4500, start(4450, 2), [Discard()]),
            (5200, stop(5000, 2), []),
            (5300, words("On Saturday.", 2), []),
            (5550, None, [respond("What are your opening hours? On Saturday.", 2900, 5000)]),
        ],
    )


def test_the_sound_of_the_voice_moves_the_end_of_the_turn() -> None:
    def silence(evidence: Evidence) -> int:
        return 900 if evidence.end_probability is None else 1000 - round(700 * evidence.end_probability)

    play(
        a_machine(silence, speculations=2),
        [*ASKED, (4360, EndLikely(1, 4_000_000, 0.9), []), (4370, None, [HOURS])],
    )
    play(
        a_machine(silence, speculations=2),
        [
            *GREETING,
            (3000, start(2900), []),
            (4150, EndLikely(1, 3_990_000, 0.1), []),
            (4200, stop(4000), []),
            (4350, words(HOURS.text), [Speculate(HOURS)]),
            (4929, None, []),
            (4930, None, [HOURS]),
        ],
    )


def test_a_judgement_of_an_earlier_silence_counts_for_nothing() -> None:
    seen: list[float | None] = []

    def silence(evidence: Evidence) -> int:
        seen.append(evidence.end_probability)
        return 550

    play(
        a_machine(silence),
        [
            *GREETING,
            (3000, start(2900), []),
            (3500, EndLikely(1, 3_400_000, 0.9), []),
            (4200, stop(4000), []),
            (4350, words(HOURS.text), []),
        ],
    )
    assert seen == [None]


def test_keys_end_a_speculation_and_join_the_turn() -> None:
    machine = a_machine(speculations=2)
    play(machine, [*ASKED, (4400, Digit("5"), [Discard()])])
    both = f"{HOURS.text} 5"
    assert run_to(machine, 4550) == [Respond(both, both, HOURS.started_us, HOURS.stopped_us)]


def test_other_people_on_the_line_end_a_speculation() -> None:
    play(a_machine(speculations=2), [*ASKED, (4400, Silenced(), [Discard(), StopSpeaking()])])


def test_hanging_up_ends_a_speculation() -> None:
    play(a_machine(speculations=2), [*ASKED, (4400, HungUp(), [Discard()])])


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from(["start", "stop", "words", "none", "end", "audible", "key"])),
        max_size=60,
    )
)
def test_every_speculation_is_answered_or_discarded_and_never_heard_before(steps: list[tuple[int, str]]) -> None:
    machine, now_ms, utterance, audible = a_machine(speculations=2), 2000, 1, 10
    play(machine, GREETING)
    made: Respond | None = None
    ready: set[int] = set()

    def watch(outputs: list[Output]) -> None:
        nonlocal made
        for output in outputs:
            if isinstance(output, Speculate):
                assert made is None
                made = output.turn
            elif isinstance(output, Discard):
                assert made is not None
                made = None
                ready.clear()
            elif isinstance(output, Respond):
                assert made in (None, output)
                made = None
            elif isinstance(output, Release):
                assert made is None

    for wait_ms, what in steps:
        now_ms += wait_ms
        watch(run_to(machine, now_ms))
        event: Event
        match what:
            case "start":
                utterance += 1
                event = start(now_ms - 100, utterance)
            case "stop":
                event = stop(now_ms - 240, utterance)
            case "words":
                event = words("on Saturday", utterance)
            case "none":
                event = words("", utterance)
            case "end":
                event = EndLikely(utterance, (now_ms - 240) * 1000, 0.9)
            case "audible":
                audible += 1
                event = Audible(audible)
            case _:
                event = Digit("1")
        watch(machine.handle(event, now_ms * 1000))
    watch(machine.handle(Played(audible), now_ms * 1000))
    watch(machine.handle(HungUp(), now_ms * 1000))
    assert made is None
