"""Connections that we open: shared, lost, refused, kept alive, closed."""

import asyncio
import socket
from dataclasses import replace

from services.gateway.sip.transport import Flow
from tests.integration.gateway.transports.peers import (
    LIMITS,
    PING,
    PONG,
    TCP,
    Peer,
    gateway,
    message,
    peer,
    server,
)


async def test_connection_is_shared_and_serves_both_directions() -> None:
    async with gateway() as one, gateway() as other:
        flow = Flow(TCP, ("127.0.0.1", other.port(TCP)))
        for text in ("a", "b", "c"):  # at once: one connect for all
            one.send(message(text), flow)
        came = [await other.next() for _ in range(3)]
        assert [data for data, _ in came] == [message("a"), message("b"), message("c")]
        assert len({flow for _, flow in came}) == 1
        other.send(message("request"), came[0][1])
        data, back = await one.next()
        assert (data, back.address) == (message("request"), flow.address)
        assert back.connection
        one.send(message("response"), back)
        one.send(message("d"), flow)
        assert [await other.next() for _ in range(2)] == [
            (message("response"), came[0][1]),
            (message("d"), came[0][1]),
        ]


async def test_lost_connection_is_opened_again() -> None:
    served = asyncio.Queue[Peer]()

    async def serve(caller: Peer) -> None:
        served.put_nowait(caller)
        await caller.read(len(message("1")))
        caller.send(message("answer"))

    async with gateway() as one, server(serve) as flow:
        one.send(message("1"), flow)
        _, back = await one.next()
        (await served.get()).writer.close()
        await asyncio.sleep(0.1)
        one.send(message("2"), back)
        _, again = await one.next()
        assert again.address == back.address
        assert again.connection != back.connection
        assert one.unsent.empty()


async def test_refused_connect_is_told_for_each_flow(closed_port: int) -> None:
    async with gateway() as one:
        flows = {Flow(TCP, ("127.0.0.1", closed_port)), Flow(TCP, ("127.0.0.1", closed_port), 999)}
        for flow in flows:
            one.send(message(), flow)
            one.send(message(), flow)
            assert one.unsent.empty()  # never from within send
        assert {await one.next_unsent(), await one.next_unsent()} == flows
        one.send(message(), Flow(TCP, ("no address", 5060)))
        assert (await one.next_unsent()).address[0] == "no address"


async def test_connect_that_takes_too_long_is_told() -> None:
    limits = replace(LIMITS, connect_s=0.3, buffer_bytes=1000)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as first, socket.socket() as second:
            # A full backlog lets further connects wait.
            for own in (first, second):
                own.setblocking(False)
                own.connect_ex(full.getsockname())
            async with gateway(limits=limits) as one:
                flow = Flow(TCP, full.getsockname())
                one.send(message(), flow)
                one.send(message("x" * 1000), flow)  # more than may wait
                assert await one.next_unsent() == flow
                assert await one.next_unsent() == flow


async def test_peer_that_accepts_and_closes_has_got_nothing() -> None:
    async def serve(caller: Peer) -> None:
        await caller.read(1)
        caller.writer.close()

    async with gateway() as one, server(serve) as flow:
        one.send(message(), flow)
        assert await one.next_unsent() == flow


async def test_we_ping_the_connections_that_we_opened_and_close_those_that_fall_silent() -> None:
    pings = asyncio.Queue[bytes]()

    async def serve(caller: Peer) -> None:
        await caller.read(len(message()))
        pings.put_nowait(await caller.read(4))
        caller.send(PONG)
        pings.put_nowait(await caller.read(4))
        pings.put_nowait(await caller.closed())

    async with gateway(limits=replace(LIMITS, ping_s=0.4, pong_s=0.2)) as one, server(serve) as flow:
        one.send(message(), flow)
        async with asyncio.timeout(5):
            assert [await pings.get() for _ in range(3)] == [PING, PING, b""]


async def test_close_lets_the_last_bytes_out() -> None:
    async with gateway() as one:
        async with peer(one.port(TCP)) as caller:
            caller.send(message())
            _, flow = await one.next()
            one.send(message("x" * 100_000), flow)
            await one.transports.close()
            assert await caller.closed() == message("x" * 100_000)
        one.send(message(), flow)  # nothing, and no error


async def test_close_waits_for_nobody() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(1)
        async with gateway() as one, peer(one.port(TCP)) as deaf:
            deaf.send(message())
            _, flow = await one.next()
            deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(4):
                one.send(message("x" * 60_000), flow)
            one.send(message(), Flow(TCP, full.getsockname()))
            async with asyncio.timeout(1):
                await one.transports.close()
