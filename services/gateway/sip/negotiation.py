"""Offer and answer (RFC 3264) for a call: one audio stream of G.711 with telephone-event (RFC 4733), SRTP by SDES.

media = MediaNegotiation("192.0.2.1", 20000, session_id=..., keys=secrets.token_bytes, srtp="optional")
answer = media.answer(offer)               # the body of our 200, and what to tell the MediaSession
body = media.offer(Direction.SENDONLY)     # the body of our INVITE
agreed = media.accept(answer)              # from the 200 to it, or from the ACK to our 200 with an offer
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from services.gateway.sip import crypto
from services.gateway.sip.crypto import Crypto, SrtpKey, SrtpKeys
from services.gateway.sip.sdp import (
    COMFORT_NOISE,
    STATIC,
    Codec,
    Direction,
    Media,
    SdpError,
    SdpNotAcceptable,
    SessionDescription,
    compose,
    parse,
)

Srtp = Literal["off", "optional", "required"]
"""A trunk's wish. off: SAVP is refused, keys beside AVP are ignored. optional: the peer decides. required: a stream
without keys is refused; keys beside AVP ("best effort", which RFC 4568 does not know and many PBXs do) will do."""

CLOCK_HZ = 8000
_OUR_EVENT = Codec(101, "TELEPHONE-EVENT", CLOCK_HZ)
_EVENTS = "0-15"
PACKET_MS = 20
_PACKETS_MS = (20, 10, 5, 4, 2, 1)  # what 20 ms can be cut into
# AVPF only adds optional feedback (RFC 4585, RFC 5124). UDP/TLS/RTP/SAVP wants DTLS (RFC 5764), which is not ours.
_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")


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
    """Where to send RTP. None on hold by c=0.0.0.0 (RFC 2543); the host may be a name."""
    direction: Direction
    """Ours: `sends` says whether we may send, `receives` whether the peer does."""
    ptime_ms: int | None = None
    """Packet time that the peer would like; we send `packet_ms` all the same."""
    packet_ms: int = PACKET_MS
    """How much audio a packet of ours holds: 20 ms, or the part of it that the peer's maxptime allows."""
    srtp: SrtpKeys | None = None
    """None: plain RTP."""


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
    both sides begin to count packets anew (RFC 4568 §6.4, RFC 3711 §3.3.1).
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
    ) -> None:
        """`address` and `port` are where our RTP is received; `session_id` is unique to the call (below 2^63);
        `keys` gives so many secret random bytes; `codecs` are in order of preference.
        """
        self.negotiated: Negotiated | None = None
        """What holds now."""
        self._address = address
        self._port = port
        self._session_id = session_id
        self._keys = keys
        self._codecs = tuple(codecs)
        self._srtp = srtp
        self._version = 0
        self._sent: _Sent | None = None
        self._pending: _Sent | None = None

    @property
    def provisional(self) -> Negotiated | None:
        """What may be received while the answer to our first offer is out (RFC 3264 §5.1): any codec that it names.

        None when keys were offered: nothing can be read without the peer's.
        """
        media = _stream(self._pending)
        if media is None or self._sent is not None or media.values("crypto"):
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
            description = SessionDescription(media=(self._first_offer(wish),))
        else:
            ours = self._anew(stream, wish) if anew else replace(stream, direction=wish)
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
        index, agreed, line = self._choose(described.media)
        media = list(_refused(described.media))
        media[index] = self._accepted(described.media[index].protocol, agreed, line)
        self._sent = self._versioned(SessionDescription(described.timing, tuple(media)), self._wish)
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
        audio = _common(theirs, [codec.encoding for codec in ours.codecs if codec.encoding in STATIC])
        agreed = _settle(ours.direction, theirs, audio, self._answered_keys(ours, theirs))
        # The answerer's numbers are for what we send; what it sends bears ours (§5.1), though not every peer knows.
        formats = [one for one in ours.codecs if any(_same(one, other) for other in theirs.codecs)]
        numbers = {one.payload_type for one in formats}
        formats += [one for one in agreed.formats if one.payload_type not in numbers]
        self.negotiated = replace(agreed, formats=tuple(formats))
        self._sent, self._pending = sent, None
        return self.negotiated

    # What we offer

    @property
    def _wish(self) -> Direction:
        return Direction.SENDRECV if self._sent is None else self._sent.wish

    def _first_offer(self, direction: Direction) -> Media:
        protocol = "RTP/SAVP" if self._srtp == "required" else "RTP/AVP"
        codecs = [STATIC[name] for name in self._codecs]
        return self._audio(protocol, [*codecs, _OUR_EVENT], PACKET_MS, self._offered_keys(), direction)

    def _anew(self, used: Media, direction: Direction) -> Media:
        """A payload type keeps its meaning for the whole session (§8.3.2)."""
        formats = used.codecs
        for codec in (*(STATIC[name] for name in self._codecs), _OUR_EVENT):
            if all(codec.payload_type != one.payload_type and codec.encoding != one.encoding for one in formats):
                formats.append(codec)
        order = [*self._codecs, COMFORT_NOISE.encoding, _OUR_EVENT.encoding]
        formats.sort(key=lambda codec: order.index(codec.encoding))
        return self._audio(used.protocol, formats, PACKET_MS, self._offered_keys(), direction)

    def _offered_keys(self) -> list[Crypto]:
        suites = () if self._srtp == "off" else crypto.OFFERED
        return [Crypto(tag, SrtpKey(suite, self._keys(suite.keying_bytes))) for tag, suite in enumerate(suites, 1)]

    def _accepted(self, protocol: str, agreed: Negotiated, line: Crypto | None) -> Media:
        lines = [] if line is None else [line]
        return self._audio(protocol, agreed.formats, agreed.packet_ms, lines, agreed.direction)

    def _audio(
        self, protocol: str, formats: Iterable[Codec], packet_ms: int, lines: Iterable[Crypto], direction: Direction
    ) -> Media:
        attributes: list[tuple[str, str]] = []
        numbers: list[str] = []
        for codec in formats:
            numbers.append(str(codec.payload_type))
            encoding = codec.encoding.lower() if codec.is_event else codec.encoding
            attributes.append(("rtpmap", f"{codec.payload_type} {encoding}/{codec.clock_rate}"))
            if codec.is_event:
                attributes.append(("fmtp", f"{codec.payload_type} {_EVENTS}"))
        attributes.append(("ptime", str(packet_ms)))
        attributes += [("crypto", str(line)) for line in lines]
        return Media("audio", self._port, protocol, tuple(numbers), None, tuple(attributes), direction)

    def _versioned(self, description: SessionDescription, wish: Direction) -> _Sent:
        for sent in (self._sent, self._pending):
            if sent is not None and sent.description == description:
                return replace(sent, wish=wish)
        self._version += 1
        return _Sent(description, self._version, wish)

    def _body(self, sent: _Sent) -> bytes:
        return compose(sent.description, self._address, self._session_id, sent.version)

    # Their offer

    def _choose(self, offered: Sequence[Media]) -> tuple[int, Negotiated, Crypto | None]:
        """The stream, what it settles, and our a=crypto line."""
        audio = [index for index, media in enumerate(offered) if media.kind == "audio" and media.port]
        problem: SdpError = SdpNotAcceptable(304, "No audio stream offered")
        used = _stream(self._sent)
        if used is not None and self._sent is not None:
            place = self._sent.description.media.index(used)
            audio.sort(key=lambda index: index != place)
        for index in audio:
            media = offered[index]
            try:
                line = self._secured(media)
                codec = min(_common(media, self._codecs), key=lambda one: self._codecs.index(one.encoding))
            except SdpNotAcceptable as error:
                problem = error
                continue
            keys = None if line is None else SrtpKeys(self._our_key(line.key), line.key)
            agreed = _settle(self._wish, media, [codec], keys)
            ours = None if line is None or keys is None else Crypto(line.tag, keys.send)
            return index, agreed, ours
        raise problem

    def _secured(self, media: Media) -> Crypto | None:
        """The line of an offer that we take; None for plain RTP. Raises SdpNotAcceptable."""
        protocol = media.protocol.upper()
        if protocol not in _PLAIN + _SECURE:
            known = _PLAIN[0] if self._srtp == "off" else "RTP/AVP and RTP/SAVP"
            raise SdpNotAcceptable(302, f"Transport {_printable(media.protocol)} is not supported, only {known}")
        if self._srtp == "off":
            if protocol in _SECURE:
                raise SdpNotAcceptable(302, f"Transport {protocol} is not allowed on this trunk, only RTP/AVP")
            return None
        line = next(iter(crypto.usable(media.values("crypto"))), None)
        if line is None and (protocol in _SECURE or self._srtp == "required"):
            what = "No usable a=crypto line" if media.values("crypto") else "No a=crypto line"
            raise SdpNotAcceptable(306, f"{what} offered, and SRTP needs one: {', '.join(crypto.SUITES)}")
        return line

    def _our_key(self, theirs: SrtpKey) -> SrtpKey:
        agreed = None if self.negotiated is None else self.negotiated.srtp
        if agreed is not None and agreed.receive == theirs:
            return agreed.send
        return SrtpKey(theirs.suite, self._keys(theirs.suite.keying_bytes))

    # Their answer

    def _answered(self, index: int, answered: Sequence[Media]) -> Media:
        audio = [media for media in answered if media.kind == "audio" and media.port]
        if index < len(answered) and answered[index] in audio:
            return answered[index]
        if not audio:
            raise SdpNotAcceptable(304, "The answer takes no audio stream")
        return audio[0]

    def _answered_keys(self, ours: Media, theirs: Media) -> SrtpKeys | None:
        offered = crypto.usable(ours.values("crypto"))
        values = theirs.values("crypto")
        secure = theirs.protocol.upper() in _SECURE
        if not offered or not (values or secure):
            if secure or self._srtp == "required":
                raise SdpNotAcceptable(302, f"Transport {_printable(theirs.protocol)} in the answer was not offered")
            return None
        for line in crypto.usable(values):
            same = [one for one in offered if one.key.suite == line.key.suite]
            # The tag names the line that was taken (RFC 4568 §5.1.3); with one of this suite it can be no other.
            taken = next((one for one in same if one.tag == line.tag), same[0] if same else None)
            if taken is not None:
                return SrtpKeys(taken.key, line.key)
        raise SdpNotAcceptable(306, "No a=crypto line in the answer belongs to one of the offer")


def _stream(sent: _Sent | None) -> Media | None:
    """The one stream of our description that is not refused."""
    return None if sent is None else next((media for media in sent.description.media if media.port), None)


def _refused(media: Iterable[Media]) -> list[Media]:
    return [Media(one.kind, 0, one.protocol, one.formats) for one in media]


def _common(theirs: Media, names: Sequence[str]) -> list[Codec]:
    """Their audio codecs that `names` has, in their order. Raises SdpNotAcceptable for none."""
    names = [name for name in names if name != COMFORT_NOISE.encoding]
    common = [codec for codec in theirs.codecs if codec.encoding in names and codec.clock_rate == CLOCK_HZ]
    if not common:
        raise SdpNotAcceptable(305, f"None of the offered codecs is supported, only {', '.join(names)}")
    return common


def _settle(wish: Direction, theirs: Media, audio: Sequence[Codec], srtp: SrtpKeys | None) -> Negotiated:
    """What their stream and our wish come to."""
    if theirs.address is None:
        raise SdpError("SDP has no c= line for the audio stream")
    events = [codec for codec in theirs.codecs if codec.is_event]
    # Those on the codec's clock; another one only where there is no such (RFC 4733 §2.1 asks for the same clock).
    events = [event for event in events if event.clock_rate == CLOCK_HZ] or events[:1]
    noise = [codec for codec in theirs.codecs if codec == COMFORT_NOISE]
    # RFC 2543 hold: "send me nothing" (RFC 3264 §8.4).
    held = theirs.address in ("0.0.0.0", "::")
    sends = wish.sends and theirs.direction.receives and not held
    return Negotiated(
        audio[0],
        events[0] if events else None,
        (*audio, *noise, *events),
        None if held else (theirs.address, theirs.port),
        Direction.of(sends, wish.receives and theirs.direction.sends),
        _milliseconds(theirs, "ptime"),
        next(ms for ms in _PACKETS_MS if ms <= (_milliseconds(theirs, "maxptime") or PACKET_MS)),
        srtp,
    )


def _same(one: Codec, other: Codec) -> bool:
    return one.encoding == other.encoding and one.clock_rate == other.clock_rate


def _milliseconds(media: Media, name: str) -> int | None:
    value = media.attribute(name) or ""
    return int(value) if re.fullmatch(r"[1-9][0-9]{0,2}", value, re.ASCII) else None


def _printable(text: str) -> str:
    return re.sub(r'[^\x20-\x7e]|["\\]', "?", text)[:40]
