"""Messages cut out of a byte stream (RFC 3261 §18.3), with the keep-alives between them (RFC 5626 §3.5.1)."""

import re
from dataclasses import dataclass
from enum import Enum

HEAD_LIMIT_BYTES = 16 * 1024
BODY_LIMIT_BYTES = 64 * 1024

_LINE_ENDS = re.compile(rb"[\r\n]+")
_TOKEN_START = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]")
_LENGTH = re.compile(rb"[0-9]{1,20}")


class KeepAlive(Enum):
    """What stands between messages on a stream."""

    CRLF = "CRLF"
    """One line end: the pong to a ping of ours, or padding (RFC 3261 §7.5)."""
    PING = "CRLFCRLF"
    """The second line end in a row: to be answered with one CRLF."""


@dataclass(frozen=True, slots=True)
class FramingError:
    """Why nothing after this can be read: the connection must be closed.

    `status` is what the request could be answered with and `head` what was read of it, up to and with the blank line.
    Both are None where the head is not complete or is no SIP.
    """

    reason: str
    status: int | None = None
    head: bytes | None = None


class StreamFraming:
    """One direction of one connection. Any cut of the same bytes gives the same messages."""

    def __init__(self, head_limit: int = HEAD_LIMIT_BYTES, body_limit: int = BODY_LIMIT_BYTES) -> None:
        self.error: FramingError | None = None
        self._head_limit = head_limit
        self._body_limit = body_limit
        self._buffer = bytearray()
        self._line_start = 0
        self._scanned = 0
        self._head_bytes = 0  # 0 while the head is not complete
        self._message_bytes = 0
        self._line_ends = 0  # in a row, between messages

    @property
    def partial(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """What became complete with `data`: whole messages as they came, and keep-alives, in their order.

        Never raises. Where the stream cannot be read on, `error` is set, what came before it is returned, and nothing
        is ever returned again.
        """
        items: list[bytes | KeepAlive] = []
        if self.error is not None:
            return items
        self._buffer += data
        while self._buffer and self.error is None:
            if not self._head_bytes and not self._scanned:
                self._skip_line_ends(items)
            if not self._head_bytes and not self._read_head():
                break
            if len(self._buffer) < self._message_bytes:
                break
            items.append(bytes(self._buffer[: self._message_bytes]))
            del self._buffer[: self._message_bytes]
            self._line_start = self._scanned = self._head_bytes = self._message_bytes = self._line_ends = 0
        if self.error is not None:
            self._buffer.clear()
        return items

    def _skip_line_ends(self, items: list[bytes | KeepAlive]) -> None:
        """A bare LF counts as a line end; a CR waits for its LF, and is nothing without one."""
        found = _LINE_ENDS.match(self._buffer)
        if found is None:
            return
        for _ in range(found[0].count(b"\n")):
            self._line_ends += 1
            items.append(KeepAlive.CRLF if self._line_ends % 2 else KeepAlive.PING)
        del self._buffer[: found.end()]

    def _read_head(self) -> bool:
        """Whether the head is complete; sets `error` when it cannot become so. Looks at no byte twice."""
        buffer = self._buffer
        if not buffer:
            return False
        if not self._scanned and not _TOKEN_START.match(buffer):
            # A TLS ClientHello on the TCP port, a binary protocol: no need to wait for more.
            self.error = FramingError("not SIP: the first byte begins no method")
            return False
        while (end := buffer.find(b"\n", self._scanned, self._head_limit)) >= 0:
            line = buffer[self._line_start : end].rstrip(b"\r")
            if not self._line_start and b"SIP/" not in line.upper():
                self.error = FramingError("not SIP: no version in the first line")
                return False
            self._line_start = self._scanned = end + 1
            if not line:
                self._head_bytes = end + 1
                return self._read_length()
        if len(buffer) >= self._head_limit:
            self.error = FramingError(f"head of more than {self._head_limit} bytes")
            return False
        self._scanned = len(buffer)
        return False

    def _read_length(self) -> bool:
        head = bytes(self._buffer[: self._head_bytes])
        length = content_length(head)
        if isinstance(length, str):
            self.error = FramingError(length, 400, head)
            return False
        if length > self._body_limit:
            self.error = FramingError(f"body of more than {self._body_limit} bytes", 513, head)
            return False
        self._message_bytes = self._head_bytes + length
        return True


def content_length(head: bytes) -> int | str:
    """The length of the body that follows a head on a stream, or what is wrong with it.

    Without Content-Length it is 0, although §20.14 wants one on a stream: there are peers that leave it out of an ACK
    or BYE. Where a Content-Type promises a body, its end cannot be known, and to guess 0 would read the body as the
    next message. Two lengths that differ are ambiguous (RFC 4475 §3.3.9), as is a list or a sign (§3.1.2.4).
    """
    lengths: set[int] = set()
    body_promised = False
    # Folded lines first (§7.3.1): the value, even the colon, may stand in the next line.
    for line in re.sub(rb"\r*\n[ \t]+", b" ", head).split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name in (b"content-type", b"c"):
            body_promised = True
        if name not in (b"content-length", b"l"):
            continue
        value = value.strip()
        if not _LENGTH.fullmatch(value):
            return "Bad Content-Length"
        lengths.add(int(value))
    if len(lengths) > 1:
        return "Conflicting Content-Length"
    if not lengths and body_promised:
        return "Missing Content-Length"
    return lengths.pop() if lengths else 0
