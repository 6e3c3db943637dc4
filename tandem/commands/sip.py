"""`tandem sip`: the SIP messages of a call as a ladder."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    import grpc

    from services.gateway.capture.rung import CapturedMessage

EXIT_FAULT = 1
EXIT_MISTAKE = 2
LAST = "last"
CONTROL = "127.0.0.1:7301"
ANSWER_WITHIN_S = 5.0
# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 120


class NoMessages(Exception):
    """There is nothing to show; `code` is the command's exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def sip(
    call_id: Annotated[str, typer.Argument(help="A call's id, a SIP Call-ID, or `last`.")] = LAST,
    control: Annotated[str, typer.Option(metavar="HOST:PORT", help="The gateway's CallControl.")] = CONTROL,
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
    except NoMessages as error:
        _refuse(str(error), error.code)
    rungs = rung.read(messages)
    if as_json:
        typer.echo(json.dumps({"messages": [one.as_object() for one in rungs]}, ensure_ascii=False))
        return
    from rich.console import Console

    from services.gateway.capture.ladder import draw

    console = Console(width=width, highlight=False)
    if not width and not console.is_terminal:
        console = Console(width=PIPED_WIDTH, highlight=False)
    for line in draw(rungs, console.width, full=full):
        console.print(line, soft_wrap=True)


async def fetch(call_id: str, control: str) -> "list[CapturedMessage]":
    """Asks the gateway at `control`. Raises NoMessages."""
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
            raise _explained(error, call_id, control) from error
    if not answer.messages:
        raise NoMessages(_unknown(call_id), EXIT_MISTAKE)
    return [
        CapturedMessage(one.unix_us, one.sent, one.transport, one.local, one.remote, one.data)
        for one in answer.messages
    ]


def _explained(error: "grpc.aio.AioRpcError", call_id: str, control: str) -> NoMessages:
    import grpc

    match error.code():
        case grpc.StatusCode.NOT_FOUND:
            return NoMessages(_unknown(call_id), EXIT_MISTAKE)
        case grpc.StatusCode.UNIMPLEMENTED:
            return NoMessages(f"what listens on {control} is no gateway: --control names its CallControl", EXIT_MISTAKE)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return NoMessages(
                f"no gateway answers on {control}: is it running? --control names another CallControl address",
                EXIT_FAULT,
            )
        case code:
            return NoMessages(f"the gateway on {control} refused: {code.name}: {error.details()}", EXIT_FAULT)


def _unknown(call_id: str) -> str:
    if call_id == LAST:
        return "the gateway has seen no call yet"
    return (
        f"no SIP messages of a call {call_id!r}: the gateway keeps the latest calls only, and none from before its "
        "last start; `tandem sip last` shows the newest"
    )


def _refuse(message: str, code: int) -> NoReturn:
    typer.echo(f"tandem sip: {message}", err=True)
    raise typer.Exit(code)
