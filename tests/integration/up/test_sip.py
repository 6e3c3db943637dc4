"""A stack answers SIP on UDP, TCP and TLS at once; the gateway and NATS are real, the other services stand in."""

import asyncio
import secrets
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.common.settings import YamlFile
from tandem import settings
from tandem.plan import make_plan
from tandem.ports import free_port, split_address
from tandem.sipports import sip_rows
from tandem.stack import Stack

STANDIN = str(Path(__file__).resolve().parent / "standin.py")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    taken: set[int] = set()

    def address() -> str:
        port = free_port("udp", avoid=frozenset(taken))
        taken.add(port)
        return f"127.0.0.1:{port}"

    others = {name: address() for name in ("asr", "brain", "tts", "escalation")}
    text = f"nats_url: nats://{address()}\nup:\n  business_api: null\n"
    text += f"gateway:\n  sip_address: {address()}\n  control_address: {address()}\n"
    text += "".join(f"{name}:\n  address: {where}\n" for name, where in others.items())
    commands = {name: (sys.executable, STANDIN, where, "serve") for name, where in others.items()}
    plan = make_plan(settings.check(YamlFile(Path("tandem.yaml"), text)), tmp_path / "state", commands=commands)
    async with Stack(plan) as one:
        yield one


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait(data)


def options(transport: str, port: int) -> bytes:
    return (
        f"OPTIONS sip:127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bK{secrets.token_hex(6)};"
        f"rport\r\nMax-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
        f"Call-ID: {secrets.token_hex(6)}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


async def over_udp(address: tuple[str, int]) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
    try:
        transport.sendto(options("UDP", transport.get_extra_info("sockname")[1]))
        return await asyncio.wait_for(protocol.received.get(), 5)
    finally:
        transport.close()


async def over_stream(address: tuple[str, int], tls: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    try:
        writer.write(options("TLS" if tls else "TCP", writer.get_extra_info("sockname")[1]))
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    finally:
        writer.close()


async def test_options_is_answered_on_udp_tcp_and_tls(stack: Stack) -> None:
    sip, tls = split_address(stack.sip_address), split_address(stack.plan.addresses["gateway.sip_tls_port"])
    assert tls == (sip[0], sip[1] + 1)
    # Who takes the certificate for what it is finds the very host in it.
    trust = ssl.create_default_context(cafile=str(stack.plan.state / "sip.crt"))
    answers = await asyncio.gather(over_udp(sip), over_stream(sip, None), over_stream(tls, trust))
    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"SIP/2.0 200 OK"] * 3
    assert sip_rows(stack.plan.listeners) == [f"127.0.0.1:{sip[1]} UDP, TCP; {tls[1]} TLS"]
