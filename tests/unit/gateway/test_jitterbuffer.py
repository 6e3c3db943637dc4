"""One frame out each tick, whatever comes in: no frame twice, delay and memory bounded, drift followed, loss concealed.

A table has a line for what came in each 20 ms before a tick and one for what was played at it: a number is a frame,
`~` a made-up one, `.` nothing or silence.
"""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.jitterbuffer import MAX_AHEAD, MAX_DELAY_MS, JitterBuffer

MS = 1000
TICK = 20 * MS


def frame(sequence: int, samples: int = 160) -> bytes:
    """A frame that tells its number: no pause, and unlike any that is made up."""
    return np.full(samples, 1009 + 37 * (sequence % 800), "<i2").tobytes()


def number(played: bytes) -> str:
    samples = np.frombuffer(played, "<i2")
    if not samples.any():
        return "."
    # The first 4 ms may be a joint.
    value = int(samples[-1])
    if (samples[64:] == value).all() and (value - 1009) % 37 == 0:
        return str((value - 1009) // 37)
    return "~"


def play(buffer: JitterBuffer, arrivals: str, start_tick: int = 0) -> str:
    out: list[str] = []
    for tick, came in enumerate(arrivals.split(), start_tick):
        for one in came.split(",") if came != "." else []:
            concealed = one.startswith("c")
            sequence = int(one.lstrip("c"))
            buffer.put(sequence, frame(sequence), tick * TICK - 10 * MS, concealed=concealed)
        out.append(number(buffer.get(tick * TICK)))
    return " ".join(out)


@pytest.mark.parametrize(
    ("came", "played"),
    [
        # in order: the first waits for the delay that a call begins with
        ("0 1 2 3 4 5", ". 0 1 2 3 4"),
        # two swapped within the delay
        ("0 1 3,2 4 5", ". 0 1 2 3"),
        ("0 2 1 3 4 5", ". 0 1 2 3 4"),
        # the first two swapped: what came after the other was longer under way
        ("1,0 2 3 4", "0 1 2 3"),
        # one lost, then two
        ("0 1 . 3 4 5", ". 0 1 ~ 3 4"),
        ("0 1 . . 4 5 6", ". 0 1 ~ ~ 4 5"),
        # doubled
        ("0,0 1,1 1,2 2 3,4", ". 0 1 2 3"),
        # late, and not given up while nothing after it came: played later, and the delay has grown
        ("0 1 . . 2 3 4 5", ". 0 1 ~ 2 3 4 5"),
        # given up because the next came, then too late
        ("0 1 . 3 4,2 5", ". 0 1 ~ 3 4"),
        # made up by the decoder, and a real one that comes in time
        ("0 c1 2 3", ". 0 1 2"),
        ("0 c1,1 2 3", ". 0 1 2"),
        # the sender pauses (DTX) and its count goes on where it was: silence, then the delay anew
        ("0 1 . . . . . . . . . 2 3 4 5", ". 0 1 ~ ~ ~ . . . . . . 2 3 4"),
        # the network stands still and its frames are lost
        ("0 1 . . . . . . . . . 11 12 13 14", ". 0 1 ~ ~ ~ . . . . . . 11 12 13"),
        # nothing ever
        (". . .", ". . ."),
    ],
)
def test_in_and_out(came: str, played: str) -> None:
    assert play(JitterBuffer(), came)[: len(played)] == played


def test_restart_counts_anew_and_keeps_what_it_knows() -> None:
    buffer = JitterBuffer()
    assert play(buffer, "70 71 72 73") == ". 70 71 72"
    buffer.restart()
    assert play(buffer, "5 6 7 8", 4) == "~ 5 6 7"


def test_another_count_without_restart_is_believed_from_the_second_frame_on() -> None:
    buffer = JitterBuffer()
    assert play(buffer, "500 501 502 503 504") == ". 500 501 502 503"
    assert play(buffer, "3 4 5 6 7", 5).endswith("4 5 6")


def test_a_stray_number_is_not_believed() -> None:
    buffer = JitterBuffer()
    assert play(buffer, "0 1 2,700 3 4 5 6") == ". 0 1 2 3 4 5"


def test_what_was_played_is_not_played_again_after_a_stall() -> None:
    buffer = JitterBuffer()
    played = play(buffer, "0 1 2 3 . . . . . . . . . 1 2 3 4 5 6 7")
    assert [one for one in played.split() if one.isdigit()] == ["0", "1", "2", "3", "4", "5", "6"]


def test_statistics_tell_what_became_of_the_frames() -> None:
    buffer = JitterBuffer()
    play(buffer, "0 1 . 3 4,2 5 5 c7 8 9 10")
    told = buffer.statistics()
    assert (told.received, told.late, told.duplicates) == (11, 1, 1)
    assert told.concealed == 3  # 2 and 6 here, 7 by the decoder
    assert told.dropped == told.inserted == 0
    assert 20 <= told.delay_ms <= 60


def test_frames_of_another_length_are_fitted() -> None:
    buffer = JitterBuffer(16000)
    for tick, size in enumerate((640, 0, 3, 641, 5000, 640)):
        buffer.put(tick, b"\1" * size, tick * TICK)
        assert len(buffer.get(tick * TICK + 1)) == 640


def test_silence_is_one_object() -> None:
    buffer = JitterBuffer()
    assert all(buffer.get(tick * TICK) is buffer.silence for tick in range(3))


def test_after_an_outage_old_sound_is_left_out() -> None:
    """A second's frames come at once: what is beyond the longest delay is not played."""
    buffer = JitterBuffer()
    play(buffer, " ".join(map(str, range(50))))
    play(buffer, "50 " + ". " * 45, 50)
    for sequence in range(51, 97):
        buffer.put(sequence, frame(sequence), 96 * TICK - 10 * MS)
    played = [number(buffer.get(tick * TICK)) for tick in range(96, 100)]
    numbers = [int(one) for one in played if one.isdigit()]
    assert numbers
    assert numbers[0] >= 96 - MAX_DELAY_MS // 20 - 2
    assert buffer.statistics().dropped > 30


events = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 120), st.integers(-300, 300), st.booleans()),
        st.tuples(st.just("tick"), st.integers(1, 8), st.integers(0, 30), st.booleans()),
    ),
    max_size=150,
)


@settings(max_examples=300, deadline=None)
@given(events, st.sampled_from([8000, 16000]), st.booleans())
def test_any_arrivals_give_a_frame_each_tick_with_delay_and_memory_bounded(
    events: list[tuple[str, int, int, bool]], rate_hz: int, quiet: bool
) -> None:
    buffer = JitterBuffer(rate_hz)
    made: dict[int, bytes] = {}
    now = 0
    numbers: list[int] = []
    for kind, first, second, flag in events:
        if kind == "put":
            pcm = frame(first, rate_hz // 50) if not quiet else bytes([first, 0]) * (rate_hz // 50)
            made[id(pcm)] = pcm
            buffer.put(first, pcm, now + second * MS, concealed=flag)
            assert buffer.holding <= 2 * MAX_AHEAD + 1
            continue
        for _ in range(first):
            now += TICK + (second * MS if flag else 0)
            played = buffer.get(now)
            assert len(played) == rate_hz // 25
            if id(played) in made:
                numbers.append(id(played))
            assert 0 <= buffer.delay_ms <= MAX_DELAY_MS + 60
            assert 20 <= buffer.target_ms <= MAX_DELAY_MS
    assert len(numbers) == len(set(numbers)), "a frame was played twice"


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(-(10**15), 10**15), st.integers(0, 10**15))))
def test_nothing_that_comes_raises(events: list[tuple[int, int, int]]) -> None:
    buffer = JitterBuffer()
    for sequence, arrived, now in events:
        buffer.put(sequence, frame(sequence), arrived)
        assert len(buffer.get(now)) == 320
        assert buffer.holding <= 2 * MAX_AHEAD + 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 6), st.integers(0, 60), st.booleans()), min_size=20, max_size=120))
def test_no_frame_is_played_twice_and_none_before_its_predecessor(steps: list[tuple[int, int, bool]]) -> None:
    """Doubled, disordered and skipped numbers, each in many copies."""
    buffer = JitterBuffer()
    sequence_of: dict[int, int] = {}
    kept: list[bytes] = []
    played: list[int] = []
    now, latest = 0, 10
    for by, wait_ms, concealed in steps:
        sequence = max(latest + by, 0)
        latest = max(latest, sequence)
        kept.append(frame(sequence))
        sequence_of[id(kept[-1])] = sequence
        buffer.put(sequence, kept[-1], now, concealed=concealed)
        for _ in range(wait_ms // 15):
            now += TICK
            out = buffer.get(now)
            if id(out) in sequence_of:
                played.append(sequence_of[id(out)])
    assert played == sorted(set(played))


@given(st.permutations(range(12)), st.integers(0, 5))
def test_frames_that_are_played_are_in_order(order: list[int], spread: int) -> None:
    buffer = JitterBuffer()
    came = [str(one) for one in sorted(range(12), key=lambda one: (one + spread * order[one] / 12, one))]
    numbers = [int(one) for one in play(buffer, " ".join([*came, *"....."])).split() if one.isdigit()]
    assert numbers == sorted(set(numbers))


def talk(frames: int, rate_hz: int = 8000) -> list[bytes]:
    """Two seconds of a voice of 140 Hz, one of line noise, and so on."""
    rng = np.random.default_rng(4)
    count = rate_hz // 50
    at = np.arange(frames * count) / rate_hz
    voice = 6000 * np.sin(2 * np.pi * 140 * at) + 2500 * np.sin(2 * np.pi * 280 * at + 1)
    voice = np.where(at % 3 < 2, voice, rng.normal(0, 20, len(at))).astype("<i2")
    return [voice[start : start + count].tobytes() for start in range(0, len(voice), count)]


def simulate(
    buffer: JitterBuffer, frames: int, jitter_ms: float = 0, loss: float = 0, reordered: float = 0, ppm: float = 0
) -> list[float]:
    """What a network like that sends; the delay at each tick, in ms."""
    rng = random.Random(7)
    sound = talk(150)
    arrivals = []
    for sequence in range(frames):
        if rng.random() < loss:
            continue
        late_ms = rng.uniform(0, jitter_ms) + (rng.uniform(20, 45) if rng.random() < reordered else 0)
        arrivals.append((int(sequence * TICK * (1 + ppm / 1e6) + late_ms * MS), sequence))
    arrivals.sort()
    delays, at = [], 0
    for tick in range(frames):
        now = tick * TICK + 7 * MS
        while at < len(arrivals) and arrivals[at][0] <= now:
            buffer.put(arrivals[at][1], sound[arrivals[at][1] % 150], arrivals[at][0])
            at += 1
        buffer.get(now)
        delays.append(buffer.delay_ms)
    return delays


@pytest.mark.parametrize("ppm", [200, -200])
def test_an_hour_of_drift_makes_no_frame_late(ppm: float) -> None:
    buffer = JitterBuffer()
    delays = simulate(buffer, 180_000, jitter_ms=5, ppm=ppm)
    told = buffer.statistics()
    assert told.late == 0
    assert told.concealed <= 3  # a fast sender has sent its last before the hour is over
    # 200 ppm of an hour are 36 frames; pauses are frequent enough to do it all there.
    assert 33 <= told.dropped + told.inserted <= 39
    assert told.shortened == told.lengthened == 0
    assert max(delays[1000:-100]) < 60


def test_a_bad_network_makes_few_frames_late() -> None:
    buffer = JitterBuffer()
    delays = simulate(buffer, 30_000, jitter_ms=40, loss=0.05, reordered=0.02)
    told = buffer.statistics()
    assert told.late < 0.01 * told.received
    assert told.concealed < 0.065 * 30_000
    assert max(delays) <= 120


def test_the_delay_goes_up_quickly_and_comes_down_slowly() -> None:
    buffer = JitterBuffer()
    rng = random.Random(3)
    sound = talk(150)
    target_ms: list[float] = []
    arrivals: list[tuple[int, int]] = []
    for sequence in range(6000):
        jitter_ms = 80 if 1000 <= sequence < 1500 else 2
        arrivals.append((sequence * TICK + int(rng.uniform(0, jitter_ms) * MS), sequence))
    arrivals.sort()
    at = 0
    for tick in range(6000):
        while at < len(arrivals) and arrivals[at][0] <= tick * TICK:
            buffer.put(arrivals[at][1], sound[arrivals[at][1] % 150], arrivals[at][0])
            at += 1
        buffer.get(tick * TICK)
        target_ms.append(buffer.target_ms)
    assert target_ms[999] <= 30
    assert target_ms[1100] >= 60, "two seconds of jitter"
    assert target_ms[1600] >= 60, "two seconds after it"
    assert target_ms[5999] <= 30
    assert buffer.delay_ms <= 50


def test_a_voice_without_pauses_is_stretched_by_whole_periods_without_clicks() -> None:
    at = np.arange(160 * 20_100) / 8000
    voice = (6000 * np.sin(2 * np.pi * 140 * at) + 2500 * np.sin(2 * np.pi * 280 * at)).astype("<i2")
    steepest = int(np.abs(np.diff(voice.astype(np.int32))).max())
    for ppm in (300, -300):
        buffer = JitterBuffer()
        played = []
        sequence = 0
        for tick in range(20_000):
            while sequence * TICK * (1 + ppm / 1e6) <= tick * TICK + 5 * MS:
                arrived = int(sequence * TICK * (1 + ppm / 1e6))
                buffer.put(sequence, voice[160 * sequence : 160 * (sequence + 1)].tobytes(), arrived)
                sequence += 1
            played.append(buffer.get(tick * TICK + 5 * MS))
        told = buffer.statistics()
        assert told.concealed == told.late == told.dropped == told.inserted == 0
        assert (told.lengthened if ppm > 0 else told.shortened) >= 5
        assert told.lengthened + told.shortened <= 30, "rarely"
        sound = np.frombuffer(b"".join(played[2:]), "<i2").astype(np.int32)
        assert np.abs(np.diff(sound[300:])).max() <= 1.1 * steepest
