"""The last 30 s of what the caller said, for a recogniser that takes over (DESIGN §4)."""

import struct
from collections import deque

import numpy as np
from numpy.typing import NDArray

from services.common.media.frame import DISCONTINUITY, HEADER_BYTES, frame_bytes
from services.gateway.codecs.g711 import PCMA, PCMU, Law

KEPT_FRAMES = 1500
# 61 kB a message: far below NATS's 1 MB, and large enough that 30 s go in ten messages.
FRAMES_A_MESSAGE = 180
# A second at a time is made small: then it costs about 1 µs a frame.
_BLOCK_FRAMES = 50
_REQUEST = struct.Struct("<I")
_NARROW_BYTES = frame_bytes(8000)
_NO_CODE = 256
_SAMPLE_BYTES = _NARROW_BYTES - HEADER_BYTES


class ReplayInvalid(ValueError):
    """A replay request that is not one little-endian uint32."""


class _Exact:
    """By sample, as unsigned 16 bits, a law's code; with _NO_CODE set where the code does not give the sample back."""

    __slots__ = ("law", "table")

    def __init__(self, law: Law) -> None:
        samples = np.arange(65536, dtype="<u2")
        codes = law.encode(samples.tobytes())
        lost = np.frombuffer(law.decode(codes), "<u2") != samples
        self.law = law
        self.table: NDArray[np.uint16] = np.frombuffer(codes, np.uint8) | lost.astype(np.uint16) * _NO_CODE


_EXACT = (_Exact(PCMU), _Exact(PCMA))


class _Block:
    """A second of narrow-band frames: their headers, and their samples by the first of the laws that is exact."""

    __slots__ = ("_heads", "_laws", "_sound", "fits_second")

    def __init__(self, frames: list[bytes], laws: tuple[_Exact, _Exact]) -> None:
        packed = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), _NARROW_BYTES)
        self._heads = packed[:, :HEADER_BYTES].tobytes()
        pcm = packed[:, HEADER_BYTES:].tobytes()
        samples = np.frombuffer(pcm, "<u2")
        self._laws: Law | tuple[Law | None, ...] = laws[0].law
        self.fits_second = False
        codes = laws[0].table.take(samples)
        if codes.max() < _NO_CODE:
            self._sound = codes.astype(np.uint8).tobytes()
            return
        coded = [codes.reshape(len(frames), -1), laws[1].table.take(samples).reshape(len(frames), -1)]
        fits = [(one.max(1) < _NO_CODE).tolist() for one in coded]
        shorts = [one.astype(np.uint8) for one in coded]
        found: list[Law | None] = []
        sound: list[bytes] = []
        for number in range(len(frames)):
            which = 0 if fits[0][number] else 1 if fits[1][number] else None
            if which is None:
                sound.append(pcm[number * _SAMPLE_BYTES : (number + 1) * _SAMPLE_BYTES])
            else:
                sound.append(shorts[which][number].tobytes())
            found.append(None if which is None else laws[which].law)
        self.fits_second = sum(fits[1]) > sum(fits[0])
        self._laws = tuple(found)
        self._sound = b"".join(sound)

    def frames(self) -> list[bytes]:
        """As they were."""
        pcm = self._laws.decode(self._sound) if isinstance(self._laws, Law) else self._unmixed(self._laws)
        return [
            self._heads[number * HEADER_BYTES : (number + 1) * HEADER_BYTES]
            + pcm[number * _SAMPLE_BYTES : (number + 1) * _SAMPLE_BYTES]
            for number in range(len(self._heads) // HEADER_BYTES)
        ]

    def _unmixed(self, laws: tuple[Law | None, ...]) -> bytes:
        samples = []
        at = 0
        for law in laws:
            size = _SAMPLE_BYTES if law is None else _SAMPLE_BYTES // 2
            sound = self._sound[at : at + size]
            at += size
            samples.append(sound if law is None else law.decode(sound))
        return b"".join(samples)


class ReplayRing:
    """Packed caller frames by sequence; what is answered is to the bit what was appended.

    What a G.711 decoder put out is kept as the codes it came from, so 30 s of such a call are 290 kB and not 566.
    Frames that no codes give (made up, blended after a loss, wide-band) are kept as they are.
    """

    def __init__(self, kept_frames: int = KEPT_FRAMES) -> None:
        self._kept = kept_frames
        self._blocks: deque[_Block | tuple[bytes, ...]] = deque()
        self._latest: list[bytes] = []
        self._laws = _EXACT
        self._end = 0

    def append(self, packed: bytes) -> None:
        """The frame of the next sequence, as it went on the bus."""
        self._end += 1
        self._latest.append(packed)
        if len(self._latest) == _BLOCK_FRAMES:
            self._close_block()

    def answer(self, request: bytes) -> list[bytes]:
        """The messages that answer a request, the empty one last. Raises ReplayInvalid.

        Where the wanted frames are gone, the first one that is left carries DISCONTINUITY.
        """
        if len(request) != _REQUEST.size:
            raise ReplayInvalid(f"a replay request is {_REQUEST.size} bytes, not {len(request)}")
        (wanted,) = _REQUEST.unpack(request)
        oldest = max(self._end - self._kept, 0)
        frames = self._from(max(wanted, oldest))
        if frames and wanted < oldest:
            first = bytearray(frames[0])
            first[1] |= DISCONTINUITY
            frames[0] = bytes(first)
        messages = [b"".join(frames[at : at + FRAMES_A_MESSAGE]) for at in range(0, len(frames), FRAMES_A_MESSAGE)]
        return [*messages, b""]

    def _from(self, sequence: int) -> list[bytes]:
        frames = list(self._latest)
        begin = self._end - len(frames)
        for block in reversed(self._blocks):
            if begin <= sequence:
                break
            frames[:0] = block.frames() if isinstance(block, _Block) else block
            begin -= _BLOCK_FRAMES
        return frames[max(sequence - begin, 0) :]

    def _close_block(self) -> None:
        latest, self._latest = self._latest, []
        if all(len(frame) == _NARROW_BYTES for frame in latest):
            block = _Block(latest, self._laws)
            # A call's law is its own: the one that fits is tried first, and is then all there is to do.
            if block.fits_second:
                self._laws = (self._laws[1], self._laws[0])
            self._blocks.append(block)
        else:
            self._blocks.append(tuple(latest))
        if (len(self._blocks) - 1) * _BLOCK_FRAMES >= self._kept:
            self._blocks.popleft()
