"""RFC 3389: as loud as was said, coloured as was said, and never more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.comfort_noise import LOUDEST_DBOV, ComfortNoise, sid_payload


def level_dbov(pcm: bytes) -> float:
    return float(10 * np.log10(np.mean(np.square(np.frombuffer(pcm, "<i2") / 32767.0)) + 1e-20))


@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize("level", [-35, -50, -60])
def test_the_level_is_what_was_said(rate_hz: int, level: int) -> None:
    noise = ComfortNoise(rate_hz)
    noise.sid(sid_payload(level))
    pcm = b"".join(noise.noise(rate_hz // 50) for _ in range(50))
    assert level - 1 < level_dbov(pcm) <= level
    assert noise.level_dbov == level


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_reflection_coefficients_colour_it(rate_hz: int) -> None:
    spectra = []
    # 1 + k z^-1 in the denominator: a negative k is a low-pass.
    for coefficient in (127 - 100, 127 + 100):
        noise = ComfortNoise(rate_hz)
        noise.sid(bytes([40, coefficient]))
        spectra.append(np.abs(np.fft.rfft(np.frombuffer(noise.noise(rate_hz), "<i2"))) ** 2)
    low, high = spectra
    assert low[50:1000].sum() > 10 * low[3000:4000].sum()
    assert high[3000:4000].sum() > 10 * high[50:1000].sum()
    # The model is of a clock of 8 kHz; what rounding to 16 bits adds lies far below.
    assert low[4100:].sum() < 0.01 * low.sum() if rate_hz == 16000 else True


def test_before_a_sid_it_is_silence() -> None:
    noise = ComfortNoise(8000)
    assert noise.noise(160) == bytes(320)
    noise.sid(b"")
    assert noise.noise(160) == bytes(320)
    assert noise.level_dbov is None


def test_what_is_too_loud_is_held() -> None:
    noise = ComfortNoise(8000)
    noise.sid(bytes([0]))
    assert level_dbov(noise.noise(8000)) <= LOUDEST_DBOV


def test_a_new_level_is_heard_at_once_and_streams_differ() -> None:
    noise, other = ComfortNoise(8000), ComfortNoise(8000, start=1234)
    noise.sid(bytes([70]))
    other.sid(bytes([70]))
    assert noise.noise(160) != other.noise(160)
    quiet = level_dbov(noise.noise(1600))
    noise.sid(bytes([40]))
    assert level_dbov(noise.noise(1600)) > quiet + 20


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(-5, 20000)), max_size=8), st.sampled_from([8000, 16000]))
def test_no_sid_makes_it_louder_than_allowed(happened: list[bytes | int], rate_hz: int) -> None:
    noise = ComfortNoise(rate_hz)
    for event in happened:
        if isinstance(event, bytes):
            noise.sid(event)
            noise.noise(rate_hz // 5)  # within which it follows
        else:
            pcm = noise.noise(event)
            assert len(pcm) == 2 * max(0, event)
            said = noise.level_dbov
            # A whole turn of the loop has the level exactly; a part of it wavers.
            if event >= rate_hz and said is not None:
                assert level_dbov(pcm[: 2 * rate_hz]) <= said + 0.01
