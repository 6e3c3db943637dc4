"""A gateway on loopback, a brain that does as the test says, and a telephone with its own few lines of SIP and RTP."""

import asyncio
import contextlib
import re
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import nats
import numpy as np
import pytest

from services.common.bus import agent_subject
from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.common.rpc import connect
from services.gateway.app import run
from services.gateway.codecs.g711 import PCMU
from services.gateway.settings import GatewaySettings
from tandem.v1 import brain_pb2 as pb
from tandem.v1.brain_pb2_grpc import DialogueServicer, add_DialogueServicer_to_server
from tests.integration.ports import free_port

Datagram = tuple[float, bytes]


def tone(hz: float, ms: int, level: int = 8000) -> bytes:
    """PCM s16le at 8 kHz."""
    return (level * np.sin(2 * np.pi * hz * np.arange(8 * ms) / 8000)).astype("<i2").tobytes()


def pitch(pcm: bytes) -> float:
    """The strongest frequency, to a few Hz; 0 for silence."""
    wave = np.frombuffer(pcm, "<i2").astype(float)
    if not len(wave) or np.abs(wave).max() < 200:
        return 0.0
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 16))
    return float(np.argmax(spectrum) * 8000 / (1 << 16))


class Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[Datagram] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.queue.put_nowait((asyncio.get_running_loop().time(), data))


class Telephone:
    """One call over SIP and RTP, with nothing of the gateway's own SIP in it."""

    def __init__(self, gateway: tuple[str, int]) -> None:
        self.gateway = gateway
        self.call_id = secrets.token_hex(6)
        self.tag = secrets.token_hex(4)
        self.to = ""
        self.cseq = 0
        self.asserted = b""
        self.requests: asyncio.Queue[str] = asyncio.Queue()
        self.responses: asyncio.Queue[str] = asyncio.Queue()
        self.heard: list[tuple[float, bytes]] = []
        self.rtp_to: tuple[str, int] | None = None
        self._sequence, self._timestamp, self.ssrc = 1000, 5000, secrets.randbits(32)

    async def open(self) -> "Telephone":
        loop = asyncio.get_running_loop()
        self.sip, sip = await loop.create_datagram_endpoint(Inbox, local_addr=("127.0.0.1", 0))
        self.rtp, rtp = await loop.create_datagram_endpoint(Inbox, local_addr=("127.0.0.1", 0))
        self.sip_port, self.rtp_port = (one.get_extra_info("sockname")[1] for one in (self.sip, self.rtp))
        self._tasks = [loop.create_task(self._read_sip(sip.queue)), loop.create_task(self._read_rtp(rtp.queue))]
        return self

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.sip.close()
        self.rtp.close()

    async def _read_sip(self, queue: asyncio.Queue[Datagram]) -> None:
        while True:
            _, data = await queue.get()
            text = data.decode()
            if text.startswith("SIP/2.0"):
                if not text.startswith("SIP/2.0 1"):
                    self.responses.put_nowait(text)
                continue
            status = "202 Accepted" if text.startswith("REFER") else "200 OK"
            if not text.startswith("ACK"):
                self._answer(text, status)
            self.requests.put_nowait(text)

    async def _read_rtp(self, queue: asyncio.Queue[Datagram]) -> None:
        while True:
            self.heard.append(await queue.get())

    def _answer(self, request: str, status: str) -> None:
        wanted = re.findall(r"^((?:Via|From|To|Call-ID|CSeq):.*)$", request, re.M | re.I)
        self.sip.sendto(
            f"SIP/2.0 {status}\r\n{chr(10).join(one.strip() + chr(13) for one in wanted)}\n"
            f"Contact: <sip:phone@127.0.0.1:{self.sip_port}>\r\nContent-Length: 0\r\n\r\n".encode(),
            self.gateway,
        )

    def request(self, method: str, user: str, body: str = "", headers: str = "", cseq: int | None = None) -> None:
        if cseq is None:
            self.cseq += 1
        asserted = b"P-Asserted-Identity: " + self.asserted + b"\r\n" if self.asserted else b""
        kind = "Content-Type: application/sdp\r\n" if body.startswith("v=") else ""
        self.sip.sendto(
            (
                f"{method} sip:{user}@127.0.0.1:{self.gateway[1]} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{self.sip_port};branch=z9hG4bK{secrets.token_hex(6)};rport\r\n"
                f'From: "Ada" <sip:+4930555@127.0.0.1>;tag={self.tag}\r\n'
                f"To: {self.to or f'<sip:{user}@127.0.0.1>'}\r\n"
                f"Call-ID: {self.call_id}\r\nCSeq: {cseq or self.cseq} {method}\r\nMax-Forwards: 70\r\n"
                f"Contact: <sip:phone@127.0.0.1:{self.sip_port}>\r\n{headers}{kind}"
            ).encode()
            + asserted
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode(),
            self.gateway,
        )

    def offer(self, formats: str = "0 8 101", direction: str = "sendrecv") -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.rtp_port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    async def invite(self, user: str, body: str | None = None, headers: str = "") -> int:
        """The final status; ACKed. On 200 RTP knows where to go."""
        self.request("INVITE", user, self.offer() if body is None else body, headers)
        response = await asyncio.wait_for(self.responses.get(), 5)
        self.last_response = response
        to = re.search(r"^To:\s*(.*?)\s*$", response, re.M | re.I)
        assert to is not None
        self.to = to[1]
        status = int(response.split()[1])
        self.request("ACK", user, cseq=self.cseq)
        port = re.search(r"^m=audio (\d+)", response, re.M)
        if status == 200 and port is not None:
            self.rtp_to = ("127.0.0.1", int(port[1]))
        return status

    async def bye(self) -> int:
        self.request("BYE", "x")
        return int((await asyncio.wait_for(self.responses.get(), 5)).split()[1])

    async def incoming(self, method: str, within_s: float = 5) -> str:
        async with asyncio.timeout(within_s):
            while True:
                request = await self.requests.get()
                if request.startswith(method):
                    return request

    def send_rtp(self, payload: bytes, payload_type: int = 0, timestamp: int | None = None) -> None:
        head = struct.pack(
            "!BBHII", 0x80, payload_type, self._sequence & 0xFFFF, timestamp or self._timestamp, self.ssrc
        )
        self._sequence += 1
        self._timestamp += 160
        self.rtp.sendto(head + payload, self.rtp_to)

    async def say(self, pcm: bytes) -> None:
        """In real time, 20 ms a packet."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for index in range(len(pcm) // 320):
            await asyncio.sleep(max(start + index * 0.02 - loop.time(), 0))
            self.send_rtp(PCMU.encode(pcm[index * 320 : index * 320 + 320]))

    def pcm(self, start: int = 0) -> bytes:
        """What was heard from packet `start` on (µ-law only)."""
        return b"".join(PCMU.decode(data[12:]) for _, data in self.heard[start:] if data[1] & 0x7F == 0)


class Conversation:
    """One Converse stream as the brain sees it."""

    def __init__(self, metadata: Any) -> None:
        self.metadata = dict(metadata or ())
        self.events: list[pb.CallEvent] = []
        self.commands: asyncio.Queue[pb.CallCommand | None] = asyncio.Queue()
        self.news = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def facts(self) -> Any:
        return self.events[0].started.facts

    def of(self, kind: str) -> list[pb.CallEvent]:
        return [event for event in self.events if event.WhichOneof("event") == kind]

    async def wait_for(self, kind: str, count: int = 1, within_s: float = 5) -> pb.CallEvent:
        async with asyncio.timeout(within_s):
            while len(self.of(kind)) < count:
                self.news.clear()
                await self.news.wait()
        return self.of(kind)[count - 1]

    def command(self, **one: Any) -> None:
        self.commands.put_nowait(pb.CallCommand(**one))

    def end(self) -> None:
        self.commands.put_nowait(None)


class Brain(DialogueServicer):
    """Answers each Converse with heartbeats and what the test puts into the conversation."""

    def __init__(self) -> None:
        self.conversations: asyncio.Queue[Conversation] = asyncio.Queue()
        self.heartbeats = True
        self.refuse = False

    async def Converse(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.CallCommand]:
        if self.refuse:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        talk = Conversation(context.invocation_metadata())

        async def read() -> None:
            async for event in request_iterator:
                talk.events.append(event)
                if len(talk.events) == 1:
                    self.conversations.put_nowait(talk)
                talk.news.set()
            talk.ended.set()
            talk.end()

        reader = asyncio.create_task(read())
        try:
            while True:
                try:
                    command = await asyncio.wait_for(talk.commands.get(), 0.2)
                except TimeoutError:
                    if self.heartbeats:
                        yield pb.CallCommand(heartbeat=pb.Heartbeat())
                    continue
                if command is None:
                    return
                yield command
        finally:
            reader.cancel()
            talk.ended.set()

    async def conversation(self, within_s: float = 5) -> Conversation:
        return await asyncio.wait_for(self.conversations.get(), within_s)

    async def serve(self, port: int = 0) -> int:
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_DialogueServicer_to_server(self, self.server)
        bound: int = self.server.add_insecure_port(f"127.0.0.1:{port}")
        await self.server.start()
        return bound

    async def stop(self) -> None:
        await self.server.stop(0)


@pytest.fixture
async def brain() -> AsyncIterator[Brain]:
    one = Brain()
    one.port = await one.serve()
    yield one
    await one.stop()


class Gateway:
    """A gateway in this process; `settings` are those it runs with."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.stop = asyncio.Event()
        self.phones: list[Telephone] = []

    async def start(self) -> "Gateway":
        self.task = asyncio.create_task(run(self.settings, self.stop))
        async with connect(self.settings.control_address) as channel:
            waiting = asyncio.create_task(channel.channel_ready())
            await asyncio.wait({self.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                self.task.result()
        return self

    async def telephone(self) -> Telephone:
        host, port = self.settings.sip_address.split(":")
        phone = await Telephone((host, int(port))).open()
        self.phones.append(phone)
        return phone

    async def close(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 3)
        for phone in self.phones:
            phone.close()


@pytest.fixture
async def gateway(nats_url: str, brain: Brain) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    """Starts a gateway; keyword arguments are settings."""
    started: list[Gateway] = []

    async def start(**changes: Any) -> Gateway:
        first = 40000 + 2 * secrets.randbelow(4000)
        settings = GatewaySettings(
            **{
                "nats_url": nats_url,
                "sip_address": f"127.0.0.1:{free_port()}",
                "control_address": f"127.0.0.1:{free_tcp_port()}",
                "brain_address": f"127.0.0.1:{brain.port}",
                "rtp_ports": (first, first + 999),
                **changes,
            }
        )
        started.append(await Gateway(settings).start())
        return started[-1]

    yield start
    for one in started:
        await one.close()


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Any]:
    client = await nats.connect(nats_url)
    yield client
    with contextlib.suppress(Exception):
        await client.close()


@pytest.fixture
def speak(bus: Any) -> Callable[..., Awaitable[None]]:
    """Publishes an utterance as tts does: faster than real time, the last frame flagged."""

    async def utter(call_id: str, utterance_id: int, pcm: bytes, end: bool = True) -> None:
        count = len(pcm) // 320
        for index in range(count):
            flags = END_OF_UTTERANCE if end and index == count - 1 else 0
            piece = pcm[index * 320 : index * 320 + 320]
            await bus.publish(agent_subject(call_id), AudioFrame(index, 0, 8000, piece, utterance_id, flags).pack())
        await bus.flush()

    return utter


@pytest.fixture
def sounds() -> Any:
    """tone(hz, ms) and pitch(pcm)."""

    class Sounds:
        tone = staticmethod(tone)
        pitch = staticmethod(pitch)

    return Sounds
