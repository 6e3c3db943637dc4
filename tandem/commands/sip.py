"""`tandem sip`: the SIP messages of a call as a ladder."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.commands.terminal import console
from tandem.control import ANSWER_WITHIN_S, CONTROL, EXIT_MISTAKE, ControlOption, Refused, explained, refuse

if TYPE_CHECKING:
    from services.gateway.capture.rung import CapturedMessage

LAST = "last"
# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 120


def sip(
    call_id: Annotated[str, typer.Argument(help="A call's id, a SIP Call-ID, or `last`.")] = LAST,
    control: ControlOption = CONTROL,
    full: Annotated[
        bool, typer.Option("--full", help="The whole messages, too; credentials and keys are starred out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a drawing.")] = False,
    width: Annotated[int | None, typer.Option(help="Columns, 64 or more; by default the terminal's.")] = None,
) -> None:
    """Draw the SIP messages of a call as a ladder: who sent what, when, and what its SDP says.

    The gateway keeps those of the latest calls in memory.
    """
    from services.gateway.capture import rung

    try:
        messages = asyncio.run(fetch(call_id, control))
    except Refused as error:
        refuse("sip", str(error), error.code)
    rungs = rung.read(messages)
    if as_json:
        typer.echo(json.dumps({"messages": [one.as_object() for one in rungs]}, ensure_ascii=False))
        return
    from services.gateway.capture.ladder import draw

    paper = console(PIPED_WIDTH, width)
    for line in draw(rungs, paper.width, full=full):
        paper.print(line, soft_wrap=True)


async def fetch(call_id: str, control: str) -> "list[CapturedMessage]":
    """Asks the gateway at `control`. Raises Refused."""
    import grpc

    from services.common.rpc import connect
    from services.gateway.capture.rung import CapturedMessage
    from tandem.v1 import gateway_pb2 as pb
    from tandem.v1.gateway_pb2_grpc import CallControlStub

    async with connect(control) as channel:
        try:
            answer = await CallControlStub(channel).Messages(
                pb.MessagesRequest(call_id=call_id), timeout=ANSWER_WITHIN_S
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise Refused(_unknown(call_id), EXIT_MISTAKE) from error
            raise explained(error, control) from error
    if not answer.messages:
        raise Refused(_unknown(call_id), EXIT_MISTAKE)
    return [
        CapturedMessage(one.unix_us, one.sent, one.transport, one.local, one.remote, one.data)
        for one in answer.messages
    ]


def _unknown(call_id: str) -> str:
    if call_id == LAST:
        return "the gateway has seen no call yet"
    return (
        f"no SIP messages of a call {call_id!r}: the gateway keeps the latest calls only, and none from before its "
        "last start; `tandem sip last` shows the newest"
    )
