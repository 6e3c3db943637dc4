"""Opening recordings: what is in one, whether it is whole, and its sound as WAV or Ogg/Opus."""

import io
import os
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Literal

from services.gateway.recording import shelf
from services.gateway.recording.keys import KeyRing
from services.gateway.recording.layout import (
    Header,
    Kind,
    NoRecording,
    RecordingDamaged,
    end_record,
    read_header,
    records,
)
from services.gateway.recording.meta import End, Meta, Pause, parsed_end, parsed_mark, parsed_meta
from services.gateway.recording.sound import CHANNELS, MAX_WAV_BYTES, frame_bytes, wav_header

State = Literal["complete", "being written", "unfinished", "damaged"]
"""unfinished: END is not there, for its process died or somebody cut the file off."""

# RFC 7845 §4: granule positions count 48 kHz samples, whatever went in. RFC 3533 §6: they stand at byte 6 of a page.
_GRANULES_PER_S = 48_000
_GRANULE_AT, _GRANULE_BYTES = 6, 8


class NotExported(Exception):
    """The recording cannot be written as was asked; the message says what to do."""


@dataclass(slots=True)
class Contents:
    """What was found in a recording. `length_us` is what can be heard, also of one that is not whole."""

    header: Header
    meta: Meta
    state: State
    length_us: int = 0
    end: End | None = None
    pauses: list[Pause] = field(default_factory=list)
    problem: str = ""

    @property
    def encrypted(self) -> bool:
        return self.header.key is not None


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list shows: META and END, nothing between them."""

    header: Header
    meta: Meta
    end: End | None


def glance(path: Path, keys: KeyRing) -> Glance:
    """Raises NoRecording, RecordingDamaged, KeyUnknown, KeyWrong, OSError."""
    with path.open("rb") as file:
        header, raw = read_header(file)
        data_key = None if header.key is None else keys.unwrap(header.key)
        meta = _meta(next(records(file, raw, header.prefix, data_key), None))
        end = end_record(_at(file, len(raw)), raw, header.prefix, data_key)
        try:
            return Glance(header, meta, None if end is None else parsed_end(end))
        except ValueError as error:
            raise RecordingDamaged(str(error)) from None


def examine(path: Path, keys: KeyRing, take: Callable[[Meta, bytes], None] = lambda _meta, _sound: None) -> Contents:
    """Reads a recording to its end or to its first fault, and gives its sound piece by piece to `take`.

    Raises NoRecording, KeyUnknown, KeyWrong, RecordingDamaged when not even its META opens, OSError, and what `take`
    raises.
    """
    # Asked before reading: what ends meanwhile is then whole.
    live = shelf.being_written(path)
    with path.open("rb") as file:
        header, raw = read_header(file)
        data_key = None if header.key is None else keys.unwrap(header.key)
        opened = records(file, raw, header.prefix, data_key)
        meta = _meta(next(opened, None))
        found = Contents(header, meta, "being written" if live else "unfinished")
        if meta.call_id != header.call_id:
            found.problem = f"it is of the call {meta.call_id}, its header says {header.call_id}"
        length = _Length(meta)
        try:
            for kind, body in opened:
                if kind is Kind.SOUND:
                    length.add(body)
                    take(meta, body)
                elif kind is Kind.MARK:
                    _note(found.pauses, body)
                elif kind is Kind.END:
                    found.end, found.state = _end(body), "complete"
        except RecordingDamaged as error:
            found.state, found.problem = "damaged", str(error)
        found.length_us = length.us if found.end is None else found.end.length_us
    if found.state == "unfinished":
        found.problem = "its end is missing: the gateway died during the call, or the file was cut off"
    return found


def export(path: Path, keys: KeyRing, out: Path) -> Contents:
    """Writes what can be saved of a recording to `out`, which must not be there yet: .wav, or .opus and .ogg as it is.

    Raises NotExported, and what `examine` raises; then `out` is not there.
    """
    suffix = out.suffix.lower()
    if suffix not in (".wav", ".opus", ".ogg"):
        raise NotExported(f"{out}: expected a name that ends in .wav, or in .opus or .ogg for what was kept as Opus")
    try:
        # Readable by its owner alone: it is a call in clear.
        descriptor = os.open(out, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, shelf.FILE_MODE)
    except FileExistsError:
        raise NotExported(f"{out} is there already: name another file") from None
    try:
        with os.fdopen(descriptor, "w+b") as file:
            return _exported(path, keys, file, suffix)
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _exported(path: Path, keys: KeyRing, file: BinaryIO, suffix: str) -> Contents:
    ogg = io.BytesIO()

    def take(meta: Meta, sound: bytes) -> None:
        if meta.encoding == "opus":
            (ogg if suffix == ".wav" else file).write(sound)
            return
        if suffix != ".wav":
            raise NotExported(f"it was kept as WAV ({meta.encoding}): name a file that ends in .wav")
        if not file.tell():
            file.write(wav_header(meta.encoding, meta.sample_rate_hz, 0))
        file.write(sound)

    found = examine(path, keys, take)
    meta = found.meta
    if meta.encoding != "opus":
        if suffix != ".wav":
            raise NotExported(f"it was kept as WAV ({meta.encoding}): name a file that ends in .wav")
        start = len(wav_header(meta.encoding, meta.sample_rate_hz, 0))
        sound_bytes = max(0, file.tell() - start)
        file.seek(0)
        file.write(wav_header(meta.encoding, meta.sample_rate_hz, sound_bytes))
    elif suffix == ".wav":
        _decoded(ogg, found, file)
    return found


def _decoded(ogg: io.BytesIO, found: Contents, file: BinaryIO) -> None:
    try:
        soundfile: Any = import_module("soundfile")
    except ImportError:
        raise NotExported("it was kept as Opus, which soundfile decodes: install that, or export to .opus") from None
    ogg.seek(0)
    with wave.open(file, "wb") as wav:
        wav.setnchannels(CHANNELS)
        wav.setsampwidth(2)
        wav.setframerate(found.meta.sample_rate_hz)
        if not found.length_us:  # libsndfile opens no Ogg without sound
            wav.writeframes(b"")
            return
        left = MAX_WAV_BYTES
        try:
            with soundfile.SoundFile(ogg) as opus:
                for block in opus.blocks(blocksize=10 * found.meta.sample_rate_hz, dtype="int16"):
                    pcm = block.astype("<i2").tobytes()[:left]
                    left -= len(pcm)
                    wav.writeframes(pcm)
        except soundfile.SoundFileError as error:
            raise NotExported(f"what is left of its Opus cannot be decoded ({error}): export to .opus") from None


class _Length:
    """How much sound there is so far."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._bytes = 0
        self._granules = 0

    def add(self, sound: bytes) -> None:
        self._bytes += len(sound)
        if self._meta.encoding == "opus":
            at = sound.rfind(b"OggS") + _GRANULE_AT
            granules = int.from_bytes(sound[at : at + _GRANULE_BYTES], "little", signed=True)
            if at >= _GRANULE_AT:
                self._granules = max(self._granules, granules)

    @property
    def us(self) -> int:
        if self._meta.encoding == "opus":
            return self._granules * 1_000_000 // _GRANULES_PER_S
        return self._bytes // frame_bytes(self._meta.encoding) * 1_000_000 // self._meta.sample_rate_hz


def _at(file: BinaryIO, offset: int) -> BinaryIO:
    file.seek(offset)
    return file


def _meta(first: tuple[Kind, bytes] | None) -> Meta:
    if first is None:
        raise NoRecording("it ends before its metadata: nothing can be saved")
    try:
        return parsed_meta(first[1])
    except ValueError as error:
        raise NoRecording(str(error)) from None


def _end(body: bytes) -> End:
    try:
        return parsed_end(body)
    except ValueError as error:
        raise RecordingDamaged(str(error)) from None


def _note(pauses: list[Pause], body: bytes) -> None:
    try:
        event, call_time_us = parsed_mark(body)
    except ValueError as error:
        raise RecordingDamaged(str(error)) from None
    if event == "pause":
        pauses.append(Pause(call_time_us, None))
    elif event == "resume" and pauses:
        pauses[-1] = Pause(pauses[-1].from_us, call_time_us)
