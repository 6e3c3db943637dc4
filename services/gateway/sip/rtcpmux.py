"""RTCP in SDP: where it goes, by a=rtcp-mux (RFC 5761 §5.1.3) and a=rtcp (RFC 3605), and what is wanted in it."""

from __future__ import annotations

import re

from services.gateway.sip.sdp import UNSPECIFIED, Media

_RTCP = re.compile(r"([0-9]{1,5})(?:\s+IN\s+IP[46]\s+(\S+))?\s*", re.ASCII | re.IGNORECASE)


def multiplexes(media: Media) -> bool:
    """Whether this side takes RTCP on its RTP port."""
    return media.attribute("rtcp-mux") is not None


def destination(media: Media, rtp: tuple[str, int] | None, mux: bool) -> tuple[str, int] | None:
    """Where the peer of this stream hears RTCP: by its a=rtcp, or one port above its RTP (RFC 3550 §11).

    `mux`: both sides want it on the RTP port. None when `rtp` is, and for a port that there can't be.
    """
    if rtp is None or mux:
        return rtp
    host, port = rtp[0], rtp[1] + 1
    match = _RTCP.fullmatch(media.attribute("rtcp") or "")
    if match is not None:
        host, port = match[2] or host, int(match[1])
    return (host, port) if 0 < port <= 65535 and host not in UNSPECIFIED else None


def wants_voip_metrics(media: Media) -> bool:
    """Whether the peer asks for VoIP metrics blocks (RFC 3611 §5.1)."""
    return any("voip-metrics" in value.lower().split() for value in media.values("rtcp-xr"))
