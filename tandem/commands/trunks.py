"""`tandem trunks`: how the trunks of a running gateway are."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.commands.terminal import console
from tandem.control import ANSWER_WITHIN_S, CONTROL, ControlOption, Refused, explained, refuse

if TYPE_CHECKING:
    from tandem.v1 import gateway_pb2 as pb

# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 160


def trunks(
    control: ControlOption = CONTROL,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Show each trunk: up or down and since when, its calls, until when it is registered or why it is down."""
    try:
        found = asyncio.run(fetch(control))
    except Refused as error:
        refuse("trunks", str(error), error.code)
    from tandem import trunks as shown

    if as_json:
        typer.echo(json.dumps({"trunks": shown.as_objects(found)}, ensure_ascii=False))
        return
    from datetime import datetime

    console(PIPED_WIDTH).print(shown.table(found, datetime.now().astimezone()))


async def fetch(control: str) -> "list[pb.Trunk]":
    """Asks the gateway at `control`. Raises Refused."""
    import grpc

    from services.common.rpc import connect
    from tandem.v1 import gateway_pb2 as pb
    from tandem.v1.gateway_pb2_grpc import CallControlStub

    async with connect(control) as channel:
        try:
            answer = await CallControlStub(channel).ListTrunks(pb.ListTrunksRequest(), timeout=ANSWER_WITHIN_S)
        except grpc.aio.AioRpcError as error:
            raise explained(error, control) from error
    return list(answer.trunks)
