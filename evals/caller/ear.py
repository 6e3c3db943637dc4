"""When somebody is heard to speak: energy in 5 ms windows, no model, no state of the line.

Used on the caller's own phrases (where does the voice in the recording really begin and end), live on what comes in
by RTP, and by the bench on a finished recording. All times are milliseconds on the caller's clock.

A sample's time. Sample k of a packet sent at T was spoken at T - 20 + k / 8 ms, for a packet goes out when it is full;
sample k of a packet received at T is heard at T + k / 8 ms. A latency is so from mouth to ear, but for the telephone's
jitter buffer, which is not Tandem's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.caller.g711 import Samples

RATE_HZ = 8000
WINDOW_MS = 5
_WINDOW = RATE_HZ * WINDOW_MS // 1000

LOUD_DBFS = -50.0
"""A window is loud at or above this RMS level (0 dBFS = 32768). Speech on a line is nominally -26 dBov (ITU-T P.56),
its soft consonants some 20 dB below; line noise and the caller's own comfort noise lie at -65 and under."""

ONSET_WINDOWS = 4
ONSET_LOUD = 3
"""Speech begins when 3 of 4 windows in a row (15 of 20 ms) are loud: a click of up to 10 ms is not speech."""

BRIDGE_MS = 200.0
"""Quiet shorter than this lies inside one stretch of speech: stops and the gaps between words stay under 200 ms."""


@dataclass(slots=True)
class Speech:
    """A stretch of speech: the times of its first and its last loud sample. `to_ms` grows while it goes on."""

    from_ms: float
    to_ms: float


class Ear:
    """Hears one direction of a call.

    `speech` holds every stretch heard so far, the last of which may still be growing (`speaking`).
    `loud_dbfs` and `bridge_ms` replace LOUD_DBFS and BRIDGE_MS.
    """

    def __init__(self, loud_dbfs: float = LOUD_DBFS, bridge_ms: float = BRIDGE_MS) -> None:
        self.speech: list[Speech] = []
        self.speaking = False
        self._amplitude = 32768 * 10 ** (loud_dbfs / 20)
        self._bridge_ms = bridge_ms
        self._recent: list[Speech | None] = []  # the last ONSET_WINDOWS windows: the loud stretch in each, or None
        self._heard_to_ms = float("-inf")

    def hear(self, at_ms: float, samples: Samples) -> None:
        """Take in `samples` (int16, 8 kHz, any number), the first of which is at `at_ms`. Call in order of time."""
        if at_ms - self._heard_to_ms > ONSET_WINDOWS * WINDOW_MS:
            self._recent.clear()  # nothing came for longer than an onset takes: that was silence
        whole = len(samples) // _WINDOW * _WINDOW
        windows = samples[:whole].reshape(-1, _WINDOW).astype(np.float64)
        loud = np.sqrt((windows**2).mean(axis=1)) >= self._amplitude
        for index in range(len(windows)):
            start_ms = at_ms + index * WINDOW_MS
            self.settle(start_ms)
            self._window(start_ms, windows[index] if loud[index] else None)
        self._heard_to_ms = max(self._heard_to_ms, at_ms + len(samples) * 1000 / RATE_HZ)

    def settle(self, now_ms: float) -> None:
        """Let time pass without samples: ends a stretch of speech when it has been quiet for the bridge."""
        if self.speaking and now_ms - self.speech[-1].to_ms >= self._bridge_ms:
            self.speaking = False
            self._recent.clear()

    def quiet_ms(self, now_ms: float) -> float:
        """Milliseconds since the last loud sample of speech; infinite when there was no speech yet."""
        return now_ms - self.speech[-1].to_ms if self.speech else float("inf")

    def _window(self, start_ms: float, window: np.ndarray | None) -> None:
        stretch = None if window is None else self._stretch(start_ms, window)
        if self.speaking:
            if stretch is not None:
                self.speech[-1].to_ms = max(self.speech[-1].to_ms, stretch.to_ms)
            return
        self._recent = [*self._recent, stretch][-ONSET_WINDOWS:]
        loud = [one for one in self._recent if one is not None]
        if len(loud) >= ONSET_LOUD:
            self.speech.append(Speech(loud[0].from_ms, loud[-1].to_ms))
            self.speaking = True

    def _stretch(self, start_ms: float, window: np.ndarray) -> Speech:
        loud = np.flatnonzero(np.abs(window) >= self._amplitude)
        ms = 1000 / RATE_HZ
        return Speech(start_ms + float(loud[0]) * ms, start_ms + float(loud[-1]) * ms)


def stretches(samples: Samples, loud_dbfs: float = LOUD_DBFS, bridge_ms: float = BRIDGE_MS) -> list[Speech]:
    """The stretches of speech in a recording (int16, 8 kHz), in ms from its first sample."""
    ear = Ear(loud_dbfs, bridge_ms)
    ear.hear(0.0, samples)
    return ear.speech


@dataclass(frozen=True, slots=True)
class Answer:
    """What was heard after a phrase.

    `heard_from_ms`: first audible sample of the answer; `heard_to_ms`: its last before `until_ms`; both None when
    nothing was heard. `latency_ms`: from the phrase's last audible sample to the answer's first; negative when the
    far end cut in and kept the floor. `cut_in_ms`: when the far end began during the phrase, None if it did not.
    """

    heard_from_ms: float | None
    heard_to_ms: float | None
    latency_ms: float | None
    cut_in_ms: float | None


def answer(said_from_ms: float, said_to_ms: float, speech: Sequence[Speech], until_ms: float = float("inf")) -> Answer:
    """Find the answer to a phrase among the far end's stretches of speech.

    A stretch that was already running when the phrase began is what the phrase interrupted, not its answer.
    One that began during the phrase and was over before its end was a false start that yielded: a cut-in only.
    """
    begun = [one for one in speech if said_from_ms < one.from_ms < until_ms]
    during = [one for one in begun if one.from_ms <= said_to_ms]
    heard = [one for one in begun if one.to_ms > said_to_ms]
    cut_in_ms = during[0].from_ms if during else None
    if not heard:
        return Answer(None, None, None, cut_in_ms)
    first, last = heard[0], heard[-1]
    return Answer(first.from_ms, min(last.to_ms, until_ms), first.from_ms - said_to_ms, cut_in_ms)
