"""Ports on loopback addresses: each party of a test has its own, so that a gateway can tell who sent what."""

import socket

GATEWAY, PROXY, PHONE, COLLEAGUE = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"


def free_port(host: str) -> int:
    """Free for TCP and for UDP at this moment."""
    for _ in range(20):
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            stream.bind((host, 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {host} is free for both TCP and UDP")
