"""Frames are taken out of the NATS stream wherever the network cuts it; nats-py gets the rest, byte for byte."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.framesieve import MAX_FRAME_BYTES, MAX_LINE_BYTES, FrameRoutes, FrameSieve, FramingLost

MINE, THEIRS = (1, 42), (2, 7)


class Sieve:
    """A sieve with the frames of subscriptions 1 and 42."""

    def __init__(self) -> None:
        self.routes = FrameRoutes()
        self.frames: list[tuple[int, bytes]] = []
        self.failures: list[Exception] = []
        for sid in MINE:
            self.routes.add(sid, lambda payload, sid=sid: self.frames.append((sid, payload)))
        self.sieve = FrameSieve(self.routes, self.failures.append)

    def feed(self, data: bytes, cuts: tuple[int, ...] = ()) -> bytes:
        rest = b""
        at = 0
        for cut in (*sorted(cuts), len(data)):
            rest += self.sieve.feed(data[at:cut])
            at = cut
        return rest


def message(sid: int, payload: bytes, reply: str = "", subject: str = "tandem.audio.a.agent") -> bytes:
    between = f"{reply} " if reply else ""
    return b"MSG %b %d %b%d\r\n%b\r\n" % (subject.encode(), sid, between.encode(), len(payload), payload)


payloads = st.binary(max_size=400) | st.sampled_from([b"", b"\r\n", b"MSG a 1 3\r\nxxx\r\n", b"PING\r\n"])
replies = st.sampled_from(["", "_INBOX.abc.1"])
ours = st.builds(lambda sid, payload, reply: (sid, payload, reply), st.sampled_from(MINE), payloads, replies)
foreign = st.one_of(
    st.builds(message, st.sampled_from(THEIRS), payloads, replies),
    st.sampled_from(
        [
            b"PING\r\n",
            b"PONG\r\n",
            b"+OK\r\n",
            b"-ERR 'Slow Consumer'\r\n",
            b'INFO {"server_id":"x","headers":true}\r\n',
            b"HMSG s 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        ]
    ),
)


@given(st.lists(ours | foreign, max_size=20), st.data())
def test_any_cuts_give_the_same(stream: list[tuple[int, bytes, str] | bytes], data: st.DataObject) -> None:
    whole = b"".join(one if isinstance(one, bytes) else message(*one) for one in stream)
    cuts = tuple(data.draw(st.lists(st.integers(0, len(whole)), max_size=12), label="cuts"))
    found = Sieve()
    rest = found.feed(whole, cuts)
    assert found.frames == [one[:2] for one in stream if not isinstance(one, bytes)]
    assert rest == b"".join(one for one in stream if isinstance(one, bytes))
    assert not found.failures


def test_byte_by_byte() -> None:
    whole = message(1, b"\r\n" * 170) + b"PING\r\n" + message(2, b"x" * 300) + message(42, b"y" * 340)
    found = Sieve()
    assert found.feed(whole, tuple(range(len(whole)))) == b"PING\r\n" + message(2, b"x" * 300)
    assert found.frames == [(1, b"\r\n" * 170), (42, b"y" * 340)]


@pytest.mark.parametrize(
    "odd",
    [
        b"HMSG s 42 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
        message(42, bytes(MAX_FRAME_BYTES + 1)),
    ],
    ids=["with headers", "too long"],
)
@pytest.mark.parametrize("step", [1, 5, 1000, 1 << 20])
def test_what_is_no_frame_is_dropped(odd: bytes, step: int) -> None:
    longest = bytes(MAX_FRAME_BYTES)
    whole = message(42, b"a") + odd + message(42, longest) + b"PONG\r\n"
    found = Sieve()
    assert found.feed(whole, tuple(range(0, len(whole), step))) == b"PONG\r\n"
    assert found.frames == [(42, b"a"), (42, longest)]


def test_a_subscriber_that_raises_stops_nobody() -> None:
    found = Sieve()

    def broken(_payload: bytes) -> None:
        raise KeyError("broken")

    found.routes.add(3, broken)
    assert found.feed(message(3, b"a") + message(1, b"b") + b"PING\r\n") == b"PING\r\n"
    assert found.frames == [(1, b"b")]
    assert [str(one) for one in found.failures] == ["'broken'"]


def test_unsubscribed_within_a_delivery() -> None:
    found = Sieve()

    def once(payload: bytes) -> None:
        found.frames.append((3, payload))
        found.routes.remove(3)

    found.routes.add(3, once)
    late = message(3, b"b")
    assert found.feed(message(3, b"a") + late + message(1, b"c")) == late, (
        "nats-py knows no subscription 3 and drops it"
    )
    assert found.frames == [(3, b"a"), (1, b"c")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"MSG s 1 x\r\n",
        b"MSG s 1 -5\r\n",
        b"MSG s 1 999999999\r\n",
        b"HMSG s 2 12 x\r\n",
        b"x" * MAX_LINE_BYTES,
    ],
)
def test_garbage_is_told(garbage: bytes) -> None:
    with pytest.raises(FramingLost):
        Sieve().feed(message(1, b"a") + garbage)


@given(st.binary(max_size=300))
def test_no_garbage_raises_anything_else(garbage: bytes) -> None:
    with contextlib.suppress(FramingLost):
        Sieve().feed(garbage, tuple(range(0, len(garbage), 7)))


def test_the_tables_are_bounded() -> None:
    found = Sieve()
    for size in range(300):
        for subject in range(40):
            found.feed(message(1, bytes(size), subject=f"s{subject}"))
    assert len(found.routes.by_line) <= 8192
    found.routes.remove(1)
    assert not found.routes.by_line
