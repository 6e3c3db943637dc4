"""The other readers of what the network sends: stream framing, SDP, digest, typed headers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from services.gateway.sip import crypto, sdp
from services.gateway.sip.callfacts import header_facts
from services.gateway.sip.digest import DigestError, parse_digests
from services.gateway.sip.framing import StreamFraming
from services.gateway.sip.header import CSeq, HeaderError, Headers, Via
from services.gateway.sip.message import SipParseError, parse
from services.gateway.sip.negotiation import MediaNegotiation, Srtp
from services.gateway.sip.reliable import RAck
from services.gateway.sip.replaces import ReferTo, Replaces
from services.gateway.sip.uri import NameAddr, SipUri, UriError
from services.gateway.sip.usertouser import parse_user_to_user


def read_everything(data: bytes, random: Random) -> None:
    """Raises what none of them may raise, or AssertionError where two of them disagree."""
    read_stream(data, random)
    head, _, body = data.partition(b"\r\n\r\n")
    if random.random() < 0.3:
        read_sdp(body or data)
    if random.random() < 0.3:
        read_headers(head)


def read_stream(data: bytes, random: Random) -> None:
    """The same messages come out however the stream is cut, and each ends where the parser says it does."""
    whole, cut = StreamFraming(), StreamFraming()
    items = whole.feed(data)
    pieces: list[object] = []
    start = 0
    while start < len(data):
        end = start + random.choice((1, 7, 100, 1400, 20_000))
        pieces += cut.feed(data[start:end])
        start = end
    assert pieces == items, "other messages when the stream is cut"
    assert (whole.error is None) == (cut.error is None), "an error only when the stream is cut"
    for item in items:
        if isinstance(item, bytes):
            try:
                message = parse(item)
            except SipParseError:
                continue
            assert item.endswith(message.body), "parser and framing do not agree on the body"
            if message.headers.get("Content-Length") is not None:
                assert len(message.body) == int(message.headers.get("Content-Length") or ""), (
                    "body is not Content-Length"
                )


def read_sdp(body: bytes) -> None:
    """As an offer and as an answer; our own description must be readable whatever it answers."""
    for srtp in _SRTP:
        media = MediaNegotiation("192.0.2.1", 4000, session_id=1, keys=lambda octets: b"k" * octets, srtp=srtp)
        with suppress(sdp.SdpError):
            sdp.parse(media.answer(body).body)
        sdp.parse(media.offer())
        with suppress(sdp.SdpError):
            media.accept(body)


def read_headers(head: bytes) -> None:
    """Every line as if it were each of the typed headers."""
    headers = Headers()
    lines = head.decode("utf-8", "surrogateescape").replace("\r", " ").split("\n")
    headers.read(lines)
    for name, value in headers:
        headers.tokens(name)
        renamed = Headers([(known, value) for known in _FACTS])
        header_facts(renamed)
        for read in _READERS:
            with suppress(HeaderError, UriError, DigestError):
                read(value)


_SRTP: tuple[Srtp, ...] = ("off", "optional")
_FACTS = ("P-Asserted-Identity", "Diversion", "History-Info", "User-to-User", "Reason", "Referred-By", "Privacy")
_READERS: tuple[Callable[[str], object], ...] = (
    *(kind.parse for kind in (RAck, ReferTo, Replaces, NameAddr, SipUri, Via, CSeq)),
    crypto.parse,
    parse_user_to_user,
    parse_digests,
)
