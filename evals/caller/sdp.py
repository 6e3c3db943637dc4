"""The caller's SDP: one G.711 codec and telephone-event, offered and answered (RFC 4566, RFC 3264, RFC 4733)."""

import re
from dataclasses import dataclass

from evals.caller import g711

NAMES = {g711.PCMU: "PCMU", g711.PCMA: "PCMA"}
EVENT_TYPE = 101
_SWAPPED = {"sendonly": "recvonly", "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}


class SdpError(ValueError):
    """A session description that this caller can't use; the text says why."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where and how the far end wants its media. `event_type` is None without telephone-event."""

    host: str
    port: int
    codec: int
    event_type: int | None
    direction: str


def describe(host: str, port: int, codec: int, session: int, version: int = 1, direction: str = "sendrecv",
             event_type: int = EVENT_TYPE) -> str:  # fmt: skip
    """An offer or answer for `codec` (PCMU or PCMA) at host:port."""
    lines = [
        "v=0",
        f"o=caller {session} {version} IN IP4 {host}",
        "s=call",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {codec} {event_type}",
        f"a=rtpmap:{codec} {NAMES[codec]}/8000",
        f"a=rtpmap:{event_type} telephone-event/8000",
        f"a=fmtp:{event_type} 0-16",
        "a=ptime:20",
        f"a={direction}",
    ]
    return "\r\n".join([*lines, ""])


def read(text: str, codec: int) -> Remote:
    """Read the far end's description, which must carry `codec` or the other G.711 law. Raises SdpError."""
    media = re.search(r"^m=audio (\d+)(?:/\d+)? RTP/S?AVPF? ([\d ]+)", text, re.MULTILINE)
    if not media:
        raise SdpError("no m=audio line with RTP/AVP in the SDP")
    types = [int(one) for one in media.group(2).split()]
    usable = [one for one in (codec, *types) if one in types and one in NAMES]
    if not usable:
        raise SdpError(f"payload types {types} hold neither PCMU (0) nor PCMA (8)")
    section = text[media.start() :]
    address = re.search(r"^c=IN IP[46] ([^\s/]+)", section, re.MULTILINE) or re.search(
        r"^c=IN IP[46] ([^\s/]+)", text, re.MULTILINE
    )
    if not address:
        raise SdpError("no c= line in the SDP")
    event = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", section, re.MULTILINE | re.IGNORECASE)
    direction = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\b", section, re.MULTILINE) or re.search(
        r"^a=(sendrecv|sendonly|recvonly|inactive)\b", text, re.MULTILINE
    )
    return Remote(
        host=address.group(1),
        port=int(media.group(1)),
        codec=usable[0],
        event_type=int(event.group(1)) if event else None,
        direction=direction.group(1) if direction else "sendrecv",
    )


def answering(direction: str) -> str:
    """The direction that answers an offer's (RFC 3264 §6.1): hold is answered with recvonly."""
    return _SWAPPED[direction]
