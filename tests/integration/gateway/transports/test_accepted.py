"""Connections that peers open: what they do well, and what they do badly."""

import asyncio
import errno
import socket
from dataclasses import replace

import pytest

from services.gateway.sip.transport import Flow
from services.gateway.transports.streams import Streams
from services.gateway.transports.tls import TlsContexts, TlsFiles
from services.gateway.transports.transports import Transports
from tests.integration.gateway.transports.peers import (
    LIMITS,
    PING,
    PONG,
    TCP,
    gateway,
    message,
    peer,
)


async def test_answer_goes_back_on_the_connection_that_asked() -> None:
    """livekit/sip#528: not to a new connection, nor to another one of the same peer."""
    async with gateway() as one, peer(one.port(TCP)) as first, peer(one.port(TCP)) as second:
        first.send(message("first"))
        second.send(message("second"))
        came = dict([await one.next(), await one.next()])
        for text in ("second", "first"):
            one.send(message(f"to {text}"), came[message(text)])
        assert await first.read(len(message("to first"))) == message("to first")
        assert await second.read(len(message("to second"))) == message("to second")


async def test_split_and_merged_messages() -> None:
    async with gateway() as one, peer(one.port(TCP)) as caller:
        stream = message("one") + message("two") + message("three")
        for byte in stream[:40]:
            caller.send(bytes([byte]))
            await caller.writer.drain()
        caller.send(stream[40:])
        assert [(await one.next())[0] for _ in range(3)] == [message("one"), message("two"), message("three")]


async def test_ping_is_answered_with_pong() -> None:
    async with gateway() as one, peer(one.port(TCP)) as caller:
        caller.send(PING)
        assert await caller.read(2) == PONG
        caller.send(PONG + message("still framed"))
        assert (await one.next())[0] == message("still framed")


async def test_unknown_source_is_closed_without_a_word() -> None:
    async with gateway(allows=lambda host: host != "127.0.0.1") as one, peer(one.port(TCP)) as stranger:
        stranger.send(message())
        assert await stranger.closed() == b""
        assert one.came.empty()
        assert one.transports.refused_connections == 1


async def test_half_open_connection_is_closed() -> None:
    async with gateway(limits=replace(LIMITS, first_message_s=0.2)) as one, peer(one.port(TCP)) as silent:
        assert await silent.closed() == b""


async def test_slow_message_is_closed() -> None:
    limits = replace(LIMITS, message_s=0.3)
    async with gateway(limits=limits) as one, peer(one.port(TCP)) as slow:
        slow.send(message())
        await one.next()

        async def drip() -> None:
            for _ in range(200):
                slow.send(b"a")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await slow.closed() == b""
        dripping.cancel()


@pytest.mark.parametrize(
    "bad",
    [
        b"a" * 20_000,
        message().replace(b"l: 0", b"l: 100000"),
        message().replace(b"l: 0", b"l: -1"),
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["endless head", "oversize body", "negative length", "TLS", "HTTP"],
)
async def test_what_cannot_be_read_is_closed_and_what_came_before_counts(bad: bytes) -> None:
    async with gateway() as one, peer(one.port(TCP)) as caller:
        caller.send(message("good") + bad)
        assert (await one.next())[0] == message("good")
        assert await caller.closed() == b""


async def test_too_many_connections() -> None:
    limits = replace(LIMITS, connections_per_source=2)
    async with gateway(limits=limits) as one, peer(one.port(TCP)) as first, peer(one.port(TCP)) as second:
        for caller in (first, second):
            caller.send(message())
            await one.next()
        async with peer(one.port(TCP)) as third:
            assert await third.closed() == b""
        first.writer.close()
        for _ in range(100):  # until our side has seen it
            async with peer(one.port(TCP)) as again:
                again.send(message("again") + PING)
                if await again.closed_or(PONG):
                    break
        assert (await one.next())[0] == message("again")


async def test_defect_in_the_core_costs_one_message() -> None:
    seen = []

    def defect(data: bytes, flow: Flow) -> None:
        seen.append(data)
        if len(seen) == 1:
            raise RuntimeError("a defect")
        transports.send(data, flow)

    transports = Transports([("127.0.0.1", 0)])
    transports.start(defect, lambda _: None)
    async with peer(transports.locals()[TCP, 4][0][1]) as caller:
        caller.send(message("a") + message("b"))
        assert await caller.read(len(message("b"))) == message("b")
    await transports.close()


async def test_peer_that_does_not_read_is_closed_and_told() -> None:
    async with gateway() as one:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", one.port(TCP)))
            deaf.sendall(message())
            _, flow = await one.next()
            for _ in range(400):
                one.send(message("x" * 60_000), flow)
                await asyncio.sleep(0)
                if not one.unsent.empty():
                    break
            assert await one.next_unsent() == flow


async def test_peer_that_stays_deaf_is_closed_by_time() -> None:
    limits = replace(LIMITS, stuck_s=0.3, buffer_bytes=64 << 20)
    async with gateway(limits=limits) as one:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", one.port(TCP)))
            deaf.sendall(message())
            _, flow = await one.next()
            for _ in range(200):
                one.send(message("x" * 60_000), flow)
            assert await one.next_unsent() == flow


async def test_orderly_end_after_our_answer_is_no_failure() -> None:
    """A peer with a connection a transaction closes after the 200 and sends its ACK on another one."""
    async with gateway() as one:
        async with peer(one.port(TCP)) as caller:
            caller.send(message())
            _, flow = await one.next()
            one.send(message("200"), flow)
            await caller.read(len(message("200")))
            caller.writer.close()
        async with peer(one.port(TCP)) as caller:
            caller.send(message("ACK"))
            await one.next()
        assert one.unsent.empty()


async def test_others_get_their_turn_in_a_flood() -> None:
    """What one peer sends at once is read in slices, in its order, up to the last byte before it closes."""
    many = [message(str(n)) for n in range(10_000)]
    async with gateway() as one, peer(one.port(TCP)) as flood:
        flood.send(b"".join(many))
        flood.writer.close()
        await one.next()
        turns = 0
        while one.came.qsize() < len(many) - 1:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 20
        assert [one.came.get_nowait()[0] for _ in many[1:]] == many[1:]


async def test_out_of_file_descriptors_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(socket.socket):
        tries = 0

        def accept(self) -> tuple[socket.socket, object]:
            self.tries += 1
            if self.tries == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr("services.gateway.transports.streams._ACCEPT_AGAIN_S", 0.1)
    own = Full()
    own.setblocking(False)
    own.bind(("127.0.0.1", 0))
    own.listen()
    streams = Streams(LIMITS, TlsContexts(TlsFiles()), lambda _: True, [(TCP, own)], None)
    streams.start(lambda data, flow: streams.send(data, flow, None), lambda _: None)
    async with peer(own.getsockname()[1]) as caller:
        caller.send(message())
        assert await caller.read(len(message())) == message()
        assert own.tries == 2
    await streams.close()
