"""The agent's mouth: utterances wait for their release and go out 20 ms at a time. Pure; times are call time."""

from dataclasses import dataclass, field
from enum import Enum

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame, samples_per_frame

# A message costs as much as five frames of sound. Where it was paused or cut is told exactly, whenever that is.
PROGRESS_MS = 400
STARVED_US = 5_000_000
# Two minutes of 8 kHz PCM is 1.9 MB: more than any answer, and a bound on what a call can take.
MAX_BUFFERED_S = 120
# A gap in the frames keeps its length, so that words stay where the alignment says; a longer one is no gap.
MAX_GAP_FRAMES = 250
_FINISHED_KEPT = 1024


class End(Enum):
    """How an utterance ended; brain.proto's PlayoutEnd."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    STARVED = "starved"


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The samples of this tick are the utterance's first; `ready_us` is when Play and a frame were both there."""

    utterance_id: int
    ready_us: int


@dataclass(frozen=True, slots=True)
class PlayoutProgress:
    utterance_id: int
    samples_played: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class PlayoutFinished:
    utterance_id: int
    samples_played: int
    end: End


PlayoutEvent = PlayoutStarted | PlayoutProgress | PlayoutFinished


@dataclass(slots=True)
class _Utterance:
    utterance_id: int
    audio: bytearray = field(default_factory=bytearray)
    next_sequence: int = 0
    complete: bool = False
    first_frame_us: int | None = None
    released_us: int | None = None
    position: int = 0  # samples
    heard: int = 0  # the furthest sample that was played
    unreported: int = 0  # samples since the last progress
    started: bool = False
    paused: bool = False
    hungry_since_us: int | None = None


class Playout:
    """Utterances in the order of their Play commands, whether their frames come before it or after.

    Every sample of a released utterance leaves exactly once and in order, except where Resume goes back or Stop cuts;
    the 20 ms in which an utterance ends are filled up with silence.
    """

    def __init__(self, sample_rate_hz: int = 8000) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._frame_samples = samples_per_frame(sample_rate_hz)
        self._progress_samples = sample_rate_hz * PROGRESS_MS // 1000
        self._max_bytes = MAX_BUFFERED_S * sample_rate_hz * 2
        self._buffered_bytes = 0
        self._utterances: dict[int, _Utterance] = {}
        self._queue: list[_Utterance] = []
        # By id, whether its end was reported: what was dropped to make room is told when somebody wants to hear it.
        self._finished: dict[int, bool] = {}
        self.dropped_frames = 0

    @property
    def idle(self) -> bool:
        """Nothing released is left to be heard."""
        return not self._queue

    @property
    def paused(self) -> bool:
        """What is to be heard next waits for Resume."""
        return bool(self._queue) and self._queue[0].paused

    def frame(self, frame: AudioFrame, now_us: int) -> None:
        """A frame from tts. One of a finished or stopped utterance, a repeated one, or one too many, is dropped."""
        if frame.utterance_id in self._finished or frame.sample_rate_hz != self.sample_rate_hz:
            self.dropped_frames += 1
            return
        utterance = self._utterance(frame.utterance_id)
        gap = frame.sequence - utterance.next_sequence
        size = len(frame.samples) * (gap + 1)
        if utterance.complete or not 0 <= gap <= MAX_GAP_FRAMES or not self._room_for(size, utterance):
            self.dropped_frames += 1
            return
        if gap:
            utterance.audio += bytes(len(frame.samples) * gap)
        utterance.audio += frame.samples
        self._buffered_bytes += size
        utterance.next_sequence = frame.sequence + 1
        utterance.complete = bool(frame.flags & END_OF_UTTERANCE)
        if utterance.first_frame_us is None:
            utterance.first_frame_us = now_us

    def play(self, utterance_id: int, now_us: int) -> list[PlayoutEvent]:
        """Releases an utterance; a second time, or after its end, nothing happens."""
        if utterance_id in self._finished:
            if self._finished[utterance_id]:
                return []
            self._finished[utterance_id] = True
            return [PlayoutFinished(utterance_id, 0, End.STARVED)]
        utterance = self._utterance(utterance_id)
        if utterance.released_us is None:
            utterance.released_us = now_us
            self._queue.append(utterance)
        return []

    def pause(self, utterance_id: int) -> list[PlayoutEvent]:
        """Silence from the next tick on. An utterance that is not known (any more) is let be."""
        utterance = self._utterances.get(utterance_id)
        if utterance is None or utterance.paused:
            return []
        utterance.paused = True
        utterance.hungry_since_us = None
        return [PlayoutProgress(utterance_id, utterance.heard, paused=True)]

    def resume(self, utterance_id: int, from_sample: int | None = None) -> None:
        """Goes on where it was paused, or from an earlier sample; a later one would skip what nobody heard."""
        utterance = self._utterances.get(utterance_id)
        if utterance is None or not utterance.paused:
            return
        utterance.paused = False
        if from_sample is not None:
            utterance.position = min(from_sample, utterance.position)

    def stop(self, utterance_id: int) -> list[PlayoutEvent]:
        """Ends it, released or not, known or not; its later frames are dropped."""
        if self._finished.get(utterance_id):
            return []
        return [self._finish(self._utterance(utterance_id), End.STOPPED)]

    def forget(self, below: int) -> None:
        """All utterances with lower ids, also which were finished: another brain counts its utterances anew."""
        self._utterances = {one: utterance for one, utterance in self._utterances.items() if one >= below}
        self._queue = [one for one in self._queue if one.utterance_id >= below]
        self._finished = {one: told for one, told in self._finished.items() if one >= below}
        self._buffered_bytes = sum(len(one.audio) for one in self._utterances.values())

    def tick(self, now_us: int) -> tuple[bytes | None, list[PlayoutEvent]]:
        """The next 20 ms as PCM s16le, or None for silence; and what happened with it."""
        events: list[PlayoutEvent] = []
        while self._queue:
            utterance = self._queue[0]
            if utterance.paused:
                return None, events
            available = len(utterance.audio) // 2 - utterance.position
            if available <= 0 and utterance.complete:
                # Paused after the last sample and resumed there.
                events.append(self._finish(utterance, End.COMPLETED))
                continue
            if available < self._frame_samples and not utterance.complete:
                if self._starved(utterance, now_us):
                    events.append(self._finish(utterance, End.STARVED))
                    continue
                return None, events
            return self._take(utterance, min(available, self._frame_samples), events), events
        return None, events

    def _take(self, utterance: _Utterance, count: int, events: list[PlayoutEvent]) -> bytes:
        utterance.hungry_since_us = None
        if not utterance.started:
            utterance.started = True
            assert utterance.first_frame_us is not None
            assert utterance.released_us is not None
            ready_us = max(utterance.first_frame_us, utterance.released_us)
            events.append(PlayoutStarted(utterance.utterance_id, ready_us))
        start = 2 * utterance.position
        samples = bytes(utterance.audio[start : start + 2 * count])
        utterance.position += count
        utterance.unreported += count
        # What is said again was heard before: the count never goes back.
        utterance.heard = max(utterance.heard, utterance.position)
        if utterance.complete and 2 * utterance.position >= len(utterance.audio):
            events.append(self._finish(utterance, End.COMPLETED))
        elif utterance.unreported >= self._progress_samples:
            utterance.unreported = 0
            events.append(PlayoutProgress(utterance.utterance_id, utterance.heard))
        return samples + bytes(2 * (self._frame_samples - count))

    def _starved(self, utterance: _Utterance, now_us: int) -> bool:
        if utterance.hungry_since_us is None:
            utterance.hungry_since_us = now_us
        return now_us - utterance.hungry_since_us >= STARVED_US

    def _utterance(self, utterance_id: int) -> _Utterance:
        if utterance_id not in self._utterances:
            self._utterances[utterance_id] = _Utterance(utterance_id)
        return self._utterances[utterance_id]

    def _room_for(self, size: int, wanted: _Utterance) -> bool:
        """Drops the oldest utterances that nobody released until there is room."""
        if self._buffered_bytes + size <= self._max_bytes:
            return True
        for old in list(self._utterances.values()):
            if self._buffered_bytes + size <= self._max_bytes:
                break
            if old.released_us is None and old is not wanted:
                self.dropped_frames += old.next_sequence
                self._finish(old, End.STOPPED)
                self._finished[old.utterance_id] = False
        return self._buffered_bytes + size <= self._max_bytes

    def _finish(self, utterance: _Utterance, end: End) -> PlayoutFinished:
        self._utterances.pop(utterance.utterance_id, None)
        if utterance.released_us is not None:
            self._queue.remove(utterance)
        self._buffered_bytes -= len(utterance.audio)
        self._finished[utterance.utterance_id] = True
        if len(self._finished) > _FINISHED_KEPT:
            self._finished.pop(next(iter(self._finished)))
        return PlayoutFinished(utterance.utterance_id, utterance.heard, end)
