"""Offers and what must be answered (RFC 3264, RFC 4733, RFC 3551)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.sdp import (
    Answer,
    Codec,
    Direction,
    SdpError,
    SdpNotAcceptable,
    accept,
    negotiate,
    offer,
    parse,
)

HEAD = "v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n"
AUDIO = "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"


def answer(text: str, **options: object) -> Answer:
    return negotiate(text, "192.0.2.1", 6000, **options)  # type: ignore[arg-type]


def lines(body: bytes) -> list[str]:
    return body.decode().split("\r\n")[:-1]


def test_the_plain_case() -> None:
    result = answer(HEAD + AUDIO, session_id=7, version=2)
    assert lines(result.body) == [
        "v=0",
        "o=- 7 2 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 6000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ]
    agreed = result.negotiated
    assert agreed.codec == Codec(0, "PCMU", 8000)
    assert agreed.telephone_event == Codec(101, "TELEPHONE-EVENT", 8000, "0-16")
    assert (agreed.remote, agreed.direction, agreed.ptime_ms) == (("198.51.100.7", 4000), Direction.SENDRECV, None)


@pytest.mark.parametrize(
    ("formats", "maps", "codecs", "encoding", "payload_type"),
    [
        ("8 0", "", ("PCMU", "PCMA"), "PCMU", 0),  # our order wins
        ("0 8", "", ("PCMA", "PCMU"), "PCMA", 8),
        ("18 8", "", ("PCMU", "PCMA"), "PCMA", 8),
        ("96 97", "a=rtpmap:96 opus/48000/2\na=rtpmap:97 pcma/8000/1\n", ("PCMU", "PCMA"), "PCMA", 97),
        ("0", "a=rtpmap:0 PCMU/8000\n", ("PCMU",), "PCMU", 0),
        ("96 0", "a=rtpmap:96 PCMU/16000\n", ("PCMU",), "PCMU", 0),  # not the PCMU of a telephone
    ],
)
def test_the_codec(formats: str, maps: str, codecs: tuple[str, ...], encoding: str, payload_type: int) -> None:
    agreed = answer(f"{HEAD}m=audio 4000 RTP/AVP {formats}\n{maps}", codecs=codecs).negotiated
    assert (agreed.codec.encoding, agreed.codec.payload_type, agreed.telephone_event) == (encoding, payload_type, None)


def test_telephone_event_keeps_the_payload_type_of_the_offer() -> None:
    text = HEAD + "m=audio 4000 RTP/AVP 0 96 97\na=rtpmap:96 telephone-event/48000\na=rtpmap:97 telephone-event/8000\n"
    result = answer(text)
    assert "m=audio 6000 RTP/AVP 0 97" in lines(result.body)
    assert result.negotiated.telephone_event == Codec(97, "TELEPHONE-EVENT", 8000)


@pytest.mark.parametrize(
    ("offered", "address", "answered", "sends", "receives", "remote"),
    [
        ("sendrecv", "198.51.100.7", "sendrecv", True, True, True),
        ("sendonly", "198.51.100.7", "recvonly", False, True, True),
        ("recvonly", "198.51.100.7", "sendonly", True, False, True),
        ("inactive", "198.51.100.7", "inactive", False, False, True),
        ("sendrecv", "0.0.0.0", "recvonly", False, True, False),
        ("sendonly", "0.0.0.0", "recvonly", False, True, False),
        ("recvonly", "0.0.0.0", "inactive", False, False, False),
        ("inactive", "0.0.0.0", "inactive", False, False, False),
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_the_direction(
    offered: str, address: str, answered: str, sends: bool, receives: bool, remote: bool, level: str
) -> None:
    attribute = f"a={offered}\n"
    text = HEAD + (attribute + AUDIO if level == "session" else AUDIO + attribute)
    result = answer(text.replace("c=IN IP4 198.51.100.7", f"c=IN IP4 {address}"))
    assert lines(result.body)[-1] == f"a={answered}"
    direction = result.negotiated.direction
    assert (direction.sends, direction.receives, result.negotiated.remote is not None) == (sends, receives, remote)


def test_other_streams_are_refused_in_their_place() -> None:
    text = (
        HEAD
        + "m=video 4002 RTP/AVP 31\n"
        + "m=audio 4004 RTP/SAVP 0\n"
        + "m=audio 0 RTP/AVP 0\n"
        + AUDIO
        + "m=audio 4006 RTP/AVP 8\n"
        + "m=image 4008 udptl t38\n"
    )
    media = [line for line in lines(answer(text).body) if line.startswith("m=")]
    assert media == [
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 6000 RTP/AVP 0 101",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
    ]


@pytest.mark.parametrize(
    ("text", "status", "warning"),
    [
        (HEAD, 488, "304"),
        (HEAD + "m=audio 0 RTP/AVP 0\n", 488, "304"),
        (HEAD + "m=video 4002 RTP/AVP 31\n", 488, "304"),
        (HEAD + "m=image 4002 udptl t38\n", 488, "304"),
        (HEAD + "m=audio 4000 RTP/AVP 18 3\n", 488, "305"),
        (HEAD + "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n", 488, "305"),
        (HEAD + 'm=audio 4000 RTP/SAV"P 0\n', 488, "302"),
        ("v=0\nm=audio 4000 RTP/AVP 0\n", 400, None),
        ("", 400, None),
        ("hello", 400, None),
        (HEAD + "m=audio\n", 400, None),
        (HEAD + "m=audio 99999 RTP/AVP 0\n", 400, None),
    ],
)
def test_what_is_no_phone_call(text: str, status: int, warning: str | None) -> None:
    with pytest.raises(SdpError) as caught:
        answer(text)
    assert caught.value.status == status
    assert isinstance(caught.value, SdpNotAcceptable) == (status == 488)
    assert (caught.value.warning or "None")[:3] == (warning or "None")[:3]
    assert (caught.value.warning or '""').count('"') == 2


def test_dialects() -> None:
    text = (
        "v=0\r\nc = IN IP4 10.0.0.1/127\r\nt=3034423619 0\r\nx=odd\r\n\r\n"
        "m=audio 4000/2 rtp/avp 0\r\nc=IN IP4 198.51.100.9\r\na=ptime:30\r\n"
    )
    result = answer(text)
    assert result.negotiated.remote == ("198.51.100.9", 4000)
    assert result.negotiated.ptime_ms == 30
    assert "t=3034423619 0" in lines(result.body)
    assert parse(text).media[0].protocol.upper() == "RTP/AVP"


def test_ipv6() -> None:
    body = negotiate(HEAD + AUDIO, "2001:db8::1", 6000).body
    assert "c=IN IP6 2001:db8::1" in lines(body)


def test_delayed_offer() -> None:
    ours = offer("192.0.2.1", 6000)
    assert "m=audio 6000 RTP/AVP 0 8 101" in lines(ours)
    agreed = accept(negotiate(ours, "198.51.100.7", 4000, codecs=("PCMA",)).body)
    assert (agreed.codec.encoding, agreed.remote) == ("PCMA", ("198.51.100.7", 4000))
    assert agreed.telephone_event is not None
    with pytest.raises(SdpNotAcceptable):
        accept(HEAD + "m=audio 0 RTP/AVP 0\n")


SDP_LINES = st.lists(
    st.sampled_from(
        [
            *HEAD.split("\n"),
            *AUDIO.split("\n"),
            "a=inactive",
            "c=IN IP6 ::",
            "m=audio 1 RTP/AVP",
            "a=rtpmap:x",
            "a=:",
            "m=",
        ]
    )
    | st.text(max_size=20),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(text=SDP_LINES.map("\n".join) | SDP_LINES.map(lambda rows: HEAD + AUDIO + "\n".join(rows)))
def test_any_text_is_answered_or_refused(text: str) -> None:
    for body in (text, text.encode("utf-8", "replace")):
        try:
            result = answer(body)  # type: ignore[arg-type]
        except SdpError:
            pass
        else:
            offered, answered = parse(body).media, parse(result.body).media
            assert [media.kind for media in offered] == [media.kind for media in answered]
            assert sum(media.port > 0 for media in answered) == 1


@pytest.mark.parametrize("payload_type", [128, 300])
def test_a_payload_type_that_no_rtp_packet_can_carry_is_no_codec(payload_type: int) -> None:
    """RFC 3550 §5.1: seven bits."""
    with pytest.raises(SdpNotAcceptable):
        answer(f"{HEAD}m=audio 4000 RTP/AVP {payload_type}\na=rtpmap:{payload_type} PCMU/8000\n")
    text = f"{HEAD}m=audio 4000 RTP/AVP 0 {payload_type}\na=rtpmap:{payload_type} telephone-event/8000\n"
    assert answer(text).negotiated.telephone_event is None


def test_the_first_codec_of_an_answer_is_the_one_the_peer_sends() -> None:
    """RFC 3264 §6.1, §7: the answerer's order is its preference, whatever the order of our offer was."""
    agreed = accept(HEAD + "m=audio 4000 RTP/AVP 8 0\n", codecs=("PCMU", "PCMA"))
    assert agreed.codec.encoding == "PCMA"


def test_a_refused_stream_keeps_the_spelling_of_its_transport() -> None:
    text = HEAD + AUDIO + "m=image 4008 udptl t38\nm=message 7394 TCP/MSRP *\n"
    assert lines(answer(text).body)[-2:] == ["m=image 0 udptl t38", "m=message 0 TCP/MSRP *"]
