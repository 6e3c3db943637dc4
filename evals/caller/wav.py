"""WAV files: the recorded phrases (µ-law or 16-bit, mono, 8 kHz) and the stereo record of a call.

Python's own `wave` refuses format tag 7, so the RIFF chunks of the phrases are read here.
Source: Microsoft, Multimedia Programming Interface and Data Specifications 1.0, RIFF WAVE.
"""

import struct
import wave
from pathlib import Path

import numpy as np

from evals.caller import g711
from evals.caller.g711 import Samples

RATE_HZ = 8000
_FORMAT_PCM, _FORMAT_ULAW = 1, 7


class WavError(ValueError):
    """A file that is not a mono 8 kHz WAV in µ-law or 16-bit PCM; the text names the file and what was found."""


def read(path: Path) -> Samples:
    """int16 samples of a mono 8 kHz WAV, µ-law (tag 7) or 16-bit PCM. Raises WavError, OSError."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError(f"{path}: not a RIFF WAVE file")
    position, form = 12, None
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + size]
        if name == b"fmt ":
            if len(body) < 16:
                raise WavError(f"{path}: fmt chunk of {len(body)} bytes, expected at least 16")
            form = struct.unpack_from("<HHIIHH", body)
        elif name == b"data":
            return _samples(path, form, body)
        position += 8 + size + size % 2
    raise WavError(f"{path}: no data chunk")


def _samples(path: Path, form: tuple[int, ...] | None, body: bytes) -> Samples:
    if form is None:
        raise WavError(f"{path}: data before fmt")
    tag, channels, rate, _, _, bits = form
    if channels == 1 and rate == RATE_HZ and (tag, bits) == (_FORMAT_ULAW, 8):
        return g711.decode(body, g711.PCMU)
    if channels == 1 and rate == RATE_HZ and (tag, bits) == (_FORMAT_PCM, 16):
        return np.frombuffer(body[: len(body) & ~1], "<i2").astype(np.int16)
    raise WavError(
        f"{path}: format tag {tag}, {channels} channel(s), {rate} Hz, {bits} bits; "
        f"expected mono {RATE_HZ} Hz in µ-law (tag 7) or 16-bit PCM (tag 1)"
    )


def write_ulaw(path: Path, samples: Samples) -> None:
    """Write int16 samples as a mono 8 kHz µ-law WAV: one byte a sample, `fact` chunk as non-PCM asks for."""
    body = g711.encode(samples, g711.PCMU)
    form = struct.pack("<HHIIHHH", _FORMAT_ULAW, 1, RATE_HZ, RATE_HZ, 1, 8, 0)
    chunks = _chunk(b"fmt ", form) + _chunk(b"fact", struct.pack("<I", len(samples))) + _chunk(b"data", body)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def write_stereo(path: Path, left: Samples, right: Samples) -> None:
    """Write two int16 tracks as a stereo 8 kHz 16-bit WAV; the shorter one is filled with silence."""
    both = np.zeros((max(len(left), len(right)), 2), "<i2")
    both[: len(left), 0] = left
    both[: len(right), 1] = right
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(both.tobytes())
