"""Keys in INFO bodies: application/dtmf-relay and application/dtmf (RFC 6086 has no package for them; practice)."""

from __future__ import annotations

import re

from services.gateway.dtmf import EVENTS, Digit

RELAY = "application/dtmf-relay"
PLAIN = "application/dtmf"
MEDIA_TYPES = (RELAY, PLAIN)
"""What `digit` reads; INFO with another body is 415 (RFC 3261 §21.4.13), without any it is 200."""

_DURATION_MS = 160  # where none is told; what most senders write
_LONGEST_MS = 10_000
_SIGNAL = re.compile(r"^[ \t]*signal[ \t]*=[ \t]*(\S{1,2})[ \t]*\r?$", re.ASCII | re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*duration[ \t]*=[ \t]*([0-9]{1,6})[ \t]*\r?$", re.ASCII | re.IGNORECASE | re.MULTILINE)


def digit(media_type: str, body: bytes) -> Digit | None:
    """The key in the body of an INFO; None for another media type, and for a body without one of 0-9 * # A-D.

    `media_type` is lower case and without parameters (`body.media_type`). Both forms are understood under both names,
    and 10-15 for * # A-D, as the events of RFC 4733 are numbered.
    """
    if media_type not in MEDIA_TYPES:
        return None
    text = body.decode("ascii", "replace")
    signal = _SIGNAL.search(text)
    key = (signal[1] if signal else text.strip()).upper()
    if re.fullmatch("1[0-5]", key):
        key = EVENTS[int(key)]
    if len(key) != 1 or key not in EVENTS:
        return None
    duration = _DURATION.search(text)
    return Digit(key, min(int(duration[1]), _LONGEST_MS) if duration and int(duration[1]) else _DURATION_MS)


def relay(pressed: Digit) -> bytes:
    """The body of an INFO of type RELAY."""
    return f"Signal={pressed.digit}\r\nDuration={pressed.duration_ms}\r\n".encode()
