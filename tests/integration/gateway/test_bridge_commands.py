"""`tandem calls`, `bridge`, `unbridge`, `hold`, `whisper` and `dial --hold` against a CallControl as the test says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.rpc import abort
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlServicer, add_CallControlServicer_to_server
from tests.integration.gateway.test_trunk_commands import run

FACTS = call_pb2.CallFacts(call_id="c1", caller_number="+4930555", called_number="front\x1b[2J", agent="front_desk")


class Control(CallControlServicer):
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refusal = ""

    async def _note(self, request: Any, context: Any) -> None:
        self.asked.append(request)
        if self.refusal:
            reason = call_pb2.ERROR_REASON_BRIDGE_REFUSED
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, self.refusal, reason)

    async def List(self, request: Any, context: Any) -> pb.ListResponse:
        one = pb.LiveCall(facts=FACTS, call_time_us=61_500_000, bridged_with=["c2"], on_hold=True)
        return pb.ListResponse(calls=[one])

    async def Bridge(self, request: Any, context: Any) -> pb.BridgeResponse:
        await self._note(request, context)
        return pb.BridgeResponse(call_ids=["c2", "c1"])

    async def Unbridge(self, request: Any, context: Any) -> pb.UnbridgeResponse:
        await self._note(request, context)
        return pb.UnbridgeResponse()

    async def Hold(self, request: Any, context: Any) -> pb.HoldResponse:
        await self._note(request, context)
        return pb.HoldResponse()

    async def Whisper(self, request: Any, context: Any) -> pb.WhisperResponse:
        await self._note(request, context)
        return pb.WhisperResponse(duration_ms=1500)

    async def Originate(self, request: Any, context: Any) -> AsyncIterator[pb.OriginateResponse]:
        self.asked.append(request)
        yield pb.OriginateResponse(answered=FACTS)


@pytest.fixture
async def control() -> AsyncIterator[Any]:
    one: Any = Control()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_CallControlServicer_to_server(one, server)
    one.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield one
    await server.stop(0)


async def test_calls(control: Any) -> None:
    code, out, _ = await run("calls", "--control", control.address)
    words = "c1  +4930555 -> front·[2J  61 s  agent front_desk  bridged with c2  on hold\n"
    assert (code, out) == (0, words)
    code, out, _ = await run("calls", "--json", "--control", control.address)
    (one,) = json.loads(out)["calls"]
    assert (one["call_id"], one["bridged_with"], one["on_hold"]) == ("c1", ["c2"], True)


@pytest.mark.parametrize(
    ("arguments", "asked", "said"),
    [
        (("bridge", "c1", "c2"), pb.BridgeRequest(call_id="c1", other_call_id="c2", ai=0), "bridged: c2 c1\n"),
        (("bridge", "c1", "c2", "--ai", "speak"), pb.BridgeRequest(call_id="c1", other_call_id="c2", ai=2), None),
        (("bridge", "c1", "c2", "--ai", "leave"), pb.BridgeRequest(call_id="c1", other_call_id="c2", ai=3), None),
        (("hold", "c1"), pb.HoldRequest(call_id="c1", on_hold=True), ""),
        (("hold", "c1", "--off"), pb.HoldRequest(call_id="c1", on_hold=False), ""),
        (("whisper", "c1", "--ai"), pb.WhisperRequest(call_id="c1", ai=True), ""),
        (("whisper", "c1", "--no-ai"), pb.WhisperRequest(call_id="c1", ai=False), ""),
        (("whisper", "c1", "--stop"), pb.WhisperRequest(call_id="c1", stop=True), ""),
        (
            ("dial", "carrier", "123", "--hold"),
            pb.OriginateRequest(trunk="carrier", to="123", caller_number="", ring_timeout_s=0, hold_for_bridge=True),
            None,
        ),
    ],
)
async def test_what_is_asked(control: Any, arguments: tuple[str, ...], asked: Any, said: str | None) -> None:
    code, out, err = await run(*arguments, "--control", control.address)
    assert (code, err) == (0, "")
    assert said is None or out == said
    assert control.asked == [asked]


async def test_a_file_is_whispered(control: Any, tmp_path: Path) -> None:
    file = tmp_path / "context.wav"
    file.write_bytes(b"RIFF1234")
    code, out, _ = await run("whisper", "c1", str(file), "--control", control.address)
    assert (code, out) == (0, "playing 1.5 s\n")
    assert control.asked == [pb.WhisperRequest(call_id="c1", sound=pb.WhisperSound(wav=b"RIFF1234"))]


async def test_a_refusal(control: Any) -> None:
    control.refusal = "call c1 is in no bridge"
    assert await run("unbridge", "c1", "--control", control.address) == (
        1,
        "",
        "tandem unbridge: call c1 is in no bridge\n",
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("whisper", "c1"), "give one of FILE, --ai, --no-ai and --stop"),
        (("whisper", "c1", "--ai", "--stop"), "give one of FILE, --ai, --no-ai and --stop"),
        (("whisper", "c1", "/nowhere.wav"), "/nowhere.wav: No such file or directory"),
        (("dial", "carrier", "1"), "give one of --agent NAME"),
        (("dial", "carrier", "1", "--agent", "a", "--hold"), "give one of --agent NAME"),
    ],
)
async def test_mistakes(arguments: tuple[str, ...], why: str) -> None:
    code, _, err = await run(*arguments, "--control", "127.0.0.1:9")
    assert code == 2
    assert f"tandem {arguments[0]}: {why}" in err
