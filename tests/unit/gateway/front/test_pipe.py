"""The socket between front and worker."""

import asyncio
import socket

import pytest

from services.gateway.front.frame import LARGEST
from services.gateway.front.pipe import Pipe, pipe_pair


class Heard:
    def __init__(self, pipe: Pipe) -> None:
        self.frames: list[bytes] = []
        self.ends = 0
        self.news = asyncio.Event()
        pipe.start(self._frame, self._end)

    def _frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.news.set()

    def _end(self) -> None:
        self.ends += 1
        self.news.set()

    async def until(self, frames: int, ends: int = 0) -> None:
        async with asyncio.timeout(5):
            while len(self.frames) < frames or self.ends < ends:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def ends():
    one, other = pipe_pair()
    yield one, other
    one.close()
    other.close()


async def test_frames_keep_their_bounds_and_their_order(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = Pipe(ends[0]), Pipe(ends[1])
    heard, answered = Heard(other), Heard(one)
    sent = [bytes([index % 251]) * (index * 7 % 3000 + 1) for index in range(2000)]
    for frame in sent:
        assert one.send(frame)
    other.send(b"back")
    await heard.until(len(sent))
    await answered.until(1)
    assert heard.frames == sent
    assert answered.frames == [b"back"]
    assert one.idle


async def test_the_largest_frame_passes(ends: tuple[socket.socket, socket.socket]) -> None:
    one, heard = Pipe(ends[0]), Heard(Pipe(ends[1]))
    assert one.send(bytes(LARGEST))
    await heard.until(1)
    assert heard.frames == [bytes(LARGEST)]
    one.close()


async def test_who_does_not_read_costs_no_more_than_a_buffer(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = Pipe(ends[0]), Pipe(ends[1])
    taken = [one.send(b"%05d" % index + bytes(60_000)) for index in range(1000)]
    assert not all(taken)
    assert one.dropped == taken.count(False)
    heard = Heard(other)
    await heard.until(taken.count(True))
    assert [int(frame[:5]) for frame in heard.frames] == [index for index, one in enumerate(taken) if one]


async def test_the_last_words_of_one_that_goes_are_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = Pipe(ends[0]), Pipe(ends[1])
    other.send(b"unread")
    for index in range(100):
        one.send(b"%d" % index)
    one.close()  # with something unread: the system calls that a reset
    heard = Heard(other)
    await heard.until(100, ends=1)
    assert heard.frames == [b"%d" % index for index in range(100)]
    assert not other.send(b"too late")
    assert not one.send(b"closed")


async def test_sending_to_one_that_has_gone_is_no_error(ends: tuple[socket.socket, socket.socket]) -> None:
    one, heard = Pipe(ends[0]), Heard(Pipe(ends[1]))
    one.close()
    await heard.until(0, ends=1)
    assert heard.ends == 1
