"""A call while it is recorded: caller left, what the caller hears right, slot by slot on the call's clock."""

from services.common.media.frame import CONCEALED, DISCONTINUITY, FRAME_US, AudioFrame
from services.gateway.jitterbuffer import JitterBuffer
from services.gateway.recording.recorder import Recording
from services.gateway.spoken_stream import Spoken


class RecordedCall:
    """Feeds a Recording. What the caller says comes through a jitter buffer, for it arrives unevenly."""

    def __init__(self, recording: Recording, sample_rate_hz: int) -> None:
        self._recording = recording
        self._sample_rate_hz = sample_rate_hz
        self._caller = JitterBuffer(sample_rate_hz)
        self._slots = -1
        self._paused = False
        self._resumed = False

    def heard(self, frame: AudioFrame, now_us: int) -> None:
        """A frame of the caller's."""
        if frame.flags & DISCONTINUITY:
            self._caller.restart()
        self._caller.put(frame.sequence, frame.samples, now_us, bool(frame.flags & CONCEALED))

    def slot(self, spoken: Spoken, now_us: int) -> None:
        """20 ms are over, in which the caller heard `spoken`. Keys that we press are not in the recording."""
        if self._slots < 0:
            # The first tick comes with the answer: nothing is over yet.
            self._slots = 0
            return
        # Ticks wander by a few ms; only whole slots that nobody told of are filled up.
        missed = now_us // FRAME_US - self._slots - 1
        if missed > 0:
            self._recording.skip(missed)
            self._slots += missed
        self._slots += 1
        caller: bytes | None = self._caller.get(now_us)
        if caller is self._caller.silence:
            caller = None
        if self._resumed:
            # The pause ended within this slot.
            caller = spoken = None
            self._resumed = False
        self._recording.tick(caller, spoken if isinstance(spoken, bytes) else None)

    def pause(self, paused: bool) -> None:
        """What is said and keyed from now on is secret, or no more."""
        if paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._recording.pause()
        else:
            # What it holds, and what it would conceal with, was said in the pause.
            self._caller = JitterBuffer(self._sample_rate_hz)
            self._resumed = True
            self._recording.resume()

    def end(self, reason: str) -> None:
        self._recording.end(reason)
