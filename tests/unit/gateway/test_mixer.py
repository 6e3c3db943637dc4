"""Nobody hears himself, everybody hears all others, a whisper reaches one; the sum never wraps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.gateway.mixer import MAX_LEGS, Mixer, MixerFull


def pcm(value: int) -> bytes:
    return np.full(160, value, "<i2").tobytes()


def heard(frame: bytes | None) -> int | None:
    return None if frame is None else int(np.frombuffer(frame, "<i2")[80])


def mix(mixer: Mixer, **said: int | None) -> dict[str, int | None]:
    frames = {leg: None if value is None else pcm(value) for leg, value in said.items()}
    return {leg: heard(frame) for leg, frame in mixer.mix(frames).items()}


def conference(*legs: str) -> Mixer:
    mixer = Mixer()
    for leg in legs:
        mixer.join(leg)
    return mixer


def test_two_alone_hear_each_other_without_arithmetic() -> None:
    mixer = conference("a", "b")
    a, b = pcm(30_000), pcm(-32_768)
    out = mixer.mix({"a": a, "b": b})
    assert out["a"] is b
    assert out["b"] is a


@pytest.mark.parametrize(
    ("said", "out"),
    [
        ({"a": 1, "b": 20, "c": 300}, {"a": 320, "b": 301, "c": 21}),
        ({"a": 1, "b": 20, "c": None}, {"a": 20, "b": 1, "c": 21}),
        ({"a": None, "b": 20, "c": None}, {"a": 20, "b": None, "c": 20}),
        ({"a": None, "b": None, "c": None}, {"a": None, "b": None, "c": None}),
        ({"a": 7}, {"a": None, "b": 7, "c": 7}),
        ({}, {"a": None, "b": None, "c": None}),
    ],
)
def test_each_hears_the_others(said: dict[str, int | None], out: dict[str, int | None]) -> None:
    assert mix(conference("a", "b", "c"), **said) == out


def test_four() -> None:
    out = mix(conference("a", "b", "c", "d"), a=1, b=20, c=300, d=4000)
    assert out == {"a": 4320, "b": 4301, "c": 4021, "d": 321}


def test_a_listener_hears_all_and_is_heard_by_nobody() -> None:
    mixer = conference("caller", "human")
    mixer.join("ai", speaks=False)
    assert mix(mixer, caller=1, human=20, ai=300) == {"caller": 20, "human": 1, "ai": 21}
    mixer.join("ai", speaks=True)
    assert mix(mixer, caller=1, human=20, ai=300) == {"caller": 320, "human": 301, "ai": 21}


def test_a_whisper_reaches_one() -> None:
    mixer = conference("caller", "human")
    mixer.join("supervisor")
    mixer.whisper("supervisor", "human")
    assert mix(mixer, caller=1, human=20, supervisor=300) == {"caller": 20, "human": 301, "supervisor": 21}
    mixer.whisper("supervisor", None)
    assert mix(mixer, caller=1, human=20, supervisor=300) == {"caller": 320, "human": 301, "supervisor": 21}


def test_a_listener_may_whisper() -> None:
    mixer = conference("caller", "human")
    mixer.join("ai", speaks=False)
    mixer.whisper("ai", "human")
    assert mix(mixer, caller=1, human=20, ai=300) == {"caller": 20, "human": 301, "ai": 21}


def test_who_whispered_to_one_that_left_is_not_heard_by_the_others() -> None:
    mixer = conference("caller", "human", "supervisor")
    mixer.whisper("supervisor", "human")
    mixer.leave("human")
    assert mix(mixer, caller=1, supervisor=300) == {"caller": None, "supervisor": 1}


def test_mute_and_hold() -> None:
    mixer = conference("a", "b", "c")
    mixer.mute("a", True)
    assert mix(mixer, a=1, b=20, c=300) == {"a": 320, "b": 300, "c": 20}
    mixer.mute("a", False)
    mixer.hold("a", True)
    assert mix(mixer, a=1, b=20, c=300) == {"a": None, "b": 300, "c": 20}
    mixer.hold("a", False)
    assert mix(mixer, a=1, b=20, c=300) == {"a": 320, "b": 301, "c": 21}


def test_a_leg_that_comes_again_is_not_muted() -> None:
    mixer = conference("a", "b")
    mixer.mute("a", True)
    mixer.leave("a")
    mixer.mute("a", True)  # of nobody
    mixer.join("a")
    assert mix(mixer, a=1, b=2) == {"a": 2, "b": 1}


def test_frames_of_strangers_are_let_be() -> None:
    assert mix(conference("a", "b"), a=1, x=5, b=2) == {"a": 2, "b": 1}


def test_one_leg_too_many_is_refused() -> None:
    mixer = conference(*map(str, range(MAX_LEGS)))
    with pytest.raises(MixerFull, match="9th"):
        mixer.join("9th")
    mixer.join("0", speaks=False)


def voices(loudness: float) -> list[NDArray[np.int16]]:
    at = np.arange(160 * 50) / 8000
    return [(loudness * np.sin(2 * np.pi * hertz * at)).astype("<i2") for hertz in (200, 310, 430)]


@pytest.mark.parametrize("loudness", [8_000, 16_000, 32_767])
def test_loud_sums_are_bent_and_neither_wrap_nor_crackle(loudness: int) -> None:
    sounds = voices(loudness)
    mixer = conference("a", "b", "c", "d")
    played = b"".join(
        mixer.mix({leg: sound[at : at + 160].tobytes() for leg, sound in zip("abc", sounds, strict=True)})["d"] or b""
        for at in range(0, 8000, 160)
    )
    sound = np.frombuffer(played, "<i2").astype(np.int32)
    ideal = sum(one.astype(np.int32) for one in sounds)
    assert np.all(np.sign(sound) * np.sign(ideal) >= 0), "wrapped"
    quiet = np.abs(ideal) <= 24_576
    assert np.array_equal(sound[quiet], ideal[quiet]), "touched without need"
    assert np.abs(np.diff(sound)).max() <= np.abs(np.diff(ideal)).max(), "steeper than the sum itself"


values = st.one_of(st.none(), st.integers(-32_768, 32_767))


@settings(max_examples=200)
@given(st.lists(values, min_size=1, max_size=MAX_LEGS))
def test_any_sum_is_the_clipped_sum_of_the_others_or_softer(said: list[int | None]) -> None:
    legs = [f"leg {at}" for at in range(len(said))]
    out = mix(conference(*legs), **dict(zip(legs, said, strict=True)))
    for at, leg in enumerate(legs):
        others = [one for other, one in enumerate(said) if one is not None and other != at]
        if not others:
            assert out[leg] is None
            continue
        found = out[leg]
        assert found is not None
        if len(others) == 1 or abs(sum(others)) <= 24_576:
            assert found == sum(others)
        else:
            assert 24_576 <= abs(found) <= min(abs(sum(others)), 32_767)
            assert found * sum(others) > 0
