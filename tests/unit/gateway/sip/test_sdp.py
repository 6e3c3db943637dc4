"""Reading session descriptions of any dialect, and writing ours (RFC 8866, RFC 3551)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.sdp import Codec, Direction, Media, SdpError, SessionDescription, compose, parse

HEAD = "v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n"


def audio(rest: str = "", formats: str = "0", session: str = "") -> Media:
    return parse(f"{HEAD}{session}m=audio 4000 RTP/AVP {formats}\n{rest}").media[0]


@pytest.mark.parametrize(
    ("formats", "maps", "codecs"),
    [
        ("0 8 13 18", "", [Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000), Codec(13, "CN", 8000)]),
        ("97", "a=rtpmap:97 pcma/8000/1\n", [Codec(97, "PCMA", 8000)]),
        ("96", "a=rtpmap:96 opus/48000/2\n", [Codec(96, "OPUS", 48000, None, 2)]),
        ("9 96", "a=rtpmap:96 opus/48000/22\n", [Codec(9, "G722", 8000)]),
        ("0", "a=rtpmap:0 PCMA/8000\n", [Codec(0, "PCMA", 8000)]),
        (
            "101",
            "a=fmtp:101 0-16\na=rtpmap: 101 telephone-event/8000\na=rtpmap:101  telephone-event/8000 \n",
            [Codec(101, "TELEPHONE-EVENT", 8000, "0-16")],
        ),
        ("128 300 x 0٣ -1", "a=rtpmap:128 PCMU/8000\na=rtpmap:300 PCMU/8000\n", []),  # RFC 3550 §5.1: seven bits
    ],
)
def test_codecs(formats: str, maps: str, codecs: list[Codec]) -> None:
    assert audio(maps, formats).codecs == codecs


@pytest.mark.parametrize(
    ("session", "media", "address", "direction"),
    [
        ("", "", "198.51.100.7", Direction.SENDRECV),
        ("a=inactive\n", "", "198.51.100.7", Direction.INACTIVE),
        ("a=inactive\n", "a=recvonly\n", "198.51.100.7", Direction.RECVONLY),
        ("", "c=IN IP6 2001:db8::7\n", "2001:db8::7", Direction.SENDRECV),
        ("", "c=IN IP4 224.2.1.1/127/3\na=SendOnly\n", "224.2.1.1", Direction.SENDONLY),
        ("", "c=IN\n", "198.51.100.7", Direction.SENDRECV),
    ],
)
def test_what_stands_at_the_media_wins_over_the_session(
    session: str, media: str, address: str, direction: Direction
) -> None:
    found = audio(media, session=session)
    assert (found.address, found.direction) == (address, direction)


def test_what_the_session_says_for_all_media() -> None:
    found = audio("a=setup:active\n", session="a=setup:passive\na=ice-ufrag:abcd\na=mid:0\na=tool:x\n")
    assert found.attributes == (("setup", "active"), ("ice-ufrag", "abcd"))
    described = parse(HEAD + "a=group:BUNDLE 0\na=group:LS 1\n")
    assert described.values("group") == ["BUNDLE 0", "LS 1"]


def test_dialects() -> None:
    text = (
        "v=0\r\nc = IN IP4 10.0.0.1/127\r\nt=3034423619 0\r\nx=odd\r\n\r\n"
        "m=audio 4000/2 rtp/avp 0\r\na=ptime:30\r\na=X-Vendor\r\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n"
        "m=image 4002 udptl t38\r\n"
    )
    for body in (text, text.replace("\r\n", "\r"), text.replace("\r\n", "\n").encode()):
        described = parse(body)
        first, second = described.media
        assert described.timing == ("3034423619 0",)
        assert (first.address, first.port, first.protocol) == ("10.0.0.1", 4000, "rtp/avp")
        assert (first.attribute("ptime"), first.attribute("x-vendor"), first.attribute("y")) == ("30", "", None)
        assert (second.kind, second.port, second.formats) == ("image", 4002, ("t38",))


@pytest.mark.parametrize(
    "text", ["", "hello", "m=audio 1 RTP/AVP 0\n", HEAD + "m=audio\n", HEAD + "m=audio 99999 RTP/AVP 0\n"]
)
def test_no_sdp(text: str) -> None:
    with pytest.raises(SdpError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.warning) == (400, None)


def test_m_lines_are_bounded() -> None:
    assert len(parse(HEAD + "m=audio 1 RTP/AVP 0\n" * 64).media) == 64
    with pytest.raises(SdpError):
        parse(HEAD + "m=audio 1 RTP/AVP 0\n" * 65)


def test_compose() -> None:
    ours = SessionDescription(
        ("1 2",),
        (
            Media("video", 0, "RTP/AVP", ("31",), attributes=(("rtpmap", "31 H261/90000"), ("mid", "v"))),
            Media("audio", 6000, "RTP/AVP", ("0",), attributes=(("ptime", "20"),), direction=Direction.SENDONLY),
            Media("audio", 0, "RTP/AVP", ()),
        ),
        (("ice-lite", ""),),
    )
    assert compose(ours, "2001:db8::1", 7, 2).decode() == "\r\n".join(
        [
            "v=0",
            "o=- 7 2 IN IP6 2001:db8::1",
            "s=-",
            "c=IN IP6 2001:db8::1",
            "t=1 2",
            "a=ice-lite",
            "m=video 0 RTP/AVP 31",
            "a=mid:v",
            "m=audio 6000 RTP/AVP 0",
            "a=ptime:20",
            "a=sendonly",
            "m=audio 0 RTP/AVP 0",
            "",
        ]
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: HEAD.encode() + data))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        described = parse(body)
    except SdpError:
        return
    for media in described.media:
        assert isinstance(media.codecs, list)
