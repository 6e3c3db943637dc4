"""The simulated call's clock: things happen at the call time they are due, and a step takes as long as it took."""

import itertools

import numpy as np
import pytest

from evals.turns import scoring, simulation
from evals.turns.models import Meter
from evals.turns.phrases import Split
from evals.turns.recipe import Case, Kind, Line, Rendered
from evals.turns.recognition import Recognition, Words, Workers
from evals.turns.simulation import AGENT_SPEAKS_US, IN_US, PLAYOUT_US, TELL_US, Done, Playout, Simulation
from services.asr.settings import AsrSettings
from services.brain.turn_events import (
    EndLikely,
    Event,
    Pause,
    Respond,
    Resume,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    Transcript,
)
from services.common.media.frame import AudioFrame

PASS_US = 300_000
SETTINGS = AsrSettings.model_validate({"passes_at_once": 2})


class LoudIsSpeech:
    """For Vad: a window of 32 ms is speech when it is loud."""

    def __init__(self, model: object, sample_rate_hz: int) -> None:
        self._left = np.zeros(0, np.int16)

    def hear(self, samples: np.ndarray) -> list[tuple[int, float]]:
        before = len(self._left)
        sound = np.concatenate([self._left, samples])
        judged = []
        for end in range(256, len(sound) + 1, 256):
            judged.append((end - before, 0.99 if np.abs(sound[end - 256 : end]).max() > 1000 else 0.01))
        self._left = sound[len(sound) // 256 * 256 :]
        return judged


def talk(*parts: tuple[int, bool]) -> np.ndarray:
    """Sound of parts (ms, is it speech?)."""
    rng = np.random.default_rng(1)
    return np.concatenate(
        [(rng.standard_normal(ms * 8) * (4000 if speech else 3)).astype(np.int16) for ms, speech in parts]
    )


def simulate(
    monkeypatch: pytest.MonkeyPatch, sound: np.ndarray, text: str, *, agent: bool, judge: bool = False
) -> Simulation:
    monkeypatch.setattr(simulation, "Vad", LoudIsSpeech)
    run = Simulation(
        SETTINGS,
        None,  # type: ignore[arg-type]
        lambda clip: (Words(text, 0.9), PASS_US),
        (lambda clip: (0.9, 50_000)) if judge else None,
        "How can I help you?",
        agent_speaks=agent,
    )
    run.run(sound, lambda so_far: False)
    return run


def at(run: Simulation, kind: type[object]) -> list[int]:
    """Call times of events and outputs of a kind."""
    return [time for time, event in run.told if isinstance(event, kind)] + [
        one.at_us for one in run.done if isinstance(one.output, kind)
    ]


def test_speech_is_known_when_its_frame_is_whole_and_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulate(monkeypatch, talk((1000, False), (600, True), (2000, False)), "stop please", agent=True)
    (started,) = at(run, SpeechStarted)
    # Three windows of 32 ms from 1 s on (they end at 1.024, 1.056, 1.088 s) are whole in the frame that ends at 1.1 s.
    assert started == 1_100_000 + IN_US + TELL_US
    assert at(run, Pause) == [started]
    silent = next(time for time, sounds in run.playout.heard if not sounds)
    assert silent == started + TELL_US


def test_words_come_as_late_as_the_pass_took(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulate(monkeypatch, talk((1000, False), (300, True), (3000, False)), "book a table", agent=False)
    (stopped,) = at(run, SpeechStopped)
    (words,) = at(run, Transcript)
    # The head start was taken at 100 ms of silence and is the final.
    assert words == 1_400_000 + IN_US + PASS_US + TELL_US
    assert stopped < words


def test_a_busy_pass_makes_no_early_one(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers([0, 0])
    assert workers.idle(0)
    assert workers.take(0, 300) == 300
    assert workers.idle(0)
    assert workers.take(0, 500) == 500
    assert not workers.idle(299)
    assert workers.idle(300)
    assert workers.take(100, 50) == 350


def test_the_sound_is_judged_once_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = talk((1000, False), (300, True), (3000, False))
    run = simulate(monkeypatch, sound, "book a table", agent=False, judge=True)
    assert len(at(run, EndLikely)) == 1


def test_a_turn_is_decided_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulate(monkeypatch, talk((1000, False), (600, True), (3000, False)), "I want to book a table.", agent=False)
    (decided,) = at(run, Respond)
    assert 1_600_000 + PASS_US <= decided <= 3_200_000


def test_a_backchannel_is_ignored_and_the_agent_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulate(monkeypatch, talk((1000, False), (300, True), (3000, False)), "okay", agent=True)
    assert at(run, Pause)
    assert at(run, Resume)
    assert not at(run, StopSpeaking)
    assert run.playout.playing
    assert run.playout.resumed_at_word == [True]


def test_an_interruption_stops_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulate(monkeypatch, talk((1000, False), (900, True), (1000, False)), "no that is wrong", agent=True)
    assert at(run, StopSpeaking)
    assert not run.playout.playing


def test_playout_goes_on_where_it_was_from_the_word_that_was_cut() -> None:
    playout = Playout()
    playout.release(1, 0)
    assert playout.ends_us == AGENT_SPEAKS_US
    playout.pause(1_000_000)
    assert playout.ends_us is None
    assert playout.text.samples_played == 8000
    playout.resume(5_000_000)
    assert playout.text.samples_played == 7200  # the word from 0.9 s
    assert playout.ends_us == 5_000_000 + AGENT_SPEAKS_US - 900_000
    assert playout.heard == [(0, True), (1_000_000, False), (5_000_000, True)]


def test_what_is_posted_is_told_in_the_order_of_its_time() -> None:
    run = Simulation(SETTINGS, None, lambda clip: (Words("", 0.0), 0), None, "")  # type: ignore[arg-type]
    order: list[int] = []

    def make(number: int) -> None:
        order.append(number)

    for time, number in ((300, 3), (100, 1), (200, 2), (100, 11)):
        run.post(time, lambda number=number: make(number))  # type: ignore[misc]
    run._until(250)
    assert order == [1, 11, 2]
    run._until(300)
    assert order == [1, 11, 2, 3]


def test_partials_over_the_agent_are_dropped_when_the_final_takes_their_place() -> None:
    posted: list[tuple[int, Event | None]] = []
    asr = Recognition(
        SETTINGS,
        8000,
        LoudIsSpeech(None, 8000),
        lambda clip: (Words("hello", 0.9), PASS_US),
        None,
        lambda time, make: posted.append((time, make())),
    )
    asr.agent_speaks(True)
    sound = talk((500, False), (500, True), (1000, False))
    for number in range(len(sound) // 160):
        frame = AudioFrame(number, number * 20_000, 8000, sound[number * 160 : (number + 1) * 160].tobytes())
        asr.hear(frame, (number + 1) * 20_000)
    kinds = [type(event).__name__ for _, event in posted if event is not None]
    assert kinds.count("Transcript") == 1
    assert kinds[-1] == "Transcript"
    assert "Partial" in kinds


def test_steps_are_timed_by_cpu_and_capped_by_a_warm_run() -> None:
    ticks = itertools.accumulate([0, 1, 0, 2, 0, 3, 0, 100])
    meter = Meter(clock=lambda: float(next(ticks)))
    meter.warm("pass", lambda: None)
    assert meter.most_us["pass"] == 4_000_000
    assert meter.timed("pass", lambda: "words") == ("words", 4_000_000)
    assert meter.cpu_s == {"pass": 4.0}


LINE = Line("idle", None)


def scored(kind: Kind, sound: Rendered, run: Simulation) -> scoring.Outcome:
    return scoring.outcome(Case(kind, Split.SCORE, 0, LINE, 1000, gap=None), sound, run)


def of(*done: Done, heard: tuple[tuple[int, bool], ...] = ()) -> Simulation:
    run = Simulation(SETTINGS, None, lambda clip: (Words("", 0.0), 0), None, "")  # type: ignore[arg-type]
    run.done += done
    run.playout.heard += heard
    return run


TURN = Rendered(np.zeros(0, np.int16), 1_000_000, 3_000_000, (1_500_000, 2_000_000))
SAID = Respond("words", "words", 1_000_000, 3_000_000)


@pytest.mark.parametrize(
    ("decided_us", "cut_off", "delay_ms"),
    [(3_400_000, False, 400.0), (1_900_000, True, None), (2_100_000, True, None), (None, False, None)],
)
def test_a_decision_before_the_last_word_ended_is_a_cut_off(
    decided_us: int | None, cut_off: bool, delay_ms: float | None
) -> None:
    run = of(*([Done(decided_us, SAID)] if decided_us else []))
    found = scored(Kind.UNFINISHED, TURN, run)
    assert (found.cut_off, found.decision_ms) == (cut_off, delay_ms)


def test_a_stop_is_measured_to_the_last_sample_heard() -> None:
    done = (Done(1_120_000, Pause()), Done(1_500_000, StopSpeaking()))
    found = scored(Kind.INTERRUPTION, TURN, of(*done, heard=((0, True), (1_121_000, False))))
    assert found.good
    assert found.stop_ms == 121.0 + PLAYOUT_US / 1000
    assert found.yielded_ms == 500.0 + TELL_US / 1000


def test_who_yields_late_has_not_yielded() -> None:
    found = scored(Kind.INTERRUPTION, TURN, of(Done(2_600_000, StopSpeaking()), heard=((0, True), (2_600_000, False))))
    assert not found.good


def test_a_cough_that_stops_the_agent_was_not_ignored() -> None:
    found = scored(Kind.COUGH, TURN, of(Done(1_500_000, StopSpeaking()), heard=((0, True), (1_500_000, False))))
    assert not found.good


@pytest.mark.parametrize(
    ("good", "count", "low", "high"), [(95, 100, 0.8882, 0.9785), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_wilsons_interval(good: int, count: int, low: float, high: float) -> None:
    assert scoring.wilson(good, count) == pytest.approx((low, high), abs=2e-4)


def test_a_rate_of_nothing_is_none() -> None:
    assert scoring.figures([])["yield_rate"] is None
