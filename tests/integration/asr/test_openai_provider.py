"""A transcription server on loopback, well-behaved and not: every pass ends in time, with words, a fallback or an error
that says what to look at."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest
from aiohttp import web

from services.asr.openai_provider import OpenAiPass
from services.asr.passes import Outcome, Passes, Recognize
from services.asr.provider import Guarded, ProviderFailed, ProviderOptions
from services.asr.segment import Segment
from services.asr.whisper import Transcript
from services.common.rpc import free_port

SEGMENT = Segment(np.zeros(8000, np.int16), 8000, ((0, 0),))
TIMEOUT_S = 0.6
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """`answer` may be replaced; `forms` is what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, object]] = []
        self.keys: list[str | None] = []
        self.answer: Answer = self.hello

    async def hello(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"text": "hello", "segments": [{"avg_logprob": -0.1, "no_speech_prob": 0.0}]})

    async def take(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        sound = form["file"]
        assert isinstance(sound, web.FileField)
        self.forms.append({**{key: form.getall(key)[-1] for key in form}, "file": sound.file.read()})
        self.keys.append(request.headers.get("Authorization"))
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    fake = Server()
    app = web.Application()
    app.router.add_post("/v1/audio/transcriptions", fake.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}/v1"
    yield fake
    await runner.cleanup()


def local(segment: Segment, language: str, prompt: str) -> Transcript:
    return Transcript("local", (), 1.0, language)


async def recognized(url: str, fallback: Recognize | None = None, language: str = "en", times: int = 1) -> Outcome:
    options = ProviderOptions("openai", url, "whisper-1", "sesame", connect_s=0.3, timeout_s=TIMEOUT_S)
    recognize = OpenAiPass(options, Guarded("openai", fallback))
    passes = Passes(recognize, 1)
    for _ in range(times):
        outcome = await passes.ask(SEGMENT, language, "opening hours").outcome()
    passes.close()
    recognize.close()
    return outcome


async def test_words_come_back(server: Server) -> None:
    outcome = await recognized(server.url)
    assert (outcome.error, outcome.transcript.text) == (None, "hello")
    form = server.forms[0]
    assert (form["model"], form["language"], form["prompt"]) == ("whisper-1", "en", "opening hours")
    assert form["response_format"] == "verbose_json"
    assert isinstance(form["file"], bytes)
    assert form["file"][:4] == b"RIFF"
    assert server.keys == ["Bearer sesame"]
    assert (await recognized(server.url, language="auto")).error is None
    assert "language" not in server.forms[1]


async def test_a_model_that_knows_plain_json_only(server: Server) -> None:
    async def plain(_: web.Request) -> web.StreamResponse:
        if server.forms[-1]["response_format"] == "verbose_json":
            return web.json_response({"error": {"param": "response_format"}}, status=400)
        return web.json_response({"text": "plain"})

    server.answer = plain
    assert (await recognized(server.url, times=2)).transcript.text == "plain"
    assert [form["response_format"] for form in server.forms] == ["verbose_json", "json", "json"]


async def test_a_connection_that_breaks_is_tried_once_more(server: Server) -> None:
    async def hang_up_first(request: web.Request) -> web.StreamResponse:
        if len(server.forms) == 1:
            assert request.transport is not None
            request.transport.abort()
        return await server.hello(request)

    server.answer = hang_up_first
    assert (await recognized(server.url)).transcript.text == "hello"
    assert len(server.forms) == 2


async def http_500(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="out of memory")


async def http_401(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "bad key"}, status=401)


async def not_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"text": "hel')


async def other_json(_: web.Request) -> web.StreamResponse:
    return web.json_response(["hello"])


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3)
    return web.Response()


async def dribbles(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(30):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * 2_000_000)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (http_500, "answered 500: out of memory"),
        (http_401, "look at asr.provider_key"),
        (not_json, "gave no transcription"),
        (other_json, "gave no transcription"),
        (hangs_up, "cannot be reached"),
        (never, "did not answer in time"),
        (dribbles, "did not finish its answer"),
        (endless, "longer than"),
    ],
)
async def test_an_answer_that_is_none(server: Server, answer: Answer, says: str) -> None:
    server.answer = answer
    began = time.monotonic()
    outcome = await recognized(server.url)
    assert time.monotonic() - began < 2 * TIMEOUT_S + 0.5
    assert isinstance(outcome.error, ProviderFailed)
    assert says in str(outcome.error)
    assert "sesame" not in str(outcome.error)
    assert outcome.transcript.text == ""
    assert (await recognized(server.url, local)).transcript.text == "local"


async def test_nobody_listens() -> None:
    outcome = await recognized(f"http://127.0.0.1:{free_port()}/v1")
    assert "cannot be reached" in str(outcome.error)
