"""Ports for what a test starts, free for TCP and for UDP at this moment.

They lie below those that the kernel gives to outgoing connections (from 32768 on, on Linux): another test's connection
would take the port between our look and the use of it.
"""

import random
import socket

_FIRST, _LAST = 10_000, 32_000
_TRIES = 200


def free_port(host: str = "127.0.0.1") -> int:
    """Raises OSError when none is found."""
    for port in random.sample(range(_FIRST, _LAST), _TRIES):
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind((host, port))
                datagrams.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {host} is free for both TCP and UDP")
