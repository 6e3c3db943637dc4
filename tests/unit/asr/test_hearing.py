"""Clips hold all of an utterance, none of its neighbour, and a head start is used only when it had everything."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.asr.endpointer import Endpointer
from services.asr.hearing import Began, Ended, Heard, Hearing, PerhapsEnded
from services.asr.partials import covers
from services.common.media.frame import FRAME_US, AudioFrame


class LoudIsSpeech:
    """Stands for the network: a 20 ms frame that is loud is speech."""

    def hear(self, samples: NDArray[np.int16]) -> Sequence[tuple[int, float]]:
        return [(len(samples), 0.9 if np.abs(samples).max() > 100 else 0.05)]


def told(*stretches: tuple[int, int], hearing: Hearing | None = None) -> list[Heard]:
    """What is heard of (frames, peak) one after the other."""
    hearing = hearing or Hearing(8000, LoudIsSpeech(), Endpointer(8000))
    events: list[Heard] = []
    number = hearing.heard_to_us // FRAME_US
    for frames, peak in stretches:
        for _ in range(frames):
            samples = (np.sin(2 * np.pi * np.arange(160) / 20) * peak).astype("<i2")
            events += hearing.hear(AudioFrame(number, number * FRAME_US, 8000, samples.tobytes()))
            number += 1
    return events


def test_one_utterance_has_a_head_start_with_all_of_its_speech() -> None:
    began, perhaps, ended = told((50, 0), (30, 3000), (50, 0))
    assert isinstance(began, Began)
    assert isinstance(perhaps, PerhapsEnded)
    assert isinstance(ended, Ended)
    assert (began.call_time_us, ended.started_us, ended.ended_us) == (1_000_000, 1_000_000, 1_600_000)
    assert perhaps.call_time_us == ended.ended_us
    assert covers(perhaps.segment, ended.ended_us)
    for segment in (perhaps.segment, ended.segment):
        assert segment.call_time_us(0) == 700_000
        loud = np.flatnonzero(np.abs(segment.samples) > 100)
        assert (loud[-1] - loud[0]) / 8 >= 595
    assert perhaps.segment.duration_ms == 300 + 600 + 100
    assert ended.segment.duration_ms == 300 + 600 + 200


def test_a_head_start_that_missed_the_end_is_not_used_and_the_next_one_is() -> None:
    events = told((50, 0), (30, 3000), (7, 0), (20, 3000), (50, 0))
    assert [type(one) for one in events] == [Began, PerhapsEnded, PerhapsEnded, Ended]
    _, missed, foreseen, ended = events
    assert isinstance(missed, PerhapsEnded)
    assert isinstance(foreseen, PerhapsEnded)
    assert isinstance(ended, Ended)
    assert not covers(missed.segment, ended.ended_us)
    assert covers(foreseen.segment, ended.ended_us)
    assert ended.ended_us == 2_140_000
    assert ended.segment.duration_ms == 300 + 1140 + 200


def test_no_sample_of_speech_is_in_two_clips() -> None:
    ends = [one for one in told((50, 0), (30, 3000), (14, 0), (30, 3000), (50, 0)) if isinstance(one, Ended)]
    first, second = ends
    assert second.segment.call_time_us(0) == first.ended_us + 20_000
    assert np.abs(second.segment.samples[:1600]).max() == 0


def test_the_utterance_under_way_can_be_had_up_to_now() -> None:
    hearing = Hearing(8000, LoudIsSpeech(), Endpointer(8000))
    told((50, 0), (30, 3000), hearing=hearing)
    assert (hearing.utterance, hearing.speaking) == (1, True)
    assert hearing.speech_to_us == hearing.heard_to_us == 1_600_000
    assert hearing.so_far().call_time_us(0) == 700_000
    assert hearing.so_far().end_us == 1_600_000


def test_a_turn_holds_its_pauses_and_begins_anew_when_the_agent_was_heard_or_after_a_long_silence() -> None:
    hearing = Hearing(8000, LoudIsSpeech(), Endpointer(8000))
    told((50, 0), (30, 3000), (20, 0), (30, 3000), (50, 0), hearing=hearing)
    two_in_one = hearing.turn(2_600_000)
    assert (two_in_one.call_time_us(0), two_in_one.end_us) == (700_000, 2_700_000)

    hearing.agent_heard()
    told((30, 3000), (20, 0), hearing=hearing)  # from 3.6 s
    assert hearing.turn(4_200_000).call_time_us(0) == 3_300_000

    told((200, 0), (30, 3000), (20, 0), hearing=hearing)  # from 8.6 s
    assert hearing.turn(9_200_000).call_time_us(0) == 8_300_000

    told((450, 3000), (20, 0), hearing=hearing)  # 9 s more
    assert hearing.turn(18_600_000).call_time_us(0) == 10_700_000
    assert hearing.turn(18_600_000).duration_ms == 8000


def test_in_noise_a_clip_goes_on_further_behind_its_last_speech_sample() -> None:
    """The word's soft end lies in the noise there, and may still be heard by the recognizer."""
    events = told(*[(5, peak) for peak in (700, 450, 900, 600) * 5], (30, 3000), *[(5, 600)] * 20)
    ended = next(one for one in events if isinstance(one, Ended))
    assert abs(ended.ended_us - 2_600_000) <= 30_000
    assert abs(ended.segment.end_us - ended.ended_us - 320_000) <= 20_000
