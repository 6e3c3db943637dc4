"""Offer and answer (RFC 3264) for a call: one audio stream with its keys (DTMF), protection, RTCP and ICE.

media = MediaNegotiation("192.0.2.1", 20000, session_id=..., keys=secrets.token_bytes, srtp="optional")
answer = media.answer(offer)               # the body of our 200, and what to tell the MediaSession
body = media.offer(Direction.SENDONLY)     # the body of our INVITE
agreed = media.accept(answer)              # from the 200 to it, or from the ACK to our 200 with an offer
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from services.gateway.sip import ice, rtcpmux, rtpformats
from services.gateway.sip.crypto import SrtpKeys
from services.gateway.sip.dtls import DtlsParameters, Fingerprint
from services.gateway.sip.ice import IceCredentials, IceParameters
from services.gateway.sip.rtpformats import PACKET_MS, OpusParameters
from services.gateway.sip.sdp import (
    UNSPECIFIED,
    Codec,
    Direction,
    Media,
    SdpError,
    SdpNotAcceptable,
    SessionDescription,
    compose,
    parse,
)
from services.gateway.sip.securemedia import Protection, SecureMedia, Srtp

__all__ = ["PACKET_MS", "Answer", "MediaNegotiation", "Negotiated", "Srtp"]

_DISCARD = 9  # RFC 8840 §4.1.1: no candidate is known yet
_MID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed on."""

    codec: Codec
    """To send with."""
    telephone_event: Codec | None
    """To send keys with, durations on its own clock: some offer telephone-event/48000 beside PCMU."""
    formats: tuple[Codec, ...]
    """All that the peer may send, by the payload types that it sends them with: audio, telephone-events, CN."""
    remote: tuple[str, int] | None
    """Where to send RTP. None on hold by c=0.0.0.0 (RFC 2543), and with ICE until a check comes where the peer has told
    no address; the host may be a name."""
    direction: Direction
    """Ours: `sends` says whether we may send, `receives` whether the peer does."""
    ptime_ms: int | None = None
    """Packet time that the peer would like."""
    packet_ms: int = PACKET_MS
    """How much audio a packet of ours holds: 10, 20, 30, 40 or 60 ms, by the peer's ptime and maxptime."""
    srtp: SrtpKeys | None = None
    """Keys by SDES. None and no `dtls`: plain RTP."""
    rtcp_mux: bool = False
    """RTCP comes and goes on the RTP port (RFC 5761); else on the next one."""
    rtcp: tuple[str, int] | None = None
    """Where to send RTCP; None where `remote` is, or the peer has no place for it."""
    dtls: DtlsParameters | None = None
    """Keys come by a handshake; without them nothing is sent or read."""
    ice: IceParameters | None = None
    """The peer checks our address, and RTP goes where its checks come from."""
    rtcp_xr: bool = False
    """The peer asks how its stream sounds here (RFC 3611)."""

    @property
    def wide_band(self) -> bool:
        return self.codec.encoding in rtpformats.WIDE_BAND

    @property
    def sample_rate_hz(self) -> int:
        """Of the codec's samples, not of its RTP clock: 8000 or 16000."""
        return 16000 if self.wide_band else 8000

    @property
    def opus(self) -> OpusParameters:
        """What the peer wants of our Opus."""
        return OpusParameters.parse(self.codec.fmtp)


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` goes into the 200, `negotiated` to the media."""

    body: bytes
    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class _Sent:
    """A description of ours, and what we want of the stream, which a peer's hold may keep us from."""

    description: SessionDescription
    version: int
    wish: Direction


class MediaNegotiation:
    """A call's offers and answers, from the first to the last.

    The version in our o= line grows when our description changes, and only then (RFC 3264 §8). A failed exchange
    leaves everything as it was (§8). SRTP keys stay until the peer brings another one; then ours changes as well, for
    both sides begin to count packets anew (RFC 4568 §6.4, RFC 3711 §3.3.1). So do ICE credentials (RFC 8445 §9). Our
    DTLS role stays while the peer's certificate does (RFC 8842 §5.3).
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        session_id: int,
        keys: Callable[[int], bytes],
        codecs: Sequence[str] = ("PCMU", "PCMA"),
        srtp: Srtp = "off",
        fingerprint: Fingerprint | None = None,
        dtls: bool = False,
    ) -> None:
        """`address` and `port` are where our RTP is received; `session_id` is unique to the call (below 2^63);
        `keys` gives so many secret random bytes; `codecs` are in order of preference, of PCMU, PCMA, G722 and OPUS;
        `fingerprint` is of our certificate, without which DTLS is refused; `dtls` offers it in place of SDES.
        """
        self.negotiated: Negotiated | None = None
        """What holds now."""
        self._address = address
        self._port = port
        self._session_id = session_id
        self._keys = keys
        self._codecs = tuple(codecs)
        self._security = SecureMedia(srtp, keys, fingerprint, dtls)
        self._meanings: dict[int, Codec] = {}
        self._version = 0
        self._sent: _Sent | None = None
        self._pending: _Sent | None = None

    @property
    def provisional(self) -> Negotiated | None:
        """What may be received while the answer to our first offer is out (RFC 3264 §5.1): any codec that it names.

        None when keys were offered: nothing can be read without the peer's.
        """
        media = _stream(self._pending)
        if media is None or self._sent is not None or media.values("crypto") or media.values("fingerprint"):
            return None
        codecs = media.codecs
        return Negotiated(codecs[0], None, tuple(codecs), None, media.direction)

    def offer(self, direction: Direction | None = None, *, anew: bool = False) -> bytes:
        """Our offer: the first one of a call, or a later one that repeats what we said last, refused m= lines included.

        `direction` is what we want (hold, resume), and stays in force for later offers and answers; None: as before,
        at first sendrecv. `anew` names all our codecs and brings new keys: for an INVITE without SDP within the call
        (RFC 3261 §14.2), for another device may stand behind it. Settled by `accept` or `rejected`.
        """
        wish = self._wish if direction is None else direction
        stream = _stream(self._sent)
        if self._sent is None or stream is None:
            description = SessionDescription(media=(self._offered(None, wish),))
        else:
            ours = self._offered(stream, wish) if anew else replace(stream, direction=wish)
            media = tuple(ours if one is stream else one for one in self._sent.description.media)
            description = replace(self._sent.description, media=media)
        self._pending = self._versioned(description, wish)
        return self._body(self._pending)

    def refresh(self) -> bytes:
        """Our last description word for word, for a session refresh (RFC 4028 §7.4); `accept` reads the answer.

        Raises ValueError when there is none yet.
        """
        if self._sent is None:
            raise ValueError("no session description was agreed on yet")
        return self._body(self._sent)

    def rejected(self) -> None:
        """Our offer was refused or taken back: what was agreed before stays."""
        self._pending = None

    def answer(self, offer: bytes | str) -> Answer:
        """Answers (§6) with the first audio stream that we can take, the one in use before others, and the first of
        our codecs that it names. Every other m= line is refused in its place, with port 0.

        Hold is answered as it must be: sendonly by recvonly, inactive by inactive, c=0.0.0.0 by recvonly.
        Raises SdpError (400) and SdpNotAcceptable (488).
        """
        described = parse(offer)
        index, agreed, protection = self._choose(described.media)
        media = _refused(described.media)
        media[index] = self._accepted(described.media[index], agreed, protection)
        session = _bundle(described, media[index]) + _lite(agreed.ice)
        self._sent = self._versioned(SessionDescription(described.timing, tuple(media), session), self._wish)
        self._pending = None
        self.negotiated = agreed
        return Answer(self._body(self._sent), agreed)

    def accept(self, answer: bytes | str) -> Negotiated:
        """What the peer's answer to our offer settles, also a second one from another branch of a fork.

        Tolerant: a stream too few or too many does no harm. Raises SdpError and SdpNotAcceptable for what can't work;
        the call is to be ended then, or what was agreed before stays.
        """
        sent = self._pending or self._sent
        ours = _stream(sent)
        if sent is None or ours is None:
            raise SdpError("SDP answer without an offer")
        theirs = self._answered(sent.description.media.index(ours), parse(answer).media)
        audio = rtpformats.common(theirs, rtpformats.speech_names(ours.codecs), ours.codecs)
        protection = self._security.settled(ours, theirs)
        local, remote = ice.credentials(ours), ice.credentials(theirs)
        checked = None if local is None or remote is None else IceParameters(local, remote)
        agreed = _settle(ours.direction, theirs, audio, protection, checked, rtcpmux.multiplexes(ours))
        # The answerer's numbers are for what we send; what it sends bears ours (§5.1), though not every peer knows.
        formats = [one for one in ours.codecs if any(rtpformats.same(one, other) for other in theirs.codecs)]
        numbers = {one.payload_type for one in formats}
        formats += [one for one in agreed.formats if one.payload_type not in numbers]
        self.negotiated = replace(agreed, formats=tuple(formats))
        self._sent, self._pending = sent, None
        return self.negotiated

    # What we offer

    @property
    def _wish(self) -> Direction:
        return Direction.SENDRECV if self._sent is None else self._sent.wish

    def _offered(self, used: Media | None, direction: Direction) -> Media:
        """All that we can do: a first offer, or a later one for the stream in use."""
        protocol, lines = self._security.offered(used)
        if used is None:
            formats = rtpformats.offered(self._codecs)
            return self._audio(protocol, formats, PACKET_MS, True, lines, direction)
        formats = rtpformats.offered_again(self._codecs, used.codecs, self._meanings)
        if used.attribute("mid") is not None:
            lines = (("mid", used.attribute("mid") or ""), *lines)
        if ice.credentials(used) is not None:
            mux = self.negotiated is None or self.negotiated.rtcp_mux
            lines += ice.attributes(IceCredentials.fresh(self._keys), self._address, self._port, mux)
        return self._audio(protocol, formats, PACKET_MS, True, lines, direction)

    def _accepted(self, theirs: Media, agreed: Negotiated, protection: Protection) -> Media:
        lines = _mid(theirs) + protection.attributes
        if agreed.ice is not None:
            lines += ice.attributes(agreed.ice.local, self._address, self._port, agreed.rtcp_mux)
        return self._audio(theirs.protocol, agreed.formats, agreed.packet_ms, agreed.rtcp_mux, lines, agreed.direction)

    def _audio(
        self,
        protocol: str,
        formats: Sequence[Codec],
        packet_ms: int,
        rtcp_mux: bool,
        lines: Iterable[tuple[str, str]],
        direction: Direction,
    ) -> Media:
        attributes = rtpformats.attributes(formats, packet_ms)
        if rtcp_mux:
            attributes.append(("rtcp-mux", ""))
        attributes += lines
        numbers = tuple(str(codec.payload_type) for codec in formats)
        return Media("audio", self._port, protocol, numbers, None, tuple(attributes), direction)

    def _versioned(self, description: SessionDescription, wish: Direction) -> _Sent:
        for codec in (codec for media in description.media if media.port for codec in media.codecs):
            self._meanings.setdefault(codec.payload_type, codec)
        for sent in (self._sent, self._pending):
            if sent is not None and sent.description == description:
                return replace(sent, wish=wish)
        self._version += 1
        return _Sent(description, self._version, wish)

    def _body(self, sent: _Sent) -> bytes:
        return compose(sent.description, self._address, self._session_id, sent.version)

    # Their offer

    def _choose(self, offered: Sequence[Media]) -> tuple[int, Negotiated, Protection]:
        """The stream, what it settles, and what protects it."""
        audio = [index for index, media in enumerate(offered) if media.kind == "audio" and media.port]
        problem: SdpError = SdpNotAcceptable(304, "No audio stream offered")
        used = _stream(self._sent)
        if used is not None and self._sent is not None:
            place = self._sent.description.media.index(used)
            audio.sort(key=lambda index: index != place)
        now = self.negotiated
        srtp, association, checks = (None, None, None) if now is None else (now.srtp, now.dtls, now.ice)
        for index in audio:
            media = offered[index]
            checked = ice.credentials(media) is not None
            try:
                protection = self._security.answered(media, checked, srtp, association)
                common = rtpformats.common(media, self._codecs)
            except SdpNotAcceptable as error:
                problem = error
                continue
            codec = min(common, key=lambda one: self._codecs.index(one.encoding))
            ours = ice.answered(media, checks, self._keys)
            return index, _settle(self._wish, media, [codec], protection, ours), protection
        raise problem

    # Their answer

    def _answered(self, index: int, answered: Sequence[Media]) -> Media:
        audio = [media for media in answered if media.kind == "audio" and media.port]
        if index < len(answered) and answered[index] in audio:
            return answered[index]
        if not audio:
            raise SdpNotAcceptable(304, "The answer takes no audio stream")
        return audio[0]


def _stream(sent: _Sent | None) -> Media | None:
    """The one stream of our description that is not refused."""
    return None if sent is None else next((media for media in sent.description.media if media.port), None)


def _refused(media: Iterable[Media]) -> list[Media]:
    return [Media(one.kind, 0, one.protocol, one.formats, attributes=_mid(one)) for one in media]


def _mid(media: Media) -> tuple[tuple[str, str], ...]:
    """Said again in every answer (RFC 5888 §9.1)."""
    mid = media.attribute("mid") or ""
    return (("mid", mid),) if _MID.fullmatch(mid) else ()


def _bundle(offered: SessionDescription, ours: Media) -> tuple[tuple[str, str], ...]:
    """A group of the one stream that we take, where it was offered in one (RFC 9143 §7.3)."""
    mid = ours.attribute("mid")
    groups = [value.split() for value in offered.values("group")]
    bundled = any(words[:1] == ["BUNDLE"] and mid in words[1:] for words in groups)
    return (("group", f"BUNDLE {mid}"),) if bundled else ()


def _lite(parameters: IceParameters | None) -> tuple[tuple[str, str], ...]:
    return () if parameters is None else (("ice-lite", ""),)


def _settle(
    wish: Direction,
    theirs: Media,
    audio: Sequence[Codec],
    protection: Protection,
    checked: IceParameters | None,
    rtcp_mux: bool = True,
) -> Negotiated:
    """What their stream and our wish come to."""
    if theirs.address is None:
        raise SdpError("SDP has no c= line for the audio stream")
    noise, events = rtpformats.beside(audio[0], theirs)
    unspecified = theirs.address in UNSPECIFIED
    # RFC 2543 hold: "send me nothing" (RFC 3264 §8.4). With ICE it means that no candidate is known yet.
    held = unspecified and checked is None
    sends = wish.sends and theirs.direction.receives and not held
    told = not unspecified and not (checked is not None and theirs.port == _DISCARD)
    remote = (theirs.address, theirs.port) if told else None
    mux = rtcp_mux and rtcpmux.multiplexes(theirs)
    return Negotiated(
        audio[0],
        events[0] if events else None,
        (*audio, *noise, *events),
        remote,
        Direction.of(sends, wish.receives and theirs.direction.sends),
        rtpformats.milliseconds(theirs, "ptime"),
        rtpformats.packet_ms(audio[0], theirs),
        protection.srtp,
        mux,
        rtcpmux.destination(theirs, remote, mux),
        protection.dtls,
        checked,
        rtcpmux.wants_voip_metrics(theirs),
    )
