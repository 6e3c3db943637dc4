"""What a datagram that cannot be sent tells of its destination."""

from __future__ import annotations

import socket
from unittest.mock import Mock

import pytest

from services.gateway.rtp_port import RtpPorts
from services.gateway.transports.sockets import mark
from services.gateway.udp import UdpPort


def test_one_that_is_too_long_does_not_mean_that_nobody_is_there() -> None:
    port = UdpPort("127.0.0.1", 0)
    try:
        assert port.send(bytes(66_000), ("127.0.0.1", port.port))
        assert port.unsent == 1
        assert not port.send(b"x", ("127.0.0.1", 0))
    finally:
        port.close()


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [("127.0.0.1", socket.IPPROTO_IP, socket.IP_TOS), ("::1", socket.IPPROTO_IPV6, socket.IPV6_TCLASS)],
)
@pytest.mark.parametrize("dscp", [46, 0])
def test_sound_is_marked(host: str, level: int, option: int, dscp: int) -> None:
    """RFC 4594: EF, on the port of RTP and on that of RTCP."""
    rtp = RtpPorts(host, 41000, 41998, dscp).open()
    rtcp = rtp.companion()
    try:
        assert rtcp is not None
        assert [one._socket.getsockopt(level, option) for one in (rtp, rtcp)] == [dscp << 2] * 2
    finally:
        rtp.close()
        if rtcp is not None:
            rtcp.close()


def test_a_system_that_marks_nothing_carries_calls() -> None:
    own = Mock(family=socket.AF_INET)
    own.setsockopt.side_effect = PermissionError
    mark(own, 46)
    own.setsockopt.assert_called_once()
