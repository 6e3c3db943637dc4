"""SRTP (RFC 3711) over libsrtp: a call's packets protected and read. What can't be is counted, never raised."""

from dataclasses import dataclass

from pylibsrtp import Error, Policy, Session

from services.gateway.sip.crypto import SrtpKey, SrtpKeys

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


@dataclass(slots=True)
class SrtpCounts:
    """Packets that were thrown away."""

    unauthentic: int = 0
    """Not from the peer, or altered on the way; or the keys of the two sides differ."""
    replayed: int = 0
    """Seen before, or too old to tell (§3.3.2)."""
    unsent: int = 0


class SrtpSession:
    """Both directions of a call. All SSRCs are read: a call that moves to another device brings a new one."""

    def __init__(self, keys: SrtpKeys, counts: SrtpCounts) -> None:
        """Raises pylibsrtp.Error when libsrtp can't do the suite."""
        self.keys = keys
        self._counts = counts
        self._sender = _session(keys.send, Policy.SSRC_ANY_OUTBOUND)
        self._receiver = _session(keys.receive, Policy.SSRC_ANY_INBOUND)
        self._former: Session | None = None

    def rekeyed(self, keys: SrtpKeys, overlap: bool) -> "SrtpSession":
        """A session with new keys; with `overlap`, what is still on its way under the old one is read until the new one
        is in use.

        A key that stays keeps its packet index: to begin anew would use the same key stream twice (RFC 3711 §9.1).
        """
        new = SrtpSession(keys, self._counts)
        if keys.send == self.keys.send:
            new._sender = self._sender
        if keys.receive == self.keys.receive:
            new._receiver = self._receiver
        elif overlap:
            new._former = self._receiver
        return new

    def protect(self, packet: bytes) -> bytes | None:
        """An RTP packet for the wire; None when it must not go out."""
        try:
            return self._sender.protect(packet)
        except (Error, ValueError):
            self._counts.unsent += 1
            return None

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet in one from the wire; None when it is not authentic or was seen before."""
        try:
            plain = self._receiver.unprotect(packet)
        except (Error, ValueError) as error:
            if self._former is not None:
                try:
                    return self._former.unprotect(packet)
                except (Error, ValueError):
                    pass
            # libsrtp tells "replay check failed (bad index)" and "(index too old)".
            if str(error).startswith("replay"):
                self._counts.replayed += 1
            else:
                self._counts.unauthentic += 1
            return None
        self._former = None
        return plain

    def protect_rtcp(self, compound: bytes) -> bytes | None:
        """An RTCP compound for the wire (§3.4); None when it must not go out."""
        try:
            return self._sender.protect_rtcp(compound)
        except (Error, ValueError):
            self._counts.unsent += 1
            return None

    def unprotect_rtcp(self, data: bytes) -> bytes | None:
        """The RTCP compound in one from the wire; None when it is not authentic or was seen before."""
        try:
            return self._receiver.unprotect_rtcp(data)
        except (Error, ValueError):
            return None


def _session(key: SrtpKey, ssrcs: int) -> Session:
    return Session(Policy(key=key.keying, ssrc_type=ssrcs, srtp_profile=_PROFILES[key.suite.name]))
