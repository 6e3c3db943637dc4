"""What a leg on hold hears: a loop, made once and shared by all calls. Only the position in it is a call's."""

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import soxr
from numpy.typing import NDArray

from services.common.media.frame import SAMPLE_RATES_HZ, samples_per_frame

Sound = NDArray[np.float32]

# Ten minutes at both rates are 29 MB.
LONGEST_S = 600
SHORTEST_S = 1
FILE_RATES_HZ = range(8_000, 48_001)
_RATE_HZ = 16_000
_SEAM_MS = 40
# What the loop is carried on by on both sides while it is resampled, longer than the resampler's filter.
_WRAP = _RATE_HZ // 4

# Speech is near -26 dBFS; comfort stays below it.
LEVEL_DBFS = -30.0
_BEAT_S = 0.5
# Semitones from A4 (440 Hz): a slow walk through F, D minor, B flat and C, in the middle of the telephone's band. Notes
# of one chord overlap. None is a rest.
_MELODY = (
    *(-4, 0, 3, 8, 3, 0, None, None),
    *(-7, -4, 0, 5, 0, -4, None, None),
    *(-11, -7, -4, 1, -4, -7, None, None),
    *(-9, -5, -2, 3, -2, -5, None, None),
)


class HoldMusicInvalid(ValueError):
    """A file that can't be hold music."""


class HoldMusic:
    """A loop of whole 20 ms frames at 8 and 16 kHz."""

    def __init__(self, loops: Mapping[int, bytes]) -> None:
        """PCM s16le mono by sample rate. Raises HoldMusicInvalid when one is empty or not of whole frames."""
        for rate_hz, pcm in loops.items():
            size = 2 * samples_per_frame(rate_hz)
            if not pcm or len(pcm) % size:
                raise HoldMusicInvalid(f"a loop at {rate_hz} Hz is whole frames of {size} bytes, not {len(pcm)} bytes")
        self._loops = dict(loops)
        self._sizes = {rate_hz: 2 * samples_per_frame(rate_hz) for rate_hz in loops}

    @classmethod
    def from_wav(cls, path: Path) -> Self:
        """An operator's file: PCM of 16 bit, mono or stereo, 8-48 kHz, 1 s to 10 min. Raises HoldMusicInvalid, OSError.

        Its end is cross-faded with its beginning, so that no seam is heard.
        """
        sound, rate_hz = _read(path)
        if rate_hz != _RATE_HZ:
            sound = np.asarray(soxr.resample(sound, rate_hz, _RATE_HZ, quality="HQ"), np.float32)
        return cls(_loops(_without_seam(sound)))

    @classmethod
    def default(cls) -> Self:
        """A quiet melody that is made here, so nobody's licence is needed: 16 s, -30 dBFS."""
        return cls(_loops(_melody()))

    def frames(self, sample_rate_hz: int) -> int:
        """Length of the loop in frames of 20 ms."""
        return len(self._loops[sample_rate_hz]) // self._sizes[sample_rate_hz]

    def frame(self, position: int, sample_rate_hz: int = 8000) -> bytes:
        """The 20 ms at `position`, counted in frames from the start of the hold, without end."""
        loop, size = self._loops[sample_rate_hz], self._sizes[sample_rate_hz]
        at = position * size % len(loop)
        return loop[at : at + size]


def _read(path: Path) -> tuple[Sound, int]:
    """Mono, -1 to 1, and its rate."""
    wanted = "hold music is a WAV of PCM with 16 bit, mono or stereo, 8000-48000 Hz"
    try:
        with wave.open(str(path), "rb") as wav:
            rate_hz, channels, width = wav.getframerate(), wav.getnchannels(), wav.getsampwidth()
            count = wav.getnframes()
            if width != 2 or channels not in (1, 2) or rate_hz not in FILE_RATES_HZ:
                raise HoldMusicInvalid(
                    f"{path}: {8 * width} bit, {channels} channels, {rate_hz} Hz; {wanted}. Convert it, for example: "
                    f"sox {path.name} -b 16 -c 1 -r 16000 hold.wav"
                )
            if not SHORTEST_S <= count / rate_hz <= LONGEST_S:
                raise HoldMusicInvalid(
                    f"{path}: {count / rate_hz:.1f} s long; hold music has {SHORTEST_S} to {LONGEST_S} s"
                )
            pcm = wav.readframes(count)
    except (wave.Error, EOFError) as error:
        raise HoldMusicInvalid(f"{path}: not readable as WAV ({error or 'it ends too early'}); {wanted}") from error
    pcm = pcm[: len(pcm) // (2 * channels) * 2 * channels]
    if len(pcm) < SHORTEST_S * rate_hz * 2 * channels:
        raise HoldMusicInvalid(f"{path}: its header promises {count} frames and it ends before {SHORTEST_S} s")
    sound = np.frombuffer(pcm, "<i2").reshape(-1, channels).astype(np.float32).mean(axis=1)
    return sound / 32768, rate_hz


def _without_seam(sound: Sound) -> Sound:
    """A loop at 16 kHz of whole frames: what is left of the end sounds on under the beginning, and fades."""
    frame, seam = samples_per_frame(_RATE_HZ), _RATE_HZ * _SEAM_MS // 1000
    length = (len(sound) - seam) // frame * frame
    loop, tail = sound[:length].copy(), sound[length : length + seam]
    rise = np.sin(np.linspace(0, np.pi / 2, len(tail), dtype=np.float32))
    loop[: len(tail)] = loop[: len(tail)] * rise + tail * rise[::-1]
    return loop


def _loops(loop: Sound) -> dict[int, bytes]:
    """From 16 kHz to each rate, as if it were played without end: the filter finds the end before the beginning."""
    out: dict[int, bytes] = {}
    endless = np.take(loop, np.arange(-_WRAP, len(loop) + _WRAP), mode="wrap")
    for rate_hz in SAMPLE_RATES_HZ:
        sound = loop
        if rate_hz != _RATE_HZ:
            start, count = _WRAP * rate_hz // _RATE_HZ, len(loop) * rate_hz // _RATE_HZ
            sound = soxr.resample(endless, _RATE_HZ, rate_hz, quality="HQ")[start : start + count]
        out[rate_hz] = np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    return out


def _melody() -> Sound:
    """Soft plucked notes, rendered on a circle: what sounds beyond the end sounds at the start."""
    beat = int(_BEAT_S * _RATE_HZ)
    loop = np.zeros(beat * len(_MELODY), np.float32)
    for at, semitone in enumerate(_MELODY):
        if semitone is not None:
            _add(loop, at * beat, _note(440.0 * 2 ** (semitone / 12), 2.5))
    rms = float(np.sqrt(np.mean(loop**2)))
    scaled: Sound = loop * np.float32(10 ** (LEVEL_DBFS / 20) / rms)
    return scaled


def _note(pitch_hz: float, length_s: float) -> Sound:
    """Rises in 30 ms, dies away, and is silent when it ends."""
    time_s = np.arange(int(length_s * _RATE_HZ), dtype=np.float32) / _RATE_HZ
    rise = np.sin(np.minimum(time_s / 0.03, 1) * np.pi / 2) ** 2
    fall = np.exp(-2.2 * time_s) * np.cos(np.clip(time_s / length_s, 0, 1) * np.pi / 2)
    tone = sum(
        weight * np.sin(2 * np.pi * pitch_hz * harmonic * time_s)
        for harmonic, weight in ((1, 1.0), (2, 0.25), (3, 0.08))
    )
    note: Sound = (tone * rise * fall).astype(np.float32)
    return note


def _add(loop: Sound, start: int, note: Sound) -> None:
    places = (start + np.arange(len(note))) % len(loop)
    loop[places] += note
