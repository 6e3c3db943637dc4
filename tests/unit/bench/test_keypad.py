"""The telephone-events of bench/mediaload/keypad.py: times, ends and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mediaload.keypad import END_REPEATS, FRAMES_A_KEY, KEYS, TONE_FRAMES, Event, Keypad


def pressed(keys: str) -> list[Event | None]:
    keypad = Keypad(keys)
    out = []
    while not keypad.done:
        out.append(keypad.step())
    return out


def test_one_key() -> None:
    events = [one for one in pressed("#") if one is not None]
    assert [event.marker for event in events] == [True] + [False] * (TONE_FRAMES + END_REPEATS - 1)
    assert [event.began_frames_ago for event in events] == list(range(TONE_FRAMES + END_REPEATS))
    assert events[0].payload == bytes([11, 10, 0, 160])
    assert {event.payload for event in events[TONE_FRAMES - 1 :]} == {bytes([11, 0x80 | 10, 3, 0x20])}


@given(st.text(st.sampled_from(KEYS), max_size=20))
def test_each_key_has_its_time_and_its_gap(keys: str) -> None:
    events = pressed(keys)
    assert len(events) == FRAMES_A_KEY * len(keys)
    for number, key in enumerate(keys):
        first = events[FRAMES_A_KEY * number]
        assert first is not None
        assert first.payload[0] == KEYS.index(key)
        assert events[FRAMES_A_KEY * (number + 1) - 1] is None


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is no key"):
        Keypad("1x")
