"""RTP ports: one of a range for each call."""

from services.gateway.udp import UdpPort


class NoPortFree(OSError):
    """Every port of the range is taken."""


class RtpPorts:
    """Even ports (RFC 3550 §11), in turn: a port rests as long as possible before another call gets it."""

    def __init__(self, host: str, first: int, last: int, dscp: int = 0) -> None:
        """`dscp` as in UdpPort."""
        self._host = host
        self._dscp = dscp
        self._ports = range(first + first % 2, last + 1, 2)
        self._turn = 0

    def open(self) -> UdpPort:
        """Raises NoPortFree."""
        for _ in self._ports:
            port = self._ports[self._turn]
            self._turn = (self._turn + 1) % len(self._ports)
            try:
                return UdpPort(self._host, port, dscp=self._dscp, one_call=True)
            except OSError:
                continue
        raise NoPortFree(f"no free RTP port on {self._host} from {self._ports[0]} to {self._ports[-1]}")
