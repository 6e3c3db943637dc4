"""The SDP in a body: alone, beside ISUP and other things, or not there (RFC 5621, RFC 3204)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.body import UnsupportedBody, session_description
from services.gateway.sip.message import Request, parse

SDP = b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=caf\xc3\xa9\r\nt=0 0\r\n"
ISUP = bytes(range(1, 256)) + b"\r\n\x00--other\r\n"


def invite(body: bytes, content_type: str | None, *more: str) -> Request:
    head = [
        "INVITE sip:1@192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1",
        "From: <sip:a@198.51.100.7>;tag=1",
        "To: <sip:1@192.0.2.1>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
        *([] if content_type is None else [f"Content-Type: {content_type}"]),
        *more,
        f"Content-Length: {len(body)}",
    ]
    request = parse("\r\n".join([*head, "", ""]).encode() + body)
    assert isinstance(request, Request)
    return request


def part(content_type: str, content: bytes, *more: str) -> bytes:
    return "\r\n".join([f"Content-Type: {content_type}", *more, "", ""]).encode() + content + b"\r\n"


def multipart(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + one for one in parts) + b"--" + boundary + b"--\r\n"


SDP_PART = part("application/sdp", SDP)
ISUP_PART = part("application/isup;version=itu-t92+", ISUP, "Content-Disposition: signal;handling=optional")
REQUIRED_PART = part("application/isup;version=itu-t92+", ISUP, "Content-Disposition: signal;handling=required")
NESTED = part("multipart/alternative;boundary=in", multipart(ISUP_PART, SDP_PART, boundary=b"in"))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/sdp", SDP),
        ("Application/SDP; charset=utf-8", SDP),
        (None, SDP),
        ("multipart/mixed;boundary=b", multipart(SDP_PART, ISUP_PART)),
        ("multipart/mixed;boundary=b", multipart(ISUP_PART, SDP_PART)),
        ("multipart/mixed;boundary=b", multipart(REQUIRED_PART, SDP_PART)),
        ('Multipart/Mixed ; Boundary="b"', multipart(ISUP_PART, SDP_PART)),
        (
            'multipart/mixed;boundary="a b:c?"',
            multipart(ISUP_PART, SDP_PART, boundary=b"a b:c?"),
        ),
        ("multipart/mixed;boundary=b", b"preamble\r\n" + multipart(ISUP_PART, SDP_PART) + b"epilogue"),
        ("multipart/mixed;boundary=b", multipart(ISUP_PART, NESTED)),
        (
            "multipart/mixed;boundary=b",
            multipart(part("application/sdp", SDP, "Content-Transfer-Encoding: binary"), ISUP_PART),
        ),
        (
            "multipart/mixed;boundary=b",
            multipart(part("application/sdp", base64.b64encode(SDP), "Content-Transfer-Encoding: base64")),
        ),
        (
            "multipart/mixed;boundary=b",
            multipart(part("application/sdp", b"v=early", "Content-Disposition: early-session"), SDP_PART),
        ),
        (
            "multipart/mixed;boundary=b",
            multipart(part("application/sdp", SDP, "Content-Disposition: session;handling=required")),
        ),
        ("multipart/mixed;boundary=b", multipart(ISUP_PART, SDP_PART).replace(b"--b--\r\n", b"")),
    ],
)
def test_sdp_is_found(content_type: str | None, body: bytes) -> None:
    found = session_description(invite(body, content_type))
    assert found is not None
    assert found.strip() == SDP.strip()


@pytest.mark.parametrize(
    ("content_type", "body", "more"),
    [
        (None, b"", ()),
        ("application/sdp", b"\r\n", ()),
        ("multipart/mixed;boundary=b", multipart(ISUP_PART), ()),
        ("application/isup", ISUP, ("Content-Disposition: signal; Handling=Optional",)),
    ],
)
def test_no_sdp(content_type: str | None, body: bytes, more: tuple[str, ...]) -> None:
    assert session_description(invite(body, content_type, *more)) is None


@pytest.mark.parametrize(
    ("content_type", "body", "more"),
    [
        ("application/isup", ISUP, ()),
        ("application/sdp", SDP, ("Content-Encoding: gzip",)),
        ("multipart/mixed;boundary=b", multipart(REQUIRED_PART), ()),
        ("multipart/mixed;boundary=b", multipart(ISUP_PART, part("text/plain", b"hello")), ()),
        ("multipart/mixed", multipart(SDP_PART), ()),
        (None, b"hello", ()),
    ],
)
def test_415(content_type: str | None, body: bytes, more: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedBody):
        session_description(invite(body, content_type, *more))


PIECES = [
    b"--b\r\n", b"--b--", b"\r\n\r\n", b"Content-Type: application/sdp\r\n", b"Content-Type: multipart/mixed\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Disposition: ;;\r\n", SDP, ISUP, ISUP_PART, NESTED,
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12).map(b"".join))
def test_any_multipart_is_read_or_refused(body: bytes) -> None:
    try:
        found = session_description(invite(body, "multipart/mixed;boundary=b"))
    except UnsupportedBody:
        return
    assert found is None or isinstance(found, bytes)
