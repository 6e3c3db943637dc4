"""What a peer may cost us: connections, memory and time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Of the TCP and TLS connections."""

    connections: int = 1024
    """Accepted ones, and as many again that we opened. A carrier has a handful."""
    connections_per_source: int = 64
    """Accepted ones from one IP address: carriers' proxies open one a process, scanners hundreds."""
    connect_s: float = 4.0
    """To connect, TLS handshake included. Well under timer B (32 s), so that the next target can still be tried."""
    first_message_s: float = 10.0
    """From accept to the first whole message, TLS handshake included: half-open connections end here."""
    message_s: float = 10.0
    """From a message's first byte to its last: who sends byte by byte ends here."""
    idle_s: float = 3600.0
    """Without a byte in or out. Long: carriers keep a connection for the day's calls."""
    stuck_s: float = 32.0
    """With bytes of ours that the peer does not take: 64*T1, after which no transaction waits for them."""
    ping_s: float = 120.0
    """Between two pings on a connection that we opened (RFC 5626 §4.4.1)."""
    pong_s: float = 10.0
    """From ping to pong (RFC 5626 §4.4.1), for a peer that has ever sent one: many never do."""
    buffer_bytes: int = 256 * 1024
    """What waits for a connection, before it stands or while the peer does not read."""
    flush_s: float = 0.3
    """For the last bytes and TLS close_notify when we close."""
    sweep_s: float = 0.5
    """How often the times above are looked at."""
