"""Frames are put in order, each once, and clips are cut by call time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.asr.segment import AudioRing, Intake
from services.common.media.frame import FRAME_US, AudioFrame


def frame(sequence: int) -> AudioFrame:
    return AudioFrame(sequence, sequence * FRAME_US, 8000, np.full(160, sequence, "<i2").tobytes())


def numbers(frames: list[AudioFrame]) -> list[int]:
    return [one.sequence for one in frames]


def test_frames_in_order_pass_at_once_and_duplicates_do_not() -> None:
    intake = Intake()
    assert [numbers(intake.live(frame(n))) for n in (0, 1, 1, 0, 2)] == [[0], [1], [], [], [2]]
    assert not intake.behind


def test_a_gap_waits_for_the_replay() -> None:
    intake = Intake(5)
    assert numbers(intake.live(frame(8))) == []
    assert intake.behind
    intake.hold(frame(9))
    assert numbers(intake.replayed([frame(n) for n in (4, 5, 6, 7, 8)])) == [5, 6, 7, 8, 9]
    assert numbers(intake.replay_over()) == []
    assert not intake.behind


def test_a_gap_that_no_replay_fills_is_left_behind() -> None:
    intake = Intake()
    intake.live(frame(3))
    intake.replayed([frame(0)])
    assert numbers(intake.replay_over()) == [3]
    assert numbers(intake.live(frame(4))) == [4]


def test_a_frame_too_old_is_left_out_with_all_before_it() -> None:
    intake = Intake()
    intake.skip(frame(7))
    assert numbers(intake.live(frame(3))) == []
    assert numbers(intake.live(frame(8))) == [8]


@given(st.permutations(list(range(12))), st.sets(st.integers(0, 11)), st.lists(st.integers(0, 11), max_size=6))
def test_whatever_comes_each_frame_is_heard_once_and_in_order(
    order: list[int], lost: set[int], again: list[int]
) -> None:
    intake = Intake()
    got: list[int] = []
    for number in [*order, *again]:
        if number not in lost:
            got += numbers(intake.live(frame(number)))
    got += numbers(intake.replayed([frame(number) for number in sorted(lost)]))
    assert got == list(range(12))


def test_a_clip_is_cut_to_the_sample_and_knows_its_call_times() -> None:
    ring = AudioRing(8000, 1000)
    for number in range(100):
        ring.push(10_000 + number * FRAME_US, np.full(160, number, np.int16))
    clip = ring.cut(1_515_000, 1_545_000)
    assert list(clip.samples) == [75] * 120 + [76] * 120
    assert clip.duration_ms == 30
    assert [clip.call_time_us(at) for at in (0.0, 0.005, 0.02)] == [1_515_000, 1_520_000, 1_535_000]


def test_what_is_no_longer_kept_is_not_in_the_clip() -> None:
    ring = AudioRing(8000, 1000)
    for number in range(100):
        ring.push(number * FRAME_US, np.full(160, number, np.int16))
    assert ring.cut(0, 2_000_000).duration_ms == 1000
    assert len(ring.cut(0, 500_000).samples) == 0


def test_a_hole_becomes_silence_and_the_times_after_it_stay_right() -> None:
    ring = AudioRing(8000, 1000)
    ring.push(0, np.full(160, 1, np.int16))
    ring.push(100_000, np.full(160, 2, np.int16))
    clip = ring.cut(0, 200_000)
    assert list(clip.samples) == [1] * 160 + [0] * 640 + [2] * 160
    assert clip.call_time_us(0.1) == 100_000
    ring.push(9_000_000, np.full(160, 3, np.int16))
    clip = ring.cut(100_000, 10_000_000)
    assert clip.duration_ms == 20 + 1000 + 20
    assert clip.call_time_us(1.02) == 9_000_000
