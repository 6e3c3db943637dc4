"""Recordings as calls see them, and the one thread that writes those of a process.

On the event loop a tick is two appends; once a second a list is handed to the thread. What goes wrong in the thread
ends that recording and is told on the event loop; a call never waits for a disk.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue

from services.common.telemetry.log import logger
from services.gateway.recording.keys import KeyRing
from services.gateway.recording.meta import About
from services.gateway.recording.settings import RecordingSettings
from services.gateway.recording.shelf import Swept, path_of, sweep
from services.gateway.recording.sound import TICKS_PER_S, Encoding
from services.gateway.recording.tape import Tape, Write, reason_of

MAX_BACKLOG = 2048
"""Seconds of sound, of all recordings together, that wait for the disk: 64 MiB at 8 kHz; 300 calls fill it in 7 s."""
SWEEP_EVERY_S = 3600.0
MAX_SKIP = 60 * TICKS_PER_S
"""A process that stood still for longer would fill the disk with silence, of all calls at once."""
_OUR_REASONS = frozenset({"overrun", "clock_jump"})
_CHUNK = 2 * TICKS_PER_S
_GB = 10**9


class RecordingImpossible(Exception):
    """The settings do not let calls be recorded; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A recording's end. `complete`: with the reason that `end` was told.

    Otherwise `reason` is one of `overrun` (the disk is too slow), `clock_jump`, `disk_full`, `disk_failed`, `too_long`,
    `stopped` (the recorder was closed) and `failed`; what came before it is kept. `detail` is for the log.
    """

    call_id: str
    reason: str
    complete: bool
    detail: str = ""


@dataclass(slots=True)
class RecorderCounts:
    """Since the start, of one process. Written by the thread and the loop, each field by one of them."""

    begun: int = 0
    complete: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Recordings that ended before their calls did, by reason."""
    bytes_written: int = 0
    swept: Swept = field(default_factory=Swept)


class Recording:
    """One call's recording, for the event loop. Made by Recorder.begin."""

    __slots__ = ("_chunk", "_ended", "_on_end", "_paused", "_recorder", "about")

    def __init__(self, recorder: "Recorder", about: About, on_end: Callable[[Ended], None] | None) -> None:
        self.about = about
        self._recorder = recorder
        self._on_end = on_end
        self._chunk: list[bytes | None] = []
        self._paused = False
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def paused(self) -> bool:
        return self._paused

    def tick(self, caller_pcm: bytes | None, agent_pcm: bytes | None) -> None:
        """The 20 ms that have just passed, s16le at the recording's rate; None is silence. Never raises."""
        chunk = self._chunk
        if self._paused:
            chunk += (None, None)
        else:
            chunk += (caller_pcm, agent_pcm)
        if len(chunk) >= _CHUNK:
            self._hand_over()

    def skip(self, slots: int) -> None:
        """Ticks that were missed: silence, so that the clock holds. More than MAX_SKIP of them end the recording."""
        if slots <= 0 or self._ended:
            return
        if slots <= TICKS_PER_S:
            self._chunk += (None, None) * slots
            if len(self._chunk) >= _CHUNK:
                self._hand_over()
            return
        self._hand_over()
        if slots > MAX_SKIP:
            self._stop("clock_jump")
        else:
            self._recorder.hand(self, _silence(slots))

    def pause(self) -> None:
        """From here on both channels are silence, and the file says so. Twice is as once."""
        if not self._paused:
            self._paused = True
            self._hand_over()
            self._recorder.hand(self, Tape.paused)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._hand_over()
            self._recorder.hand(self, Tape.resumed)

    def end(self, reason: str = "call_ended") -> None:
        """The call is over. `on_end` follows when all is on the disk. Twice is as once."""
        if not self._ended:
            self._hand_over()
            self._ended = True
            self._recorder.finish(self, reason)

    def told(self, ended: Ended) -> None:
        """On the event loop: the thread is done with it."""
        self._ended = True
        self._chunk.clear()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(ended)

    def overran(self) -> None:
        """The queue is full."""
        self._stop("overrun")

    def _stop(self, reason: str) -> None:
        self._ended = True
        self._recorder.finish(self, reason)

    def _hand_over(self) -> None:
        chunk, self._chunk = self._chunk, []
        if chunk and not self._ended:
            self._recorder.hand(self, _sound(chunk))


_Work = Callable[[Tape], None]


def _sound(chunk: list[bytes | None]) -> _Work:
    return lambda tape: tape.sound(chunk)


def _silence(ticks: int) -> _Work:
    return lambda tape: tape.silence(ticks)


class Recorder:
    """All recordings of a process. `tell` runs something on the event loop: loop.call_soon_threadsafe.

    Wanted wherever the settings have a folder, for what was recorded earlier grows old too. Raises RecordingImpossible
    without one.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        tell: Callable[[Callable[[], None]], object],
        *,
        write: Write = os.write,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        if settings.folder is None:
            raise RecordingImpossible("gateway.recording.folder: missing: where are the recordings kept?")
        self._unready = settings.unready()
        self.counts = RecorderCounts()
        self._folder = settings.folder
        self._encoding: Encoding = "opus" if settings.format == "opus" else settings.wav_encoding
        self._keys: KeyRing | None = settings.key_ring() if settings.encryption == "on" else None
        self._keep = None if settings.retention_days is None else timedelta(days=settings.retention_days)
        self._max_bytes = None if settings.max_gb is None else int(settings.max_gb * _GB)
        self._tell = tell
        self._write = write
        self._now = now
        self._max_backlog = max_backlog
        self._queue: SimpleQueue[tuple[Recording, _Work | str] | None] = SimpleQueue()
        # Each is written on one side only, so no lock is needed.
        self._handed = 0
        self._taken = 0
        self._tapes: dict[Recording, Tape] = {}
        self._sweep: Iterator[None] | None = None
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)

    @property
    def backlog(self) -> int:
        """Pieces of about a second that wait for the disk."""
        return self._handed - self._taken

    def start(self) -> None:
        """Starts the thread, which first erases what is too old."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Writes what is handed over and ends the thread; call after the last `end`. Blocks.

        False when it took longer: those files are unfinished.
        """
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def begin(self, about: About, on_end: Callable[[Ended], None] | None = None) -> Recording:
        """A call's recording, with its first tick at `about.call_time_us`. Does not wait for the disk.

        `on_end` is called on the event loop, once. Raises ValueError when the call's id makes no file name,
        RecordingImpossible when the settings lack something (see RecordingSettings.unready).
        """
        if self._unready is not None:
            key, what = self._unready
            raise RecordingImpossible(f"gateway.recording.{'.'.join(str(part) for part in key)}: {what}")
        path_of(self._folder, about.call_id, about.started_unix_us)
        recording = Recording(self, about, on_end)
        self.counts.begun += 1
        self.hand(recording, _begin)
        return recording

    def hand(self, recording: Recording, work: _Work) -> None:
        """From the event loop: work for the thread. A full queue ends the recording."""
        if recording.ended:
            return
        if self._handed - self._taken >= self._max_backlog:
            recording.overran()
            return
        self._handed += 1
        self._queue.put((recording, work))

    def finish(self, recording: Recording, reason: str) -> None:
        """From the event loop: the last work for it. Goes past the bound, for there is one a recording."""
        self._handed += 1
        self._queue.put((recording, reason))

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + SWEEP_EVERY_S
                self._sweep = sweep(self._folder, self._now(), self._keep, self._max_bytes, self.counts.swept)
            self._sweep_on()
            try:
                item = self._queue.get(timeout=0.0 if self._sweep else max(0.0, due - time.monotonic()))
            except Empty:
                continue
            if item is None:
                break
            recording, work = item
            self._do(recording, work)
            self._taken += 1
        for recording, tape in list(self._tapes.items()):
            tape.abandon("stopped")
            self._over(recording, Ended(recording.about.call_id, "stopped", False))

    def _do(self, recording: Recording, work: _Work | str) -> None:
        tape = self._tapes.get(recording)
        try:
            if work is _begin:
                self._tapes[recording] = Tape(self._folder, recording.about, self._encoding, self._keys, self._write)
            elif tape is None:
                return  # it failed, and was told
            elif isinstance(work, str):
                tape.finish(work)
                self._over(recording, Ended(recording.about.call_id, work, work not in _OUR_REASONS))
            else:
                work(tape)
        except Exception as error:
            # Whatever it is, the thread goes on: it serves all calls.
            reason = reason_of(error)
            if tape is not None:
                tape.abandon(reason)
            if reason == "failed":
                logger().exception("recording_failed", call_id=recording.about.call_id)
            self._over(recording, Ended(recording.about.call_id, reason, False, str(error)))

    def _over(self, recording: Recording, ended: Ended) -> None:
        tape = self._tapes.pop(recording, None)
        counts = self.counts
        if tape is not None:
            counts.bytes_written += tape.bytes_written
        if ended.complete:
            counts.complete += 1
        else:
            counts.failed[ended.reason] = counts.failed.get(ended.reason, 0) + 1
            logger().warning("recording_ended", call_id=ended.call_id, reason=ended.reason, detail=ended.detail)
        try:
            self._tell(lambda: recording.told(ended))
        except RuntimeError:
            # The loop has closed: nobody is left who would want to know.
            logger().debug("recording_end_not_told", call_id=ended.call_id)

    def _sweep_on(self) -> None:
        if self._sweep is None:
            return
        try:
            next(self._sweep)
        except StopIteration:
            self._sweep = None
            swept = self.counts.swept
            logger().info("recordings_swept", too_old=swept.too_old, too_much=swept.too_much, failed=swept.failed)
        except OSError as error:
            self._sweep = None
            logger().warning("recordings_not_swept", folder=str(self._folder), detail=str(error))


def _begin(tape: Tape) -> None:
    """Stands in the queue for the opening of the file."""
