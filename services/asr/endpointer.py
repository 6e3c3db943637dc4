"""When the caller begins and ceases to speak. Pure: probabilities and samples with their call times in, events out.

The voice activity network says whether it is speech; energy says where exactly it begins and ends, for the network
judges 32 ms at a time and trails what it hears.

The last speech sample is the end of the last 5 ms window whose power is within SPEECH_RANGE_DB of the caller's active
level and above the noise floor. The active level is the mean power of the 20 ms frames within 30 dB of the loudest
(close to ITU-T P.56), over this utterance and the last LEVEL_MEMORY_S of speech before it: a phrase that dies away is
measured by how the caller speaks, not by how it ends. Windows later than TAIL_US after the last voiced window do not
count: a door is no speech.

The network calls babble and television speech. So in noise the level has a say too (linenoise.py): an utterance begins
only with sound that the line by itself does not make, nor somebody far behind the caller; and it ends, whatever the
network hears, once there was for NOISE_SILENCE_US nothing but what the line makes. Windows are then taken over SMOOTH
of them, for the peaks of babble are short, and silence must last longer, for soft words drown in it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.linenoise import LineNoise
from services.asr.vad import WINDOW_US

LEVEL_US = 5_000
"""Energy is measured over this long: shorter windows follow the pitch, longer ones blur the edge."""

SPEECH_RANGE_DB = 24.0
"""Soft consonants lie some 20 dB under the active level. With speech at -26 dBov (P.56's nominal level) the edge of
speech is at -50 dBov, where an absolute meter on the line would set it too."""
NOISE_RANGE_DB = 6.0
"""In heavy noise its ceiling must not swallow the speech itself: nothing this close to the active level is noise."""
NOISY_DB = 14.0
"""A line is noisy when its ceiling comes this close to the caller's active level."""
NOISE_SILENCE_US = 360_000
"""Least silence in noise: the soft sounds between two vowels drown in it for up to this long."""
NOISE_LULL_US = 240_000
"""Shorter silences in noise are mostly dips inside a phrase, in which a head start is in vain."""
FRAME_WINDOWS = 4
SMOOTH = 8
"""Windows, 40 ms: as long as the shortest vowel."""
RISE_US, RISE_WITHIN_US = 100_000, 240_000
"""An utterance must have been above the noise for RISE_US, RISE_WITHIN_US back at most."""
ONSET_DB = 4.0
"""Over the ceiling. The peaks of babble reach 4 dB over it, a caller 10 dB over the babble 7 dB and more in 300 ms."""
AGAIN_DB, AGAIN_US = 2.0, 1_500_000
"""The same for this long after an utterance: callers go on more softly than they began."""
OTHER_DB = 13.0
"""The loudest 100 ms of a phrase lie 4 to 7 dB over its active level. Whose loudest are this far below the caller's
level speaks 17 dB more softly at least: it is somebody else in the room."""
OTHER_US = 1_000_000
"""Unless it goes on for this long: the telephone was handed over."""
KNOWN_FRAMES = 40
KNOWN_US = 30_000_000
"""The caller's level is known from 0.8 s of speech, for 30 s: long enough for an answer of the agent's."""
LEAST_DBFS = -66.0
"""Below the idle noise of a line nothing is speech, however quiet the caller."""
ACTIVE_RANGE_DB = 30.0
LEVEL_MEMORY_S = 6.0
"""Long enough to hold a sentence or two, short enough to follow a caller who turns the speaker on."""

TAIL_US = 150_000
"""The network drops while the last consonant still sounds; this much after it still belongs to the word."""
TRAIL_US = 450_000
"""When the network hears speech for this long after the last loud window, the caller fell to a murmur: the network's
word is then taken for the end. Silero trails the end of clear speech by 74 to 370 ms."""
FAINT_US = 400_000
"""Speech of which no window is loud (a caller who fell to a murmur) must last this long to be believed."""
HEAD_US = 300_000
"""Furthest that the first sample may lie before the first voiced window."""
HEAD_GAP_US = 60_000
"""Quiet that a first syllable may have in it (the closure of a plosive)."""
STALL_US = 500_000
"""No audio for this long is silence: jitter is shorter, a caller who hears nothing waits no longer."""

_FULL_SCALE = 32768.0**2
_LEVELS_KEPT_IDLE = 400  # 2 s: as far as an onset reaches back


def _db(ratio_db: float) -> float:
    return float(10 ** (ratio_db / 10))


def _power(dbfs: float) -> float:
    return _FULL_SCALE * _db(dbfs)


def _active(power: NDArray[np.float64], noise: float) -> tuple[float, int]:
    """Sum of power over the 20 ms frames within ACTIVE_RANGE_DB of the loudest and above noise, and their number."""
    whole = len(power) // 4 * 4
    frames = power[:whole].reshape(-1, 4).mean(axis=1) if whole else power
    if not len(frames):
        return 0.0, 0
    loudest = float(np.max(frames))
    active = frames[frames >= max(loudest * _db(-ACTIVE_RANGE_DB), min(noise, loudest * _db(-NOISE_RANGE_DB)))]
    return float(active.sum()), len(active)


def _smooth(power: NDArray[np.float64], over: int) -> NDArray[np.float64]:
    """Mean over this many windows around each; at the edges over as many as there are."""
    if len(power) <= over:
        return np.full(len(power), power.mean()) if len(power) else power
    total = np.concatenate(([0.0], np.cumsum(power)))
    at = np.arange(len(power))
    low, high = np.maximum(at - over // 2, 0), np.minimum(at + over - over // 2, len(power))
    return np.asarray((total[high] - total[low]) / (high - low), np.float64)


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Utterance `utterance` began with the sample at call_time_us."""

    utterance: int
    call_time_us: int


@dataclass(frozen=True, slots=True)
class Lull:
    """The caller has been quiet for a moment since call_time_us: not yet an end, but perhaps one."""

    utterance: int
    call_time_us: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Utterance `utterance` lasted from started_us to call_time_us, its last speech sample."""

    utterance: int
    started_us: int
    call_time_us: int


Event = SpeechBegan | Lull | SpeechEnded


class Endpointer:
    """One call's speech: SpeechBegan and SpeechEnded alternate, begin with 1, and their times never go back."""

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        on_probability: float = 0.35,
        off_probability: float = 0.35,
        min_speech_ms: int = 96,
        min_silence_ms: int = 240,
        lull_ms: int = 100,
        max_utterance_ms: int = 25_000,
    ) -> None:
        """lull_ms 0: no Lull is told."""
        self._window = sample_rate_hz * LEVEL_US // 1_000_000
        self._on, self._off = on_probability, off_probability
        self._min_speech_us = min_speech_ms * 1000
        self._min_silence_us = min_silence_ms * 1000
        self._lull_us = lull_ms * 1000
        self._max_utterance_us = max_utterance_ms * 1000
        self.utterance = 0
        self.speaking = False
        size = (max_utterance_ms + 4_000) * 1000 // LEVEL_US
        self._power = np.zeros(size)
        self._end_us = np.zeros(size, np.int64)
        self._levels = 0
        self._line = LineNoise()
        self.noisy = False
        """Comes the line's noise close to the caller's level? Soft ends of words drown in it then."""
        self._cut = False  # an utterance was cut for its length: the next one goes on in its midst
        self._past_power = 0.0  # sum over _past_frames active frames of earlier utterances
        self._past_frames = 0.0
        self._heard_to_us: int | None = None
        self._probability = 0.0
        self._voiced_to_us = 0
        self._run_us = 0
        self._run_from_us = 0
        self._started_us = 0
        self._ended_us = 0
        self._lull_at_us = -1
        self.speech_to_us = 0
        """The last speech sample so far, while speaking."""

    def judge(self, end_us: int, probability: float) -> None:
        """The network's word on the 32 ms that end at end_us. Call before `hear` of the frame that completes them."""
        self._probability = probability
        if probability >= self._off:
            self._voiced_to_us = end_us
        if probability >= self._on:
            if not self._run_us:
                self._run_from_us = end_us - WINDOW_US
            self._run_us += WINDOW_US
        elif probability < self._off:
            self._run_us = 0
            self._cut = False

    def hear(self, from_us: int, samples: NDArray[np.int16]) -> list[Event]:
        """A frame of sound, the first sample of which came in at from_us. Frames come in the order of their times."""
        events: list[Event] = []
        if self.speaking and self._heard_to_us is not None and from_us - self._heard_to_us >= self._min_silence_us:
            events.append(self._end())
        self._measure(from_us, samples)
        idle = not self.speaking and (not self.utterance or from_us >= self._ended_us + TAIL_US)
        power = float(self._power[: self._levels][-FRAME_WINDOWS:].mean())
        self._line.hear(power, idle, self._probability >= self._off)
        if not self.speaking and self._run_us >= self._min_speech_us and self._near() and (began := self._begin()):
            events.append(began)
        if self.speaking:
            events.extend(self._silence())
        return events

    def lapse(self, now_us: int) -> list[Event]:
        """No frame came up to now_us: ends the utterance when the audio has stalled."""
        if self.speaking and self._heard_to_us is not None and now_us - self._heard_to_us >= STALL_US:
            return [self._end()]
        return []

    def _measure(self, from_us: int, samples: NDArray[np.int16]) -> None:
        count = len(samples) // self._window
        kept = self._levels
        if not self.speaking and kept > 2 * _LEVELS_KEPT_IDLE:
            self._forget(kept - _LEVELS_KEPT_IDLE)
        elif kept + count > len(self._power):
            self._forget(count)
        windows = samples[: count * self._window].reshape(count, self._window).astype(np.float64)
        at = self._levels
        self._power[at : at + count] = (windows * windows).mean(axis=1)
        self._end_us[at : at + count] = from_us + LEVEL_US * np.arange(1, count + 1)
        self._levels = at + count
        self._heard_to_us = from_us + LEVEL_US * count

    def _forget(self, count: int) -> None:
        self._power[: self._levels - count] = self._power[count : self._levels]
        self._end_us[: self._levels - count] = self._end_us[count : self._levels]
        self._levels -= count

    def _near(self) -> bool:
        """Is what the network calls speech the caller's, by its level?"""
        assert self._heard_to_us is not None
        if self._cut:
            return True
        since = max(self._run_from_us - RISE_US // 2, self._heard_to_us - RISE_WITHIN_US)
        begin = int(np.searchsorted(self._end_us[: self._levels], since, side="right"))
        recent = self._power[begin : self._levels]
        loudest = float(_smooth(recent, RISE_US // LEVEL_US).max()) if len(recent) else 0.0
        again = self._ended_us > 0 and self._heard_to_us - self._ended_us <= AGAIN_US
        above = self._line.ceiling * _db(AGAIN_DB if again else ONSET_DB)
        if self._line.murmurs and loudest < above:
            # What comes after it is no continuation of it.
            self._run_from_us = max(self._run_from_us, self._heard_to_us - HEAD_US)
            return False
        known = self._past_frames >= KNOWN_FRAMES and self._heard_to_us - self._ended_us <= KNOWN_US
        if not known or self._heard_to_us - self._run_from_us >= OTHER_US:
            return True
        return loudest >= self._past_power / self._past_frames * _db(-OTHER_DB)

    def _begin(self) -> SpeechBegan | None:
        """None while the network alone hears speech: after an end it may trail once more, over silence."""
        power, ends = self._power[: self._levels], self._end_us[: self._levels]
        loud = ends[self._loud(power, power[ends > self._run_from_us])]
        loud = loud[loud - LEVEL_US >= max(self._run_from_us - HEAD_US, self._ended_us)]
        first = int(np.searchsorted(loud, self._run_from_us, side="right"))
        while 0 < first < len(loud) and loud[first] - loud[first - 1] <= HEAD_GAP_US:
            first -= 1
        if first == len(loud) and self._run_us < FAINT_US:
            return None
        onset = int(loud[first]) - LEVEL_US if first < len(loud) else self._run_from_us
        self.utterance += 1
        self.speaking = True
        self._cut = False
        self._line.speech_began()
        self._started_us = max(onset, self._ended_us)
        self._lull_at_us = -1
        self.speech_to_us = self._started_us
        return SpeechBegan(self.utterance, self._started_us)

    def _loud(self, power: NDArray[np.float64], speech: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which windows of `power` are loud, seen from `speech`, an utterance's windows so far."""
        ceiling = self._line.ceiling
        total, count = _active(speech, ceiling)
        if not count:
            self.noisy = False
            return power >= _power(LEAST_DBFS)
        active = (total + self._past_power) / (count + self._past_frames)
        self.noisy = ceiling > active * _db(-NOISY_DB)
        least = max(active * _db(-SPEECH_RANGE_DB), _power(LEAST_DBFS))
        noise = min(ceiling, active * _db(-NOISE_RANGE_DB))
        return (_smooth(power, SMOOTH) if self._line.murmurs else power) >= max(least, noise)

    def _last_speech_us(self) -> int:
        begin = int(np.searchsorted(self._end_us[: self._levels], self._started_us, side="right"))
        power, ends = self._power[begin : self._levels], self._end_us[begin : self._levels]
        loud = ends[self._loud(power, power) & (ends <= self._voiced_to_us + TAIL_US)]
        last = int(loud[-1]) if len(loud) else self._started_us
        if self._voiced_to_us - last <= TRAIL_US or self._line_only(last):
            return last
        return self._voiced_to_us

    def _line_only(self, since_us: int) -> bool:
        """Was there nothing since but what the line makes by itself?"""
        begin = int(np.searchsorted(self._end_us[: self._levels], since_us + SMOOTH // 2 * LEVEL_US, side="right"))
        since = self._power[begin : self._levels]
        return len(since) > 0 and float(since.mean()) <= self._line.ceiling

    def _silence(self) -> list[Event]:
        assert self._heard_to_us is not None
        if self._heard_to_us - self._started_us >= self._max_utterance_us:
            self._cut = self._probability >= self._off
            return [self._end()]
        self.speech_to_us = last_us = self._last_speech_us()
        quiet_us = self._heard_to_us - last_us
        least_us = max(self._min_silence_us, NOISE_SILENCE_US) if self.noisy else self._min_silence_us
        if quiet_us >= least_us and self._probability < self._off:
            return [self._end()]
        if quiet_us >= max(least_us, NOISE_SILENCE_US) and self._line_only(last_us):
            return [self._end()]
        lull_us = max(self._lull_us, NOISE_LULL_US) if self.noisy else self._lull_us
        if self._lull_us and quiet_us >= lull_us and last_us != self._lull_at_us:
            self._lull_at_us = last_us
            return [Lull(self.utterance, last_us)]
        return []

    def _end(self) -> SpeechEnded:
        self.speaking = False
        self._run_us = 0
        self._ended_us = max(self._last_speech_us(), self._started_us)
        begin = int(np.searchsorted(self._end_us[: self._levels], self._started_us, side="right"))
        total, count = _active(self._power[begin : self._levels], self._line.ceiling)
        frames = count + self._past_frames
        keep = min(1.0, LEVEL_MEMORY_S * 50 / frames) if frames else 0.0
        self._past_power, self._past_frames = (total + self._past_power) * keep, frames * keep
        since = self._power[: self._levels][self._end_us[: self._levels] > self._ended_us + TAIL_US]
        whole = len(since) // FRAME_WINDOWS * FRAME_WINDOWS
        frames_since = since[len(since) - whole :].reshape(-1, FRAME_WINDOWS).mean(axis=1)
        self._line.speech_ended(frames_since, self._probability >= self._off)
        return SpeechEnded(self.utterance, self._started_us, self._ended_us)
