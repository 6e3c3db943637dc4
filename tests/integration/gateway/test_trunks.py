"""Trunks that register and ping, against a registrar of a few lines on loopback."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from services.common.rpc import connect
from services.gateway import trunk_watch
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlStub

REALM, NONCE = "pbx", "abcdef0123456789"


class Registrar(asyncio.DatagramProtocol):
    """Challenges REGISTER (MD5 without qop, RFC 2617), answers OPTIONS."""

    def __init__(self) -> None:
        self.bindings: dict[str, int] = {}
        self.seen: list[str] = []
        self.min_expires = 0
        self.answers_options = True
        self.refuses: str | None = None
        self.changed = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode()
        self.seen.append(text)
        method = text.split()[0]
        if method == "REGISTER":
            self._register(text, addr)
        elif method == "OPTIONS" and self.answers_options:
            self._answer(text, addr, "200 OK")
        self.changed.set()

    def _register(self, text: str, addr: Any) -> None:
        expires = int(field(text, "Expires"))
        given = dict(re.findall(r'(\w+)="?([^",\s]+)"?', field(text, "Authorization")))
        one = md5(f"{given.get('username')}:{REALM}:secret")
        two = md5(f"REGISTER:{given.get('uri')}")
        if given.get("response") != md5(f"{one}:{NONCE}:{two}"):
            self._answer(text, addr, "401 Unauthorized", f'WWW-Authenticate: Digest realm="{REALM}", nonce="{NONCE}"')
        elif self.refuses is not None:
            self._answer(text, addr, self.refuses)
        elif 0 < expires < self.min_expires:
            self._answer(text, addr, "423 Interval Too Brief", f"Min-Expires: {self.min_expires}")
        else:
            contact = field(text, "Contact").strip("<>")
            self.bindings[contact] = expires
            if not expires:
                del self.bindings[contact]
            self._answer(text, addr, "200 OK", f"Contact: <{contact}>;expires={expires}")

    def _answer(self, request: str, addr: Any, status: str, more: str = "") -> None:
        wanted = re.findall(r"^((?:Via|From|To|Call-ID|CSeq):.*?)\r?$", request, re.M)
        lines = [f"SIP/2.0 {status}", *wanted, *([more] if more else []), "Content-Length: 0", "", ""]
        self.transport.sendto("\r\n".join(lines).encode(), addr)

    def requests(self, method: str) -> list[str]:
        return [one for one in self.seen if one.startswith(method)]

    async def until(self, condition: Callable[[], bool], within_s: float = 10) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def field(text: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*?)\r?$", text, re.M)
    return found[1] if found else ""


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
async def registrar() -> AsyncIterator[Registrar]:
    transport, one = await asyncio.get_running_loop().create_datagram_endpoint(Registrar, local_addr=("127.0.0.1", 0))
    yield one
    transport.close()


Gateway = Callable[..., Awaitable[Any]]


def trunk(registrar: Registrar, **more: Any) -> dict[str, Any]:
    return {
        "name": "pbx",
        "register": {"registrar": f"sip:127.0.0.1:{registrar.port}", "user": "600", "expires_s": 60},
        "credentials": {"username": "600", "password": "secret"},
        **more,
    }


async def listed(gateway: Any, wanted: "Callable[[pb.Trunk], bool]", within_s: float = 15) -> pb.Trunk:
    """The trunk, as soon as it is as wanted."""
    async with connect(gateway.settings.control_address) as channel, asyncio.timeout(within_s):
        while True:
            answer = await CallControlStub(channel).ListTrunks(pb.ListTrunksRequest())
            (one,) = answer.trunks
            if wanted(one):
                return one
            await asyncio.sleep(0.05)


async def test_registers_with_a_password_and_for_as_long_as_the_registrar_wants(
    gateway: Gateway, registrar: Registrar
) -> None:
    registrar.min_expires = 90
    running = await gateway(trunks=[trunk(registrar, max_calls=3)])
    one = await listed(running, lambda one: one.state == pb.TRUNK_STATE_UP)
    assert re.fullmatch(r"registered until \d\d:\d\d", one.detail)
    assert (one.name, one.calls, one.max_calls) == ("pbx", 0, 3)
    assert one.since_unix_us > 1_600_000_000_000_000
    assert registrar.bindings == {f"sip:600@{running.settings.sip_address}": 90}
    sent = registrar.requests("REGISTER")
    assert all(one.startswith(f"REGISTER sip:127.0.0.1:{registrar.port} SIP/2.0") for one in sent)
    assert {field(one, "To") for one in sent} == {"<sip:600@127.0.0.1>"}
    assert len({field(one, "Call-ID") for one in sent}) == 1
    numbers = [int(field(one, "CSeq").split()[0]) for one in sent]
    assert numbers == sorted(set(numbers))

    running.stop.set()
    await registrar.until(lambda: not registrar.bindings)
    assert field(registrar.requests("REGISTER")[-1], "Expires") == "0"


class Wire:
    """Registrar's answers on a connection."""

    def sendto(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    def close(self) -> None:
        pass


async def test_registers_over_tcp(gateway: Gateway, registrar: Registrar) -> None:
    registrar.transport.close()
    registrar.transport = Wire()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                registrar.datagram_received(await reader.readuntil(b"\r\n\r\n"), writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = trunk(registrar)
        one["register"]["registrar"] = f"sip:127.0.0.1:{port};transport=tcp"
        running = await gateway(trunks=[one])
        await listed(running, lambda one: one.state == pb.TRUNK_STATE_UP)
        assert list(registrar.bindings) == [f"sip:600@{running.settings.sip_address};transport=tcp"]
        running.stop.set()
        await registrar.until(lambda: not registrar.bindings)


async def test_a_registrar_that_refuses_keeps_calls_from_going_out(gateway: Gateway, registrar: Registrar) -> None:
    registrar.refuses = "403 Forbidden"
    outbound = {"caller": "600", "destinations": ["/^1[0-9]+$/"]}
    running = await gateway(trunks=[trunk(registrar, outbound=outbound)])
    one = await listed(running, lambda one: one.state == pb.TRUNK_STATE_DOWN)
    assert one.detail.startswith("not registered: 403 Forbidden; next try ")
    failed = (await originate(running))[-1].failed
    assert failed.failure == pb.ORIGINATE_FAILURE_UNREACHABLE
    assert failed.reason == "trunk pbx: not registered: 403 Forbidden"
    assert registrar.requests("INVITE") == []


async def test_pings_show_a_trunk_that_goes_and_comes_back(
    gateway: Gateway, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk_watch, "PING_WITHIN_S", 0.6)
    one = {
        "name": "pbx",
        "proxy": f"sip:127.0.0.1:{registrar.port}",
        "ping_s": 1,
        "outbound": {"caller": "600", "destinations": ["/^1[0-9]+$/"]},
    }
    running = await gateway(trunks=[one])
    up = await listed(running, lambda one: one.state == pb.TRUNK_STATE_UP)
    assert re.fullmatch(r"OPTIONS answered 200 OK in \d+ ms", up.detail)

    registrar.answers_options = False
    down = await listed(running, lambda one: one.state == pb.TRUNK_STATE_DOWN)
    assert down.detail.startswith("OPTIONS not answered, ")
    failed = (await originate(running))[-1].failed
    assert failed.failure == pb.ORIGINATE_FAILURE_UNREACHABLE
    assert failed.reason.startswith("trunk pbx: OPTIONS not answered, ")
    assert registrar.requests("INVITE") == []

    registrar.answers_options = True
    again = await listed(running, lambda one: one.state == pb.TRUNK_STATE_UP)
    assert again.since_unix_us > down.since_unix_us > up.since_unix_us
    call = asyncio.create_task(originate(running))
    await registrar.until(lambda: bool(registrar.requests("INVITE")))
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_registrar_that_is_not_there_delays_the_end_by_little(gateway: Gateway, registrar: Registrar) -> None:
    running = await gateway(trunks=[trunk(registrar)])
    await listed(running, lambda one: one.state == pb.TRUNK_STATE_UP)
    registrar.transport.close()
    running.stop.set()
    await asyncio.wait_for(asyncio.shield(running.task), 3)


async def originate(gateway: Any) -> list[pb.OriginateResponse]:
    async with connect(gateway.settings.control_address) as channel:
        request = pb.OriginateRequest(trunk="pbx", to="123", agent="front_desk")
        return [one async for one in CallControlStub(channel).Originate(request)]
