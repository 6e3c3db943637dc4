"""A loop without a seam, at both rates, out of any sensible file; and what is wrong with the others is told."""

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.hold_music import HoldMusic, HoldMusicInvalid


@pytest.fixture(scope="module")
def melody() -> HoldMusic:
    return HoldMusic.default()


def sound(music: HoldMusic, rate_hz: int, loops: int = 1) -> NDArray[np.float64]:
    frames = [music.frame(at, rate_hz) for at in range(loops * music.frames(rate_hz))]
    return np.frombuffer(b"".join(frames), "<i2").astype(np.float64) / 32768


def level_dbfs(samples: NDArray[np.float64]) -> float:
    return 20 * float(np.log10(max(np.sqrt(np.mean(samples**2)), 1e-9)))


def write(path: Path, samples: NDArray[np.float64], rate_hz: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(width)
        wav.setframerate(rate_hz)
        wav.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def tone(hertz: float, rate_hz: int, seconds: float, loudness: float = 0.3) -> NDArray[np.float64]:
    return loudness * np.sin(2 * np.pi * hertz * np.arange(int(rate_hz * seconds)) / rate_hz)


def strongest_hz(samples: NDArray[np.float64], rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_melody_is_quiet_and_there(melody: HoldMusic, rate_hz: int) -> None:
    whole = sound(melody, rate_hz)
    assert -34 < level_dbfs(whole) <= -28
    windows = whole[: len(whole) // (rate_hz // 5) * (rate_hz // 5)].reshape(-1, rate_hz // 5)
    assert max(level_dbfs(one) for one in windows) <= -24
    assert np.abs(whole).max() < 0.2
    assert 10 <= len(whole) / rate_hz <= 60


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_melody_has_no_click_at_its_seam(melody: HoldMusic, rate_hz: int) -> None:
    twice = sound(melody, rate_hz, loops=2)
    bends = np.abs(np.diff(twice, 2))
    middle = len(twice) // 2
    assert bends[middle - 50 : middle + 50].max() <= np.quantile(bends, 0.999)


def test_both_rates_sound_the_same(melody: HoldMusic) -> None:
    assert melody.frames(8000) == melody.frames(16000)
    low, high = sound(melody, 8000), sound(melody, 16000)[::2]
    assert np.corrcoef(low, high)[0, 1] > 0.99


def test_a_position_is_any_number_and_says_the_same_each_time(melody: HoldMusic) -> None:
    length = melody.frames(8000)
    assert melody.frame(3) == melody.frame(3 + length) == melody.frame(3 + 1000 * length)
    assert len(melody.frame(0)) == 320
    assert len(melody.frame(length - 1, 16000)) == 640


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16000, 1), (44100, 2), (48000, 1), (11025, 1)])
def test_an_operators_file(tmp_path: Path, rate_hz: int, channels: int) -> None:
    samples = np.repeat(tone(440, rate_hz, 2.345), channels)
    music = HoldMusic.from_wav(write(tmp_path / "hold.wav", samples, rate_hz, channels))
    for rate in (8000, 16000):
        whole = sound(music, rate)
        assert 2.2 < len(whole) / rate < 2.35
        assert strongest_hz(whole, rate) == pytest.approx(440, abs=1)
        assert level_dbfs(whole) == pytest.approx(level_dbfs(samples), abs=0.5)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_an_operators_file_is_looped_without_a_click(tmp_path: Path, rate_hz: int) -> None:
    """It ends in the middle of a wave of another pitch than it began with."""
    samples = np.concatenate((tone(300, 16000, 1.0), tone(417, 16000, 1.0037)))
    music = HoldMusic.from_wav(write(tmp_path / "hold.wav", samples, 16000))
    twice = sound(music, rate_hz, loops=2)
    middle = len(twice) // 2
    steps = np.abs(np.diff(twice))
    assert steps[middle - 400 : middle + 400].max() <= 1.5 * 2 * np.pi * 417 / rate_hz * 0.3


def test_what_is_no_wav_is_told_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "hold.mp3"
    path.write_bytes(b"ID3 nothing of use")
    with pytest.raises(HoldMusicInvalid, match=r"hold\.mp3: not readable as WAV.*16 bit"):
        HoldMusic.from_wav(path)
    path.write_bytes(b"")
    with pytest.raises(HoldMusicInvalid, match=r"hold\.mp3"):
        HoldMusic.from_wav(path)
    with pytest.raises(FileNotFoundError):
        HoldMusic.from_wav(tmp_path / "none.wav")


@pytest.mark.parametrize(
    ("rate_hz", "channels", "width", "seconds", "why"),
    [
        (8000, 1, 1, 2, "8 bit"),
        (8000, 3, 2, 3, "3 channels"),
        (4000, 1, 2, 3, "4000 Hz"),
        (96000, 1, 2, 2, "96000 Hz"),
        (8000, 1, 2, 0.5, "0.5 s long"),
        (8000, 1, 2, 601, "601.0 s long"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path, rate_hz: int, channels: int, width: int, seconds: float, why: str
) -> None:
    path = write(
        tmp_path / "hold.wav", np.zeros(int(rate_hz * seconds) * channels * width // 2), rate_hz, channels, width
    )
    with pytest.raises(HoldMusicInvalid, match=f"hold.wav: {why}" if "long" in why else why):
        HoldMusic.from_wav(path)


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "hold.wav", tone(440, 8000, 5), 8000)
    path.write_bytes(path.read_bytes()[:1001])
    with pytest.raises(HoldMusicInvalid, match="promises 40000 frames"):
        HoldMusic.from_wav(path)


def test_a_loop_is_whole_frames() -> None:
    with pytest.raises(HoldMusicInvalid, match="321"):
        HoldMusic({8000: bytes(321)})
    with pytest.raises(HoldMusicInvalid):
        HoldMusic({8000: b""})
