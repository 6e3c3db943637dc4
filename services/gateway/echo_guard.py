"""The echo guard: what comes back of the agent's own voice is no speech of the caller's.

It knows what was played. From time to time it looks for it in what the caller sends (`find_delay`); only when it is
found there, frames are compared with what an echo would be: the linear way's response is taken off, and what remains
is held against the power that the way left over of earlier echo, band by band. A frame that has no more than that is
echo and is silenced. One that has more is the caller: it passes untouched, and so does all that follows for a while.
When in doubt a frame passes: an echo that leaks costs a false start, a caller who is not heard costs the call.
"""

import numpy as np

from services.gateway.echo_path import (
    BANDS,
    BLOCK,
    BLOCK_FRAMES,
    FRAME,
    LEAD,
    LEAST_LAG,
    MOST_LAG,
    RATE_HZ,
    TAPS,
    Bands,
    DelaySearch,
    Sound,
    band_powers,
    linear_echo,
    response,
)

# After this much silence nothing of what was played can still come back: 700 ms of delay, and a room's tail.
LONGEST_ECHO_US = 1_000_000
# -62 dBov: no voice activity detector takes it for speech.
QUIET_RMS = 26.0
# Prominence of the known lag in a block that still shows it.
LIKELY = 4.5
SAME_LAG = 24
# A block's energy over what the response leaves of it, when a way is believed: at once, and with the block before. An
# echo in a room with more reverberation than direct sound has 2.2 and more in each block; two people who happen to
# sound alike for a third of a second up to 4, once.
EXPLAINED, PARTLY_EXPLAINED = 6.0, 1.8
# The share of a new block in what is known of the way.
LEARNS = np.float32(0.35)
# Mean excess over the expected echo, in octaves of power a band: of one frame, and of two in a row.
LOUD_EXCESS, EXCESS = 1.6, 1.2
# A frame with this many times the expected power is more than echo, whatever its bands say.
LOUDER = 6.0
# Frames that pass after one that is the caller's: a word has soft sounds in it. After frames that only may be, fewer.
HANGOVER_FRAMES, BRIEF_FRAMES = 12, 5
# The noise of the line is followed a frame, in power: slowly up, for words stand still as well, and fast down.
RISES, FALLS = np.float32(1.015), np.float32(0.2)
# Frames in which an echo was due and none came, before the way counts as gone.
MOST_ABSENT = 6
LOST_BLOCKS = 3
# Blocks of 320 ms in which something came back while we spoke, and what it is not worth to look at each of them.
_KEEN_BLOCKS = 8
_SELDOM = 8
# A room's echo falls some 2.5 dB a frame (a reverberation time of half a second).
DECAY = np.float32(0.55)
# Of the linear echo, never taken off: the way moves a little all the time.
UNEQUAL = np.float32(0.05)
# Of a frame's whole power, in each band: noise of companding on the way, and what leaks between bands.
COMPANDED = 1e-3
# What has no more in a band is too soft to count, in units of `band_powers`: noise of -56 dBov.
SOFT = np.float32(50.0**2 * 60)
# -50 dBov: who is softer than this passes when it is no echo, but does not open the way for what follows.
_VOICE = 104.0**2 * FRAME
_HISTORY = (MOST_LAG - LEAST_LAG) // FRAME + BLOCK_FRAMES + 2
_ROWS = _HISTORY + 10
_MOST_DRIFT_FRAMES = 5
_QUIET = QUIET_RMS * QUIET_RMS * FRAME
_ONES = np.ones(BANDS, np.float32)
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
# How fast the power that the response leaves over is followed, in each fourth frame of echo.
FOLLOWS = np.float32(0.25)
_LOWER, _LOW = BLOCK_FRAMES * 2 // 5, BLOCK_FRAMES // 5
_PCM = np.dtype("<i2")


class _Way:
    """What is known of the echo's way, once it was found."""

    __slots__ = ("absent", "gains", "lag", "learned", "lost", "noise", "response", "tail")

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self.response: Sound = np.zeros(TAPS, np.float32)
        self.gains: Bands = np.zeros(0, np.float32)  # of the power that the response leaves over
        self.noise: Bands = np.zeros(0, np.float32)
        self.tail: Bands = np.zeros(0, np.float32)  # the played power as it decays in the room
        self.absent = 0
        self.lost = 0
        self.learned = 0


class EchoGuard:
    """One call's guard. `sample_rate_hz` is that of both directions, 8000 or 16000; inside, all is 8 kHz.

    `played` once each 20 ms slot and `judge` once each caller frame, in order. Frames may come late and in bursts:
    only their order counts.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        if sample_rate_hz not in (RATE_HZ, 2 * RATE_HZ):
            raise ValueError(f"sample_rate_hz is {sample_rate_hz}; the echo guard takes {RATE_HZ} and {2 * RATE_HZ}")
        self.echo_frames = 0
        """Frames suppressed so far."""
        self._wide = sample_rate_hz != RATE_HZ
        self._silence = bytes(2 * sample_rate_hz // 50)
        self._slots = 0  # played so far
        self._frames = 0  # judged so far
        self._ahead: int | None = None  # slots less frames, when the order was last taken for the time
        self._loud_us = -LONGEST_ECHO_US - 1  # when something was played last
        self._base = 0  # slot from which on something is kept
        # The slot's PCM at its number modulo _ROWS. Bytes are kept as they came: nearly always nobody asks for them.
        self._played: list[bytes] = []
        self._block: list[bytes] = []
        self._unsought = 0  # frames to let pass before the next block is looked at
        self._compared = np.zeros((0, FRAME), np.float32)
        self._search: DelaySearch | None = None
        self._partly: int | None = None  # the lag of a way that was not believed yet
        self._searched = 0
        self._way: _Way | None = None
        self._hangover = 0
        self._before = 0.0  # excess of the frame before

    @property
    def delay_ms(self) -> float | None:
        """Of the echo, by the order of frames; None while none is known."""
        return None if self._way is None else (self._way.lag + LEAD) * 1000 / RATE_HZ

    def played(self, pcm: bytes | None, now_us: int) -> None:
        """What left for the caller in this slot; None, or all zeros, is silence."""
        slot = self._slots
        self._slots = slot + 1
        if pcm is None or pcm == self._silence or len(pcm) != len(self._silence):
            if now_us - self._loud_us > LONGEST_ECHO_US:
                return
            pcm = self._silence
        else:
            if not self._played:
                self._played = [self._silence] * _ROWS
            if now_us - self._loud_us > LONGEST_ECHO_US:
                self._forget_played(slot)
            self._loud_us = now_us
        if self._played:
            self._played[slot % _ROWS] = pcm

    def judge(self, pcm: bytes, now_us: int) -> tuple[bytes, bool]:
        """A caller's frame: (the same, False), or (silence, True) when it is nothing but echo."""
        frame = self._frames
        self._frames = frame + 1
        if now_us - self._loud_us > LONGEST_ECHO_US:
            self._block.clear()
            return pcm, False
        if self._unsought:
            self._unsought -= 1
            return pcm, False
        if len(pcm) != len(self._silence) or not self._on_time():
            return pcm, False
        if self._way is None:
            if self._block or self._energy(pcm) >= _QUIET:
                self._collect(pcm, frame)
            return pcm, False
        if not len(self._compared):
            self._compared = np.zeros((4, FRAME), np.float32)
        row = self._compared[0]
        row[:] = self._at_8khz(pcm)
        energy = float(row.dot(row))
        is_echo = self._judge(self._way, row, energy, frame)
        if self._block or energy >= _QUIET:
            self._collect(pcm, frame)
        if is_echo:
            self.echo_frames += 1
            return self._silence, True
        return pcm, False

    # Inside

    def _at_8khz(self, pcm: bytes) -> Sound:
        samples = np.frombuffer(pcm, _PCM)
        if not self._wide:
            return samples.astype(np.float32)
        return np.add(samples[0::2], samples[1::2], dtype=np.float32) * _HALF

    def _energy(self, pcm: bytes) -> float:
        sound = self._at_8khz(pcm)
        return float(sound.dot(sound))

    def _forget_played(self, slot: int) -> None:
        self._base = slot
        if self._way is not None:
            self._way.tail[:] = 0

    def _on_time(self) -> bool:
        """Whether frames and slots go on side by side; when they don't, all lags change."""
        ahead = self._slots - self._frames
        if self._ahead is None or abs(ahead - self._ahead) > _MOST_DRIFT_FRAMES:
            self._ahead = ahead
            self._give_up()
            return False
        return True

    def _give_up(self) -> None:
        self._searched = 0
        self._way = self._search = self._partly = None
        self._block.clear()
        self._unsought = 0
        self._hangover = 0

    def _reference(self, first: int, count: int) -> Sound:
        """Played samples from slot-time sample `first` on; silence where nothing is kept (any more or yet)."""
        played, slot = self._played, first // FRAME
        end = (first + count - 1) // FRAME + 1
        oldest = max(self._base, self._slots - _ROWS)
        if slot >= oldest and end <= self._slots:
            kept = [played[at % _ROWS] for at in range(slot, end)]
        else:
            kept = [played[at % _ROWS] if oldest <= at < self._slots else self._silence for at in range(slot, end)]
        begin = first - slot * FRAME
        return self._at_8khz(b"".join(kept))[begin : begin + count]

    def _time(self, frame: int) -> int:
        """First sample of a caller's frame, counted as played samples are."""
        return (frame + (self._ahead or 0)) * FRAME

    def _judge(self, way: _Way, row: Sound, energy: float, frame: int) -> bool:
        played = self._reference(self._time(frame) - way.lag - TAPS + 1, FRAME + TAPS - 1)
        linear = linear_echo(played, way.response)
        frames = self._compared
        np.subtract(row, linear, out=frames[1])
        frames[2] = played[-FRAME - LEAD : -LEAD]
        frames[3] = linear
        whole, left, direct, alike = band_powers(frames)
        tail = way.tail
        tail *= DECAY
        np.maximum(tail, direct, out=tail)
        expected = way.gains * tail
        due = float(linear.dot(linear)) + float(expected.dot(_ONES)) * 0.01
        if energy < _QUIET:
            self._before = 0.0
            self._hangover = max(self._hangover - 1, 0)
            self._due(way, due > 4 * _QUIET)
            return False
        alike *= UNEQUAL
        expected += alike
        # The better of both: a response that no longer holds adds echo instead of taking it off.
        rest = np.minimum(left, whole)
        noise = way.noise
        floor = noise + noise
        floor += SOFT + whole.dot(_ONES) * COMPANDED
        ratio = (rest + SOFT) / (expected + floor)
        excess = float(np.log2(np.maximum(ratio, _ONE)).dot(_ONES)) / BANDS
        clear = excess > LOUD_EXCESS or rest.dot(_ONES) > LOUDER * (expected + floor).dot(_ONES)
        near = clear or (excess > EXCESS and self._before > EXCESS)
        self._before = excess
        noise *= RISES
        noise += np.minimum(rest - noise, _ZERO) * FALLS
        if near:
            if energy > _VOICE:
                self._hangover = max(self._hangover, HANGOVER_FRAMES if clear else BRIEF_FRAMES)
            return False
        if self._hangover:
            self._hangover -= 1
            return False
        self._due(way, energy < 0.1 * due)
        if due < 0.5 * _QUIET:
            return False
        if frame % 4 == 0:
            step = np.minimum(ratio, _TWO)
            step -= _ONE
            step *= expected > floor
            way.gains += way.gains * step * FOLLOWS
            np.minimum(way.gains, _TWO, out=way.gains)
        return True

    def _due(self, way: _Way, missing: bool) -> None:
        way.absent = way.absent + 1 if missing else 0
        if way.absent > MOST_ABSENT:
            self._give_up()

    def _collect(self, pcm: bytes, frame: int) -> None:
        """Keeps the frame for learning, and learns when a block is full."""
        self._block.append(pcm)
        if len(self._block) < BLOCK_FRAMES:
            return
        caller = self._at_8khz(b"".join(self._block))
        self._block.clear()
        self._learn(caller, frame + 1 - BLOCK_FRAMES)
        if self._way is None and self._searched > _KEEN_BLOCKS:
            # A line that has shown no echo in many blocks seldom has any: the search is what costs.
            self._unsought = BLOCK_FRAMES * (_SELDOM - 1)

    def _learn(self, caller: Sound, first_frame: int) -> None:
        way = self._way
        if way is None:
            self._searched += 1
        else:
            way.learned += 1
            # What goes on well is looked at again every second or two.
            if way.learned > 4 and way.learned % (1 if self._hangover else 8):
                return
        start = self._time(first_frame)
        played = self._reference(start - MOST_LAG, BLOCK + MOST_LAG - LEAST_LAG)
        if played.dot(played) < _QUIET * BLOCK_FRAMES:
            return
        search = self._search = self._search or DelaySearch()
        peak, elected = search.block(played, caller, None if way is None else way.lag + LEAD)
        if way is not None and (elected is None or abs(elected.lag - way.lag - LEAD) <= 2 * SAME_LAG):
            if peak.prominence > LIKELY:
                way.lost = 0
                if way.learned <= 4 or way.learned % 2 == 0:
                    self._fit(way, caller, start)
                return
            elected = None
        if elected is not None:
            found = _Way(elected.lag - LEAD)
            hangover, self._hangover = self._hangover, 0
            explained = self._fit(found, caller, start)
            before, self._partly = self._partly, elected.lag if explained > PARTLY_EXPLAINED else None
            again = self._partly is not None and before is not None and abs(before - elected.lag) <= SAME_LAG
            if explained > EXPLAINED or again:
                self._way = found
                return
            self._hangover = hangover
        if way is not None and self._hangover:
            way.lost += 1
            if way.lost >= LOST_BLOCKS:
                self._give_up()

    def _fit(self, way: _Way, caller: Sound, start: int) -> float:
        """Learns the way from a block with echo in it; the caller may have spoken in it as well.

        Returns the block's energy over that of what the response does not explain of it.
        """
        played = self._reference(start - way.lag - TAPS + 1, BLOCK + TAPS - 1)
        taps = response(played, caller)
        if len(way.gains):
            taps = way.response + (taps - way.response) * LEARNS
        rest = caller - linear_echo(played, taps)
        if self._hangover == 0 or rest.dot(rest) < 0.25 * caller.dot(caller):
            way.response = taps
        else:
            rest = caller - linear_echo(played, way.response)
        frames = (BLOCK_FRAMES, FRAME)
        left = np.minimum(band_powers(rest.reshape(frames)), band_powers(caller.reshape(frames)))
        tails = band_powers(played[TAPS - 1 - LEAD : TAPS - 1 - LEAD + BLOCK].reshape(frames))
        for at in range(1, BLOCK_FRAMES):
            np.maximum(tails[at], tails[at - 1] * DECAY, out=tails[at])
        # Where the caller spoke as well the ratio is too high: the lower half of the frames tells the echo's.
        # Powers that vary as those of noise do have twice that on average.
        share = left / (tails + 0.2 * tails.mean(axis=0) + 1.0)
        # Nothing comes back louder than it went out, give or take a band.
        gains = np.minimum(np.partition(share, _LOWER, axis=0)[_LOWER] * _TWO, _TWO)
        if len(way.gains) == 0:
            way.gains, way.noise, way.tail = gains, np.partition(left, _LOW, axis=0)[_LOW], tails[-1].copy()
        elif self._hangover:
            way.gains = np.minimum(np.maximum(gains, way.gains * np.float32(0.7)), way.gains * np.float32(1.4))
        return float(caller.dot(caller)) / (float(rest.dot(rest)) + 1.0)
