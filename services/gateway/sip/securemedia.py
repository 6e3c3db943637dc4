"""How SDP protects an RTP stream: SDES (RFC 4568), DTLS-SRTP (RFC 5763, RFC 5764), either best effort (RFC 8643)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.gateway.sip import crypto, dtls
from services.gateway.sip.crypto import Crypto, SrtpKey, SrtpKeys
from services.gateway.sip.dtls import DtlsParameters, Fingerprint
from services.gateway.sip.sdp import Media, SdpNotAcceptable

Srtp = Literal["off", "optional", "required"]
"""A trunk's wish. off: SAVP is refused, keys beside AVP are ignored. optional: the peer decides. required: a stream
without keys is refused; keys or a fingerprint beside AVP ("best effort", RFC 8643) will do."""

# AVPF only adds optional feedback (RFC 4585, RFC 5124).
_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")
_DTLS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")  # RFC 5764 §8


@dataclass(frozen=True, slots=True)
class Protection:
    """What protects a stream, and the attributes of ours that say so. Neither: plain RTP."""

    srtp: SrtpKeys | None = None
    dtls: DtlsParameters | None = None
    attributes: tuple[tuple[str, str], ...] = ()


class SecureMedia:
    """One side's means and wishes."""

    def __init__(
        self,
        wish: Srtp,
        keys: Callable[[int], bytes],
        fingerprint: Fingerprint | None = None,
        prefer_dtls: bool = False,
    ) -> None:
        """`keys` gives so many secret random bytes; `fingerprint` is of our certificate, without which there is no
        DTLS; `prefer_dtls` offers it in place of SDES. Raises ValueError for a preference that can't be.
        """
        if prefer_dtls and fingerprint is None:
            raise ValueError("DTLS can't be offered without a certificate: give its fingerprint")
        self._wish = wish
        self._keys = keys
        self._fingerprint = fingerprint
        self._prefer_dtls = prefer_dtls

    # Offers of ours

    def offered(self, used: Media | None = None) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Protocol and attributes of an offer: the first one, or one that is to bring new keys to the stream in use.

        Where plain RTP will do the protocol stays RTP/AVP, for many refuse what they don't know.
        """
        by_dtls = self._prefer_dtls
        if used is not None and (used.values("crypto") or used.values("fingerprint")):
            # The peer is known to do it.
            by_dtls = bool(used.values("fingerprint"))
        protocol = "RTP/AVP"
        if self._wish == "required":
            protocol = _DTLS[0] if by_dtls else _SECURE[0]
        if used is not None:
            protocol = used.protocol
        if self._wish == "off":
            return protocol, ()
        if by_dtls and self._fingerprint is not None:
            # Whoever answers chooses (RFC 5763 §5).
            return protocol, dtls.attributes(self._fingerprint, "actpass")
        lines = [Crypto(tag, self._fresh(suite)) for tag, suite in enumerate(crypto.OFFERED, 1)]
        return protocol, _crypto(*lines)

    def settled(self, ours: Media, theirs: Media) -> Protection:
        """What their answer to our offer takes. Raises SdpNotAcceptable."""
        lines = crypto.usable(ours.values("crypto"))
        fingerprint = bool(ours.values("fingerprint"))
        given = theirs.values("fingerprint" if fingerprint else "crypto")
        secure = theirs.protocol.upper() in _SECURE + _DTLS
        if not (lines or fingerprint) or not (given or secure):
            # An answer has the offer's transport (RFC 3264 §6): SAVP can't be made plain by one.
            if secure or self._wish == "required" or ours.protocol.upper() in _SECURE + _DTLS:
                raise SdpNotAcceptable(302, f"Transport {printable(theirs.protocol)} in the answer was not offered")
            return Protection()
        if fingerprint:
            prints = dtls.fingerprints(given)
            if not prints:
                raise SdpNotAcceptable(306, "No usable a=fingerprint line in the answer, and DTLS needs one")
            return Protection(dtls=dtls.settled(ours.attribute("setup"), theirs.attribute("setup"), prints))
        for line in crypto.usable(given):
            same = [one for one in lines if one.key.suite == line.key.suite]
            # The tag names the line that was taken (RFC 4568 §5.1.3); with one of this suite it can be no other.
            taken = next((one for one in same if one.tag == line.tag), same[0] if same else None)
            if taken is not None:
                return Protection(SrtpKeys(taken.key, line.key))
        raise SdpNotAcceptable(306, "No a=crypto line in the answer belongs to one of the offer")

    # Answers of ours

    def answered(
        self, media: Media, ice: bool, srtp: SrtpKeys | None = None, association: DtlsParameters | None = None
    ) -> Protection:
        """For our answer to an offered stream. `srtp` and `association` are what is in use, and go on where they can.

        Raises SdpNotAcceptable.
        """
        protocol = media.protocol.upper()
        if protocol not in self._known:
            known = " and ".join(one for one in self._known if not one.endswith("F"))
            raise SdpNotAcceptable(302, f"Transport {printable(media.protocol)} is not supported, only {known}")
        if self._wish == "off":
            if protocol in _SECURE:
                raise SdpNotAcceptable(302, f"Transport {protocol} is not allowed on this trunk, only RTP/AVP")
            return Protection()
        # With both, SDES: it is what RTP/SAVP means, and our first packet need not wait for a handshake.
        line = None if protocol in _DTLS else next(iter(crypto.usable(media.values("crypto"))), None)
        if line is not None:
            # Ours stays as long as the peer's, else both change (RFC 4568 §6.4, RFC 3711 §3.3.1).
            kept = srtp is not None and srtp.receive == line.key
            keys = srtp if srtp is not None and kept else SrtpKeys(self._fresh(line.key.suite), line.key)
            return Protection(keys, attributes=_crypto(Crypto(line.tag, keys.send)))
        prints = dtls.fingerprints(media.values("fingerprint"))
        if prints and self._fingerprint is not None:
            settled = dtls.answered(media.attribute("setup"), prints, ice, association)
            lines = dtls.attributes(self._fingerprint, "active" if settled.active else "passive")
            return Protection(dtls=settled, attributes=lines)
        if protocol in _DTLS:
            raise SdpNotAcceptable(306, f"No usable a=fingerprint line offered: {', '.join(dtls.DIGEST_BYTES)}")
        if protocol in _SECURE or self._wish == "required":
            what = "No usable a=crypto line" if media.values("crypto") else "No a=crypto line"
            raise SdpNotAcceptable(306, f"{what} offered, and SRTP needs one: {', '.join(crypto.SUITES)}")
        return Protection()

    @property
    def _known(self) -> tuple[str, ...]:
        if self._wish == "off":
            # RTP/SAVP is known to be what it is, and gets another warning.
            return _PLAIN + _SECURE
        return _PLAIN + _SECURE + (() if self._fingerprint is None else _DTLS)

    def _fresh(self, suite: crypto.Suite) -> SrtpKey:
        return SrtpKey(suite, self._keys(suite.keying_bytes))


def _crypto(*lines: Crypto) -> tuple[tuple[str, str], ...]:
    return tuple(("crypto", str(line)) for line in lines)


def printable(text: str) -> str:
    """Of a peer's text, what a Warning header may quote."""
    return re.sub(r'[^\x20-\x7e]|["\\]', "?", text)[:40]
