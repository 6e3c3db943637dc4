"""Software of others at the far end: Kamailio as a proxy and registrar, baresip as a telephone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.rpc import connect
from services.common.telemetry import names
from tandem.v1 import brain_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlStub
from tests.integration.gateway.peers import baresip as telephones
from tests.integration.gateway.peers import kamailio as proxies
from tests.integration.gateway.peers.baresip import Baresip
from tests.integration.gateway.peers.kamailio import Kamailio


@pytest.fixture
async def phones(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Baresip]]]:
    """Starts a baresip: (host, user, account="", tone_hz=440, codec, speech, modules, domain="", config="")."""
    if not telephones.INSTALLED:
        pytest.skip("baresip (Debian: baresip-core) is not installed")
    started: list[Baresip] = []

    async def start(
        host: str, user: str, account: str = "", *, domain: str = "", config: str = "", **voice: Any
    ) -> Baresip:
        phone = Baresip(tmp_path / user, host, user, **voice)
        started.append(phone)
        return await phone.start(account, domain=domain, config=config)

    yield start
    for phone in started:
        await phone.close()


@pytest.fixture
async def kamailio(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Kamailio]]]:
    """Starts a Kamailio: (gateway=URI), where it finds the gateway."""
    if not proxies.INSTALLED:
        pytest.skip("kamailio (Debian: kamailio) is not installed")
    started: list[Kamailio] = []

    async def start(**settings: Any) -> Kamailio:
        proxy = Kamailio(tmp_path / "kamailio", **settings)
        started.append(proxy)
        return await proxy.start()

    yield start
    for proxy in started:
        await proxy.close()


class Control:
    """A gateway's CallControl."""

    def __init__(self, address: str) -> None:
        self._channel = connect(address)
        self.stub: Any = CallControlStub(self._channel)

    async def sip(self) -> list[str]:
        """The messages of the last call, each after > (sent) or < (received) and the transport."""
        kept = await self.stub.Messages(pb.MessagesRequest(call_id="last"))
        return [f"{'>' if one.sent else '<'} {one.transport} {one.data.decode()}" for one in kept.messages]

    async def ladder(self) -> list[str]:
        """The same in brief: `< INVITE`, `> 200`."""
        return [_brief(one) for one in await self.sip()]

    async def ladder_ends(self, brief: str, within_s: float = 5) -> list[str]:
        """The same once its last message is this one."""
        async with asyncio.timeout(within_s):
            while (ladder := await self.ladder())[-1] != brief:
                await asyncio.sleep(0.02)
        return ladder

    async def trunk(self) -> pb.Trunk:
        """The first one's state."""
        return (await self.stub.ListTrunks(pb.ListTrunksRequest())).trunks[0]

    async def calls(self) -> list[pb.LiveCall]:
        return list((await self.stub.List(pb.ListRequest())).calls)

    async def originate(self, trunk: str, number: str) -> pb.OriginateResponse:
        """How a call out came to its end, or to its answer."""
        request = pb.OriginateRequest(trunk=trunk, to=number, agent="front_desk")
        return [one async for one in self.stub.Originate(request, timeout=10)][-1]

    async def refer(self, call_id: str, target: str, meanwhile: Awaitable[Any]) -> list[int]:
        """What the REFER and the NOTIFYs after it say, to the last (RFC 3515); `meanwhile` is awaited after the 202."""
        await self.ladder_ends("< ACK")
        watch = self.stub.Watch(pb.WatchRequest(call_id=call_id))
        assert (await watch.read()).WhichOneof("event") == "watch_started"
        response = await self.stub.Refer(pb.ReferRequest(call_id=call_id, target=target), timeout=5)
        told = [response.sip_status]
        await meanwhile
        async with asyncio.timeout(5):
            while True:
                progress = (await watch.read()).refer_progress
                told.append(progress.sip_status)
                if progress.final:
                    return told

    async def close(self) -> None:
        await self._channel.close()


def _brief(message: str) -> str:
    direction, _, first, second = message.split(maxsplit=4)[:4]
    return f"{direction} {second if first == 'SIP/2.0' else first}"


@pytest.fixture
async def control() -> AsyncIterator[Callable[[Any], Control]]:
    """CallControl of a gateway."""
    opened: list[Control] = []

    def open_(gateway: Any) -> Control:
        opened.append(Control(gateway.settings.control_address))
        return opened[-1]

    yield open_
    for one in opened:
        await one.close()


@pytest.fixture
def hangup(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """What is told of each call that is over, by its last span: packets, errors."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("services.gateway.live_call.tracer", lambda: provider.get_tracer("test"))
    return lambda: [
        dict(one.attributes or {}) for one in exporter.get_finished_spans() if one.name == names.CALL_HANGUP
    ]


@pytest.fixture
def say(speak: Any, sounds: Any) -> Callable[..., Awaitable[None]]:
    """(conversation, hz): the agent says its first words, a tone of 600 ms, to the end."""

    async def tone(talk: Any, hz: float) -> None:
        await speak(talk.facts.call_id, 1, sounds.tone(hz, 600))
        talk.command(play=brain_pb2.Play(utterance_id=1))
        await talk.wait_for("playout_finished")

    return tone
