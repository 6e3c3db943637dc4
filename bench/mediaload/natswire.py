"""As much of the NATS client protocol as the bench needs, and as cheap as Python can be. Pure.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

from collections.abc import Iterator

CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"lang":"python","version":"0","name":"bench"}\r\nPING\r\n'
PONG = b"PONG\r\n"
_MOST = 1 << 20


class WireInvalid(ValueError):
    """What came is not the protocol, or is an -ERR of the server."""


class Reader:
    """Bytes in, messages out. `pings` counts what is to be answered with PONG."""

    def __init__(self) -> None:
        self._rest = b""
        self.pings = 0
        self.pongs = 0

    def feed(self, data: bytes) -> Iterator[tuple[bytes, memoryview]]:
        """Subjects and payloads; a payload is good until the next one is asked for. Raises WireInvalid."""
        buffer = self._rest + data if self._rest else data
        view = memoryview(buffer)
        at, end = 0, len(buffer)
        while True:
            line_end = buffer.find(b"\r\n", at)
            if line_end < 0:
                break
            if buffer[at : at + 4] == b"MSG ":
                words = buffer[at + 4 : line_end].split()
                size = int(words[-1])
                begin = line_end + 2
                if begin + size + 2 > end:
                    break
                at = begin + size + 2
                yield words[0], view[begin : begin + size]
                continue
            self._control(buffer[at:line_end])
            at = line_end + 2
        self._rest = buffer[at:]
        if len(self._rest) > _MOST:
            raise WireInvalid(f"a message of more than {_MOST} bytes")

    def _control(self, line: bytes) -> None:
        if line == b"PING":
            self.pings += 1
        elif line == b"PONG":
            self.pongs += 1
        elif not line.startswith((b"INFO", b"+OK")):
            raise WireInvalid(f"the NATS server said {line[:80]!r}")


def subscribe(subject: str, sid: int) -> bytes:
    return f"SUB {subject} {sid}\r\n".encode()


def publish(subject: str, payload: bytes) -> bytes:
    return f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n"


def publish_head(subject: str, payload_bytes: int, width: int) -> bytes:
    """What stands before a payload, filled with blanks to `width` bytes: the protocol takes any number of them.

    Raises ValueError when it is longer.
    """
    words = f"PUB {subject} "
    size = f" {payload_bytes}\r\n"
    if len(words) + len(size) > width:
        raise ValueError(f"{subject} does not fit {width} bytes")
    return words.ljust(width - len(size)).encode() + size.encode()
