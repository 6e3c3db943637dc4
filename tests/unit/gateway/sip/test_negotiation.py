"""Offers and answers (RFC 3264): tables of dialects, and calls of several exchanges."""

from __future__ import annotations

import pytest

from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import Codec, Direction, SdpError, SdpNotAcceptable
from tests.unit.gateway.sip.negotiating import AUDIO, HEAD, KEY_80, SAVP, answer, call, counted_keys, lines, version


def test_the_plain_case() -> None:
    result = answer(HEAD + AUDIO)
    assert lines(result.body) == [
        "v=0",
        "o=- 7 1 IN IP4 192.0.2.1",
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
    pcmu, event = Codec(0, "PCMU", 8000), Codec(101, "TELEPHONE-EVENT", 8000, "0-16")
    remote, rtcp = ("198.51.100.7", 4000), ("198.51.100.7", 4001)
    assert result.negotiated == Negotiated(pcmu, event, (pcmu, event), remote, Direction.SENDRECV, rtcp=rtcp)


@pytest.mark.parametrize(
    ("offered", "address", "answered", "remote"),
    [
        ("sendrecv", "198.51.100.7", "sendrecv", True),
        ("sendonly", "198.51.100.7", "recvonly", True),
        ("recvonly", "198.51.100.7", "sendonly", True),
        ("inactive", "198.51.100.7", "inactive", True),
        ("sendrecv", "0.0.0.0", "recvonly", False),
        ("sendonly", "0.0.0.0", "recvonly", False),
        ("recvonly", "0.0.0.0", "inactive", False),
        ("inactive", "0.0.0.0", "inactive", False),
        ("sendrecv", "::", "recvonly", False),
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_hold(offered: str, address: str, answered: str, remote: bool, level: str) -> None:
    """§8.4. The address too may stand at either level."""
    attribute, connection = f"a={offered}\n", f"c=IN IP{6 if ':' in address else 4} {address}\n"
    if level == "session":
        text = HEAD.replace("c=IN IP4 198.51.100.7\n", connection) + attribute + AUDIO
    else:
        text = HEAD + AUDIO + connection + attribute
    result = answer(text)
    assert lines(result.body)[-1] == f"a={answered}"
    assert "c=IN IP4 192.0.2.1" in lines(result.body)
    assert (result.negotiated.direction.value, result.negotiated.remote is not None) == (answered, remote)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("a=rtcp-xr:rcvr-rtt=all voip-metrics\n", True),
        ("a=rtcp-xr:pkt-loss-rle\na=rtcp-xr:VoIP-metrics\n", True),
        ("a=rtcp-xr:pkt-loss-rle\n", False),
        ("", False),
    ],
)
def test_who_asks_how_the_call_sounds(line: str, wanted: bool) -> None:
    assert answer(HEAD + AUDIO + line).negotiated.rtcp_xr == wanted


def test_other_streams_are_refused_in_their_place() -> None:
    text = (
        HEAD
        + "a=group:BUNDLE 0 1\na=ice-options:trickle\n"
        + "m=video 4002 RTP/AVP 31\n"
        + "m=audio 4004 RTP/SAVP 0\n"
        + "m=audio 4004 UDP/TLS/RTP/SAVPF 0\na=fingerprint:sha-256 00\n"
        + "m=audio 0 RTP/AVP 0\n"
        + AUDIO
        + "a=rtcp:4009\na=rtcp-mux\na=mid:0\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\n"
        + "m=audio 4006 RTP/AVP 8\n"
        + "m=image 4008 udptl t38\n"
        + "m=message 7394 TCP/MSRP *\n"
        + "m=application 9 UDP/BFCP\n"
    )
    body = answer(text).body
    assert lines(body, "m=") == [
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 UDP/TLS/RTP/SAVPF 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 6000 RTP/AVP 0 101",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
        "m=message 0 TCP/MSRP *",
        "m=application 0 UDP/BFCP 0",
    ]
    names = [line.split(":")[0] for line in lines(body, "a=")]
    assert names == [
        "a=group", "a=rtpmap", "a=rtpmap", "a=fmtp", "a=ptime", "a=rtcp-mux", "a=mid", "a=sendrecv",
    ]  # fmt: skip
    assert "a=group:BUNDLE 0" in lines(body)


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/AVPF", "rtp/avp"])
def test_the_profile_is_answered_as_offered(protocol: str) -> None:
    assert lines(answer(HEAD + AUDIO.replace("RTP/AVP", protocol)).body, "m=")[0].split()[2] == protocol


@pytest.mark.parametrize(
    ("text", "status", "warning"),
    [
        (HEAD, 488, "304"),
        (HEAD + "m=audio 0 RTP/AVP 0\n", 488, "304"),
        (HEAD + "m=video 4002 RTP/AVP 31\n", 488, "304"),
        (HEAD + "m=image 4002 udptl t38\n", 488, "304"),
        (HEAD + "m=audio 4000 RTP/AVP 18 3\n", 488, "305"),
        (HEAD + "m=audio 4000 RTP/AVP 13\n", 488, "305"),
        (HEAD + "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n", 488, "305"),
        (HEAD + 'm=audio 4000 RTP/SAV"P 0\n', 488, "302"),
        (HEAD + "m=audio 4000 UDP/TLS/RTP/SAVP 0\n", 488, "302"),
        ("v=0\nm=audio 4000 RTP/AVP 0\n", 400, None),
        ("hello", 400, None),
    ],
)
def test_what_is_no_phone_call(text: str, status: int, warning: str | None) -> None:
    with pytest.raises(SdpError) as caught:
        answer(text)
    assert caught.value.status == status
    assert isinstance(caught.value, SdpNotAcceptable) == (status == 488)
    assert (caught.value.warning or "None")[:3] == (warning or "None")[:3]
    assert (caught.value.warning or '""').count('"') == 2


def test_ipv6() -> None:
    ours = MediaNegotiation("2001:db8::1", 6000, session_id=1, keys=counted_keys())
    result = ours.answer(HEAD.replace("IP4 198.51.100.7", "IP6 2001:db8::7") + AUDIO)
    assert "c=IN IP6 2001:db8::1" in lines(result.body)
    assert result.negotiated.remote == ("2001:db8::7", 4000)


# Calls of several exchanges


def test_the_version_grows_only_with_a_change() -> None:
    """§8; and RFC 4028 §7.4: a refresh says the same."""
    ours = call()
    first = ours.answer(HEAD + AUDIO).body
    assert ours.answer(HEAD + AUDIO).body == ours.refresh() == ours.offer() == first
    held = ours.answer(HEAD + AUDIO + "a=sendonly\n").body
    assert (version(first), version(held)) == (1, 2)
    assert ours.answer(HEAD + AUDIO + "a=sendonly\n").body == held
    assert version(ours.answer(HEAD + AUDIO).body) == 3


def test_a_failed_exchange_leaves_all_as_it_was() -> None:
    ours = call()
    first = ours.answer(HEAD + AUDIO)
    with pytest.raises(SdpNotAcceptable):
        ours.answer(HEAD + "m=audio 4000 RTP/AVP 18\n")
    assert version(ours.offer(Direction.SENDONLY)) == 2
    ours.rejected()
    assert ours.refresh() == first.body
    assert ours.negotiated == first.negotiated
    assert ours.answer(HEAD + AUDIO).negotiated.direction is Direction.SENDRECV


def test_we_hold() -> None:
    """What we want stays in force when the peer offers in between (a session refresh)."""
    ours = call()
    ours.answer(HEAD + AUDIO)
    assert lines(ours.offer(Direction.SENDONLY))[-1] == "a=sendonly"
    assert ours.accept(HEAD + AUDIO + "a=recvonly\n").direction is Direction.SENDONLY
    assert ours.answer(HEAD + AUDIO + "a=recvonly\n").negotiated.direction is Direction.SENDONLY
    assert ours.answer(HEAD + AUDIO).negotiated.direction is Direction.SENDONLY
    assert ours.answer(HEAD + AUDIO + "a=sendonly\n").negotiated.direction is Direction.INACTIVE
    assert lines(ours.offer())[-1] == "a=sendonly", "an INVITE without SDP changes nothing in what we want"
    ours.rejected()
    assert lines(ours.offer(Direction.SENDRECV))[-1] == "a=sendrecv"
    assert ours.accept(HEAD + AUDIO).direction is Direction.SENDRECV


def test_both_hold() -> None:
    ours = call()
    ours.answer(HEAD + AUDIO + "a=sendonly\n")
    ours.offer(Direction.SENDONLY)
    assert ours.accept(HEAD + AUDIO + "a=inactive\n").direction is Direction.INACTIVE


def test_streams_that_come_and_go() -> None:
    """§8: a refused m-line stays in its place, and the stream in use is kept before another."""
    ours = call()
    ours.answer(HEAD + "m=video 4002 RTP/AVP 31\n" + AUDIO)
    again = HEAD + "m=audio 4002 RTP/AVP 0\n" + AUDIO + "m=image 4008 udptl t38\n"
    assert lines(ours.answer(again).body, "m=") == [
        "m=audio 0 RTP/AVP 0",
        "m=audio 6000 RTP/AVP 0 101",
        "m=image 0 udptl t38",
    ]
    assert lines(ours.offer(Direction.INACTIVE), "m=") == [
        "m=audio 0 RTP/AVP 0",
        "m=audio 6000 RTP/AVP 0 101",
        "m=image 0 udptl t38",
    ]
    assert lines(ours.answer(HEAD + "m=audio 4002 RTP/AVP 8\n" + "m=audio 0 RTP/AVP 0\n").body, "m=") == [
        "m=audio 6000 RTP/AVP 8",
        "m=audio 0 RTP/AVP 0",
    ]


def test_an_invite_without_sdp_within_the_call() -> None:
    """RFC 3261 §14.2: all that we can do is offered, payload types keep their meaning, keys are new; hold ends."""
    ours = call(srtp="optional")
    text = "m=video 4002 RTP/AVP 31\nm=audio 4000 RTP/AVPF 97 13\na=rtpmap:97 PCMA/8000\na=sendonly\n"
    first = ours.answer(HEAD + text + KEY_80)
    body = ours.offer(anew=True)
    assert lines(body, "m=") == ["m=video 0 RTP/AVP 31", "m=audio 6000 RTP/AVPF 0 97 13 101"]
    assert lines(body)[-1] == "a=sendrecv"
    assert not set(lines(body, "a=crypto")) & set(lines(first.body, "a=crypto"))
    assert len(lines(body, "a=crypto")) == 2
    assert ours.accept(HEAD + "m=video 0 RTP/AVP 31\n" + AUDIO).codec.encoding == "PCMU"


def test_comfort_noise_is_no_codec_of_an_answer() -> None:
    ours = call()
    ours.answer(HEAD + "m=audio 4000 RTP/AVP 0 13\n")
    ours.offer()
    assert ours.accept(HEAD + "m=audio 4000 RTP/AVP 13 0\n").codec.encoding == "PCMU"


# Our offer


def test_our_offer() -> None:
    ours = call()
    body = ours.offer()
    assert lines(body)[5:] == [
        "m=audio 6000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=rtcp-mux",
        "a=sendrecv",
    ]
    assert ours.provisional is not None
    assert [codec.payload_type for codec in ours.provisional.formats] == [0, 8, 101]
    assert ours.provisional.remote is None
    peer = MediaNegotiation("198.51.100.7", 4000, session_id=9, keys=counted_keys(), codecs=("PCMA",))
    agreed = ours.accept(peer.answer(body).body)
    assert (agreed.codec.encoding, agreed.remote) == ("PCMA", ("198.51.100.7", 4000))
    assert [codec.payload_type for codec in agreed.formats] == [8, 101]
    assert ours.provisional is None
    assert ours.refresh() == body


def test_the_first_codec_of_an_answer_is_the_one_to_send() -> None:
    """§6.1, §7: the answerer's order is its preference, whatever the order of our offer was; it may send either."""
    ours = call()
    ours.offer()
    agreed = ours.accept(HEAD + "m=audio 4000 RTP/AVP 8 0\n")
    assert agreed.codec.encoding == "PCMA"
    assert {codec.encoding for codec in agreed.formats} == {"PCMA", "PCMU"}


def test_an_answer_may_number_its_formats_anew() -> None:
    """§6.1: their number is for what we send, ours for what they send; both are understood."""
    ours = call()
    ours.offer()
    agreed = ours.accept(HEAD + "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n")
    assert agreed.telephone_event is not None
    assert agreed.telephone_event.payload_type == 96
    assert [codec.payload_type for codec in agreed.formats] == [0, 101, 96]


def test_a_fork_answers_twice() -> None:
    ours = call()
    ours.offer()
    assert ours.accept(HEAD + AUDIO).remote == ("198.51.100.7", 4000)
    assert ours.accept(HEAD + AUDIO.replace("4000", "4002")).remote == ("198.51.100.7", 4002)


@pytest.mark.parametrize(
    ("media", "warning"),
    [
        ("", "304"),
        ("m=audio 0 RTP/AVP 0\n", "304"),
        ("m=video 4000 RTP/AVP 0\n", "304"),
        ("m=audio 4000 RTP/AVP 18\n", "305"),
        (SAVP + KEY_80, "302"),
    ],
)
def test_answers_that_can_not_work(media: str, warning: str) -> None:
    ours = call()
    ours.offer()
    with pytest.raises(SdpNotAcceptable) as caught:
        ours.accept(HEAD + media)
    assert (caught.value.warning or "")[:3] == warning
    assert ours.negotiated is None
    assert ours.accept(HEAD + "m=video 0 RTP/AVP 31\n" + AUDIO).codec.encoding == "PCMU", "tolerated"


def test_an_answer_without_an_offer() -> None:
    with pytest.raises(SdpError):
        call().accept(HEAD + AUDIO)
    with pytest.raises(ValueError, match="no session description"):
        call().refresh()
