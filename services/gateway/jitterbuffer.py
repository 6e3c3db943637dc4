"""Adaptive jitter buffer: decoded frames in as they arrive, one frame out each tick.

For what is played onward (bridges, recording). The recogniser gets its frames at once, by reorder.py.

A frame's delay is relative: its arrival less its place in the stream (sequence times 20 ms), less the least of that in
the last 10-20 s. The target covers nearly all of these delays. The delay that frames are played with follows it, and
the sender's clock, by steps that nobody hears.
"""

from dataclasses import dataclass

import numpy as np

from services.common.media.frame import FRAME_US, samples_per_frame
from services.gateway import pitch
from services.gateway.codecs.concealment import Concealer
from services.gateway.transit import LONGEST_MS, Transit

MIN_DELAY_MS = 20
MAX_DELAY_MS = LONGEST_MS
# Frames on either side of the one that is due. Others belong to another count of the sequence (RFC 3550 A.1).
MAX_AHEAD = 50
# Nothing for so long is a sender that fell silent (DTX) or a network that died.
STALL_FRAMES = 5
# Concealment has faded to silence after 60 ms.
_FADE_FRAMES = 3
# The smallest step in a pause is a frame: less than half of it is no error.
_SLACK_US = FRAME_US // 2
_EARLY_US = FRAME_US
# In speech the error must be worse, and steps are rare.
_SPEECH_LATE_US, _SPEECH_EARLY_US = 12_000, 2 * FRAME_US
_SPEECH_INSERT_TICKS, _SPEECH_DROP_TICKS = 10, 25
_ALIKE = 0.5
_HURRY_TICKS = 50
# A tick that comes late looks like delay. More than this beyond the most is no such thing.
_TICK_JITTER_US = 2 * FRAME_US


@dataclass(frozen=True, slots=True)
class JitterStatistics:
    """Frames, but for the delays."""

    received: int
    late: int
    """Came after their turn; not played."""
    duplicates: int
    concealed: int
    """Played, and made up here or by who put them."""
    dropped: int
    """Left out: whole frames in pauses, or to get rid of delay beyond the bound."""
    inserted: int
    """Played between two frames to gain delay."""
    shortened: int
    """Pitch periods left out in speech."""
    lengthened: int
    """Pitch periods repeated in speech."""
    delay_ms: float
    """What frames are played with now, beyond the fastest of the last seconds."""
    target_ms: float


class JitterBuffer:
    """One received stream. Times are microseconds on one monotonic clock."""

    def __init__(
        self, sample_rate_hz: int = 8000, min_delay_ms: int = MIN_DELAY_MS, max_delay_ms: int = MAX_DELAY_MS
    ) -> None:
        """The target delay stays within `min_delay_ms` and `max_delay_ms` (20-200)."""
        self.sample_rate_hz = sample_rate_hz
        self.silence = bytes(2 * samples_per_frame(sample_rate_hz))
        """What `get` returns, this very object, while there is nothing to be heard."""
        self.received = self.late = self.duplicates = self.concealed = 0
        self.dropped = self.inserted = self.shortened = self.lengthened = 0
        self._size = len(self.silence)
        self._max_us = min(max_delay_ms, MAX_DELAY_MS) * 1000
        self._frames: dict[int, bytes] = {}
        self._made_up: set[int] = set()
        self._started = False
        self._next: int | None = None
        self._floor = 0  # while not started: what was due before must not be played again
        self._rest = b""  # after a step in speech, what is left of the frame before `_next`
        self._before = self._last = self.silence
        self._cut: bytes | None = None  # what would have followed `_last`, when something was left out
        self._concealer = Concealer(sample_rate_hz)
        self._filled = _FADE_FRAMES  # frames made up since the last real one
        self._waited = 0  # ticks filled for `_next`, which may still come
        self._starved = 0  # ticks in a row with nothing here
        self._strange: int | None = None
        # Frames are played from half a frame before the target to half a frame after it.
        self._transit = Transit(min_delay_ms * 1000, self._max_us, _SLACK_US)
        self._delay_us = 0
        self._error_us = 0  # delay less target, smoothed over 8 ticks
        self._off_ticks = 0
        self._since_step = 0

    def put(self, frame_sequence: int, pcm: bytes, arrived_us: int, concealed: bool = False) -> None:
        """A frame of 20 ms, in order or not; `pcm` of another length is cut or filled up with silence.

        `frame_sequence` counts 20 ms of the sender's clock and has no wrap. It is best made of the RTP timestamp: made
        of the packets' sequence, a sender's pause (DTX) of less than 100 ms is taken for delay. A `concealed` frame
        (made up by the decoder) says nothing of the network and yields to a real one.
        """
        self.received += 1
        due = self._next
        ahead = 0 if due is None else frame_sequence - due
        if due is None or not -MAX_AHEAD <= ahead <= MAX_AHEAD or not self._started:
            if not self._admit(frame_sequence, arrived_us):
                return
            ahead = frame_sequence - self._next  # type: ignore[operator]  # _admit sets it
        if not concealed:
            self._transit.observe(arrived_us - frame_sequence * FRAME_US)
        if ahead < 0:
            self.late += not concealed
            return
        if frame_sequence in self._frames and (concealed or frame_sequence not in self._made_up):
            self.duplicates += 1
            return
        if concealed:
            self._made_up.add(frame_sequence)
        elif self._made_up:
            self._made_up.discard(frame_sequence)
        self._frames[frame_sequence] = pcm if len(pcm) == self._size else pcm[: self._size].ljust(self._size, b"\0")

    def get(self, now_us: int) -> bytes:
        """The 20 ms for this tick, always a whole frame."""
        due = self._next
        if due is None or (not self._started and not self._starts(now_us)):
            return self._fill()
        due = self._next
        assert due is not None
        # Of the frame that is due, not of the sample: what is left of the one before makes no frame come in time.
        delay_us = now_us - due * FRAME_US - self._transit.base_us
        if delay_us > self._max_us + _TICK_JITTER_US:
            if not self._frames:
                self._stall(due)
                return self._fill()
            delay_us = self._skip(delay_us)
        self._delay_us = delay_us
        self._since_step += 1
        self._error_us += (delay_us - self._transit.target_us - self._error_us) >> 3
        if (self._error_us > _EARLY_US or self._error_us < -_SLACK_US) and not self._waited:
            stepped = self._step()
            if stepped is not None:
                self._before, self._last = self._last, stepped
                return stepped
        else:
            self._off_ticks = 0
        out = self._take()
        if out is not self.silence:
            self._before, self._last = self._last, out
        return out

    def restart(self) -> None:
        """The sequence begins anew (another SSRC): what is held is dropped, what is known of the network is kept."""
        self.dropped += len(self._frames)
        self._clear()
        self._next = None

    @property
    def holding(self) -> int:
        """Frames that wait."""
        return len(self._frames)

    @property
    def delay_ms(self) -> float:
        """What frames are played with now, beyond the fastest of the last seconds."""
        return max(self._delay_us + len(self._rest) * FRAME_US // self._size, 0) / 1000

    @property
    def target_ms(self) -> float:
        return self._transit.target_us / 1000

    def statistics(self) -> JitterStatistics:
        return JitterStatistics(
            self.received,
            self.late,
            self.duplicates,
            self.concealed,
            self.dropped,
            self.inserted,
            self.shortened,
            self.lengthened,
            self.delay_ms,
            self.target_ms,
        )

    # Beginning, and beginning again

    def _admit(self, sequence: int, arrived_us: int) -> bool:
        """Before the start, or far from what is due: two in a row, as RFC 3550 A.1 wants, and the count is another."""
        if self._started or (self._next is not None and sequence < self._floor - MAX_AHEAD):
            if sequence != self._strange:
                self._strange = sequence + 1
                return False
            self.restart()
        elif self._next is not None and sequence < self._floor:
            self.late += 1
            return False
        self._strange = None
        if self._next is None or not self._frames or abs(sequence - self._next) > MAX_AHEAD:
            if self._frames:
                self.restart()
            if self._next is None:
                self._floor = sequence - MAX_AHEAD
            self._next = sequence
            self._transit.anchor(arrived_us - sequence * FRAME_US)
        else:
            self._next = min(self._next, sequence)
        return True

    def _starts(self, now_us: int) -> bool:
        if not self._frames or self._next is None:
            return False
        delay_us = now_us - self._next * FRAME_US - self._transit.base_us
        if delay_us < self._transit.target_us - _SLACK_US:
            return False
        self._started = True
        self._error_us = delay_us - self._transit.target_us
        return True

    def _clear(self) -> None:
        self._frames.clear()
        self._made_up.clear()
        self._started = False
        self._rest = b""
        self._cut = None
        self._waited = self._starved = 0
        self._strange = None
        self._delay_us = self._error_us = self._off_ticks = 0

    # Frames

    def _take(self) -> bytes:
        if len(self._rest) >= self._size:
            out, self._rest = self._rest[: self._size], self._rest[self._size :]
            return out
        due = self._next
        assert due is not None
        pcm = self._frames.pop(due, None)
        if pcm is None:
            if not self._frames:
                return self._starve(due)
            self._starved = 0
            # The gap is known. What was filled while it was not, was filled for it.
            while self._waited and due not in self._frames:
                self._waited -= 1
                due += 1
            pcm = self._frames.pop(due, None)
            self._next = due
            if pcm is None:
                self._next = due + 1
                return self._fill()
        self._next = due + 1
        self._starved = 0
        if self._made_up and due in self._made_up:
            self._made_up.discard(due)
            self.concealed += 1
        if self._waited:
            self.inserted += self._waited
            self._waited = 0
        pcm = self._concealer.heard(pcm)
        if self._cut is not None:
            before, after = np.frombuffer(self._cut, "<i2"), np.frombuffer(pcm, "<i2")
            pcm, self._cut = pitch.joined(before, after, self.sample_rate_hz).tobytes(), None
        self._filled = 0
        if self._rest:
            whole = self._rest + pcm
            pcm, self._rest = whole[: self._size], whole[self._size :]
        return pcm

    def _starve(self, due: int) -> bytes:
        """Nothing is here. The next frame may be lost or late: it keeps its turn as long as the delay allows that."""
        self._starved += 1
        if self._starved > STALL_FRAMES:
            self._stall(due - (self._starved - 1 - self._waited))
        elif self._delay_us + FRAME_US > self._max_us:
            self._next = due + 1
        else:
            self._waited += 1
        return self._fill()

    def _stall(self, due: int) -> None:
        self._clear()
        self._floor = self._next = due

    def _fill(self) -> bytes:
        """A frame for none: like the last ones, fading to silence."""
        if self._filled >= _FADE_FRAMES:
            self._before = self._last = self.silence
            return self.silence
        self._filled += 1
        self.concealed += 1
        # What is left of the frame before was due before.
        filled = self._rest + self._concealer.conceal((self._size - len(self._rest)) // 2)
        self._rest = b""
        return filled

    def _skip(self, delay_us: int) -> int:
        """Delay beyond the bound: what is too old is not played any more. Returns the delay that is left."""
        assert self._next is not None
        count = (delay_us - self._transit.target_us) // FRAME_US
        self._cut = self._frames.get(self._next, self._cut)
        self._next += count
        gone = [sequence for sequence in self._frames if sequence < self._next]
        for sequence in gone:
            del self._frames[sequence]
            self._made_up.discard(sequence)
        self.dropped += len(gone)
        self._rest = b""
        self._waited = 0
        return delay_us - count * FRAME_US

    # Steps of the delay

    def _step(self) -> bytes | None:
        """Shorter or longer by a whole frame in a pause, by a pitch period in speech; None for not now."""
        due = self._next
        assert due is not None
        self._off_ticks += 1
        if self._filled or self._cut or due not in self._frames or len(self._rest) >= self._size:
            return None
        if self._error_us > 0:
            return self._shorten(due) if due + 1 in self._frames else None
        return self._lengthen(due)

    def _shorten(self, due: int) -> bytes | None:
        first = np.frombuffer(self._rest + self._frames[due], "<i2")
        sound = np.concatenate((first, np.frombuffer(self._frames[due + 1], "<i2")))
        size = self._size // 2
        lag, alike = size, 1.0
        quiet = pitch.is_pause(sound[:size]) and pitch.is_pause(sound[size : 2 * size])
        if not quiet:
            if self._error_us < _SPEECH_EARLY_US or self._since_step < _SPEECH_DROP_TICKS:
                return None
            lag, alike = pitch.period(sound[: 2 * size], self.sample_rate_hz)
            alike = min(alike, pitch.likeness(sound[:size], sound[lag : lag + size]))
        if not self._fits(alike):
            return None
        out = pitch.joined(sound[:size], sound[lag:], self.sample_rate_hz)
        for sequence in (due, due + 1):
            del self._frames[sequence]
            self._made_up.discard(sequence)
        self._next = due + 2
        self.dropped += quiet
        self.shortened += not quiet
        return self._stepped(out, -FRAME_US)

    def _lengthen(self, due: int) -> bytes | None:
        size = self._size // 2
        past = np.frombuffer(self._before + self._last, "<i2")
        coming = np.frombuffer(self._rest + self._frames[due], "<i2")
        lag, alike = size, 1.0
        quiet = pitch.is_pause(past[size:]) and pitch.is_pause(coming[:size])
        if not quiet:
            if self._error_us > -_SPEECH_LATE_US or self._since_step < _SPEECH_INSERT_TICKS:
                return None
            lag, alike = pitch.period(past, self.sample_rate_hz)
        if not self._fits(alike):
            return None
        again = pitch.joined(coming, past[len(past) - lag :], self.sample_rate_hz)
        del self._frames[due]
        self._made_up.discard(due)
        self._next = due + 1
        self.inserted += quiet
        self.lengthened += not quiet
        return self._stepped(np.concatenate((again, coming)), 0)

    def _fits(self, alike: float) -> bool:
        """Speech that is not like itself a period on is left alone, unless the error has stood for a second."""
        return alike >= _ALIKE or self._off_ticks >= _HURRY_TICKS

    def _stepped(self, sound: pitch.Samples, by_us: int) -> bytes:
        """The first frame of `sound`; the rest comes next. Periods add up until they are a frame."""
        size = self._size // 2
        self._concealer.heard(sound.tobytes())
        self._rest = sound[size:].tobytes()
        self._error_us += by_us + (FRAME_US if len(self._rest) >= self._size else 0)
        self._since_step = self._off_ticks = 0
        return sound[:size].tobytes()
