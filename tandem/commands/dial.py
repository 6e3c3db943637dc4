"""`tandem dial`: a call through a trunk, placed from the command line."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.control import CONTROL, EXIT_FAULT, EXIT_MISTAKE, ControlOption, Refused, explained, refuse

if TYPE_CHECKING:
    from tandem.v1 import gateway_pb2 as pb


def dial(
    trunk: Annotated[str, typer.Argument(help="The trunk's name, see `tandem trunks`.")],
    number: Annotated[str, typer.Argument(help="Who is called.")],
    agent: Annotated[str, typer.Option(help="The agent that speaks: a folder's name under agents/.")] = "",
    hold: Annotated[
        bool, typer.Option("--hold", help="A person is called, who hears music until `tandem bridge`.")
    ] = False,
    caller: Annotated[str, typer.Option(help="The number that is shown [default: the trunk's]")] = "",
    ring: Annotated[int, typer.Option(min=0, max=300, help="Give up after so many seconds; 0: the trunk's.")] = 0,
    control: ControlOption = CONTROL,
) -> None:
    """Call a number through a trunk; returns when somebody answers, Ctrl-C gives up. An agent speaks, or music plays.

    The call goes on when the command has returned. The exit code is 0 when it was answered, 1 when it was not.
    """
    from tandem.v1 import gateway_pb2 as pb

    if bool(agent) == hold:
        refuse("dial", "give one of --agent NAME (who is to speak) and --hold (a person is called)", EXIT_MISTAKE)
    request = pb.OriginateRequest(trunk=trunk, to=number, caller_number=caller, ring_timeout_s=ring)
    if hold:
        request.hold_for_bridge = True
    else:
        request.agent = agent
    try:
        code = asyncio.run(_until_told(request, control))
    except Refused as error:
        refuse("dial", str(error), error.code)
    raise typer.Exit(code)


async def _until_told(request: "pb.OriginateRequest", control: str) -> int:
    from tandem.interrupt import Interrupted, stop_event, unless

    stop = stop_event()
    try:
        return await unless(stop, place(request, control))
    except Interrupted:
        typer.echo("given up: the call is cancelled")
        return EXIT_FAULT


async def place(request: "pb.OriginateRequest", control: str) -> int:
    """Places the call and prints how it goes; the exit code. Cancelled, it cancels the call. Raises Refused."""
    import grpc

    from services.common.rpc import connect
    from tandem.v1.gateway_pb2_grpc import CallControlStub

    async with connect(control) as channel:
        call = CallControlStub(channel).Originate(request)
        try:
            async for progress in call:
                typer.echo(line(progress))
                if progress.HasField("answered"):
                    return 0
        except grpc.aio.AioRpcError as error:
            raise explained(error, control) from error
        finally:
            call.cancel()
    return EXIT_FAULT


def line(progress: "pb.OriginateResponse") -> str:
    """One step of a call for people."""
    from tandem.v1 import gateway_pb2 as pb

    match progress.WhichOneof("progress"):
        case "placed":
            return f"calling; call {progress.placed.call_id}"
        case "ringing":
            return "ringing"
        case "early_media":
            return "the far end plays its own ring-back or announcement"
        case "answered":
            return f"answered; see `tandem sip {progress.answered.call_id}`"
        case "failed":
            failed = progress.failed
            kind = pb.OriginateFailure.Name(failed.failure).removeprefix("ORIGINATE_FAILURE_")
            words = kind.replace("_", " ").lower() if failed.failure else "failed"
            # A stranger's words: nothing that moves a cursor reaches the terminal.
            reason = "".join(letter if letter.isprintable() else "·" for letter in failed.reason)
            said = f"{failed.sip_status or ''} {reason}".strip()
            return words if said.lower() in ("", words, kind.lower()) else f"{words}: {said}"
        case other:
            return str(other)
