"""The last 30 s of what the caller said, for a recogniser that takes over (DESIGN §4)."""

import struct
from collections import deque

from services.common.media.frame import DISCONTINUITY

KEPT_FRAMES = 1500
# 61 kB a message: far below NATS's 1 MB, and large enough that 30 s go in ten messages.
FRAMES_A_MESSAGE = 180
_REQUEST = struct.Struct("<I")


class ReplayInvalid(ValueError):
    """A replay request that is not one little-endian uint32."""


class ReplayRing:
    """Packed caller frames by sequence."""

    def __init__(self, kept_frames: int = KEPT_FRAMES) -> None:
        self._frames: deque[bytes] = deque(maxlen=kept_frames)
        self._end = 0

    def append(self, packed: bytes) -> None:
        """The frame of the next sequence, as it went on the bus."""
        self._frames.append(packed)
        self._end += 1

    def answer(self, request: bytes) -> list[bytes]:
        """The messages that answer a request, the empty one last. Raises ReplayInvalid.

        Where the wanted frames are gone, the first one that is left carries DISCONTINUITY.
        """
        if len(request) != _REQUEST.size:
            raise ReplayInvalid(f"a replay request is {_REQUEST.size} bytes, not {len(request)}")
        (wanted,) = _REQUEST.unpack(request)
        oldest = self._end - len(self._frames)
        frames = list(self._frames)[max(wanted - oldest, 0) :]
        if frames and wanted < oldest:
            first = bytearray(frames[0])
            first[1] |= DISCONTINUITY
            frames[0] = bytes(first)
        messages = [b"".join(frames[at : at + FRAMES_A_MESSAGE]) for at in range(0, len(frames), FRAMES_A_MESSAGE)]
        return [*messages, b""]
