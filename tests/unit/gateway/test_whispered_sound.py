"""What is given to be whispered becomes frames, or is refused with the reason."""

import io
import wave
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.whispered_sound import LONGEST_S, WhisperedSound, WhisperInvalid


def wav(samples: np.ndarray, rate_hz: int, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def tone(rate_hz: int, length_s: float, hz: float = 440) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(int(length_s * rate_hz)) / rate_hz)).astype("<i2")


def frames(sound: WhisperedSound) -> list[bytes]:
    out = []
    while (frame := sound.next()) is not None:
        out.append(frame)
    return out


def test_pcm_leaves_once_and_the_end_is_told_once() -> None:
    pcm = tone(8000, 0.05).tobytes()
    sound, ends = WhisperedSound(pcm, 8000), []
    sound.on_over = lambda: ends.append(1)
    assert sound.duration_ms == 50
    assert [len(one) for one in frames(sound)] == [320, 320, 160]
    assert sound.over
    assert (sound.next(), ends) == (None, [1])


@pytest.mark.parametrize(("rate_hz", "made_hz"), [(8000, 8000), (16000, 16000), (44100, 16000), (48000, 16000)])
def test_wav_of_any_rate(rate_hz: int, made_hz: int) -> None:
    sound = WhisperedSound.from_wav(wav(tone(rate_hz, 1), rate_hz))
    assert (sound.sample_rate_hz, sound.duration_ms) == (made_hz, 1000)
    heard = np.frombuffer(b"".join(frames(sound)), "<i2").astype(float)
    assert np.argmax(np.abs(np.fft.rfft(heard))) == 440
    assert 7000 < np.abs(heard[made_hz // 4 : made_hz // 2]).max() < 9000


def test_stereo_is_mixed() -> None:
    left = tone(8000, 0.2)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    sound = WhisperedSound.from_wav(wav(both, 8000, channels=2))
    heard = np.frombuffer(b"".join(frames(sound)), "<i2")
    assert np.abs(heard - left / 2).max() <= 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not readable as WAV"),
        (wav(np.zeros(0, "<i2"), 8000), "one at least"),
        (wav(np.zeros(100, np.uint8), 8000, width=1), "8 bit"),
        (wav(np.zeros(600, "<i2"), 8000, channels=3), "3 channels"),
        (wav(np.zeros(100, "<i2"), 96000), "96000 Hz"),
        (wav(np.zeros(8000 * (LONGEST_S + 1), "<i2"), 8000), "more than 60 s"),
    ],
)
def test_what_is_no_such_wav(data: bytes, why: str) -> None:
    with pytest.raises(WhisperInvalid, match=why):
        WhisperedSound.from_wav(data)


@pytest.mark.parametrize(
    ("pcm", "rate_hz", "why"),
    [
        (b"", 8000, "0 bytes"),
        (b"abc", 8000, "whole samples"),
        (b"ab", 11025, "11025"),
        (bytes(16000 * LONGEST_S + 2), 8000, "60 s at most"),
    ],
)
def test_what_is_no_such_pcm(pcm: bytes, rate_hz: int, why: str) -> None:
    with pytest.raises(WhisperInvalid, match=why):
        WhisperedSound(pcm, rate_hz)


@given(st.binary(max_size=200), st.booleans())
def test_nothing_else_is_raised(data: bytes, headed: bool) -> None:
    with suppress(WhisperInvalid):
        WhisperedSound.from_wav(wav(np.zeros(9, "<i2"), 8000)[:30] + data if headed else data)
