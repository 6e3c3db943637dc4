"""Offers and answers (RFC 3264, RFC 4733, RFC 4568): tables of dialects, and calls of several exchanges."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip import crypto
from services.gateway.sip.negotiation import Answer, MediaNegotiation, Negotiated
from services.gateway.sip.sdp import Codec, Direction, SdpError, SdpNotAcceptable, parse

HEAD = "v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n"
AUDIO = "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
KEY_80 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\n"
KEY_32 = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\n"
OTHER_80 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
MKI = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\n"
UNKNOWN = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"
SAVP = AUDIO.replace("AVP", "SAVP")


def counted_keys() -> Callable[[int], bytes]:
    """Keys of 0x01, of 0x02, ..."""
    counter = itertools.count(1)
    return lambda length: bytes([next(counter)]) * length


def call(**options: object) -> MediaNegotiation:
    options = {"session_id": 7, "keys": counted_keys(), **options}
    return MediaNegotiation("192.0.2.1", 6000, **options)  # type: ignore[arg-type]


def answer(text: str, **options: object) -> Answer:
    return call(**options).answer(text)


def lines(body: bytes, start: str = "") -> list[str]:
    return [line for line in body.decode().split("\r\n")[:-1] if line.startswith(start)]


def version(body: bytes) -> int:
    return int(lines(body, "o=")[0].split()[2])


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
    assert result.negotiated == Negotiated(pcmu, event, (pcmu, event), ("198.51.100.7", 4000), Direction.SENDRECV)


@pytest.mark.parametrize(
    ("formats", "maps", "codecs", "answered"),
    [
        ("8 0", "", ("PCMU", "PCMA"), "0"),  # our order wins
        ("0 8", "", ("PCMA", "PCMU"), "8"),
        ("18 8", "", ("PCMU", "PCMA"), "8"),
        ("96 97", "a=rtpmap:96 opus/48000/2\na=rtpmap:97 pcma/8000/1\n", ("PCMU", "PCMA"), "97"),
        ("96 0", "a=rtpmap:96 PCMU/16000\n", ("PCMU",), "0"),  # not the PCMU of a telephone
        ("0 13", "", ("PCMU",), "0 13"),
        ("13 0", "a=rtpmap:13 CN/8000\n", ("PCMU",), "0 13"),
        ("0 96", "a=rtpmap:96 CN/16000\n", ("PCMU",), "0"),
        ("0 101", "a=rtpmap:101 telephone-event/8000\n", ("PCMU",), "0 101"),
        ("0 96 97", "a=rtpmap:96 telephone-event/48000\na=rtpmap:97 telephone-event/8000\n", ("PCMU",), "0 97"),
        ("0 96 97", "a=rtpmap:96 telephone-event/8000\na=rtpmap:97 telephone-event/8000\n", ("PCMU",), "0 96 97"),
        ("0 110", "a=rtpmap:110 telephone-event/48000\n", ("PCMU",), "0 110"),
        ("0 110 111", "a=rtpmap:110 telephone-event/48000\na=rtpmap:111 telephone-event/16000\n", ("PCMU",), "0 110"),
        ("0 0 13 13", "", ("PCMU",), "0 13"),
        ("0 128", "a=rtpmap:128 telephone-event/8000\n", ("PCMU",), "0"),
    ],
)
def test_formats(formats: str, maps: str, codecs: tuple[str, ...], answered: str) -> None:
    result = answer(f"{HEAD}m=audio 4000 RTP/AVP {formats}\n{maps}", codecs=codecs)
    assert lines(result.body, "m=") == [f"m=audio 6000 RTP/AVP {answered}"]
    assert [str(codec.payload_type) for codec in result.negotiated.formats] == answered.split()
    assert str(result.negotiated.codec.payload_type) == answered.split()[0]


def test_telephone_event_on_another_clock_than_the_codec() -> None:
    """Answered on its own clock, on which its durations are then counted."""
    result = answer(f"{HEAD}m=audio 4000 RTP/AVP 0 110\na=rtpmap:110 telephone-event/48000\n")
    assert "a=rtpmap:110 telephone-event/48000" in lines(result.body)
    assert result.negotiated.telephone_event == Codec(110, "TELEPHONE-EVENT", 48000)


@pytest.mark.parametrize(
    ("attributes", "ptime_ms", "packet_ms"),
    [
        ("", None, 20),
        ("a=ptime:30\n", 30, 20),
        ("a=ptime:10\na=maxptime:150\n", 10, 20),
        ("a=maxptime:20\n", None, 20),
        ("a=maxptime:10\n", None, 10),
        ("a=maxptime:19\n", None, 10),
        ("a=maxptime:3\n", None, 2),
        ("a=maxptime:0\na=ptime:x\n", None, 20),
    ],
)
def test_packet_times(attributes: str, ptime_ms: int | None, packet_ms: int) -> None:
    result = answer(HEAD + AUDIO + attributes)
    assert (result.negotiated.ptime_ms, result.negotiated.packet_ms) == (ptime_ms, packet_ms)
    assert f"a=ptime:{packet_ms}" in lines(result.body)


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
    assert names == ["a=rtpmap", "a=rtpmap", "a=fmtp", "a=ptime", "a=sendrecv"]


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
    assert lines(body, "m=") == ["m=audio 6000 RTP/AVP 0 8 101"]
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


# SRTP


@pytest.mark.parametrize(
    ("srtp", "media", "protocol", "tag"),
    [
        ("off", AUDIO + KEY_80, "RTP/AVP", None),
        ("off", SAVP + KEY_80, None, "302"),
        ("optional", AUDIO, "RTP/AVP", None),
        ("optional", AUDIO + KEY_80, "RTP/AVP", "1"),
        ("optional", AUDIO + UNKNOWN, "RTP/AVP", None),
        ("optional", SAVP + KEY_80 + KEY_32, "RTP/SAVP", "1"),
        ("optional", SAVP + UNKNOWN + KEY_32, "RTP/SAVP", "2"),
        ("optional", SAVP + MKI + KEY_32, "RTP/SAVP", "2"),
        ("optional", SAVP.replace("SAVP", "SAVPF") + KEY_80, "RTP/SAVPF", "1"),
        ("optional", SAVP, None, "306"),
        ("optional", SAVP + MKI, None, "306"),
        ("required", SAVP + KEY_80, "RTP/SAVP", "1"),
        ("required", AUDIO + KEY_80, "RTP/AVP", "1"),
        ("required", AUDIO, None, "306"),
    ],
)
def test_srtp_answered(srtp: str, media: str, protocol: str | None, tag: str | None) -> None:
    if protocol is None:
        with pytest.raises(SdpNotAcceptable) as caught:
            answer(HEAD + media, srtp=srtp)
        assert (caught.value.warning or "")[:3] == tag
        return
    result = answer(HEAD + media, srtp=srtp)
    assert lines(result.body, "m=")[0].split()[2] == protocol
    answered = lines(result.body, "a=crypto:")
    assert [line[len("a=crypto:")] for line in answered] == ([] if tag is None else [tag])
    keys = result.negotiated.srtp
    assert (keys is None) == (tag is None)
    if keys is not None:
        ours = crypto.parse(answered[0].removeprefix("a=crypto:"))
        assert ours is not None
        assert ours.key == keys.send
        assert keys.send.keying == bytes([1]) * 30
        assert keys.receive in [one.key for one in crypto.usable(parse(HEAD + media).media[0].values("crypto"))]


def test_of_two_streams_the_one_that_is_allowed() -> None:
    text = HEAD + SAVP + KEY_80 + AUDIO
    for srtp, taken in (("off", 1), ("optional", 0), ("required", 0)):
        ports = [media.port for media in parse(answer(text, srtp=srtp).body).media]
        assert [bool(port) for port in ports] == [at == taken for at in (0, 1)]


def test_keys_stay_until_the_peer_changes_its_own() -> None:
    ours = call(srtp="optional")
    first = ours.answer(HEAD + SAVP + KEY_80)
    again = ours.answer(HEAD + SAVP + KEY_80)
    assert again.body == first.body
    assert ours.offer(Direction.SENDONLY).count(b"a=crypto") == 1
    assert ours.accept(HEAD + SAVP + KEY_80 + "a=recvonly\n").srtp == first.negotiated.srtp
    rekeyed = ours.answer(HEAD + SAVP + OTHER_80).negotiated.srtp
    assert rekeyed is not None
    assert first.negotiated.srtp is not None
    assert rekeyed.send.keying == bytes([2]) * 30
    assert rekeyed.receive != first.negotiated.srtp.receive
    assert ours.answer(HEAD + AUDIO).negotiated.srtp is None
    back = ours.answer(HEAD + SAVP + OTHER_80).negotiated.srtp
    assert back is not None
    assert back.send.keying == bytes([3]) * 30, "a key that was in use comes never back: its packets are counted anew"


@pytest.mark.parametrize(
    ("srtp", "offered", "peer", "encrypted"),
    [
        ("off", "RTP/AVP", "off", False),
        ("off", "RTP/AVP", "optional", False),
        ("optional", "RTP/AVP", "off", False),
        ("optional", "RTP/AVP", "optional", True),
        ("optional", "RTP/AVP", "required", True),
        ("required", "RTP/SAVP", "optional", True),
        ("required", "RTP/SAVP", "required", True),
    ],
)
def test_srtp_offered(srtp: str, offered: str, peer: str, encrypted: bool) -> None:
    ours, theirs = call(srtp=srtp), call(srtp=peer)
    body = ours.offer()
    assert lines(body, "m=")[0].split()[2] == offered
    assert len(lines(body, "a=crypto:")) == (0 if srtp == "off" else 2)
    assert (ours.provisional is None) == (srtp != "off")
    answered = theirs.answer(body)
    agreed = ours.accept(answered.body)
    assert (agreed.srtp is not None) == encrypted
    if agreed.srtp is not None and answered.negotiated.srtp is not None:
        assert agreed.srtp.send == answered.negotiated.srtp.receive
        assert agreed.srtp.receive == answered.negotiated.srtp.send


@pytest.mark.parametrize(
    ("srtp", "answered", "warning"),
    [
        ("required", AUDIO, "302"),
        ("required", SAVP, "306"),
        ("required", SAVP + KEY_32, "306"),
        ("required", SAVP + MKI, "306"),
        ("optional", AUDIO + UNKNOWN, "306"),
        ("optional", SAVP, "306"),
        ("optional", SAVP + KEY_80, None),
        ("required", AUDIO + KEY_80, None),
        ("required", SAVP + KEY_80.replace("crypto:1", "crypto:9"), None),
    ],
)
def test_srtp_answers(srtp: str, answered: str, warning: str | None) -> None:
    ours = call(srtp=srtp)
    ours.offer()
    if warning is None:
        assert ours.accept(HEAD + answered).srtp is not None
        return
    with pytest.raises(SdpNotAcceptable) as caught:
        ours.accept(HEAD + answered)
    assert (caught.value.warning or "")[:3] == warning


# Anything

PIECES = [
    *HEAD.splitlines(), *AUDIO.splitlines(), *SAVP.splitlines(), KEY_80, KEY_32, MKI, UNKNOWN,
    "a=inactive", "a=sendonly", "c=IN IP6 ::", "c=IN IP4 0.0.0.0", "m=audio 1 RTP/AVP", "a=rtpmap:x", "a=:", "m=",
    "m=audio 4000 RTP/AVP 110 13 0", "a=rtpmap:110 telephone-event/48000", "a=maxptime:5", "a=crypto:", "m=video 0 x 1",
]  # fmt: skip
SDP_LINES = st.lists(st.sampled_from([piece.strip() for piece in PIECES]) | st.text(max_size=20), max_size=12)
SDP = SDP_LINES.map("\n".join) | SDP_LINES.map(lambda rows: HEAD + AUDIO + "\n".join(rows))


@settings(max_examples=300, deadline=None)
@given(st.lists(SDP, min_size=1, max_size=4), st.sampled_from(["off", "optional", "required"]))
def test_any_text_is_answered_or_refused(texts: list[str], srtp: str) -> None:
    ours = call(srtp=srtp)
    for text in texts:
        before = ours.negotiated
        try:
            result = ours.answer(text)
        except SdpError:
            assert ours.negotiated == before
            continue
        offered, answered = parse(text).media, parse(result.body).media
        assert [media.kind for media in offered] == [media.kind for media in answered]
        assert [media.protocol for media in offered] == [media.protocol for media in answered]
        assert sum(media.port > 0 for media in answered) == 1
        taken = next(at for at, media in enumerate(answered) if media.port)
        assert set(answered[taken].formats) <= set(offered[taken].formats)
        assert result.negotiated.direction is answered[taken].direction
        assert (result.negotiated.srtp is not None) >= (srtp == "required")
        assert ours.refresh() == result.body


@settings(max_examples=300, deadline=None)
@given(SDP, st.sampled_from(["off", "optional", "required"]), st.sampled_from(Direction))
def test_any_answer_is_taken_or_refused(text: str, srtp: str, direction: Direction) -> None:
    ours = call(srtp=srtp)
    ours.offer(direction)
    try:
        agreed = ours.accept(text)
    except SdpError:
        assert ours.negotiated is None
        return
    assert agreed.direction.sends <= direction.sends
    assert agreed.direction.receives <= direction.receives
    assert (agreed.srtp is not None) >= (srtp == "required")


ACTIONS = st.tuples(
    st.booleans(), st.sampled_from(["offer", "anew", "refresh"]), st.none() | st.sampled_from(Direction)
)
MIRRORED = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ACTIONS, min_size=1, max_size=8),
    st.sampled_from(
        [("off", "optional"), ("optional", "optional"), ("optional", "required"), ("required", "required")]
    ),
)
def test_two_sides_agree_after_every_exchange(
    actions: list[tuple[bool, str, Direction | None]], srtp: tuple[str, str]
) -> None:
    """Directions mirror each other, keys cross, and equal versions mean equal bodies (§8)."""
    keys = counted_keys()
    sides = [call(srtp=srtp[0], keys=keys), call(srtp=srtp[1], keys=keys, codecs=("PCMA", "PCMU"))]
    said: list[dict[int, bytes]] = [{}, {}]
    last = [0, 0]
    for second, action, direction in actions:
        offerer, answerer = sides[second], sides[not second]
        if action == "refresh" and offerer.negotiated is not None:
            offered = offerer.refresh()
        else:
            offered = offerer.offer(direction, anew=action == "anew")
        answered = answerer.answer(offered)
        agreed = offerer.accept(answered.body)
        other = answered.negotiated
        assert agreed.direction is MIRRORED.get(other.direction, other.direction)
        assert agreed.codec.encoding == other.codec.encoding
        assert (agreed.srtp is None) == (other.srtp is None)
        if agreed.srtp is not None and other.srtp is not None:
            assert (agreed.srtp.send, agreed.srtp.receive) == (other.srtp.receive, other.srtp.send)
        for side, body in ((second, offered), (not second, answered.body)):
            number = version(body)
            assert number >= last[side]
            assert said[side].setdefault(number, body) == body
            last[side] = number
