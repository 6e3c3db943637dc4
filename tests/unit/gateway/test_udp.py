"""What a datagram that cannot be sent tells of its destination."""

from __future__ import annotations

from services.gateway.udp import UdpPort


def test_one_that_is_too_long_does_not_mean_that_nobody_is_there() -> None:
    port = UdpPort("127.0.0.1", 0)
    try:
        assert port.send(bytes(66_000), ("127.0.0.1", port.port))
        assert port.unsent == 1
        assert not port.send(b"x", ("127.0.0.1", 0))
    finally:
        port.close()
