"""One recording's file while it is being written: what the writer thread does for it."""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from services.gateway.recording import shelf
from services.gateway.recording.keys import KeyRing, caller_hash
from services.gateway.recording.layout import PREFIX_BYTES, Header, Kind, Sealer
from services.gateway.recording.meta import About, End, mark, meta_of
from services.gateway.recording.sound import CHANNELS, MAX_WAV_BYTES, TICKS_PER_S, Encoding, encoder, interleaved

TICK_US = 1_000_000 // TICKS_PER_S
Write = Callable[[int, memoryview], int]
"""os.write: how much of it was written. Raises OSError."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TooLong(Exception):
    """The sound would not fit into a WAV."""


def reason_of(error: BaseException) -> str:
    """Why a recording ended, for logs, metrics and its END: one of few words."""
    if isinstance(error, TooLong):
        return "too_long"
    if isinstance(error, OSError):
        return "disk_full" if error.errno in _FULL else "disk_failed"
    return "failed"


class Tape:
    """An open recording. Every method but `abandon` raises OSError; the file then ends at its last whole record."""

    def __init__(
        self, folder: Path, about: About, encoding: Encoding, keys: KeyRing | None, write: Write = os.write
    ) -> None:
        """Makes the file and writes its META. `keys` None: without encryption. Raises OSError, ValueError, ImportError
        and KeyUnknown."""
        self._write = write
        self._descriptor = -1
        self._good = 0
        self._ticks = 0
        self._sound_bytes = 0
        self._pauses = 0
        self._about = about
        self._encoder = encoder(encoding, about.sample_rate_hz)
        self.path = shelf.path_of(folder, about.call_id, about.started_unix_us)
        data_key = None if keys is None else os.urandom(32)
        wrapped = None if keys is None or data_key is None else keys.wrap(data_key)
        self._open(folder)
        try:
            caller = ""
            if about.caller and keys is not None:
                caller = keys.caller_hash(about.caller, keys.current)
            elif about.caller:
                caller = caller_hash(about.caller, shelf.make_caller_key(folder))
            prefix = os.urandom(PREFIX_BYTES)
            header = Header(about.call_id, about.started_unix_us, caller, prefix, wrapped).encoded()
            self._sealer = Sealer(header, prefix, data_key)
            self._append(header)
            self._record(Kind.META, meta_of(about, encoding).encoded())
        except BaseException:
            self._close()
            # Nothing of the call is in it.
            with suppress(OSError):
                self.path.unlink()
            raise

    @property
    def bytes_written(self) -> int:
        return self._good

    def sound(self, ticks: Sequence[bytes | None]) -> None:
        """Ticks of caller and agent in turn, None for silence. Raises TooLong."""
        self._encoded(interleaved(ticks, self._about.sample_rate_hz))
        self._ticks += len(ticks) // CHANNELS

    def silence(self, ticks: int) -> None:
        """Raises TooLong."""
        while ticks > 0:
            now = min(ticks, TICKS_PER_S)
            self.sound((None, None) * now)
            ticks -= now

    def paused(self) -> None:
        self._pauses += 1
        self._record(Kind.MARK, mark("pause", self._call_time_us()))

    def resumed(self) -> None:
        self._record(Kind.MARK, mark("resume", self._call_time_us()))

    def finish(self, reason: str) -> None:
        """Writes END and closes. After an error `abandon` must follow."""
        self._sound_record(self._encoder.finish())
        self._end(reason)
        self._close()

    def abandon(self, reason: str) -> None:
        """After an error: cuts off what is half written, puts END there if it still fits, and closes."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._good)
        with suppress(Exception):
            self._encoder.finish()
        try:
            self._end(reason)
        except (OSError, ValueError):
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._good)
        with suppress(OSError):
            self._close()

    def _end(self, reason: str) -> None:
        self._record(Kind.END, End(reason, self._ticks * TICK_US, self._pauses).encoded())

    def _call_time_us(self) -> int:
        return self._about.call_time_us + self._ticks * TICK_US

    def _encoded(self, pcm: bytes) -> None:
        # Of PCM or less, so that what is kept always fits into a WAV.
        if self._sound_bytes + len(pcm) > MAX_WAV_BYTES:
            raise TooLong
        self._sound_bytes += len(pcm)
        self._sound_record(self._encoder.encode(pcm))

    def _sound_record(self, sound: bytes) -> None:
        if sound:
            self._record(Kind.SOUND, sound)

    def _record(self, kind: Kind, body: bytes) -> None:
        record = self._sealer.seal(kind, body)
        try:
            self._append(record)
        except OSError:
            self._sealer.dropped()
            raise

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # a disk that fills up takes a part, and says so the next time
            written = self._write(self._descriptor, left)
            if written <= 0:
                raise OSError(errno.EIO, "nothing was written")
            left = left[written:]
        self._good += len(data)

    def _open(self, folder: Path) -> None:
        folder.mkdir(mode=shelf.FOLDER_MODE, parents=True, exist_ok=True)
        for attempt in (1, 2, 3):
            self.path.parent.mkdir(mode=shelf.FOLDER_MODE, exist_ok=True)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(self.path, flags, shelf.FILE_MODE)
                break
            except FileNotFoundError:
                # A sweep took the empty day away in between.
                if attempt == 3:
                    raise
        shelf.claim(self._descriptor)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
