"""`tandem trunks` and `tandem dial` against a CallControl that does as the test says."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.rpc import abort
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlServicer, add_CallControlServicer_to_server

REPOSITORY = Path(__file__).resolve().parents[3]


class Control(CallControlServicer):
    def __init__(self) -> None:
        self.steps: list[pb.OriginateResponse] = []
        self.asked: list[pb.OriginateRequest] = []
        self.cancelled = asyncio.Event()

    async def ListTrunks(self, request: Any, context: Any) -> pb.ListTrunksResponse:
        one = pb.Trunk(name="carrier", state=pb.TRUNK_STATE_UP, detail="registered until 15:32", calls=1, max_calls=2)
        return pb.ListTrunksResponse(trunks=[one])

    async def Originate(self, request: Any, context: Any) -> AsyncIterator[pb.OriginateResponse]:
        self.asked.append(request)
        if request.trunk != "carrier":
            await abort(
                context, grpc.StatusCode.NOT_FOUND, "no trunk 'x', only carrier", call_pb2.ERROR_REASON_BAD_REQUEST
            )
        try:
            for step in self.steps:
                yield step
            if self.steps[-1].WhichOneof("progress") not in ("answered", "failed"):
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
async def control() -> AsyncIterator[Any]:
    """`address` is where it listens."""
    one: Any = Control()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_CallControlServicer_to_server(one, server)
    one.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield one
    await server.stop(0)


async def begin(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tandem.cli",
        *arguments,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str) -> tuple[int | None, str, str]:
    """Exit code, output, errors."""
    process = await begin(*arguments)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, out.decode(), err.decode()


PLACED = pb.OriginateResponse(placed=pb.OriginatePlaced(call_id="c1"))
RINGING = pb.OriginateResponse(ringing=pb.OriginateRinging())
ANSWERED = pb.OriginateResponse(answered=call_pb2.CallFacts(call_id="c1"))
BUSY = pb.OriginateResponse(
    failed=pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_BUSY, sip_status=486, reason="Busy Here")
)


async def test_trunks(control: Any) -> None:
    code, out, _ = await run("trunks", "--control", control.address)
    assert code == 0
    assert out.splitlines()[1].split(maxsplit=5)[0:2] == ["carrier", "up"]
    assert out.splitlines()[1].endswith("registered until 15:32")
    code, out, _ = await run("trunks", "--json", "--control", control.address)
    assert [one["name"] for one in json.loads(out)["trunks"]] == ["carrier"]


async def test_a_call_that_is_answered(control: Any) -> None:
    control.steps = [PLACED, RINGING, ANSWERED]
    code, out, err = await run(
        "dial", "carrier", "+4930555", "--agent", "front_desk", "--caller", "600", "--ring", "20",
        "--control", control.address,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.splitlines() == ["calling; call c1", "ringing", "answered; see `tandem sip c1`"]
    assert control.asked == [
        pb.OriginateRequest(trunk="carrier", to="+4930555", agent="front_desk", caller_number="600", ring_timeout_s=20)
    ]


async def test_a_call_that_fails(control: Any) -> None:
    control.steps = [PLACED, BUSY]
    code, out, _ = await run("dial", "carrier", "1", "--agent", "a", "--control", control.address)
    assert (code, out.splitlines()) == (1, ["calling; call c1", "busy: 486 Busy Here"])


async def test_a_trunk_that_is_not_there(control: Any) -> None:
    code, _, err = await run("dial", "x", "1", "--agent", "a", "--control", control.address)
    assert (code, err) == (2, "tandem dial: no trunk 'x', only carrier\n")


async def test_ctrl_c_cancels_the_call(control: Any) -> None:
    control.steps = [PLACED, RINGING]
    process = await begin("dial", "carrier", "1", "--agent", "a", "--control", control.address)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"ringing" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        await control.cancelled.wait()
    assert (process.returncode, out.decode(), err) == (1, "given up: the call is cancelled\n", b"")


@pytest.mark.parametrize("command", [("trunks",), ("dial", "carrier", "1", "--agent", "a")])
async def test_no_gateway(command: tuple[str, ...]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        code, _, err = await run(*command, "--control", address)
    assert code == 1
    assert err.startswith(f"tandem {command[0]}: no gateway answers on {address}")
