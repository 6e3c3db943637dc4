"""The brain's neighbours: a gateway that plays at once, an asr and a tts under the test's control, an OpenAI server."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from services.brain.agent import load_agent
from services.brain.agent.deployments import Deployment
from services.brain.agents import Agents
from services.brain.dialogue import Dialogue
from services.brain.journal import BUCKET
from services.brain.models.provider_stream import warm_up
from services.brain.script.provider import set_up
from services.brain.surroundings import Surroundings
from services.brain.turn_profile import PROFILES, Profiles, Situation, with_changes
from services.common.bus import connect_control, open_bucket
from services.common.rpc import CALL_TRACEPARENT, RpcServer, connect, free_port, trace_metadata
from tandem.v1 import asr_pb2, brain_pb2, escalation_pb2, tts_pb2
from tandem.v1.asr_pb2_grpc import RecognizerServicer, RecognizerStub, add_RecognizerServicer_to_server
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.brain_pb2_grpc import DialogueStub, add_DialogueServicer_to_server
from tandem.v1.call_pb2 import CallFacts, CallJournal
from tandem.v1.escalation_pb2_grpc import EscalationServicer, EscalationStub, add_EscalationServicer_to_server
from tandem.v1.tts_pb2_grpc import SynthesizerServicer, SynthesizerStub, add_SynthesizerServicer_to_server

SAMPLES_A_WORD = 1600  # 0.2 s


def everywhere(**fields: int) -> Profiles:
    """The turn machine's patience, the same in each situation."""
    return with_changes(PROFILES, dict.fromkeys(Situation, fields))


class FakeAsr(RecognizerServicer):
    def __init__(self) -> None:
        self.responses: asyncio.Queue[asr_pb2.RecognizeResponse] = asyncio.Queue()
        self.requests: list[asr_pb2.RecognizeRequest] = []
        self.traceparents: list[str] = []
        self.full = False  # takes no new call

    async def Recognize(self, requests: Any, context: Any) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        self.traceparents.append(dict(context.invocation_metadata()).get("traceparent", ""))
        if self.full:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

        async def note() -> None:
            async for request in requests:
                self.requests.append(request)

        reading = asyncio.create_task(note())
        try:
            while True:
                try:
                    async with asyncio.timeout(0.3):
                        yield await self.responses.get()
                except TimeoutError:
                    yield asr_pb2.RecognizeResponse(heartbeat=brain_pb2.Heartbeat())
        finally:
            reading.cancel()


class FakeTts(SynthesizerServicer):
    """Speaks each word in 0.2 s of samples, without any audio."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.traceparents: dict[int, str] = {}
        self.failures = 0  # so many streams break before there is any sound
        self.speaks_at_end = False

    async def Synthesize(self, requests: Any, context: Any) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        ident, at, told = 0, 0, False
        held: list[tts_pb2.SynthesizeResponse] = []
        if self.failures:
            self.failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "killed")
        async for request in requests:
            match request.WhichOneof("request"):
                case "start":
                    ident = request.start.utterance_id
                    self.texts[ident] = ""
                    self.traceparents[ident] = dict(context.invocation_metadata()).get("traceparent", "")
                case "text":
                    self.texts[ident] += request.text
                    if not told and not self.speaks_at_end:
                        told = True
                        yield tts_pb2.SynthesizeResponse(first_audio=tts_pb2.FirstAudio(synthesis_us=1000))
                    words = []
                    for word in request.text.split():
                        words.append(tts_pb2.SpokenWord(text=word, start_sample=at, end_sample=at + SAMPLES_A_WORD))
                        at += SAMPLES_A_WORD
                    said = tts_pb2.SynthesizeResponse(word_alignment=tts_pb2.WordAlignment(words=words))
                    if told:
                        yield said
                    else:
                        held.append(said)
                case "end":
                    if not told:
                        yield tts_pb2.SynthesizeResponse(first_audio=tts_pb2.FirstAudio(synthesis_us=1000))
                    for said in held:
                        yield said
                    yield tts_pb2.SynthesizeResponse(finished=tts_pb2.SynthesizeFinished(samples=at))
                    return


class FakeEscalation(EscalationServicer):
    def __init__(self) -> None:
        self.starts: list[escalation_pb2.EscalateStart] = []
        self.hang: asyncio.Event | None = None
        self.outcome = escalation_pb2.EscalationOutcome(
            result=escalation_pb2.ESCALATION_RESULT_RETURNED, reason="busy", sip_status=486, ticket_id="t1"
        )

    async def Escalate(self, requests: Any, context: Any) -> AsyncIterator[escalation_pb2.EscalateResponse]:
        async for request in requests:
            self.starts.append(request.start)
            if self.hang is not None:
                await self.hang.wait()
            yield escalation_pb2.EscalateResponse(outcome=self.outcome)
            return


@dataclass
class OpenAiServer:
    """Chat completions by script: each request takes the next of `answers`, a list of delta objects."""

    answers: list[list[dict[str, Any]]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    delay_s: float = 0.0
    delays_s: dict[int, float] = field(default_factory=dict)  # of the n-th request, from 1
    between_s: float = 0.0
    url: str = ""

    def app(self) -> FastAPI:
        # Its own telemetry off: nobody reads it, and it would be in every trace of the process.
        app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

        @app.post("/v1/chat/completions")
        async def complete(request: Request) -> StreamingResponse:
            self.requests.append(await request.json())
            deltas = self.answers.pop(0)
            delay_s = self.delays_s.get(len(self.requests), self.delay_s)

            async def stream() -> AsyncIterator[str]:
                await asyncio.sleep(delay_s)
                for delta in [*deltas, None]:
                    choice = {"index": 0, "delta": delta or {}, "finish_reason": None if delta else "stop"}
                    chunk = {
                        "id": "1",
                        "object": "chat.completion.chunk",
                        "created": 1,
                        "model": "m",
                        "choices": [choice],
                    }
                    yield f"data: {json.dumps(chunk)}\n\n"
                    await asyncio.sleep(self.between_s)
                yield "data: [DONE]\n\n"

            return StreamingResponse(stream(), media_type="text/event-stream")

        return app


@pytest.fixture
def openai_server() -> Iterator[OpenAiServer]:
    """A local OpenAI-compatible server, which is how a real provider is spoken to."""
    fake, port = OpenAiServer(), free_port()
    server = uvicorn.Server(uvicorn.Config(fake.app(), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.02)
    fake.url = f"http://127.0.0.1:{port}/v1"
    yield fake
    server.should_exit = True
    thread.join(5)


class Caller:
    """The gateway's end of one Converse stream; plays what it is told to at once, in virtual call time."""

    def __init__(
        self,
        world: "World",
        call_id: str,
        begun_s_ago: float = 0.0,
        traceparent: str = "",
        agent: str = "test",
        setup: str = "",
    ) -> None:
        self.world = world
        self.metadata = trace_metadata(traceparent) + ([(CALL_TRACEPARENT, setup)] if setup else [])
        self.call_id = call_id
        self.call_time_us = 0
        self.commands: list[brain_pb2.CallCommand] = []
        self.finished = 0
        self.hear_words: set[int] = set()  # utterances whose end the test tells itself
        self._events: asyncio.Queue[brain_pb2.CallEvent | None] = asyncio.Queue()
        facts = CallFacts(
            call_id=call_id,
            agent=agent,
            caller_number="1001",
            audio=AudioFormat(sample_rate_hz=8000),
            answered_unix_us=time.time_ns() // 1000,
        )
        self._started = time.monotonic() - begun_s_ago
        self.send(started=brain_pb2.Started(facts=facts))
        self._task = asyncio.create_task(self._run())

    def now_us(self) -> int:
        return round((time.monotonic() - self._started) * 1e6)

    def send(self, **event: Any) -> None:
        self._events.put_nowait(brain_pb2.CallEvent(call_time_us=self.now_us(), **event))

    async def _outgoing(self) -> AsyncIterator[brain_pb2.CallEvent]:
        while True:
            try:
                async with asyncio.timeout(0.3):
                    event = await self._events.get()
            except TimeoutError:
                event = brain_pb2.CallEvent(call_time_us=self.now_us(), heartbeat=brain_pb2.Heartbeat())
            if event is None:
                return
            yield event

    async def _run(self) -> None:
        call = DialogueStub(self.world.channel).Converse(self._outgoing(), metadata=self.metadata)
        async for command in call:
            if command.WhichOneof("command") == "heartbeat":
                continue
            self.commands.append(command)
            if command.HasField("play"):
                self._play(command.play.utterance_id)

    def _play(self, ident: int) -> None:
        self.send(playout_started=brain_pb2.PlayoutStarted(utterance_id=ident, ready_call_time_us=self.now_us()))
        if ident in self.hear_words:
            return
        asyncio.get_running_loop().call_later(0.15, self.finish, ident, 10**6)

    async def heard(self, utterances: int = 1) -> None:
        """Waits until so many utterances were played to their end, and the brain knows."""
        await self.world.until(lambda: self.finished >= utterances)
        await asyncio.sleep(0.05)

    def finish(self, ident: int, samples: int, end: int = brain_pb2.PLAYOUT_END_COMPLETED) -> None:
        self.finished += 1
        self.send(
            playout_finished=brain_pb2.PlayoutFinished(utterance_id=ident, samples_played=samples, end=end)  # type: ignore[arg-type]
        )

    def says(self, utterance: int, text: str, ago_s: float = 0.6) -> None:
        """Half a second of speech that ended so long ago, with its words."""
        stopped = self.now_us() - round(ago_s * 1e6)
        asr = self.world.asr.responses
        times = {"utterance": utterance, "call_time_us": stopped - 500_000}
        asr.put_nowait(asr_pb2.RecognizeResponse(speech_started=asr_pb2.SpeechStarted(**times)))
        times["call_time_us"] = stopped
        asr.put_nowait(
            asr_pb2.RecognizeResponse(
                speech_stopped=asr_pb2.SpeechStopped(**times, decided_after_us=round(ago_s * 1e6) - 100_000)
            )
        )
        final = asr_pb2.FinalTranscript(
            utterance=utterance,
            text=text,
            start_us=stopped - 500_000,
            end_us=stopped,
            confidence=0.9,
            decode_us=100_000,
            requested_call_time_us=self.now_us() - 100_000,
            sent_call_time_us=self.now_us(),
        )
        asr.put_nowait(asr_pb2.RecognizeResponse(final=final))

    def goes_on(self, utterance: int) -> None:
        """Speech begins."""
        started = asr_pb2.SpeechStarted(utterance=utterance, call_time_us=self.now_us() - 100_000)
        self.world.asr.responses.put_nowait(asr_pb2.RecognizeResponse(speech_started=started))

    def hang_up(self) -> None:
        self.send(hung_up=brain_pb2.HungUp(by_caller=True, reason="BYE"))

    async def gone(self) -> None:
        await asyncio.wait_for(self._task, 5)

    def kinds(self) -> list[str]:
        return [command.WhichOneof("command") or "" for command in self.commands]


@dataclass
class World:
    """A brain in this process between fake neighbours, on a real NATS server."""

    asr: FakeAsr
    tts: FakeTts
    escalation: FakeEscalation
    channel: Any
    journals: Any
    notices: list[Any]

    def call(self, call_id: str, *options: Any, **named: Any) -> Caller:
        return Caller(self, call_id, *options, **named)

    async def journal(self, call_id: str) -> CallJournal:
        entry = await self.journals.get(call_id)
        return CallJournal.FromString(entry.value)

    async def until(self, what: Any, within_s: float = 5.0) -> None:
        """Waits for a condition on what came in; fails with what was said when it does not come."""
        try:
            async with asyncio.timeout(within_s):
                while not what():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not in {within_s} s; said so far: {self.tts.texts}") from None


async def _served(servicer: Any, add: Any) -> tuple[RpcServer, str]:
    server = RpcServer("127.0.0.1:0", [])
    add(servicer, server.server)
    port = await server.start()
    return server, f"127.0.0.1:{port}"


AGENT = """
name: test
greeting: "Hello, clinic."
fillers: ["One moment."]
model: openai/test
model_options: {{api_base: "{url}", api_key: none}}
prompts: {{system: system.md}}
escalation: {{destination: "sip:person@127.0.0.1", say: "I'll put you through."}}
"""


@pytest.fixture(scope="session")
def warm_model() -> None:
    """LiteLLM's first call in a process imports for a second, as the service does before it is ready."""
    set_up()
    asyncio.run(warm_up([Deployment(model="openai/test")]))


@pytest.fixture
async def world(nats_url: str, openai_server: OpenAiServer, tmp_path: Path, warm_model: None) -> AsyncIterator[World]:
    folder = tmp_path / "agents" / "test"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text(AGENT.format(url=openai_server.url))
    (folder / "system.md").write_text("Be brief.")
    load_agent(folder, {})
    asr, tts, escalation = FakeAsr(), FakeTts(), FakeEscalation()
    served = [
        await _served(asr, add_RecognizerServicer_to_server),
        await _served(tts, add_SynthesizerServicer_to_server),
        await _served(escalation, add_EscalationServicer_to_server),
    ]
    control = await connect_control(nats_url, "test")
    journals = await open_bucket(control, BUCKET, 3600.0)
    channels = [connect(address) for _, address in served]
    around = Surroundings(
        RecognizerStub(channels[0]), SynthesizerStub(channels[1]), EscalationStub(channels[2]), control, journals, False
    )
    agents = Agents(tmp_path / "agents", {})
    brain, address = await _served(Dialogue(around, agents), add_DialogueServicer_to_server)
    channel = connect(address)
    yield World(asr, tts, escalation, channel, journals, [])
    await channel.close()
    await brain.stop(0.2)
    for one in channels:
        await one.close()
    for server, _ in served:
        await server.stop(0.2)
    await agents.close()
    await control.close()
