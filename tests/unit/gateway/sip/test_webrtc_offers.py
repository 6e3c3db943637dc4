"""What browsers and their gateways offer beside the sound: ICE (RFC 8839), BUNDLE (RFC 9143), rtcp-mux (RFC 5761)."""

from __future__ import annotations

import pytest

from services.gateway.sip.dtls import DtlsParameters
from services.gateway.sip.ice import IceCredentials, IceParameters
from services.gateway.sip.negotiation import MediaNegotiation
from services.gateway.sip.sdp import Direction
from tests.unit.gateway.sip.negotiating import (
    ACTPASS,
    AUDIO,
    HEAD,
    ICE,
    OURS,
    PRINT,
    RESTARTED,
    THEIRS,
    TLS,
    answer,
    call,
    counted_keys,
    lines,
    values,
    version,
)

BROWSER = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Ab1+
a=ice-pwd:0123456789abcdefghij/+
a=ice-options:trickle
a=fingerprint:{THEIRS}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:stream track
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:Ab1+
a=mid:1
"""
LOCAL, REMOTE = IceCredentials("AQEBAQEB", "AgICAgICAgICAgICAgICAgIC"), IceCredentials("Ab1+", "0123456789abcdefghij/+")


def test_a_browser() -> None:
    result = answer(BROWSER, codecs=("OPUS", "PCMU"), srtp="optional", fingerprint=OURS)
    assert lines(result.body) == [
        "v=0",
        "o=- 7 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=audio 6000 UDP/TLS/RTP/SAVPF 111 110",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000",
        "a=rtpmap:110 telephone-event/48000",
        "a=fmtp:110 0-15",
        "a=ptime:20",
        "a=rtcp-mux",
        "a=mid:0",
        "a=setup:active",
        f"a=fingerprint:{OURS}",
        "a=ice-ufrag:AQEBAQEB",
        "a=ice-pwd:AgICAgICAgICAgICAgICAgIC",
        "a=ice-options:ice2",
        "a=candidate:1 1 UDP 2130706431 192.0.2.1 6000 typ host",
        "a=sendrecv",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:1",
    ]
    agreed = result.negotiated
    assert agreed.ice == IceParameters(LOCAL, REMOTE)
    assert agreed.dtls is not None
    assert (agreed.remote, agreed.rtcp, agreed.rtcp_mux) == (None, None, True)
    assert agreed.direction is Direction.SENDRECV, "no address yet is no hold where ICE is"


def test_a_softphone_with_dtls_and_ice() -> None:
    """As baresip 1.0 writes it: all at the session, a hash in capitals, events on one clock only."""
    text = (
        HEAD + ICE + ACTPASS + f"a=fingerprint:{THEIRS}\n".replace("sha", "SHA")
        + "m=audio 4000 UDP/TLS/RTP/SAVPF 96 9 0 101\na=rtpmap:96 opus/48000/2\na=fmtp:96 stereo=1;sprop-stereo=1\n"
        + "a=rtpmap:101 telephone-event/8000\na=rtcp-rsize\na=rtcp-mux\na=minptime:20\na=ptime:20\n"
        + "a=candidate:c0000202 1 UDP 2113929471 198.51.100.7 4000 typ host\n"
    )  # fmt: skip
    agreed = answer(text, codecs=("OPUS",), srtp="required", fingerprint=OURS).negotiated
    assert agreed.dtls == DtlsParameters((THEIRS,), True)
    assert (agreed.ice, agreed.rtcp_mux, agreed.packet_ms) == (IceParameters(LOCAL, REMOTE), True, 20)
    assert agreed.telephone_event is not None
    assert (agreed.codec.clock_rate, agreed.telephone_event.clock_rate) == (48000, 8000)


@pytest.mark.parametrize(
    ("attributes", "offered"),
    [
        (ICE, True),
        ("a=ice-ufrag:Ab1+\n", False),
        ("a=ice-pwd:0123456789abcdefghij/+\n", False),
        (ICE.replace("Ab1+", "Ab1"), False),
        (ICE.replace("Ab1+", "a" * 257), False),
        (ICE.replace("/+", ""), False),
        (ICE.replace("/+", "&!"), False),
        # Two lite agents check nothing.
        (ICE + "a=ice-lite\n", False),
        ("a=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\n", False),
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_ice_is_answered_where_it_is_offered(attributes: str, offered: bool, level: str) -> None:
    """On plain RTP too."""
    result = answer(HEAD + attributes + AUDIO if level == "session" else HEAD + AUDIO + attributes)
    assert result.negotiated.ice == (IceParameters(LOCAL, REMOTE) if offered else None)
    assert ("a=ice-lite" in lines(result.body)) == offered
    assert len(values(result.body, "candidate")) == 2 * offered
    assert result.negotiated.remote == ("198.51.100.7", 4000)


def test_rtcp_on_a_port_of_its_own_is_a_second_component() -> None:
    """A peer that checks it takes a stream without a candidate for it as one without ICE: so does baresip 1.0."""
    ours = call()
    assert values(ours.answer(HEAD + AUDIO + ICE).body, "candidate") == [
        "1 1 UDP 2130706431 192.0.2.1 6000 typ host",
        "1 2 UDP 2130706430 192.0.2.1 6001 typ host",
    ]
    assert len(values(ours.offer(anew=True), "candidate")) == 2
    assert len(values(ours.answer(HEAD + AUDIO + ICE + "a=rtcp-mux\n").body, "candidate")) == 1


def test_we_never_offer_ice_first() -> None:
    assert b"a=ice" not in call(srtp="required", dtls=True, fingerprint=OURS).offer()


def test_a_restart() -> None:
    """RFC 8445 §9: our credentials change with the peer's, and only then; the DTLS association stays."""
    ours = call(srtp="optional", fingerprint=OURS)
    first = ours.answer(HEAD + TLS + ACTPASS + PRINT + ICE)
    again = ours.answer(HEAD + TLS + ACTPASS + PRINT + ICE)
    assert again.body == first.body == ours.offer()
    restarted = ours.answer(HEAD + TLS + ACTPASS + PRINT + RESTARTED)
    assert version(restarted.body) == 2
    assert first.negotiated.ice is not None
    assert restarted.negotiated.ice is not None
    assert restarted.negotiated.ice.remote.ufrag == "Ab2+"
    assert restarted.negotiated.ice.local != first.negotiated.ice.local
    assert restarted.negotiated.dtls == first.negotiated.dtls
    gone = ours.answer(HEAD + TLS + ACTPASS + PRINT)
    assert gone.negotiated.ice is None
    assert "a=ice-lite" not in lines(gone.body)
    assert gone.negotiated.dtls == first.negotiated.dtls, "with ICE or without, the role stays"


def test_our_later_offers_keep_ice() -> None:
    ours = call(srtp="optional", fingerprint=OURS)
    first = ours.answer(BROWSER).negotiated
    held = ours.offer(Direction.SENDONLY)
    assert lines(held, "a=ice-lite") == ["a=ice-lite"]
    assert ours.accept(BROWSER.replace("sendrecv", "recvonly")).ice == first.ice
    assert first.ice is not None
    anew = ours.offer(anew=True)
    assert lines(anew, "a=ice-lite") == ["a=ice-lite"]
    assert (values(anew, "mid"), values(anew, "group")) == (["0", "1"], ["BUNDLE 0"])
    assert values(anew, "ice-ufrag") != [first.ice.local.ufrag]
    agreed = ours.accept(BROWSER.replace("Ab1+", "Ab2+"))
    assert agreed.ice is not None
    assert ([agreed.ice.local.ufrag], agreed.ice.remote.ufrag) == (values(anew, "ice-ufrag"), "Ab2+")
    ours.offer()
    assert ours.accept(HEAD + TLS + "a=setup:passive\n" + PRINT).ice is None, "a peer that dropped it"


@pytest.mark.parametrize(
    ("address", "port", "remote"),
    [
        ("198.51.100.7", 4000, True),
        ("0.0.0.0", 9, False),
        ("0.0.0.0", 4000, False),
        ("198.51.100.7", 9, False),
        ("::", 9, False),
    ],
)
def test_no_address_is_no_hold_with_ice(address: str, port: int, remote: bool) -> None:
    text = HEAD.replace("198.51.100.7", address) + AUDIO.replace("4000", str(port)) + ICE
    agreed = answer(text).negotiated
    assert (agreed.remote is not None, agreed.direction) == (remote, Direction.SENDRECV)


@pytest.mark.parametrize(
    ("session", "media", "group", "mid"),
    [
        ("a=group:BUNDLE 0\n", "a=mid:0\n", ["BUNDLE 0"], ["0"]),
        ("a=group:BUNDLE video audio\n", "a=mid:audio\n", ["BUNDLE audio"], ["audio"]),
        ("a=group:LS 1 2\na=group:BUNDLE 1 2\n", "a=mid:1\n", ["BUNDLE 1"], ["1"]),
        ("a=group:BUNDLE 1\n", "a=mid:0\n", [], ["0"]),
        ("a=group:LS 0\n", "a=mid:0\n", [], ["0"]),
        ("a=group:BUNDLE\n", "a=mid:0\n", [], ["0"]),
        ("a=group:BUNDLE 0\n", "", [], []),
        ("a=group:\n", "a=mid\n", [], []),
        ("a=group:BUNDLE x y\n", "a=mid:x y\n", [], []),
        ("", f"a=mid:{'x' * 65}\n", [], []),
    ],
)
def test_bundle(session: str, media: str, group: list[str], mid: list[str]) -> None:
    body = answer(HEAD + session + AUDIO + media).body
    assert (values(body, "group"), values(body, "mid")) == (group, mid)


# RTCP


@pytest.mark.parametrize(
    ("attributes", "mux", "rtcp"),
    [
        ("", False, ("198.51.100.7", 4001)),
        ("a=rtcp-mux\n", True, ("198.51.100.7", 4000)),
        ("a=rtcp-mux\na=rtcp:4009\n", True, ("198.51.100.7", 4000)),
        ("a=rtcp:4009\n", False, ("198.51.100.7", 4009)),
        ("a=rtcp:4009 IN IP4 198.51.100.8\n", False, ("198.51.100.8", 4009)),
        ("a=rtcp:4009 in ip6 2001:db8::8\n", False, ("2001:db8::8", 4009)),
        ("a=rtcp:9 IN IP4 0.0.0.0\n", False, None),
        ("a=rtcp:0\n", False, None),
        ("a=rtcp:70000\n", False, None),
        ("a=rtcp:x\n", False, ("198.51.100.7", 4001)),
        ("c=IN IP4 0.0.0.0\na=rtcp:4009\n", False, None),
    ],
)
def test_where_rtcp_goes(attributes: str, mux: bool, rtcp: tuple[str, int] | None) -> None:
    result = answer(HEAD + AUDIO + attributes)
    assert (result.negotiated.rtcp_mux, result.negotiated.rtcp) == (mux, rtcp)
    assert ("a=rtcp-mux" in lines(result.body)) == mux


def test_the_last_port_has_none_after_it() -> None:
    assert answer(HEAD + AUDIO.replace("4000", "65535")).negotiated.rtcp is None


@pytest.mark.parametrize(("attribute", "mux"), [("", False), ("a=rtcp-mux\n", True)])
def test_we_offer_one_port(attribute: str, mux: bool) -> None:
    """RFC 5761 §5.1.1: the answer decides, and a later offer of ours asks again only when it is made anew."""
    ours = call()
    assert "a=rtcp-mux" in lines(ours.offer())
    assert ours.accept(HEAD + AUDIO + attribute).rtcp_mux == mux
    assert ours.answer(HEAD + AUDIO).negotiated.rtcp_mux is False
    assert "a=rtcp-mux" not in lines(ours.offer())
    assert ours.accept(HEAD + AUDIO + "a=rtcp-mux\n").rtcp_mux is False, "not offered"
    assert "a=rtcp-mux" in lines(ours.offer(anew=True))


def test_an_ipv6_candidate() -> None:
    ours = MediaNegotiation("2001:db8::1", 6000, session_id=1, keys=counted_keys())
    body = ours.answer(HEAD + AUDIO + ICE + "a=rtcp-mux\n").body
    assert values(body, "candidate") == ["1 1 UDP 2130706431 2001:db8::1 6000 typ host"]
