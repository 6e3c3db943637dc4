"""`tandem sip` against a CallControl that answers from a real log."""

import json
import socket

import grpc
import pytest
from typer.testing import CliRunner

from services.common.rpc import abort
from services.gateway.capture.log import SipLog
from services.gateway.sip.transport import Flow, Transport
from tandem.cli import app
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlServicer, add_CallControlServicer_to_server

INVITE = (
    b"INVITE sip:front_desk@192.0.2.1 SIP/2.0\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
    b"Authorization: Digest response=abcdef\r\n\r\n"
)


class Control(CallControlServicer):
    def __init__(self):
        self.log = SipLog()
        peer = Flow(Transport.TCP, ("2001:db8::7", 5060), 4)
        self.log.record(1_700_000_000_000_000, False, ("2001:db8::1", 5060), peer, INVITE)

    async def Messages(self, request, context):
        call_id = self.log.last() if request.call_id in ("", "last") else request.call_id
        messages = self.log.messages(call_id)
        if not messages:
            await abort(context, grpc.StatusCode.NOT_FOUND, "no", call_pb2.ERROR_REASON_CALL_UNKNOWN)
        return pb.MessagesResponse(
            messages=[
                pb.SipMessage(
                    unix_us=one.unix_us, sent=one.sent, transport=one.flow.transport.value, data=one.data,
                    local="[2001:db8::1]:5060", remote="[2001:db8::7]:5060",
                )
                for one in messages
            ]
        )  # fmt: skip


@pytest.fixture
async def control():
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_CallControlServicer_to_server(Control(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def run(*arguments):
    """In a thread: the command has an event loop of its own, the server runs on this one."""
    import asyncio

    return await asyncio.to_thread(CliRunner().invoke, app, ["sip", *arguments])


@pytest.mark.parametrize("call_id", ["c1", "last"])
async def test_the_ladder_of_a_call(control, call_id):
    result = await run(call_id, "--control", control)
    assert result.exit_code == 0, result.output
    assert "[2001:db8::7]:5060" in result.output
    assert "INVITE" in result.output


async def test_full_has_no_secrets(control):
    result = await run("c1", "--control", control, "--full")
    assert "Authorization: Digest ***************" in result.output
    assert "abcdef" not in result.output


async def test_json(control):
    result = await run("--control", control, "--json")
    (message,) = json.loads(result.stdout)["messages"]
    assert (message["method"], message["transport"], message["cseq"]) == ("INVITE", "TCP", "1 INVITE")


async def test_an_unknown_call(control):
    result = await run("nobody", "--control", control)
    assert result.exit_code == 2
    assert "no SIP messages of a call 'nobody'" in result.output


async def test_no_gateway():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        result = await run("last", "--control", address)
    assert result.exit_code == 1
    assert f"no gateway answers on {address}" in result.output
