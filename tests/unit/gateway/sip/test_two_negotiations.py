"""Any offers and answers of a peer, and two sides of ours that negotiate with each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip import ice
from services.gateway.sip.dtls import Fingerprint
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated, Srtp
from services.gateway.sip.sdp import Direction, SdpError, SdpNotAcceptable, parse
from tests.unit.gateway.sip.negotiating import (
    ACTPASS,
    AUDIO,
    HEAD,
    ICE,
    KEY_32,
    KEY_80,
    MKI,
    OURS,
    PRINT,
    RESTARTED,
    SAVP,
    THEIRS,
    TLS,
    UNKNOWN,
    call,
    counted_keys,
    version,
)

CODECS = ("OPUS", "G722", "PCMU", "PCMA")
SRTP: tuple[Srtp, ...] = ("off", "optional", "required")

PIECES = [
    *HEAD.splitlines(), *AUDIO.splitlines(), *SAVP.splitlines(), KEY_80, KEY_32, MKI, UNKNOWN,
    *TLS.splitlines(), PRINT, ACTPASS, *ICE.splitlines(), *RESTARTED.splitlines(), "a=setup:active", "a=ice-lite",
    "a=rtcp-mux", "a=rtcp:9", "a=rtcp:4009 IN IP4 0.0.0.0", "a=mid:0", "a=group:BUNDLE 0", "a=mid:\x07", "a=ptime:30",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 9", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=20;stereo=1",
    "a=inactive", "a=sendonly", "c=IN IP6 ::", "c=IN IP4 0.0.0.0", "m=audio 1 RTP/AVP", "a=rtpmap:x", "a=:", "m=",
    "m=audio 4000 RTP/AVP 110 13 0", "a=rtpmap:110 telephone-event/48000", "a=maxptime:5", "a=crypto:", "m=video 0 x 1",
]  # fmt: skip
SDP_LINES = st.lists(st.sampled_from([piece.strip() for piece in PIECES]) | st.text(max_size=20), max_size=12)
SDP = SDP_LINES.map("\n".join) | SDP_LINES.map(lambda rows: HEAD + AUDIO + "\n".join(rows))


def secured(media: Negotiated) -> bool:
    return media.srtp is not None or media.dtls is not None


@settings(max_examples=300, deadline=None)
@given(st.lists(SDP, min_size=1, max_size=4), st.sampled_from(SRTP), st.none() | st.just(OURS))
def test_any_text_is_answered_or_refused(texts: list[str], srtp: Srtp, fingerprint: Fingerprint | None) -> None:
    ours = call(srtp=srtp, fingerprint=fingerprint, codecs=CODECS)
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
        assert secured(result.negotiated) >= (srtp == "required")
        assert (result.negotiated.dtls is None) >= (fingerprint is None or srtp == "off")
        assert result.negotiated.packet_ms in (10, 20, 30, 40, 60)
        assert ours.refresh() == result.body
        # What we say is read back as it was meant.
        again = answered[taken]
        assert bool(again.values("crypto")) == (result.negotiated.srtp is not None)
        assert bool(again.values("fingerprint")) == (result.negotiated.dtls is not None)
        assert ice.credentials(again) == (result.negotiated.ice and result.negotiated.ice.local)
        assert bool(again.values("rtcp-mux")) == result.negotiated.rtcp_mux


@settings(max_examples=300, deadline=None)
@given(SDP, st.sampled_from(SRTP), st.sampled_from(Direction), st.booleans())
def test_any_answer_is_taken_or_refused(text: str, srtp: Srtp, direction: Direction, dtls: bool) -> None:
    ours = call(srtp=srtp, fingerprint=OURS, dtls=dtls, codecs=CODECS)
    ours.offer(direction)
    try:
        agreed = ours.accept(text)
    except SdpError:
        assert ours.negotiated is None
        return
    assert agreed.direction.sends <= direction.sends
    assert agreed.direction.receives <= direction.receives
    assert secured(agreed) >= (srtp == "required")
    assert (agreed.dtls is None) >= (not dtls)


ACTIONS = st.tuples(
    st.booleans(), st.sampled_from(["offer", "anew", "refresh"]), st.none() | st.sampled_from(Direction)
)
MIRRORED = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


@dataclass(frozen=True, slots=True)
class Means:
    """What one side can and wants."""

    codecs: tuple[str, ...]
    srtp: Srtp
    certificate: bool
    dtls: bool

    def side(self, keys: Callable[[int], bytes], fingerprint: Fingerprint) -> MediaNegotiation:
        own = fingerprint if self.certificate else None
        return call(srtp=self.srtp, keys=keys, codecs=self.codecs, fingerprint=own, dtls=self.dtls)

    def can_answer(self, offerer: Means) -> bool:
        """A first offer."""
        by_dtls = offerer.dtls and offerer.srtp != "off"
        if not set(self.codecs) & set(offerer.codecs):
            return False
        if self.srtp == "off":
            return offerer.srtp != "required"
        if self.srtp == "required" and offerer.srtp == "off":
            return False
        return self.certificate or not by_dtls or "required" not in (self.srtp, offerer.srtp)


MEANS = st.builds(
    lambda codecs, count, srtp, certificate, dtls: Means(
        tuple(codecs[:count]), srtp, certificate, dtls and certificate
    ),
    st.permutations(CODECS),
    st.integers(1, 4),
    st.sampled_from(SRTP),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=8), MEANS, MEANS)
def test_two_sides_agree_after_every_exchange(
    actions: list[tuple[bool, str, Direction | None]], first: Means, second: Means
) -> None:
    """Equal versions mean equal bodies (RFC 3264 §8), and what failed changes nothing."""
    keys, means, prints = counted_keys(), (first, second), (OURS, THEIRS)
    sides = [means[0].side(keys, OURS), means[1].side(keys, THEIRS)]
    said: list[dict[int, bytes]] = [{}, {}]
    last = [0, 0]
    for by_second, action, direction in actions:
        offerer, answerer = sides[by_second], sides[not by_second]
        begun = offerer.negotiated is not None
        if action == "refresh" and begun:
            offered = offerer.refresh()
        else:
            offered = offerer.offer(direction, anew=action == "anew")
        try:
            answered = answerer.answer(offered)
        except SdpNotAcceptable:
            assert not begun
            assert not means[not by_second].can_answer(means[by_second])
            offerer.rejected()
            assert (offerer.negotiated, answerer.negotiated) == (None, None)
            continue
        assert begun or means[not by_second].can_answer(means[by_second])
        agreed, other = offerer.accept(answered.body), answered.negotiated
        agree(agreed, other)
        names = [codec.encoding for codec in parse(offered).media[0].codecs]
        assert other.codec.encoding == next(name for name in means[not by_second].codecs if name in names)
        if agreed.dtls is not None and other.dtls is not None:
            assert agreed.dtls.fingerprints == (prints[not by_second],)
            assert other.dtls.fingerprints == (prints[by_second],)
        for side, body in ((by_second, offered), (not by_second, answered.body)):
            number = version(body)
            assert number >= last[side]
            assert said[side].setdefault(number, body) == body
            last[side] = number


def agree(one: Negotiated, other: Negotiated) -> None:
    """Directions mirror each other, keys cross, roles are opposite, and the rest is the same."""
    assert one.direction is MIRRORED.get(other.direction, other.direction)
    assert (one.codec.encoding, one.codec.clock_rate) == (other.codec.encoding, other.codec.clock_rate)
    assert one.codec.payload_type == other.codec.payload_type
    assert one.telephone_event == other.telephone_event
    assert one.telephone_event is not None
    assert one.telephone_event.clock_rate == one.codec.clock_rate
    assert set(one.formats) >= {one.codec, one.telephone_event}
    assert (one.packet_ms, one.rtcp_mux, one.wide_band) == (other.packet_ms, other.rtcp_mux, other.wide_band)
    assert (one.packet_ms, one.rtcp, other.rtcp) == (20, one.remote, other.remote)
    assert ((one.srtp is None), (one.dtls is None)) == ((other.srtp is None), (other.dtls is None))
    assert one.srtp is None or one.dtls is None
    if one.srtp is not None and other.srtp is not None:
        assert (one.srtp.send, one.srtp.receive) == (other.srtp.receive, other.srtp.send)
    if one.dtls is not None and other.dtls is not None:
        assert one.dtls.active is not other.dtls.active


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(CODECS), st.none() | st.integers(1, 250), st.none() | st.integers(1, 250), st.permutations(CODECS)
)
def test_both_send_packets_of_one_length(codec: str, ptime: int | None, maxptime: int | None, ours: list[str]) -> None:
    """Once ours are told to the peer, which honours them."""
    peer = call(codecs=(codec,))
    offer = peer.offer().decode().replace("a=ptime:20\r\n", "")
    offer += "".join(f"a={name}:{ms}\r\n" for name, ms in (("ptime", ptime), ("maxptime", maxptime)) if ms)
    answered = call(codecs=ours).answer(offer)
    assert peer.accept(answered.body).packet_ms == answered.negotiated.packet_ms
