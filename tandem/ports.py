"""Which ports a stack listens on: whether they are free, and free ones to be had."""

import random
import socket
from dataclasses import dataclass
from typing import Literal

Transport = Literal["tcp", "udp"]

# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes a port between choice and use.
FREE_FROM, FREE_TO = 11_000, 19_999


@dataclass(frozen=True, slots=True)
class Listener:
    """One address of a stack: what listens there, and the setting that says so."""

    what: str
    setting: str
    host: str
    port: int
    transport: Transport = "tcp"

    @property
    def address(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


class PortTaken(Exception):
    """`str()` is one line: the port, what wanted it, the setting to change."""


def bracketed(host: str) -> str:
    """An IPv6 address as it stands before a port (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def split_address(address: str) -> tuple[str, int]:
    """`host:port`, also `[::1]:port`. Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_free(host: str, port: int, transport: Transport = "tcp") -> bool:
    """Whether we could listen there now. Raises OSError when the host is not an address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if transport == "tcp":
            # As every server does: a connection that lingers in TIME_WAIT is no listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if transport == "tcp":
                probe.listen(1)
        except OSError as error:
            if error.errno in (98, 48, 13):  # EADDRINUSE (Linux, BSD), EACCES: not ours to have
                return False
            raise
        return True


def check(listeners: list[Listener]) -> None:
    """Raises PortTaken with a line for each address that cannot be had."""
    wrong = []
    for one in listeners:
        try:
            if is_free(one.host, one.port, one.transport):
                continue
            why = "is taken"
        except OSError as error:
            why = f"cannot be listened on ({error.strerror or error})"
        wrong.append(
            f"{one.transport.upper()} port {one.port} on {one.host} {why}: {one.what} needs it; "
            f"end what listens there, set `{one.setting}` to another, or use --ports auto"
        )
    if wrong:
        raise PortTaken("\n".join(wrong))


def free_port(transport: Transport = "tcp", host: str = "127.0.0.1", avoid: frozenset[int] = frozenset()) -> int:
    """A port that nobody listens on, neither on TCP nor on UDP when `transport` is "udp" (SIP may use both)."""
    for _ in range(2000):
        port = random.randint(FREE_FROM, FREE_TO)
        if port in avoid:
            continue
        if is_free(host, port, "tcp") and (transport == "tcp" or is_free(host, port, "udp")):
            return port
    raise PortTaken(f"no free port between {FREE_FROM} and {FREE_TO} on {host}")
