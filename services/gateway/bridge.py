"""Calls joined to one conversation: caller and human agent, the AI listening, a supervisor who whispers.

Each leg puts in the frames that it received and asks once a tick for the frame that it plays. Times are microseconds on
one monotonic clock for all legs, not call time: each call has its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.media.frame import FRAME_US, SAMPLE_RATES_HZ, samples_per_frame
from services.gateway.codecs.resampling import Downsampler, Upsampler
from services.gateway.hold_music import HoldMusic
from services.gateway.jitterbuffer import JitterBuffer, JitterStatistics
from services.gateway.mixer import Mixer

# Ticks are late now and then and never early: a slot begins a little before the earliest that was seen.
_EARLY_US = 3_000
_WHISPER = "whisper:"

PcmSource = Callable[[], bytes | None]
"""Asked once a slot: 20 ms of PCM s16le mono, or None for silence."""


@dataclass(frozen=True, slots=True)
class Joined:
    leg: str


@dataclass(frozen=True, slots=True)
class Left:
    leg: str


@dataclass(frozen=True, slots=True)
class Empty:
    """The last leg has left."""


BridgeEvent = Joined | Left | Empty


class BridgeRefused(ValueError):
    """An operation on a leg that is not here, or is here already."""


@dataclass(slots=True)
class _Leg:
    sample_rate_hz: int
    silence: bytes
    buffer: JitterBuffer | None  # or
    source: PcmSource | None
    held: bool = False
    music_at: int = 0
    taken: int = -1
    """The last slot whose frame it asked for."""
    resample_in: Upsampler | None = None
    resample_out: Downsampler | None = None


class Bridge:
    """The conference of some legs. It is mixed exactly once a slot of 20 ms, by the leg that asks first."""

    def __init__(self, hold_music: HoldMusic) -> None:
        self._music = hold_music
        self._mixer = Mixer()
        self._rate_hz = SAMPLE_RATES_HZ[0]
        self._legs: dict[str, _Leg] = {}
        self._whispers: dict[str, _Leg] = {}
        self._slot = -1
        self._epoch_us: int | None = None
        self._made_us = 0
        self._frames: dict[str, bytes] = {}

    @property
    def legs(self) -> tuple[str, ...]:
        return tuple(self._legs)

    @property
    def sample_rate_hz(self) -> int:
        """What is mixed at: the highest rate of a leg or a whisper."""
        return self._rate_hz

    def join(
        self, leg: str, sample_rate_hz: int, *, source: PcmSource | None = None, heard: bool = True
    ) -> list[BridgeEvent]:
        """A leg, at 8000 or 16000 Hz; all `put` and `frame_for` of it are at that rate.

        `source` speaks for a leg whose audio needs no jitter buffer (the agent's utterances); otherwise `put` brings
        it. A leg that is not `heard` only listens. Raises BridgeRefused, and MixerFull when there are too many.
        """
        if leg in self._legs:
            raise BridgeRefused(f"leg {leg!r} is in this bridge already")
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise BridgeRefused(f"leg {leg!r}: {sample_rate_hz} Hz; a bridge joins legs of {SAMPLE_RATES_HZ} Hz")
        self._mixer.join(leg, speaks=heard)
        self._legs[leg] = _new_leg(sample_rate_hz, source)
        self._set_rate()
        return [Joined(leg)]

    def leave(self, leg: str) -> list[BridgeEvent]:
        """A leg goes, with the whispers to it; nothing happens when it is gone already."""
        if self._legs.pop(leg, None) is None:
            return []
        self._mixer.leave(leg)
        self._end_whisper(leg)
        self._frames.pop(leg, None)
        self._set_rate()
        return [Left(leg)] if self._legs else [Left(leg), Empty()]

    def hold(self, leg: str, held: bool = True) -> None:
        """It hears music, and neither hears nor is heard. Raises BridgeRefused."""
        one = self._known(leg)
        if one.held == held:
            return
        one.held, one.music_at = held, 0
        self._mixer.hold(leg, held)
        if one.buffer is not None:
            # What was said on hold is for nobody.
            one.buffer.restart()

    def mute(self, leg: str, muted: bool = True) -> None:
        """It hears and is not heard. Raises BridgeRefused."""
        self._known(leg)
        self._mixer.mute(leg, muted)

    def listen(self, leg: str, only: bool = True) -> None:
        """It hears all and is heard by nobody (the AI beside two people); False: it speaks too.

        Raises BridgeRefused.
        """
        self._known(leg)
        self._mixer.join(leg, speaks=not only)

    def coach(self, leg: str, to: str | None) -> None:
        """A leg that only `to` hears, while it hears all (a supervisor); None: all hear it. Raises BridgeRefused."""
        self._known(leg)
        if to is not None:
            self._known(to)
        self._mixer.whisper(leg, to)

    def whisper(self, to: str, source: PcmSource | None, sample_rate_hz: int = 8000) -> None:
        """Sound that only `to` hears, with the conversation; None ends it. Raises BridgeRefused and MixerFull."""
        self._known(to)
        self._end_whisper(to)
        if source is None:
            self._set_rate()
            return
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise BridgeRefused(f"whisper to {to!r}: {sample_rate_hz} Hz; known are {SAMPLE_RATES_HZ} Hz")
        self._mixer.join(_WHISPER + to, hears=False)
        self._mixer.whisper(_WHISPER + to, to)
        self._whispers[to] = _new_leg(sample_rate_hz, source)
        self._set_rate()

    def put(self, leg: str, frame_sequence: int, pcm: bytes, arrived_us: int, concealed: bool = False) -> None:
        """A frame that the leg received. What comes for a leg on hold, or for none, is dropped."""
        one = self._legs.get(leg)
        if one is not None and one.buffer is not None and not one.held:
            one.buffer.put(frame_sequence, pcm, arrived_us, concealed)

    def restart(self, leg: str) -> None:
        """The leg's sequence begins anew."""
        one = self._legs.get(leg)
        if one is not None and one.buffer is not None:
            one.buffer.restart()

    def statistics(self, leg: str) -> JitterStatistics | None:
        """Of the leg's jitter buffer; None when it has none."""
        one = self._legs.get(leg)
        return None if one is None or one.buffer is None else one.buffer.statistics()

    def frame_for(self, leg: str, now_us: int) -> bytes:
        """The 20 ms that the leg plays in this slot; to be asked once a tick of the leg's call. Silence for no leg.

        The first leg to ask in a slot makes the mix. A leg that already has this slot's frame asks for the next: its
        tick has come, however early or late it is by the clock.
        """
        one = self._legs.get(leg)
        if one is None:
            return bytes(2 * samples_per_frame(SAMPLE_RATES_HZ[0]))
        if self._epoch_us is None:
            self._epoch_us = now_us - _EARLY_US
        slot = (now_us - self._epoch_us) // FRAME_US
        if slot > self._slot:
            self._slot = slot
            self.tick(now_us)
        elif one.taken >= self._slot:
            if one.taken > slot:
                # Twice ahead of time: that is no tick of a call.
                return one.silence
            self._slot += 1
            if now_us - self._made_us >= FRAME_US // 2:
                # Slots are counted from the earliest ticks; the one seen first was late.
                self._epoch_us = now_us - _EARLY_US - self._slot * FRAME_US
            self.tick(now_us)
        one.taken = self._slot
        return self._frames.get(leg, one.silence)

    def tick(self, now_us: int) -> dict[str, bytes]:
        """Makes the next mix: each leg's frame, at its rate. Who uses `frame_for` does not call it."""
        self._made_us = now_us
        sounds: dict[str, bytes | None] = {}
        for leg, one in self._legs.items():
            if one.held:
                continue
            sounds[leg] = self._sound(one, now_us)
        for to, one in self._whispers.items():
            sounds[_WHISPER + to] = self._sound(one, now_us)
        mixed = self._mixer.mix(sounds)
        frames: dict[str, bytes] = {}
        for leg, one in self._legs.items():
            if one.held:
                frames[leg] = self._music.frame(one.music_at, one.sample_rate_hz)
                one.music_at += 1
                continue
            frame = mixed[leg]
            if frame is None:
                frames[leg] = one.silence
                one.resample_out = None
            elif one.sample_rate_hz == self._rate_hz:
                frames[leg] = frame
            else:
                # The mix has the highest rate, so a leg's own is the lower of the two.
                if one.resample_out is None:
                    one.resample_out = Downsampler()
                frames[leg] = one.resample_out.push(frame)
        self._frames = frames
        return frames

    def _sound(self, one: _Leg, now_us: int) -> bytes | None:
        if one.buffer is not None:
            pcm: bytes | None = one.buffer.get(now_us)
            if pcm is one.buffer.silence:
                pcm = None
        else:
            assert one.source is not None
            pcm = one.source()
            if pcm is not None and len(pcm) != len(one.silence):
                pcm = pcm[: len(one.silence)].ljust(len(one.silence), b"\0")
        if pcm is None:
            one.resample_in = None
            return None
        if one.sample_rate_hz == self._rate_hz:
            return pcm
        if one.resample_in is None:
            one.resample_in = Upsampler()
        return one.resample_in.push(pcm)

    def _known(self, leg: str) -> _Leg:
        one = self._legs.get(leg)
        if one is None:
            raise BridgeRefused(f"no leg {leg!r} in this bridge, only {', '.join(self._legs) or 'none'}")
        return one

    def _end_whisper(self, to: str) -> None:
        if self._whispers.pop(to, None) is not None:
            self._mixer.leave(_WHISPER + to)

    def _set_rate(self) -> None:
        every = (*self._legs.values(), *self._whispers.values())
        rate_hz = max((one.sample_rate_hz for one in every), default=SAMPLE_RATES_HZ[0])
        if rate_hz == self._rate_hz:
            return
        self._rate_hz = rate_hz
        for one in every:
            one.resample_in = one.resample_out = None


def _new_leg(sample_rate_hz: int, source: PcmSource | None) -> _Leg:
    return _Leg(
        sample_rate_hz,
        bytes(2 * samples_per_frame(sample_rate_hz)),
        JitterBuffer(sample_rate_hz) if source is None else None,
        source,
    )
