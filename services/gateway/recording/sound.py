"""The sound of a recording: two mono streams in ticks of 20 ms to stereo bytes, and the WAV header around them.

Left is the caller, right the agent. PCM is s16le.
"""

import io
import struct
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np

from services.gateway.codecs.g711 import PCMU

TICKS_PER_S = 50
CHANNELS = 2
Encoding = Literal["pcm", "ulaw", "opus"]
ULAW_SILENCE = PCMU.silence
# WAVE_FORMAT_PCM and WAVE_FORMAT_MULAW of RFC 2361.
_WAVE_FORMATS = {"pcm": 1, "ulaw": 7}
# RIFF counts in 32 bits; what is left is for the headers.
MAX_WAV_BYTES = 2**32 - 2**12


def interleaved(ticks: Sequence[bytes | None], sample_rate_hz: int) -> bytes:
    """Ticks of caller and agent in turn, None for silence, to stereo PCM.

    A tick that is too long is cut and a short one filled with silence: time must not slip.
    """
    size = 2 * (sample_rate_hz // TICKS_PER_S)
    silence = bytes(size)
    exact = [
        silence if tick is None else tick if len(tick) == size else tick[:size].ljust(size, b"\0") for tick in ticks
    ]
    samples = size // 2
    # Ticks stand as [caller, agent] pairs: (pair, channel, sample) becomes (pair, sample, channel).
    stacked = np.frombuffer(b"".join(exact), "<i2").reshape(-1, CHANNELS, samples)
    return stacked.transpose(0, 2, 1).tobytes()


class SoundEncoder(Protocol):
    """Stereo PCM of one recording, in order, to the bytes of its SOUND records."""

    def encode(self, pcm: bytes) -> bytes:
        """May be empty: some of it may come with later sound."""

    def finish(self) -> bytes:
        """What is still to come."""


class PcmEncoder:
    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class UlawEncoder:
    def encode(self, pcm: bytes) -> bytes:
        return PCMU.encode(pcm)

    def finish(self) -> bytes:
        return b""


class _Sink(io.RawIOBase):
    """A file for libsndfile: keeps what was written until it is taken. Ogg is written from front to end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = 0) -> int:
        # libsndfile asks for the length once, before it writes.
        return self._at

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class OpusEncoder:
    """Ogg/Opus (RFC 7845) by libsndfile: a page about each second."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Raises ImportError without the package soundfile."""
        # Only who wants Opus needs it.
        soundfile: Any = import_module("soundfile")

        self._sink = _Sink()
        self._file = soundfile.SoundFile(
            self._sink, "w", samplerate=sample_rate_hz, channels=CHANNELS, format="OGG", subtype="OPUS"
        )

    def encode(self, pcm: bytes) -> bytes:
        self._file.write(np.frombuffer(pcm, "<i2").reshape(-1, CHANNELS))
        return self._sink.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._sink.take()


def encoder(encoding: Encoding, sample_rate_hz: int) -> SoundEncoder:
    """Raises ImportError where Opus is wanted and soundfile is not installed."""
    match encoding:
        case "opus":
            return OpusEncoder(sample_rate_hz)
        case "ulaw":
            return UlawEncoder()
        case "pcm":
            return PcmEncoder()


def wav_header(encoding: Literal["pcm", "ulaw"], sample_rate_hz: int, data_bytes: int) -> bytes:
    """RIFF header of a stereo WAV, up to where the samples begin. Raises ValueError above MAX_WAV_BYTES."""
    if data_bytes > MAX_WAV_BYTES:
        raise ValueError(f"a WAV holds at most {MAX_WAV_BYTES} bytes of sound, not {data_bytes}")
    width = frame_bytes(encoding) // CHANNELS
    block = CHANNELS * width
    form = struct.pack(
        "<HHIIHH", _WAVE_FORMATS[encoding], CHANNELS, sample_rate_hz, sample_rate_hz * block, block, 8 * width
    )
    fact = b""
    if encoding != "pcm":
        # Formats other than PCM have an extension size, and say how many samples there are.
        form += struct.pack("<H", 0)
        fact = b"fact" + struct.pack("<II", 4, data_bytes // block)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + fact + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", len(chunks) + data_bytes) + chunks


def frame_bytes(encoding: Literal["pcm", "ulaw"]) -> int:
    """Bytes of one sample of both channels."""
    return 2 * CHANNELS if encoding == "pcm" else CHANNELS
