"""Takes audio frames out of what a NATS server sends, before the NATS client reads the rest.

The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol. A message is a line
`MSG <subject> <sid> [reply-to] <size>`, the payload and CRLF; all else but HMSG is one line.
"""

from collections.abc import Callable

# An INFO with a large cluster's addresses is the longest line that a server sends.
MAX_LINE_BYTES = 65_536
# Far above 20 ms of sound; what is longer is no frame and is thrown away without being kept.
MAX_FRAME_BYTES = 16_384
_MAX_LINES_KEPT = 8192
_EOL = b"\r\n"

Deliver = Callable[[bytes], None]


class FramingLost(ValueError):
    """What came is not the NATS protocol: the connection is of no use any more."""


class FrameRoutes:
    """Who gets the frames of which subscription; of a client, for all its connections."""

    def __init__(self) -> None:
        self.by_sid: dict[bytes, Deliver] = {}
        # The line before a call's frames is the same each time: one look-up instead of taking it apart.
        self.by_line: dict[bytes, tuple[Deliver, int]] = {}

    def add(self, sid: int, deliver: Deliver) -> None:
        self.by_sid[b"%d" % sid] = deliver

    def remove(self, sid: int) -> None:
        self.by_sid.pop(b"%d" % sid, None)
        self.by_line.clear()

    def clear(self) -> None:
        self.by_sid.clear()
        self.by_line.clear()


class FrameSieve:
    """One connection's bytes. `on_failure` gets what a subscriber raised; the frames after it go on."""

    def __init__(self, routes: FrameRoutes, on_failure: Callable[[Exception], None]) -> None:
        self._routes = routes
        self._on_failure = on_failure
        self._tail = b""
        self._ahead = 0  # bytes still to come of a message that is not kept here
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        """Delivers the frames that are whole; returns what is the client's, in order.

        Raises FramingLost.
        """
        if self._tail:
            data = self._tail + data
            self._tail = b""
        rest: list[bytes] = []
        at, end = 0, len(data)
        if self._ahead:
            at = min(self._ahead, end)
            self._ahead -= at
            if not self._dropping:
                rest.append(data[:at])
        find, known = data.find, self._routes.by_line.get
        while at < end:
            eol = find(_EOL, at, at + MAX_LINE_BYTES)
            if eol < 0:
                if end - at >= MAX_LINE_BYTES:
                    raise FramingLost(f"a line of the NATS server is longer than {MAX_LINE_BYTES} bytes")
                break
            line = data[at:eol]
            frames = known(line)
            if frames is None:
                frames = self._frames_after(line)
            if frames is None:
                after = eol + _length_after(line)
                if self._is_mine(line):
                    self._dropping = True
                else:
                    self._dropping = False
                    rest.append(data[at:after])
                self._ahead = max(after - end, 0)
                at = after
                continue
            deliver, length = frames
            after = eol + length
            if after > end:
                break
            try:
                deliver(data[eol + 2 : after - 2])
            except Exception as error:
                self._on_failure(error)
            at = after
        if at < end:
            self._tail = data[at:]
        return rest[0] if len(rest) == 1 else b"".join(rest)

    def _frames_after(self, line: bytes) -> tuple[Deliver, int] | None:
        """Who gets the payload, and the bytes from the line's end to the message's; None when it is no frame."""
        if not line.startswith(b"MSG "):
            return None
        deliver = self._routes.by_sid.get(_sid(line))
        if deliver is None or (length := _length_after(line)) > MAX_FRAME_BYTES + 4:
            return None
        if len(self._routes.by_line) >= _MAX_LINES_KEPT:
            self._routes.by_line.clear()
        self._routes.by_line[line] = found = (deliver, length)
        return found

    def _is_mine(self, line: bytes) -> bool:
        """Whether it belongs to a subscription for frames and is none (headers, too long)."""
        return line.startswith((b"MSG ", b"HMSG ")) and _sid(line) in self._routes.by_sid


def _sid(line: bytes) -> bytes:
    fields = line.split()
    return fields[2] if len(fields) > 3 else b""


def _length_after(line: bytes) -> int:
    """Bytes from the end of a line to the end of what it begins, both CRLFs counted. Raises FramingLost."""
    if not line.startswith((b"MSG ", b"HMSG ")):
        return 2
    size = line.split()[-1]
    # NATS limits a payload to 64 MB.
    if not size.isdigit() or len(size) > 8:
        raise FramingLost(f"the NATS server says a message has {size[:40]!r} bytes")
    return int(size) + 4
