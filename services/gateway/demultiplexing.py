"""What a datagram on a media port is, told by its first byte (RFC 7983 §7)."""

from __future__ import annotations

from typing import Literal

Kind = Literal["stun", "dtls", "rtp", "other"]

KINDS: tuple[Kind, ...] = tuple(
    "stun" if first <= 3 else "dtls" if 20 <= first <= 63 else "rtp" if 128 <= first <= 191 else "other"
    for first in range(256)
)
"""By first byte, for loops that can't afford a call. "rtp" stands for RTP and RTCP, plain or protected."""


def first_byte_kind(datagram: bytes) -> Kind:
    """What the datagram claims to be; "other" (ZRTP, TURN channels, nothing at all) is to be dropped."""
    return KINDS[datagram[0]] if datagram else "other"
