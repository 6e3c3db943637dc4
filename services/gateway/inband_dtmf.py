"""DTMF as tones in the voice (ITU-T Q.23, Q.24): heard, sent, and counted once when it also came by other ways."""

from collections import deque
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.gateway.dtmf import EVENTS, Digit

# ITU-T Q.23.
LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = ("123A", "456B", "789C", "*0#D")
SAMPLE_RATES_HZ = (8000, 16000)

_STEP_MS = 10
_WINDOW_MS = 20
# Each tone is looked for at its frequency and this much beside it: Q.24 asks for 1.5 %, and 20 ms of sound tell
# frequencies 50 Hz apart.
_BESIDE = 0.01
# Of a window's power, both tones. A window of which a tone fills less is no hit, so three hits in a row, 10 ms apart,
# are sure from 35 ms of tone on and impossible below 24 ms.
_SHARE = 0.62
_HITS = 3
_MISSES = 3  # a gap of 10 ms has two; one of 40 ms four
# Two are needed for a frame to be silenced: vowels have single ones.
_SILENCING_HITS = 2
# Q.24 table A-1 (North America): the high tone up to 4 dB over the low one, the low up to 8 dB over the high; and 2 dB
# for the measurement, which noise and tones off their frequency disturb.
_TWIST, _REVERSE_TWIST = 10**0.6, 10**1.0
# Every other tone of the group lies below.
_APART = 10**0.6
# -35 dBm0 of both tones together; Q.24 lets exchanges ignore less than -29 dBm each.
_LEAST_RMS = 270.0
_PCM = np.dtype("<i2")


@lru_cache
def _bank(sample_rate_hz: int) -> NDArray[np.float32]:
    """(samples of a window, 48): cosines of 8 tones at three frequencies each, then sines."""
    tones = np.outer((*LOW_HZ, *HIGH_HZ), (1 - _BESIDE, 1.0, 1 + _BESIDE)).ravel()
    size = sample_rate_hz * _WINDOW_MS // 1000
    phase = 2 * np.pi / sample_rate_hz * np.outer(np.arange(size), tones)
    # So that the squares' sum is the tone's share of the window's energy.
    return np.asarray(np.hstack([np.cos(phase), np.sin(phase)]) * np.sqrt(2 / size), np.float32)


class InbandDtmf:
    """One call's detector. `sample_rate_hz`: 8000 or 16000; ValueError on others.

    A key counts when it sounded 40 ms at least, and is reported when it has been let go for 30 ms. Of its sound at most
    27 ms, 13 on average, come through before the frames are silenced.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise ValueError(f"sample_rate_hz is {sample_rate_hz}; known are {SAMPLE_RATES_HZ}")
        self._bank = _bank(sample_rate_hz)
        self._silence = bytes(2 * sample_rate_hz // 50)
        self._half = half = sample_rate_hz // 100
        self._sound = np.zeros(3 * half, np.float32)  # the last half of the frame before, then the frame
        self._new = self._sound[half:]
        self._old = self._sound[:half]
        self._last = self._sound[2 * half :]
        self._windows = np.lib.stride_tricks.as_strided(
            self._sound, (2, 2 * half), (half * self._sound.itemsize, self._sound.itemsize)
        )
        self._least = _LEAST_RMS**2 * 2 * half
        self._old_energy = 0.0
        self._heard: str | None = None  # in the last windows
        self._hits = 0
        self._key: str | None = None  # held down
        self._length = 0  # steps from the key's first window to its last
        self._misses = 0

    @property
    def pressed(self) -> bool:
        """A key sounds."""
        return self._key is not None

    def frame(self, pcm: bytes, now_us: int) -> tuple[bytes, list[Digit]]:
        """20 ms of the caller's sound: (the same or silence, keys that were let go). Other lengths pass unheard."""
        if len(pcm) != len(self._silence):
            return pcm, []
        new, last = self._new, self._last
        self._old[:] = last
        new[:] = np.frombuffer(pcm, _PCM)
        first = new[: self._half]
        first_energy, last_energy = float(first.dot(first)), float(last.dot(last))
        energies = (self._old_energy + first_energy, first_energy + last_energy)
        self._old_energy = last_energy
        if energies[0] < self._least and energies[1] < self._least:
            if self._key is None and self._heard is None:
                return pcm, []
            heard: tuple[str | None, str | None] = (None, None)
        else:
            heard = self._listen(energies)
        digits: list[Digit] = []
        silence = self._key is not None
        for key in heard:
            self._step(key, digits)
            silence = silence or self._key is not None or self._hits >= _SILENCING_HITS
        return (self._silence if silence else pcm), digits

    def _listen(self, energies: tuple[float, float]) -> tuple[str | None, str | None]:
        """The key that sounds in each of the two windows that end in this frame."""
        bins = np.dot(self._windows, self._bank)
        bins *= bins
        powers = (bins[:, :24] + bins[:, 24:]).reshape(2, 8, 3).max(axis=2).tolist()
        return self._key_of(powers[0], energies[0]), self._key_of(powers[1], energies[1])

    def _key_of(self, powers: list[float], energy: float) -> str | None:
        if energy < self._least:
            return None
        lows, highs = powers[:4], powers[4:]
        low, high = max(lows), max(highs)
        if low + high < _SHARE * energy or high > low * _TWIST or low > high * _REVERSE_TWIST:
            return None
        row, column = lows.index(low), highs.index(high)
        lows[row] = highs[column] = 0.0
        if max(lows) * _APART > low or max(highs) * _APART > high:
            return None
        return KEYS[row][column]

    def _step(self, key: str | None, digits: list[Digit]) -> None:
        if key is not None and key == self._heard:
            self._hits += 1
        else:
            self._heard, self._hits = key, 1 if key is not None else 0
        if self._key is not None:
            self._length += 1
            if key == self._key:
                self._misses = 0
                return
            self._misses += 1
            if self._misses >= _MISSES:
                steps = self._length - self._misses
                digits.append(Digit(self._key, steps * _STEP_MS))
                self._key = None
        if self._key is None and self._hits >= _HITS:
            # Its windows begin 10 ms apart, and the last one is 20 ms long.
            self._key, self._length, self._misses = key, self._hits + 1, 0


Source = Literal["event", "info", "inband"]

# Each way reports a key when it is let go, by its own clock: 4733 with three end packets, in-band 30 ms later and after
# the jitter of the network, INFO after the proxies' time.
SAME_KEY_US = 1_000_000


class OneKey:
    """Keys that come by RFC 4733, by SIP INFO and in-band: each press counts once.

    What one way brings is never dropped for what the same way brought before: "55" is two presses.
    """

    def __init__(self, window_us: int = SAME_KEY_US) -> None:
        self._window_us = window_us
        self._counted: deque[tuple[str, int, set[Source]]] = deque(maxlen=32)

    def first(self, digit: Digit, source: Source, now_us: int) -> bool:
        """Whether this press was not yet counted."""
        for key, at_us, sources in self._counted:
            if key == digit.digit and source not in sources and now_us - at_us <= self._window_us:
                sources.add(source)
                return False
        self._counted.append((digit.digit, now_us, {source}))
        return True


_TONE_SLOTS = 5
_PAUSE_SLOTS = 4
# At the line, the high tone 2 dB over the low one, as telephones send them (ETSI ES 201 235-2 §4.2.4).
_LOW_DBM0, _HIGH_DBM0 = -9.0, -7.0
_FULL_SCALE_DBM0 = 3.14  # a sine of full scale (ITU-T G.711, table 5)
_RAMP_MS = 2


@lru_cache
def tone(digit: str, sample_rate_hz: int, length_ms: int = _TONE_SLOTS * 20) -> bytes:
    """A key's sound, PCM s16le. Raises ValueError on anything but 0-9 * # A-D."""
    if digit not in EVENTS or len(digit) != 1:
        raise ValueError(f"{digit!r} is no DTMF digit; known are {EVENTS}")
    row = next(at for at, keys in enumerate(KEYS) if digit in keys)
    time = np.arange(sample_rate_hz * length_ms // 1000) / sample_rate_hz
    sound = np.zeros(len(time))
    for hz, dbm0 in ((LOW_HZ[row], _LOW_DBM0), (HIGH_HZ[KEYS[row].index(digit)], _HIGH_DBM0)):
        sound += 32767 * 10 ** ((dbm0 - _FULL_SCALE_DBM0) / 20) * np.sin(2 * np.pi * hz * time)
    ramp = sample_rate_hz * _RAMP_MS // 1000
    rise = np.sin(np.linspace(0, np.pi / 2, ramp)) ** 2
    sound[:ramp] *= rise
    sound[-ramp:] *= rise[::-1]
    pcm: bytes = np.round(sound).astype("<i2").tobytes()
    return pcm


class InbandSender:
    """Digits to PCM frames, one a 20 ms slot: 100 ms of tone and 80 ms of silence for each."""

    def __init__(self, sample_rate_hz: int) -> None:
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise ValueError(f"sample_rate_hz is {sample_rate_hz}; known are {SAMPLE_RATES_HZ}")
        self._rate_hz = sample_rate_hz
        self._frame_bytes = 2 * sample_rate_hz // 50
        self._silence = bytes(self._frame_bytes)
        self._digits: deque[str] = deque()
        self._slot = 0

    @property
    def busy(self) -> bool:
        return bool(self._digits)

    def queue(self, digits: str) -> None:
        """Raises ValueError on anything but 0-9 * # A-D; case does not matter."""
        wanted = digits.upper()
        for digit in wanted:
            if digit not in EVENTS:
                raise ValueError(f"{digit!r} is no DTMF digit; known are {EVENTS}")
        self._digits.extend(wanted)

    def tick(self) -> bytes | None:
        """The frame of this slot, silence between two digits; None when there is nothing to send."""
        if not self._digits:
            return None
        slot = self._slot
        self._slot += 1
        if slot < _TONE_SLOTS:
            at = slot * self._frame_bytes
            return tone(self._digits[0], self._rate_hz)[at : at + self._frame_bytes]
        if self._slot == _TONE_SLOTS + _PAUSE_SLOTS:
            self._digits.popleft()
            self._slot = 0
        return self._silence
