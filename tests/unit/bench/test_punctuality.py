"""What bench/mediaload/punctuality.py makes of packets: lateness by timestamp, loss by sequence, speech by marks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mediaload.punctuality import FRAME_NS, PACKET, judge
from bench.mediaload.speech import FRAMES, UNMARKED

MS = 1_000_000


def stream(count: int, port: int = 20000, sequence: int = 65500, timestamp: int = (1 << 32) - 800) -> Any:
    """On time; sequence and timestamp wrap on the way."""
    packets = np.zeros(count, PACKET)
    at = np.arange(count)
    packets["port"] = port
    packets["sequence"] = (sequence + at) & 0xFFFF
    packets["timestamp"] = (timestamp + 160 * at) & 0xFFFFFFFF
    packets["mark"] = (3990 + at) % FRAMES
    packets["arrival_ns"] = 1_700_000_000_000_000_000 + FRAME_NS * at
    return packets


def without(packets: Any, *numbers: int) -> Any:
    return np.delete(packets, numbers)


def test_nothing_came() -> None:
    assert judge(np.zeros(0, PACKET)).late_pct == 0


def test_on_time() -> None:
    told = judge(stream(1000), FRAMES)
    assert (told.streams, told.frames, told.late_pct, told.lost, told.unheard) == (1, 1000, 0, 0, 0)
    assert told.worst_ms == 0


def test_late_is_behind_the_least_delayed_packet() -> None:
    packets = stream(100)
    packets["arrival_ns"] += 5 * MS
    packets["arrival_ns"][50] -= 5 * MS
    packets["arrival_ns"][60] += 14 * MS  # 19 ms
    packets["arrival_ns"][61] += 16 * MS  # 21 ms
    told = judge(packets, FRAMES)
    assert (told.late, told.worst_ms, told.p50_ms) == (1, 21, 5)


def test_lost_packets_do_not_make_others_late() -> None:
    told = judge(without(stream(100), 10, 11, 40))
    assert (told.lost, told.late, told.skipped, told.frames) == (3, 0, 0, 97)


def test_a_skipped_slot_is_a_late_frame_and_none_lost() -> None:
    packets = stream(100)
    packets["timestamp"][50:] += np.uint32(160)
    packets["arrival_ns"][50:] += FRAME_NS
    told = judge(packets, FRAMES)
    assert (told.skipped, told.late, told.lost, told.unheard) == (1, 0, 0, 0)
    assert told.late_pct == pytest.approx(100 / 101)


def test_silence_in_speech_is_late_and_a_missing_frame_is_unheard() -> None:
    packets = stream(100)
    packets["mark"][20] = UNMARKED
    packets["mark"][21:] -= 1  # went on where it stopped
    packets["mark"][60:] = (packets["mark"][60:] + 3) % FRAMES
    told = judge(packets, FRAMES)
    assert (told.unplayed, told.unheard) == (1, 3)


def test_marks_are_left_alone_where_nobody_speaks() -> None:
    packets = stream(100)
    packets["mark"] = UNMARKED
    told = judge(packets)
    assert (told.unplayed, told.unheard) == (0, 0)


def test_each_stream_has_its_own_line() -> None:
    first, second = stream(100), stream(100, 20002, 7, 9)
    second["arrival_ns"] += 13 * MS
    both = np.concatenate([first, second])
    told = judge(both[np.argsort(both["arrival_ns"], kind="stable")], FRAMES)
    assert (told.streams, told.frames, told.late, told.worst_ms, told.lost) == (2, 200, 0, 0, 0)


@given(st.sets(st.integers(1, 198), max_size=100))
def test_what_came_and_what_was_lost_is_what_was_sent(lost: set[int]) -> None:
    told = judge(without(stream(200), *lost))
    assert told.frames + told.lost == 200
    assert told.lost == len(lost)
    assert told.late == told.skipped == 0
