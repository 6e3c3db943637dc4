"""Datagrams, IP versions, ports and marks."""

import socket

import pytest

from services.gateway.sip.transport import Flow
from services.gateway.transports.transports import ListenFailed, Transports
from tests.integration.gateway.transports.peers import (
    PING,
    TCP,
    UDP,
    gateway,
    message,
)


async def test_datagrams_both_ways() -> None:
    async with gateway() as one, gateway() as other:
        other.send(message("hello"), Flow(UDP, ("127.0.0.1", one.port(UDP))))
        data, flow = await one.next()
        assert (data, flow) == (message("hello"), Flow(UDP, ("127.0.0.1", other.port(UDP))))
        one.send(message("hi"), flow)
        assert (await other.next())[0] == message("hi")


async def test_keep_alive_datagrams_are_nothing() -> None:
    async with gateway() as one, gateway() as other:
        flow = Flow(UDP, ("127.0.0.1", one.port(UDP)))
        for data in (PING, b"\0\0\0\0", b"", message()):
            other.send(data, flow)
        assert (await one.next())[0] == message()


async def test_answer_leaves_from_the_socket_that_was_asked() -> None:
    addresses = [("127.0.0.1", 0), ("127.0.0.1", 0)]
    transports = Transports(addresses)
    transports.start(transports.send, lambda _: None)
    async with gateway() as other:
        for address in transports.locals()[UDP, 4]:
            other.send(message(), Flow(UDP, address))
            assert (await other.next())[1].address == address
    await transports.close()


async def test_datagram_that_cannot_be_sent_is_told() -> None:
    async with gateway() as one:
        for flow in (
            Flow(UDP, ("127.0.0.1", 0)),
            Flow(UDP, ("127.0.0.1", 70000)),
            Flow(UDP, ("::1", 5060)),  # we have no IPv6 here
            Flow(UDP, ("no address", 5060)),
        ):
            one.send(message(), flow)
            assert await one.next_unsent() == flow


async def test_ipv6() -> None:
    async with gateway(host="::1") as one, gateway(host="::1") as other:
        for transport in (UDP, TCP):
            other.send(message("hello"), Flow(transport, ("0:0:0:0:0:0:0:1", one.port(transport, 6))))
            data, flow = await one.next()
            assert (data, flow.address[0]) == (message("hello"), "::1")
            one.send(message("back"), flow)
            assert (await other.next())[0] == message("back")


async def test_both_versions_on_one_port() -> None:
    async with gateway(host="0.0.0.0") as one:
        both = Transports([("::", one.port(UDP))])
        assert both.locals() == {(UDP, 6): [("::", one.port(UDP))], (TCP, 6): [("::", one.port(UDP))]}
        await both.close()


async def test_taken_address_says_so() -> None:
    async with gateway() as one:
        with pytest.raises(ListenFailed, match=rf"cannot listen on 127\.0\.0\.1:{one.port(TCP)} for SIP \(UDP\)"):
            Transports([("127.0.0.1", one.port(TCP))])
    with pytest.raises(ListenFailed, match="not an IP address"):
        Transports([("localhost", 0)])


async def test_dscp() -> None:
    async with gateway(dscp=24) as one, gateway(dscp=24, host="::1") as six:
        marks = [port._socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) for port in one.transports._udp[4]]
        marks += [own.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) for _, own in one.transports._listeners]
        marks += [own.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) for _, own in six.transports._listeners]
    assert set(marks) == {24 << 2}
