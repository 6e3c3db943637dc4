"""A call's way over the network: RTCP beside RTP, with ICE and with keys."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.gateway import stun
from services.gateway.dtls_certificate import DtlsCertificate
from services.gateway.media_transport import MediaTransport
from services.gateway.sip.dtls import DtlsParameters
from services.gateway.sip.ice import IceCredentials, IceParameters
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.stun import Attribute, MessageClass, StunMessage
from services.gateway.udp import Address

PCMU = Codec(0, "PCMU", 8000)
ICE = IceParameters(IceCredentials("evtj", "VOkJxbRl1RmTxUk/WvJxBt"), IceCredentials("h6vY", "asd88fgpdd777uzjYhagZg"))
TOLD, RTP, RTCP = ("192.0.2.1", 4000), ("203.0.113.9", 61000), ("203.0.113.9", 61999)
REPORT = bytes.fromhex("80c90001 00000007")
"""An empty RR (RFC 3550 §6.4.2)."""


class Port:
    """A UdpPort without a network, and the one above it."""

    def __init__(self, port: int = 20000) -> None:
        self.port = port
        self.sent: list[tuple[bytes, Address]] = []
        self.above: Port | None = None
        self.closed = False

    def companion(self) -> "Port":
        self.above = Port(self.port + 1)
        return self.above

    def listen(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self.receive = on_datagram

    def send(self, data: bytes, destination: Address) -> None:
        self.sent.append((data, destination))

    def close(self) -> None:
        self.closed = True


def media(ice: IceParameters | None = None, rtcp_mux: bool = False) -> Negotiated:
    return Negotiated(PCMU, None, (PCMU,), TOLD, Direction.SENDRECV, rtcp_mux=rtcp_mux, rtcp=TOLD, ice=ice)


def nomination() -> bytes:
    attributes = ((int(Attribute.USERNAME), b"evtj:h6vY"), (int(Attribute.USE_CANDIDATE), b""))
    return stun.compose(StunMessage(MessageClass.REQUEST, b"transaction1", attributes), ICE.local.password)


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def reports() -> list[bytes]:
    return []


@pytest.fixture
def transport(port: Port, reports: list[bytes]) -> MediaTransport:
    one = MediaTransport(port, lambda: 0, lambda *_: None, lambda data, _: reports.append(data))  # type: ignore[arg-type]
    one.start()
    return one


def test_rtcp_is_a_component_of_its_own(port: Port, reports: list[bytes], transport: MediaTransport) -> None:
    """RFC 8445 §13: checked on its port, and sent where the check came from."""
    transport.negotiated(media(ICE), moved=False)
    assert port.above is not None
    transport.send_rtcp(REPORT)
    port.receive(nomination(), RTP)
    transport.send_rtcp(REPORT)
    assert port.above.sent == []
    port.above.receive(nomination(), RTCP)
    ((answer, to),) = port.above.sent
    parsed = stun.parse(answer)
    assert (to, parsed is not None and parsed.message_class) == (RTCP, MessageClass.SUCCESS)
    transport.send_rtcp(REPORT)
    assert port.above.sent[1:] == [(REPORT, RTCP)]
    assert transport.destination == RTP
    port.above.receive(REPORT, RTCP)
    assert reports == [REPORT]


def test_a_reoffer_that_changes_nothing_keeps_both(port: Port, transport: MediaTransport) -> None:
    transport.negotiated(media(ICE), moved=False)
    assert port.above is not None
    above = port.above
    port.receive(nomination(), RTP)
    above.receive(nomination(), RTCP)
    transport.negotiated(media(ICE), moved=False)
    transport.send_rtcp(REPORT)
    assert above.sent[1:] == [(REPORT, RTCP)]
    transport.negotiated(media(ICE, rtcp_mux=True), moved=False)
    transport.send_rtcp(REPORT)
    assert above.closed
    assert port.sent[-1] == (REPORT, RTP)


def test_without_ice_rtcp_goes_where_sdp_says(port: Port, transport: MediaTransport) -> None:
    transport.negotiated(media(), moved=False)
    assert port.above is not None
    port.above.receive(nomination(), RTCP)
    transport.send_rtcp(REPORT)
    assert port.above.sent == [(REPORT, TOLD)]
    assert transport.malformed == 1


def test_another_device_behind_the_same_certificate_shakes_hands_anew(port: Port) -> None:
    """A border controller has one certificate for all of its calls."""
    certificate = DtlsCertificate.generate(datetime(2026, 1, 1, tzinfo=UTC))
    one = MediaTransport(port, lambda: 0, lambda *_: None, lambda *_: None, certificate)  # type: ignore[arg-type]
    settled = replace(media(), dtls=DtlsParameters((certificate.fingerprint,), active=True))
    one.negotiated(settled, moved=False)
    (hello, _) = port.sent[-1]
    one.negotiated(settled, moved=False)
    assert [data for data, _ in port.sent] == [hello]
    one.negotiated(settled, moved=True)
    assert len(port.sent) == 2
    assert port.sent[-1][0] != hello
