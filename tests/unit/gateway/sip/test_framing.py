"""The same bytes give the same messages, however the network cuts them; what cannot be read ends the connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.framing import (
    BODY_LIMIT_BYTES,
    HEAD_LIMIT_BYTES,
    FramingError,
    KeepAlive,
    StreamFraming,
    content_length,
)

CRLF, PING = KeepAlive.CRLF, KeepAlive.PING
START = b"OPTIONS sip:a@192.0.2.1 SIP/2.0"


def message(*lines: bytes, body: bytes = b"", end: bytes = b"\r\n") -> bytes:
    return end.join([START, *lines, b"", b""]) + body


def whole(body: bytes = b"") -> bytes:
    return message(b"Content-Length: %d" % len(body), body=body)


def test_one_message_with_its_body() -> None:
    framing = StreamFraming()
    assert framing.feed(whole(b"v=0\r\n\r\nno head")) == [whole(b"v=0\r\n\r\nno head")]
    assert not framing.partial
    assert framing.error is None


def test_merged_and_split_messages() -> None:
    framing = StreamFraming()
    assert framing.feed(whole(b"one") + whole() + whole(b"three")[:-2]) == [whole(b"one"), whole()]
    assert framing.partial
    assert framing.feed(b"ee" + START) == [whole(b"three")]
    assert framing.partial


@pytest.mark.parametrize(
    ("stream", "items"),
    [
        (b"\r\n", [CRLF]),
        (b"\r\n\r\n", [CRLF, PING]),
        (b"\r\n\r\n\r\n\r\n", [CRLF, PING, CRLF, PING]),
        (b"\n\n", [CRLF, PING]),
        (b"\r", []),
        (b"\r\n" + whole(), [CRLF, whole()]),
        (b"\r\n\r\n" + whole() + b"\r\n" + whole(), [CRLF, PING, whole(), CRLF, whole()]),
        (whole() + b"\r\n\r\n", [whole(), CRLF, PING]),
    ],
)
def test_keep_alives_between_messages(stream: bytes, items: list[bytes | KeepAlive]) -> None:
    framing = StreamFraming()
    assert framing.feed(stream) == items
    assert not framing.partial


def test_line_ends_before_and_after_a_message_are_no_ping() -> None:
    assert StreamFraming().feed(b"\r\n" + whole() + b"\r\n") == [CRLF, whole(), CRLF]


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 3",),
        (b"content-LENGTH:3",),
        (b"l: 3",),
        (b"L \t:\t3 ",),
        (b"l: 003",),
        (b"Content-Length:", b" 3"),
        (b"Content-Length: ", b"\t ", b" 3"),
        (b"Content-Length: 3", b"l: 3"),
        (b"Subject: a", b" Content-Length: 9", b"l: 3"),
        (b"Subject: Content-Length: 9", b"X-Content-Length: 8", b"l: 3", b"c: text/plain"),
        (b"no header at all", b"l: 3"),
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_length_of_the_body(lines: tuple[bytes, ...], end: bytes) -> None:
    stream = message(*lines, body=b"abc", end=end)
    assert StreamFraming().feed(stream + b"\r\n") == [stream, CRLF]


def test_blank_line_of_mixed_line_ends() -> None:
    one, other = START + b"\nl: 0\n\r\n", START + b"\r\nl: 0\r\n\n"
    assert StreamFraming().feed(one + other) == [one, other]


def test_without_a_length_there_is_no_body() -> None:
    assert StreamFraming().feed(message(b"Max-Forwards: 70") + whole()) == [message(b"Max-Forwards: 70"), whole()]


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: -999",),
        (b"Content-Length: +3",),
        (b"Content-Length: 3, 3",),
        (b"Content-Length:",),
        (b"Content-Length",),
        (b"l: 3", b"Content-Length: 5"),
        (b"l: 99999999999999999999999999999",),
        (b"l: \xd9\xa3",),
        (b"c: application/sdp",),
    ],
)
def test_ambiguous_body_ends_the_stream(lines: tuple[bytes, ...]) -> None:
    framing = StreamFraming()
    bad = message(*lines)
    assert framing.feed(whole() + bad + b"abc" + whole()) == [whole()]
    assert framing.error is not None
    assert (framing.error.status, framing.error.head) == (400, bad)
    assert framing.feed(whole()) == []
    assert not framing.partial


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01", b"\x00", b"<xml/>", b"GET / HTTP/1.1\r\n", b"a\n"])
def test_garbage_ends_the_stream_at_once(garbage: bytes) -> None:
    framing = StreamFraming()
    assert framing.feed(garbage) == []
    assert framing.error is not None
    assert framing.error.status is None


def test_limits_are_exact() -> None:
    empty = message(b"Subject: ", b"l: 0")
    largest = message(b"Subject: " + b"x" * (HEAD_LIMIT_BYTES - len(empty)), b"l: 0")
    assert StreamFraming().feed(largest) == [largest]
    framing = StreamFraming()
    assert framing.feed(largest.replace(b"Subject", b"Subjects")) == []
    assert framing.error == FramingError("head of more than 16384 bytes")
    body = b"x" * BODY_LIMIT_BYTES
    assert StreamFraming().feed(whole(body)) == [whole(body)]
    framing = StreamFraming()
    assert framing.feed(whole(body + b"x")) == []
    assert framing.error is not None
    assert framing.error.status == 513


def test_endless_head_holds_no_memory() -> None:
    framing = StreamFraming()
    for _ in range(1000):
        framing.feed(b"a" * 1000)
    assert framing.error is not None
    assert not framing.partial


def test_byte_by_byte_looks_at_each_byte_once() -> None:
    """The cost of a largest message in single bytes is counted in look-ups, not in seconds."""

    class Counting(bytearray):
        looked = 0

        def find(self, what: bytes, start: int = 0, end: int = 1 << 60) -> int:  # type: ignore[override]
            Counting.looked += max(min(len(self), end) - start, 0)
            return super().find(what, start, end)

    framing = StreamFraming()
    framing._buffer = Counting()
    stream = message(b"Subject: " + b"x" * 10_000, b"l: 1000", body=b"y" * 1000)
    items = [item for i in range(len(stream)) for item in framing.feed(stream[i : i + 1])]
    assert items == [stream]
    assert Counting.looked < 3 * len(stream)


_PIECES = st.sampled_from(
    [
        whole(),
        whole(b"abc\r\n\r\n"),
        message(b"l: 2", body=b"\n\n", end=b"\n"),
        message(b"Content-Length:", b" 4", body=b"SIP/"),
        message(b"c: a/b"),
        message(b"l: 70000"),
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"BYE sip:b SIP/2.0\r\n",
        b"x" * 300,
    ]
)


@given(st.data(), st.lists(_PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_any_cut_gives_the_same(data: st.DataObject, stream: bytes) -> None:
    def run(chunks: list[bytes]) -> tuple[list[bytes | KeepAlive], FramingError | None, bool]:
        framing = StreamFraming(head_limit=256, body_limit=1024)
        items = [item for chunk in chunks for item in framing.feed(chunk)]
        return items, framing.error, framing.partial

    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert run(chunks) == run([stream]) == run([bytes([byte]) for byte in stream])


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 400), max_size=8))
def test_messages_come_out_as_they_went_in(bodies: list[bytes], sizes: list[int]) -> None:
    stream, framing, out = b"".join(map(whole, bodies)), StreamFraming(), []
    for size in sizes:
        out += framing.feed(stream[:size])
        stream = stream[size:]
    out += framing.feed(stream)
    assert out == [whole(body) for body in bodies]


@given(st.binary(max_size=400))
def test_length_of_any_head(head: bytes) -> None:
    assert content_length(head) is not None
