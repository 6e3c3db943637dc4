"""What is on the line and is not the caller's speech: the echo of our own voice, and keys as tones."""

from dataclasses import dataclass

from services.common.media.frame import ECHO, AudioFrame
from services.gateway.dtmf import Digit
from services.gateway.echo_guard import EchoGuard
from services.gateway.inband_dtmf import InbandDtmf, InbandSender, OneKey, Source


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How a trunk's lines are."""

    echo_guard: bool = True
    inband_dtmf: bool = False
    """Keys come as tones, and go as tones where telephone-event was not agreed on."""


DEFAULT_LINE = LineOptions()


class LineFilter:
    """Stands between the line and the recogniser. A key that comes in two ways is told once."""

    def __init__(self, sample_rate_hz: int, options: LineOptions) -> None:
        self._guard = EchoGuard(sample_rate_hz) if options.echo_guard else None
        self._tones = InbandDtmf(sample_rate_hz) if options.inband_dtmf else None
        self.sender = InbandSender(sample_rate_hz) if options.inband_dtmf else None
        """Of keys as tones, where the trunk has them."""
        self._keys = OneKey()

    @property
    def echo_frames(self) -> int:
        """Frames that held nothing but our own voice."""
        return 0 if self._guard is None else self._guard.echo_frames

    def played(self, pcm: bytes | None, now_us: int) -> None:
        """What leaves for the caller in this slot; None is silence."""
        if self._guard is not None:
            self._guard.played(pcm, now_us)

    def frame(self, frame: AudioFrame, now_us: int) -> tuple[AudioFrame, list[Digit]]:
        """The frame as the recogniser is to hear it, and the keys that ended in it."""
        digits: list[Digit] = []
        if self._tones is not None:
            pcm, pressed = self._tones.frame(frame.samples, now_us)
            if pcm is not frame.samples:
                frame = frame._replace(samples=pcm)
            digits = [digit for digit in pressed if self.first(digit, "inband", now_us)]
        if self._guard is not None:
            pcm, echo = self._guard.judge(frame.samples, now_us)
            if echo:
                frame = frame._replace(samples=pcm, flags=frame.flags | ECHO)
        return frame, digits

    def first(self, digit: Digit, source: Source, now_us: int) -> bool:
        """Whether this press of the key is news."""
        return self._keys.first(digit, source, now_us)
