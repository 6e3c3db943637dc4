"""`tandem calls`, `bridge`, `unbridge`, `hold` and `whisper`: live calls joined and parted from the command line."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tandem.control import (
    ANSWER_WITHIN_S,
    CONTROL,
    EXIT_FAULT,
    EXIT_MISTAKE,
    ControlOption,
    Refused,
    explained,
    refuse,
)

if TYPE_CHECKING:
    from tandem.v1 import gateway_pb2 as pb
    from tandem.v1.gateway_pb2_grpc import CallControlAsyncStub

Answer = TypeVar("Answer")

# Of a gRPC message, with room for the rest of it.
_MOST_BYTES = 4 * 1024 * 1024 - 1024

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="The call's id, see `tandem calls`.")]


class Ai(StrEnum):
    """What the AI of a bridged call does."""

    listen = "listen"
    speak = "speak"
    leave = "leave"


def calls(
    control: ControlOption = CONTROL,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """List the live calls of a gateway: who with whom, since when, bridged with which."""
    from tandem.v1 import gateway_pb2 as pb

    found = _ask("calls", control, lambda stub: stub.List(pb.ListRequest(), timeout=ANSWER_WITHIN_S))
    if as_json:
        typer.echo(json.dumps({"calls": [as_object(one) for one in found.calls]}, ensure_ascii=False))
        return
    for one in found.calls:
        typer.echo(line(one))
    if not found.calls:
        typer.echo("no live calls", err=True)


def bridge(
    call: CallArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The call that it is joined with.")],
    ai: Annotated[
        Ai | None, typer.Option(help="What the AI of CALL does meanwhile [default: listen, or what it does already]")
    ] = None,
    control: ControlOption = CONTROL,
) -> None:
    """Join two live calls, so that they hear each other. A call that is bridged already takes the other one in.

    A person is called with `tandem dial TRUNK NUMBER --hold`. `leave`: the AI does not hear either, until it has the
    call back.
    """
    from tandem.v1 import call_pb2
    from tandem.v1 import gateway_pb2 as pb

    role = {
        None: call_pb2.BRIDGED_AI_UNSPECIFIED,
        Ai.listen: call_pb2.BRIDGED_AI_LISTENS,
        Ai.speak: call_pb2.BRIDGED_AI_SPEAKS,
        Ai.leave: call_pb2.BRIDGED_AI_AWAY,
    }[ai]
    request = pb.BridgeRequest(call_id=call, other_call_id=other, ai=role)
    together = _ask("bridge", control, lambda stub: stub.Bridge(request, timeout=ANSWER_WITHIN_S))
    typer.echo(f"bridged: {' '.join(together.call_ids)}")


def unbridge(call: CallArgument, control: ControlOption = CONTROL) -> None:
    """Take a call out of its bridge: back to its AI, or to hold music where it has none."""
    from tandem.v1 import gateway_pb2 as pb

    request = pb.UnbridgeRequest(call_id=call, reason="parted by tandem unbridge")
    _ask("unbridge", control, lambda stub: stub.Unbridge(request, timeout=ANSWER_WITHIN_S))


def hold(
    call: CallArgument,
    off: Annotated[bool, typer.Option("--off", help="Take it back.")] = False,
    control: ControlOption = CONTROL,
) -> None:
    """Put a call on hold: it hears music, and neither hears the others nor is heard."""
    from tandem.v1 import gateway_pb2 as pb

    request = pb.HoldRequest(call_id=call, on_hold=not off)
    _ask("hold", control, lambda stub: stub.Hold(request, timeout=ANSWER_WITHIN_S))


def whisper(
    call: CallArgument,
    sound: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A WAV of 16 bit, 60 s at most.")] = None,
    ai: Annotated[
        bool | None, typer.Option("--ai/--no-ai", help="The bridge's AI speaks to this call alone, or no more.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End the sound that plays.")] = False,
    control: ControlOption = CONTROL,
) -> None:
    """Let one call of a bridge hear what the others don't: a sound, or the AI. Who waits for a bridge hears it too."""
    from tandem.v1 import gateway_pb2 as pb

    if (sound is not None) + (ai is not None) + stop != 1:
        refuse("whisper", "give one of FILE, --ai, --no-ai and --stop", EXIT_MISTAKE)
    request = pb.WhisperRequest(call_id=call)
    if sound is not None:
        try:
            wav = sound.read_bytes()
        except OSError as error:
            refuse("whisper", f"{sound}: {error.strerror}", EXIT_MISTAKE)
        if len(wav) > _MOST_BYTES:
            why = f"{sound}: {len(wav)} bytes, and {_MOST_BYTES} can be sent: make it mono, 16000 Hz"
            refuse("whisper", why, EXIT_MISTAKE)
        request.sound.wav = wav
    elif stop:
        request.stop = True
    else:
        request.ai = bool(ai)
    played = _ask("whisper", control, lambda stub: stub.Whisper(request, timeout=ANSWER_WITHIN_S))
    if sound is not None:
        typer.echo(f"playing {played.duration_ms / 1000:.1f} s")


def line(call: "pb.LiveCall") -> str:
    """One call for people."""
    facts = call.facts
    said = [
        facts.call_id,
        f"{facts.caller_number or 'withheld'} -> {facts.called_number}",
        f"{call.call_time_us // 1_000_000} s",
        f"agent {facts.agent}" if facts.agent else "no agent",
    ]
    if call.bridged_with:
        said.append(f"bridged with {' '.join(call.bridged_with)}")
    if call.on_hold:
        said.append("on hold")
    # Numbers are a stranger's words: nothing that moves a cursor reaches the terminal.
    return "".join(letter if letter.isprintable() else "·" for letter in "  ".join(said))


def as_object(call: "pb.LiveCall") -> dict[str, object]:
    """One call as JSON."""
    facts = call.facts
    return {
        "call_id": facts.call_id,
        "caller": facts.caller_number,
        "called": facts.called_number,
        "trunk": facts.trunk,
        "agent": facts.agent,
        "call_time_s": call.call_time_us / 1e6,
        "bridged_with": list(call.bridged_with),
        "on_hold": call.on_hold,
    }


def _ask(command: str, control: str, ask: "Callable[[CallControlAsyncStub], Awaitable[Answer]]") -> Answer:
    """The gateway's answer; ends the command where there is none."""
    try:
        return asyncio.run(_answer(control, ask))
    except Refused as error:
        refuse(command, str(error), error.code)


async def _answer(control: str, ask: "Callable[[CallControlAsyncStub], Awaitable[Answer]]") -> Answer:
    """Raises Refused."""
    import grpc

    from services.common.rpc import connect
    from tandem.v1.gateway_pb2_grpc import CallControlStub

    async with connect(control) as channel:
        try:
            return await ask(CallControlStub(channel))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise Refused(str(error.details()), EXIT_FAULT) from error
            raise explained(error, control) from error
