"""DTLS-SRTP (RFC 5763, RFC 5764): a handshake beside the media, which gives both sides their SRTP keys."""

from __future__ import annotations

from OpenSSL import SSL

from services.gateway.dtls_certificate import DtlsCertificate, PeerCheck, der
from services.gateway.sip.crypto import SUITES, SrtpKey, SrtpKeys
from services.gateway.sip.dtls import DtlsParameters

HANDSHAKE_LIMIT_US = 10_000_000
"""From the start to the keys; a caller who hears nothing for longer has hung up."""
DATAGRAMS_PER_SECOND = 64
"""More are thrown away unread. A flight has 2 to 10, even with a long certificate."""

_MTU = 1200  # bytes of UDP payload; passes every tunnel
_MAX_DATAGRAM = 1 << 14
# RFC 6347 §4.2.4.1 begins with 1 s, and lets a use that hurries begin earlier. Here a person waits.
_FIRST_RESEND_US = 400_000
_LAST_FLIGHT_GAP_US = 100_000
_RECORD_HEADER = 13
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = 20, 22, 23

_SUITES = {
    b"SRTP_AES128_CM_SHA1_80": SUITES["AES_CM_128_HMAC_SHA1_80"],
    b"SRTP_AES128_CM_SHA1_32": SUITES["AES_CM_128_HMAC_SHA1_32"],
    b"SRTP_AEAD_AES_128_GCM": SUITES["AEAD_AES_128_GCM"],
    b"SRTP_AEAD_AES_256_GCM": SUITES["AEAD_AES_256_GCM"],
}


class DtlsAssociation:
    """One association: takes datagrams with their times, gives datagrams to send to the peer. Nothing raises.

    Times are microseconds on any clock that doesn't go back. Until the handshake is over each method may give
    datagrams, and `tick` is to be called at least each 100 ms; later it costs nothing.

    OpenSSL sends a lost flight again by the machine's clock, first after 1 s. Before that we repeat the very bytes of
    our flight by the times given here: enough when they were lost. Where the peer got them and its answer was lost, it
    drops the repeated records as replays (RFC 6347 §4.1.2.6), and its own timer or OpenSSL's new records help.
    """

    __slots__ = (
        "_active",
        "_check",
        "_connection",
        "_deadline_us",
        "_flight",
        "_handled",
        "_heard",
        "_resend_at_us",
        "_resend_us",
        "_second",
        "closed",
        "dropped",
        "failed",
        "keys",
    )

    def __init__(self, certificate: DtlsCertificate, parameters: DtlsParameters) -> None:
        self.keys: SrtpKeys | None = None
        """Once the handshake is over and the peer is who its SDP said."""
        self.failed: str | None = None
        """Why there will be no keys, for people. Final: SDP must begin a new association."""
        self.closed = False
        """The peer has ended the association, or we have. Keys stay readable; the media should end."""
        self.dropped = 0
        """Datagrams that were not read: not DTLS, or too many."""
        self._active = parameters.active
        self._check = PeerCheck(parameters.fingerprints)
        self._connection = SSL.Connection(certificate.context, None)
        self._connection.set_app_data(self._check)
        self._connection.set_ciphertext_mtu(_MTU)
        if self._active:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self._deadline_us: int | None = None
        self._flight: list[bytes] = []
        self._resend_at_us = 0
        self._resend_us = _FIRST_RESEND_US
        self._heard = False
        self._second = 0
        self._handled = 0

    def start(self, now_us: int) -> list[bytes]:
        """The clock of the handshake begins to run. The active side's first flight; the other waits."""
        if self._deadline_us is not None:
            return []
        self._deadline_us = now_us + HANDSHAKE_LIMIT_US
        if not self._check.possible:
            self._fail("the peer's SDP has no certificate fingerprint with a hash that we know (sha-256 is usual)")
            return []
        return self._advance(now_us) if self._active else []

    def receive(self, datagram: bytes, now_us: int) -> list[bytes]:
        """What came from the peer's address. The passive side may begin with it."""
        if self.failed is not None or self.closed or not self._admits(datagram, now_us):
            return []
        out = self.start(now_us)
        if self.failed is not None:
            return out
        self._heard = True
        try:
            self._connection.bio_write(datagram)
        except SSL.Error:
            self.dropped += 1
            return out
        done_before = self.keys is not None
        out += self._advance(now_us)
        if done_before and not out and datagram[0] in (_CHANGE_CIPHER_SPEC, _HANDSHAKE):
            return self._last_flight(now_us)
        return out

    def tick(self, now_us: int) -> list[bytes]:
        """What is to be sent again; the end of the time that a handshake may take."""
        if self.keys is not None or self.failed is not None or self.closed or self._deadline_us is None:
            return []
        if now_us >= self._deadline_us:
            self._fail(
                f"no DTLS handshake within {HANDSHAKE_LIMIT_US // 1_000_000} s: "
                + ("the peer stopped in the middle of it" if self._heard else "nothing came from the peer")
            )
            return []
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_reason(error))
        if out := self._sent(now_us):
            return out
        if self._flight and now_us >= self._resend_at_us:
            self._resend_us *= 2
            self._resend_at_us = now_us + self._resend_us
            return list(self._flight)
        return []

    def close(self) -> list[bytes]:
        """The call is over: close_notify, when there is a handshake to end."""
        if self.keys is None or self.closed:
            self.closed = True
            return []
        self.closed = True
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        return self._written()

    def _admits(self, datagram: bytes, now_us: int) -> bool:
        second = now_us // 1_000_000
        if second != self._second:
            self._second, self._handled = second, 0
        if self._handled < DATAGRAMS_PER_SECOND and _RECORD_HEADER < len(datagram) <= _MAX_DATAGRAM:
            self._handled += 1
            if _plausible(datagram):
                return True
        self.dropped += 1
        return False

    def _advance(self, now_us: int) -> list[bytes]:
        """Lets OpenSSL read what lies there and write its answer."""
        try:
            if self.keys is None:
                self._connection.do_handshake()
                self._finish()
                if self.failed is not None:
                    self._connection.shutdown()
            # Data has no use here, but what follows it has. Each turn reads a record.
            for _ in range(_MAX_DATAGRAM // _RECORD_HEADER):
                self._connection.recv(_MAX_DATAGRAM)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            # After the handshake it is close_notify or an alert, both with the peer's key.
            if self.keys is None:
                self._fail(_reason(error))
            else:
                self.closed = True
        return self._sent(now_us)

    def _finish(self) -> None:
        certificate = self._connection.get_peer_certificate()
        if certificate is None or not self._check.passes(der(certificate)):
            self._fail("the peer's certificate is not the one that its SDP tells of")
            return
        suite = _SUITES.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            self._fail("the peer's DTLS has no SRTP profile in common with us (use_srtp, RFC 5764 §4.1.2)")
            return
        key, salt = suite.master_key_bytes, suite.master_salt_bytes
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        # RFC 5764 §4.2: both keys, then both salts, the client's first.
        salts = material[2 * key :]
        client = SrtpKey(suite, material[:key] + salts[:salt])
        server = SrtpKey(suite, material[key : 2 * key] + salts[salt:])
        self.keys = SrtpKeys(client, server) if self._active else SrtpKeys(server, client)

    def _fail(self, reason: str) -> None:
        if self._check.shown is not None:
            reason = (
                f"the peer's certificate (sha-256 {self._check.shown}) is not the one that its SDP tells of: "
                "a stranger on the media port, or an SBC that ends the media but passes SDP on"
            )
        self.failed = self.failed or reason

    def _sent(self, now_us: int) -> list[bytes]:
        """What OpenSSL has written, kept to be sent again."""
        datagrams = self._written()
        if self.failed is not None or (self.keys is not None and self._active):
            self._flight = []  # the server's is the last flight
        elif datagrams and self.keys is None:
            self._flight = datagrams
            self._resend_at_us = now_us + self._resend_us
        elif datagrams and not self.closed:
            self._flight = datagrams
            self._resend_at_us = now_us + _LAST_FLIGHT_GAP_US
        return datagrams

    def _last_flight(self, now_us: int) -> list[bytes]:
        """The client still sends its flight, so ours was lost (RFC 6347 §4.2.4): it, but not for each datagram."""
        if now_us < self._resend_at_us:
            return []
        self._resend_at_us = now_us + _LAST_FLIGHT_GAP_US
        return list(self._flight)

    def _written(self) -> list[bytes]:
        try:
            return _datagrams(self._connection.bio_read(1 << 17))
        except SSL.Error:  # nothing there
            return []


def _plausible(datagram: bytes) -> bool:
    """Whether it is whole records of DTLS 1.x that can occur at all.

    OpenSSL ends the handshake over an unknown type or unencrypted data, which anybody can send. It should drop them
    (RFC 6347 §4.1.2.7).
    """
    at = 0
    while at < len(datagram):
        kind, major, epoch = datagram[at], datagram[at + 1 : at + 2], datagram[at + 3 : at + 5]
        if not _CHANGE_CIPHER_SPEC <= kind <= _APPLICATION_DATA or major != b"\xfe":
            return False
        if kind == _APPLICATION_DATA and epoch == b"\0\0":
            return False
        at += _RECORD_HEADER + int.from_bytes(datagram[at + 11 : at + 13], "big")
    return at == len(datagram)


def _datagrams(records: bytes) -> list[bytes]:
    """OpenSSL's memory forgets where a datagram ended: whole records, as many as fit."""
    datagrams = []
    start = end = 0
    while end < len(records):
        after = end + _RECORD_HEADER + int.from_bytes(records[end + 11 : end + 13], "big")
        if after - start > _MTU and end > start:
            datagrams.append(records[start:end])
            start = end
        end = after
    if start < len(records):
        datagrams.append(records[start:])
    return datagrams


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words."""
    queue = error.args[0] if error.args else None
    words = [str(entry[-1]) for entry in queue[:3]] if isinstance(queue, list) else [str(error)[:100]]
    return f"the DTLS handshake failed: {', '.join(words) or type(error).__name__}"
