"""A call's way over the network: whose packets are believed, how they are encrypted, where ours go."""

from collections.abc import Callable

from services.gateway.demultiplexing import first_byte_kind
from services.gateway.dtls import DtlsAssociation
from services.gateway.dtls_certificate import DtlsCertificate
from services.gateway.ice import IceLite
from services.gateway.latch import Latch
from services.gateway.rtp import RtpInvalid, RtpPacket, is_rtcp
from services.gateway.sip.crypto import SrtpKeys
from services.gateway.sip.dtls import DtlsParameters
from services.gateway.sip.ice import IceParameters
from services.gateway.sip.negotiation import Negotiated
from services.gateway.srtp import SrtpCounts, SrtpSession
from services.gateway.udp import Address, UdpPort


class MediaTransport:
    """RTP and RTCP of one call, by UDP, plain or as SRTP (keys by SDES or DTLS), latched or nominated by ICE.

    `clock` tells microseconds that never go back. `on_rtp` gets packets that are the call's, `on_rtcp` compounds; both
    with their arrival.
    """

    def __init__(
        self,
        port: UdpPort,
        clock: Callable[[], int],
        on_rtp: Callable[[RtpPacket, int], None],
        on_rtcp: Callable[[bytes, int], None],
        certificate: DtlsCertificate | None = None,
    ) -> None:
        self.malformed = 0
        self.srtp_counts = SrtpCounts()
        self.heard_of = False
        """Something of the call's has come since SDP told where ours goes: else it may go to anybody."""
        self._port = port
        self._rtcp_port: UdpPort | None = None
        self._clock = clock
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._certificate = certificate
        self._latch = Latch(None)
        self._rtcp_mux = False
        self._rtcp_to: Address | None = None
        self._srtp: SrtpSession | None = None
        self._keyed: SrtpSession | None = None
        self._dtls: DtlsAssociation | None = None
        self._dtls_parameters: DtlsParameters | None = None
        self._ice: IceLite | None = None
        self._rtcp_ice: IceLite | None = None
        self._ice_parameters: IceParameters | None = None
        self._unwanted = False
        self._secure = False
        self._negotiated = False

    @property
    def port(self) -> int:
        """The RTP port that our SDP names."""
        return self._port.port

    @property
    def strangers(self) -> int:
        """Packets from sources that are not the call's."""
        return self._latch.strangers

    @property
    def encrypted(self) -> bool:
        return self._secure

    @property
    def failed(self) -> str | None:
        """Why the media can't be encrypted as was agreed."""
        return None if self._dtls is None else self._dtls.failed

    @property
    def shaking_hands(self) -> bool:
        """A DTLS handshake is under way, or has failed: `tick` is to be called."""
        return self._dtls is not None and self._srtp is None

    @property
    def destination(self) -> Address | None:
        """Where our packets go; None while there is nowhere, or no key."""
        if self._secure and self._srtp is None:
            return None
        return self._path

    def without_consent_us(self, now_us: int) -> int | None:
        """For how long nothing may be sent, because the peer's consent ran out (RFC 7675 §5.1); None while it may.

        To be asked now and then, for by this it is found out. A check of the peer's ends it.
        """
        if self._ice is None or (without_us := self._ice.without_consent_us(now_us)) < 0:
            return None
        self._unwanted = True
        return without_us

    def start(self) -> None:
        self._port.listen(self._datagram)

    def close(self) -> None:
        if self._dtls is not None and (to := self._path) is not None:
            self._flight(self._dtls.close(), to)
        self._port.close()
        if self._rtcp_port is not None:
            self._rtcp_port.close()

    def negotiated(self, media: Negotiated, moved: bool) -> None:
        """What SDP settled. `moved`: another device goes on with the call."""
        before = self._path
        if moved:
            self._latch.moved(media.remote)
        else:
            self._latch.reoffered(media.remote)
        self._rtcp_to = media.rtcp
        self._choose_rtcp_port(media)
        if media.ice != self._ice_parameters:
            # RFC 8445 §9: new credentials are a restart; the peer nominates again.
            self._ice_parameters = media.ice
            self._ice = None if media.ice is None else IceLite(media.ice, self._clock())
            self._unwanted = False
            self._rtcp_ice = None
        if self._ice is None or media.ice is None or media.rtcp_mux:
            self._rtcp_ice = None
        elif self._rtcp_ice is None:
            self._rtcp_ice = IceLite(media.ice, self._clock())
        if moved or self._path != before:
            self.heard_of = False
        self._secure = media.srtp is not None or media.dtls is not None
        self._key(media.srtp, moved)
        self._associate(media.dtls, moved)
        self._negotiated = True

    def tick(self, now_us: int) -> None:
        """Retransmissions of the handshake, each 20 ms."""
        if self._dtls is None:
            return
        flight = self._dtls.tick(now_us)
        if flight and (to := self._path) is not None:
            self._flight(flight, to)

    def send(self, packet: bytes, destination: Address) -> None:
        """An RTP packet, protected where that was agreed."""
        if not self._secure:
            self._port.send(packet, destination)
            return
        protected = None if self._srtp is None else self._srtp.protect(packet)
        if protected is not None:
            self._port.send(protected, destination)

    def send_rtcp(self, compound: bytes) -> None:
        destination = self.destination
        if destination is None or not compound:
            return
        if self._dtls is not None and not self._rtcp_mux:
            # RFC 5764 §3: on a port of its own it would want an association of its own, and be noise with these keys.
            return
        data: bytes | None = compound
        if self._secure:
            data = None if self._srtp is None else self._srtp.protect_rtcp(compound)
        if data is None:
            return
        if self._rtcp_mux:
            self._port.send(data, destination)
        elif self._rtcp_port is not None and self._rtcp_ice is not None:
            if self._rtcp_ice.selected is not None and self._rtcp_ice.consents(self._clock()):
                self._rtcp_port.send(data, self._rtcp_ice.selected)
        elif self._rtcp_port is not None:
            # Behind NAT the SDP's host is not where packets come from (RFC 4961 §3): the latched one is.
            told = self._rtcp_to
            self._rtcp_port.send(data, (destination[0], told[1] if told is not None else destination[1] + 1))

    # Inside

    @property
    def _path(self) -> Address | None:
        """Where handshakes go, which come before any key."""
        if self._ice is None:
            return self._latch.destination
        return None if self._unwanted else self._ice.selected

    def _choose_rtcp_port(self, media: Negotiated) -> None:
        self._rtcp_mux = media.rtcp_mux
        if media.rtcp_mux:
            if self._rtcp_port is not None:
                self._rtcp_port.close()
                self._rtcp_port = None
        elif self._rtcp_port is None:
            self._rtcp_port = self._port.companion()
            if self._rtcp_port is not None:
                self._rtcp_port.listen(self._beside_rtp)

    def _key(self, keys: SrtpKeys | None, moved: bool) -> None:
        if keys is None:
            self._srtp = None
            return
        # Kept while the call is plain for a time: a key that comes back goes on where it stopped.
        if self._keyed is None:
            self._keyed = SrtpSession(keys, self.srtp_counts)
        elif keys != self._keyed.keys:
            self._keyed = self._keyed.rekeyed(keys, overlap=not moved)
        self._srtp = self._keyed

    def _associate(self, parameters: DtlsParameters | None, moved: bool) -> None:
        """RFC 5763 §6.6: an offer that changes nothing keeps the association. Another device has none with us, also
        where it has the same certificate: that of its border controller."""
        if parameters is None:
            self._dtls = self._dtls_parameters = None
            return
        if parameters == self._dtls_parameters and not moved:
            self._take_keys()
            return
        assert self._certificate is not None, "DTLS was agreed on without a certificate of ours"
        self._dtls_parameters = parameters
        self._dtls = DtlsAssociation(self._certificate, parameters)
        if (to := self._path) is not None:
            self._flight(self._dtls.start(self._clock()), to)

    def _take_keys(self) -> None:
        if self._dtls is not None and self._dtls.keys is not None:
            self._key(self._dtls.keys, moved=False)

    def _flight(self, datagrams: list[bytes], to: Address) -> None:
        for one in datagrams:
            self._port.send(one, to)

    def _datagram(self, data: bytes, source: Address) -> None:
        if not self._negotiated or not data:
            return
        if data[0] & 0xC0 != 0x80:
            self._beside(data, source)
            return
        if is_rtcp(data):
            self._control(data, source)
            return
        at_us = self._clock()
        known = self._admitted(source)
        if not known and (self._ice is not None or not self._latch.quiet(at_us)):
            return
        # A stranger's copy of a packet must not get the packet itself taken for a replay: so his came not this far.
        plain: bytes | None = data
        if self._secure:
            plain = None if self._srtp is None else self._srtp.unprotect(data)
        packet = None if plain is None else self._parse(plain)
        if packet is None or not (known or self._secure or self._latch.continues(packet)):
            return
        if self._ice is None:
            self._latch.latch(source)
        self._latch.heard(packet, at_us)
        self.heard_of = True
        self._on_rtp(packet, at_us)

    def _parse(self, data: bytes) -> RtpPacket | None:
        try:
            return RtpPacket.parse(data)
        except RtpInvalid:
            self.malformed += 1
            return None

    def _beside_rtp(self, data: bytes, source: Address) -> None:
        """The port of RTCP, which with ICE is a component of its own (RFC 8445 §13)."""
        if self._rtcp_ice is not None and self._rtcp_port is not None and data and first_byte_kind(data) == "stun":
            answer = self._rtcp_ice.receive(data, source, self._clock())
            if answer is not None:
                self._rtcp_port.send(answer, source)
        else:
            self._control(data, source)

    def _control(self, data: bytes, source: Address) -> None:
        """RTCP: proved by its key, or from the host that the RTP comes from."""
        if not is_rtcp(data):
            self.malformed += 1
            return
        if self._secure:
            plain = None if self._srtp is None else self._srtp.unprotect_rtcp(data)
            if plain is None:
                self.malformed += 1
            else:
                self._reported(plain)
        elif (path := self._path) is not None and source[0] == path[0]:
            self._reported(data)

    def _reported(self, compound: bytes) -> None:
        self.heard_of = True
        self._on_rtcp(compound, self._clock())

    def _beside(self, data: bytes, source: Address) -> None:
        """What shares the port with RTP (RFC 7983): connectivity checks and handshakes."""
        kind = first_byte_kind(data)
        if kind == "stun" and self._ice is not None:
            before = self._ice.selected
            at_us = self._clock()
            answer = self._ice.receive(data, source, at_us)
            if answer is not None:
                self.heard_of = True
                self._unwanted = not self._ice.consents(at_us)
                self._port.send(answer, source)
            if before is None and self._ice.selected is not None and self._dtls is not None:
                self._flight(self._dtls.start(self._clock()), self._ice.selected)
        elif kind == "dtls" and self._dtls is not None and self._admitted(source):
            self._flight(self._dtls.receive(data, self._clock()), source)
            if self._srtp is None:
                self._take_keys()
        else:
            self.malformed += 1

    def _admitted(self, source: Address) -> bool:
        """Whether it may be the call's; strangers are counted."""
        if self._ice is None:
            return self._latch.admits(source)
        if self._ice.believes(source):
            return True
        self._latch.strangers += 1
        return False
