"""Playout keeps every sample of what was released, in the order of the Play commands, and tells what was heard."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.gateway.playout import (
    STARVED_US,
    End,
    Playout,
    PlayoutEvent,
    PlayoutFinished,
    PlayoutProgress,
    PlayoutStarted,
)

MS = 1000


def samples(utterance: int, index: int) -> bytes:
    """Frame `index` of an utterance: 160 samples that no other frame has."""
    return struct.pack("<160h", *(utterance * 10_000 + index * 160 + at for at in range(160)))


def frame(utterance: int, index: int, last: bool = False) -> AudioFrame:
    return AudioFrame(index, 0, 8000, samples(utterance, index), utterance, END_OF_UTTERANCE if last else 0)


def feed(playout: Playout, utterance: int, count: int, now_us: int = 0, end: bool = True) -> None:
    for index in range(count):
        playout.frame(frame(utterance, index, end and index == count - 1), now_us)


def ticks(playout: Playout, count: int, start_us: int = 0) -> tuple[list[bytes | None], list[PlayoutEvent]]:
    audio: list[bytes | None] = []
    events: list[PlayoutEvent] = []
    for slot in range(count):
        out, happened = playout.tick(start_us + slot * 20 * MS)
        audio.append(out)
        events += happened
    return audio, events


@pytest.mark.parametrize("play_first", [True, False])
def test_play_before_or_after_the_frames(play_first: bool) -> None:
    playout = Playout()
    if play_first:
        playout.play(1, 5)
        feed(playout, 1, 2, 70)
    else:
        feed(playout, 1, 2, 5)
        playout.play(1, 70)
    audio, events = ticks(playout, 3, 100)
    assert audio == [samples(1, 0), samples(1, 1), None]
    assert events == [PlayoutStarted(1, 70), PlayoutFinished(1, 320, End.COMPLETED)]
    assert playout.idle


def test_unreleased_frames_are_not_heard() -> None:
    playout = Playout()
    feed(playout, 1, 2)
    assert ticks(playout, 5) == ([None] * 5, [])


def test_order_is_that_of_the_play_commands() -> None:
    playout = Playout()
    feed(playout, 1, 1)
    feed(playout, 2, 1)
    playout.play(2, 0)
    playout.play(1, 0)
    audio, _ = ticks(playout, 2)
    assert audio == [samples(2, 0), samples(1, 0)]


def test_the_next_utterance_follows_without_a_gap() -> None:
    playout = Playout()
    for utterance in (1, 2):
        feed(playout, utterance, 2)
        playout.play(utterance, 0)
    audio, _ = ticks(playout, 4)
    assert audio == [samples(1, 0), samples(1, 1), samples(2, 0), samples(2, 1)]


def test_progress_every_400_ms() -> None:
    playout = Playout()
    feed(playout, 1, 25)
    playout.play(1, 0)
    _, events = ticks(playout, 25)
    assert events[1:] == [
        PlayoutProgress(1, 3200),
        PlayoutFinished(1, 4000, End.COMPLETED),
    ]


def test_pause_keeps_the_position() -> None:
    playout = Playout()
    feed(playout, 1, 4)
    playout.play(1, 0)
    ticks(playout, 2)
    assert playout.pause(1) == [PlayoutProgress(1, 320, paused=True)]
    assert playout.paused
    assert ticks(playout, 3) == ([None] * 3, [])
    playout.resume(1)
    audio, events = ticks(playout, 2)
    assert audio == [samples(1, 2), samples(1, 3)]
    assert events == [PlayoutFinished(1, 640, End.COMPLETED)]


def test_resume_from_a_sample_between_frames_says_it_again_and_pads_the_end() -> None:
    playout = Playout()
    feed(playout, 1, 3)
    playout.play(1, 0)
    ticks(playout, 2)
    playout.pause(1)
    playout.resume(1, 100)
    audio, events = ticks(playout, 3)
    whole = samples(1, 0) + samples(1, 1) + samples(1, 2)
    assert b"".join(out or b"" for out in audio) == whole[200:] + bytes(200)
    assert events == [PlayoutFinished(1, 480, End.COMPLETED)]


def test_resume_never_skips_forward() -> None:
    playout = Playout()
    feed(playout, 1, 3)
    playout.play(1, 0)
    ticks(playout, 1)
    playout.pause(1)
    playout.resume(1, 400)
    assert playout.tick(0)[0] == samples(1, 1)


def test_what_was_heard_before_going_back_still_counts() -> None:
    playout = Playout()
    feed(playout, 1, 9)
    playout.play(1, 0)
    ticks(playout, 5)
    playout.pause(1)
    playout.resume(1, 320)
    ticks(playout, 1)
    assert playout.stop(1) == [PlayoutFinished(1, 800, End.STOPPED)]


def test_stop_counts_what_was_heard_and_drops_what_still_comes() -> None:
    playout = Playout()
    feed(playout, 1, 3, end=False)
    playout.play(1, 0)
    ticks(playout, 2)
    assert playout.stop(1) == [PlayoutFinished(1, 320, End.STOPPED)]
    playout.frame(frame(1, 3), 0)
    playout.play(1, 0)
    assert ticks(playout, 2) == ([None, None], [])
    assert playout.idle


def test_stop_of_an_utterance_that_never_came_is_answered_once() -> None:
    playout = Playout()
    assert playout.stop(7) == [PlayoutFinished(7, 0, End.STOPPED)]
    assert playout.stop(7) == []


def test_starved_after_five_seconds_and_the_next_goes_on() -> None:
    playout = Playout()
    feed(playout, 1, 1, end=False)
    feed(playout, 2, 1)
    playout.play(1, 0)
    playout.play(2, 0)
    playout.tick(0)
    assert playout.tick(20 * MS) == (None, [])
    assert playout.tick(STARVED_US + 19 * MS) == (None, [])
    out, events = playout.tick(STARVED_US + 20 * MS)
    assert out == samples(2, 0)
    assert events[0] == PlayoutFinished(1, 160, End.STARVED)


def test_a_pause_starves_nothing() -> None:
    playout = Playout()
    playout.play(1, 0)
    playout.tick(0)
    playout.pause(1)
    assert playout.tick(2 * STARVED_US) == (None, [])
    playout.resume(1)
    assert playout.tick(2 * STARVED_US) == (None, [])


def test_a_gap_keeps_its_length_and_repeated_frames_are_dropped() -> None:
    playout = Playout()
    for index in (0, 0, 2, 1):
        playout.frame(frame(1, index, last=index == 2), 0)
    playout.play(1, 0)
    audio, _ = ticks(playout, 3)
    assert audio == [samples(1, 0), bytes(320), samples(1, 2)]
    assert playout.dropped_frames == 2


def test_unplayed_utterances_make_room_for_new_ones() -> None:
    playout = Playout()
    silence = bytes(320)
    for utterance in range(1, 4):
        for index in range(3000):  # a minute each, two fit
            playout.frame(AudioFrame(index, 0, 8000, silence, utterance), 0)
    assert playout.dropped_frames == 3000
    assert playout.play(1, 0) == [PlayoutFinished(1, 0, End.STARVED)], "the oldest went, and whoever waits is told"
    assert playout.play(1, 0) == []
    playout.play(3, 0)
    assert playout.tick(0)[0] == silence


def test_forget_lets_another_brain_count_anew() -> None:
    playout = Playout()
    playout.stop(1)
    playout.forget(2)
    feed(playout, 1, 1)
    playout.play(1, 0)
    assert playout.tick(0)[0] == samples(1, 0)


step = st.one_of(
    st.tuples(st.just("frame"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["play", "pause", "resume"]), st.integers(1, 3)),
    st.tuples(st.just("tick"), st.integers(1, 4)),
)


@given(st.lists(step, max_size=60))
def test_samples_are_conserved(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of commands: what is heard of an utterance is its samples, each once, in order."""
    playout = Playout()
    fed = dict.fromkeys((1, 2, 3), b"")
    counts = dict.fromkeys((1, 2, 3), 0)
    released: list[int] = []
    heard = b""
    finished: list[PlayoutFinished] = []

    def run(count: int) -> None:
        nonlocal heard
        for out, events in (playout.tick(0) for _ in range(count)):
            heard += out or b""
            finished.extend(event for event in events if isinstance(event, PlayoutFinished))

    for what, which in steps:
        match what:
            case "frame" if counts[which] < 6:
                playout.frame(frame(which, counts[which], last=counts[which] == 5), 0)
                fed[which] += samples(which, counts[which])
                counts[which] += 1
            case "play":
                if which not in released:
                    released.append(which)
                playout.play(which, 0)
            case "pause":
                playout.pause(which)
            case "resume":
                playout.resume(which)
            case "tick":
                run(which)
    for which in (1, 2, 3):
        playout.resume(which)
    run(40)
    expected = b""
    for which in released:
        expected += fed[which]
        if counts[which] < 6:
            break
    assert heard == expected
    assert [(one.utterance_id, one.samples_played) for one in finished] == [
        (which, 960) for which in released[: len(finished)]
    ]
