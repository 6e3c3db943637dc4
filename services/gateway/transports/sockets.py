"""Sockets as a telephone line wants them: one IP version each, marked, and aware of dead peers."""

import socket
from contextlib import suppress
from ipaddress import ip_address

# A listener's queue; more wait in the peers' SYN retransmissions.
_BACKLOG = 256
# With these a peer that vanished without a word is found out in 90 s.
_KEEPALIVE_IDLE_S, _KEEPALIVE_EVERY_S, _KEEPALIVE_PROBES = 60, 10, 3


def ip_version(host: str) -> int:
    """4 or 6. Raises ValueError for what is no IP address."""
    return ip_address(host.partition("%")[0]).version


def listening_socket(host: str, port: int, dscp: int | None) -> socket.socket:
    """A TCP socket that listens. Raises OSError."""
    own = _stream_socket(host, dscp)
    try:
        # Or a restart waits for the old connections' TIME_WAIT.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind((host, port))
        own.listen(_BACKLOG)
    except OSError:
        own.close()
        raise
    return own


def connecting_socket(peer: str, source: str | None, dscp: int | None) -> socket.socket:
    """A TCP socket to connect with, from the address `source`: carriers know us by it. Raises OSError, ValueError."""
    own = _stream_socket(peer, dscp)
    try:
        tell_dead_peers(own)
        if source is not None:
            own.bind((source, 0))
    except OSError:
        own.close()
        raise
    return own


def tell_dead_peers(own: socket.socket) -> None:
    """TCP keep-alive."""
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", _KEEPALIVE_EVERY_S),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ):
        if (option := getattr(socket, name, None)) is not None:
            own.setsockopt(socket.IPPROTO_TCP, option, value)


def only_own_version(own: socket.socket) -> None:
    """Or "::" takes IPv4's port too, and IPv4 peers look like ::ffff:192.0.2.1 to access lists."""
    if own.family == socket.AF_INET6:
        own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def mark(own: socket.socket, dscp: int | None) -> None:
    """Sets the DSCP of what leaves the socket (RFC 2474); RFC 4594 §2.3 has CS3 or CS5 for signalling and EF for sound.

    None and 0 leave it alone. A system that does not let us goes without: calls work all the same.
    """
    if not dscp:
        return
    with suppress(OSError):
        if own.family == socket.AF_INET6:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def address_of(own: socket.socket) -> tuple[str, int]:
    """What the socket is bound to."""
    host, port = own.getsockname()[:2]
    return host, port


def _stream_socket(host: str, dscp: int | None) -> socket.socket:
    own = socket.socket(socket.AF_INET6 if ip_version(host) == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        only_own_version(own)
        mark(own, dscp)
    except OSError:
        own.close()
        raise
    return own
