"""A streaming service on loopback, well-behaved and not: one socket a call, every pass ends in time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from services.asr.deepgram_provider import DeepgramCall
from services.asr.language import CallLanguage
from services.asr.passes import CallPasses, Passes, Recognize
from services.asr.provider import Guarded, ProviderFailed, ProviderOptions
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.asr.whisper import Transcript
from services.common.rpc import free_port

RATE = 8000
TIMEOUT_S = 0.8
Act = Callable[["Stream", str], Awaitable[None]]


def clip(from_s: float, to_s: float) -> Segment:
    return Segment(np.ones(round((to_s - from_s) * RATE), np.int16), RATE, ((0, round(from_s * 1e6)),))


class Stream:
    """The server's side of a socket: answers Finalize with one word a second of audio, w0 for the first and so on."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.heard = 0
        self.told_s = 0.0

    async def answer(self, **more: object) -> None:
        until_s = self.heard / RATE
        seconds = range(int(self.told_s), int(until_s))
        words = [{"word": f"w{at}", "start": at + 0.2, "end": at + 0.6, "confidence": 0.9} for at in seconds]
        result = {
            "type": "Results",
            "start": self.told_s,
            "duration": until_s - self.told_s,
            "is_final": True,
            "channel": {"alternatives": [{"words": words}]},
            **more,
        }
        if result["is_final"]:
            self.told_s = until_s
        await self.socket.send_str(json.dumps(result))


async def well(stream: Stream, kind: str) -> None:
    if kind == "Finalize":
        await stream.answer(from_finalize=True)


class Service:
    def __init__(self) -> None:
        self.url = ""
        self.status = 0
        self.act: Act = well
        self.asked: list[dict[str, str]] = []
        self.keys: list[str | None] = []
        self.kinds: list[str] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.keys.append(request.headers.get("Authorization"))
        if self.status:
            return web.Response(status=self.status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stream = Stream(socket)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                stream.heard += len(message.data) // 2
                await self.act(stream, "audio")
            else:
                self.kinds.append(json.loads(message.data)["type"])
                await self.act(stream, self.kinds[-1])
        return socket


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    fake = Service()
    app = web.Application()
    app.router.add_get("/v1/listen", fake.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    fake.url = f"ws://{host}:{port}/v1/listen"
    yield fake
    await runner.cleanup()


def local(segment: Segment, language: str, prompt: str) -> Transcript:
    return Transcript("local", (), 1.0, language)


@pytest.fixture
async def call(service: Service) -> AsyncIterator[Callable[..., CallPasses]]:
    passes = Passes(local, 4)
    opened: list[CallPasses] = []
    async with aiohttp.ClientSession() as session:

        def open_call(fallback: Recognize | None = None, url: str = "") -> CallPasses:
            options = ProviderOptions("deepgram", url or service.url, "nova-3", "sesame", 0.4, TIMEOUT_S)
            own = DeepgramCall(options, Guarded("deepgram", fallback), session)
            opened.append(CallPasses(passes, "call", CallLanguage("en", "en", 0.7), own))
            return opened[-1]

        yield open_call
        for one in opened:
            one.close()
        await asyncio.sleep(0.05)
        passes.close()


async def test_a_call_of_two_utterances_on_one_socket(service: Service, call: Callable[..., CallPasses]) -> None:
    one = call()
    first = (await one.ask(clip(10.0, 12.0)).outcome()).transcript
    second = (await one.ask(clip(20.0, 21.0)).outcome()).transcript
    assert (first.text, second.text) == ("w0 w1", "w2")
    assert [word.start_s for word in first.words] == pytest.approx([0.2, 1.2])
    assert second.words[0].start_s == pytest.approx(0.2)
    assert len(service.asked) == 1
    asked = service.asked[0]
    assert (asked["model"], asked["language"], asked["sample_rate"]) == ("nova-3", "en", "8000")
    assert service.keys == ["Token sesame"]
    one.close()
    await asyncio.sleep(0.05)
    assert service.kinds == ["Finalize", "Finalize", "CloseStream"]


async def test_partial_head_start_final(service: Service, call: Callable[..., CallPasses]) -> None:
    """Audio goes out as passes are asked for; only what is perhaps the end is finalized."""

    async def interim(stream: Stream, kind: str) -> None:
        await well(stream, kind)
        if kind == "audio":
            await stream.answer(is_final=False)

    service.act = interim
    one = call()
    partial = one.ask_early(Kind.PARTIAL, clip(10.0, 11.0))
    assert partial is not None
    await partial.outcome()
    assert service.kinds == []
    await asyncio.sleep(0.05)
    partial = one.ask_early(Kind.PARTIAL, clip(10.0, 11.5))
    assert partial is not None
    assert (await partial.outcome()).transcript.text == "w0"
    lull = one.ask_early(Kind.HEAD_START, clip(10.0, 12.0))
    assert lull is not None
    assert (await lull.outcome()).transcript.text == "w0 w1"
    assert lull.promote()
    assert (await one.ask(clip(10.0, 13.0)).outcome()).transcript.text == "w0 w1 w2"
    assert service.kinds == ["Finalize", "Finalize"]


async def test_a_finalize_over_hardly_any_audio_may_stay_unanswered(
    service: Service, call: Callable[..., CallPasses]
) -> None:
    one = call()
    await one.ask(clip(10.0, 12.0)).outcome()

    async def silent(stream: Stream, kind: str) -> None:
        return

    service.act = silent
    outcome = await one.ask(clip(10.0, 12.14)).outcome()
    assert (outcome.error, outcome.transcript.text) == (None, "w0 w1")


async def dies(stream: Stream, kind: str) -> None:
    if kind == "Finalize":
        assert stream.socket._req is not None
        assert stream.socket._req.transport is not None
        stream.socket._req.transport.abort()


async def closes(stream: Stream, kind: str) -> None:
    if kind == "Finalize":
        await stream.socket.close(code=1011, message=b"NET-0001")


async def nonsense(stream: Stream, kind: str) -> None:
    if kind == "Finalize":
        await stream.socket.send_str("{]")


async def complains(stream: Stream, kind: str) -> None:
    if kind == "Finalize":
        await stream.socket.send_str(json.dumps({"type": "Error", "description": "no such model"}))


async def never(stream: Stream, kind: str) -> None:
    return


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (dies, "the stream ended"),
        (closes, "code 1011"),
        (nonsense, "not to be understood"),
        (complains, "no such model"),
        (never, "did not answer in"),
    ],
)
async def test_a_stream_that_fails_is_opened_again(
    service: Service, call: Callable[..., CallPasses], act: Act, says: str
) -> None:
    service.act = act
    one = call()
    began = time.monotonic()
    outcome = await one.ask(clip(10.0, 12.0)).outcome()
    assert time.monotonic() - began < TIMEOUT_S + 0.7
    assert isinstance(outcome.error, ProviderFailed)
    assert says in str(outcome.error)
    service.act = well
    # The whole clip goes to the new stream.
    assert (await one.ask(clip(10.0, 12.5)).outcome()).transcript.text == "w0 w1"
    assert len(service.asked) == 2


async def test_a_socket_that_died_between_utterances(service: Service, call: Callable[..., CallPasses]) -> None:
    one = call()
    await one.ask(clip(10.0, 12.0)).outcome()
    service.act = dies
    await one.ask(clip(14.0, 15.0)).outcome()
    service.act = well
    assert (await one.ask(clip(20.0, 21.0)).outcome()).transcript.text == "w0"


@pytest.mark.parametrize(("status", "says"), [(401, "look at asr.provider_key"), (500, "answered 500")])
async def test_a_handshake_refused(service: Service, call: Callable[..., CallPasses], status: int, says: str) -> None:
    service.status = status
    outcome = await call().ask(clip(10.0, 12.0)).outcome()
    assert says in str(outcome.error)
    assert "sesame" not in str(outcome.error)
    assert (await call(local).ask(clip(10.0, 12.0)).outcome()).transcript.text == "local"


async def test_nobody_listens(call: Callable[..., CallPasses]) -> None:
    outcome = await call(url=f"ws://127.0.0.1:{free_port()}/v1/listen").ask(clip(10.0, 12.0)).outcome()
    assert isinstance(outcome.error, ProviderFailed)


async def test_a_server_that_accepts_and_says_nothing(call: Callable[..., CallPasses]) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await call(url=f"ws://127.0.0.1:{port}/v1/listen").ask(clip(10.0, 12.0)).outcome()
    assert "no connection in 0.4 s" in str(outcome.error)
    server.close()
