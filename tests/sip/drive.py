"""What happens beside sipp: calls on the gateway's CallControl, digits in RTP, and what is to come of them.

A step of scenarios.yaml is one key and its argument; each is a function below with the key as its name.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tandem.v1 import gateway_pb2 as pb
from tests.sip import trace
from tests.sip.brain import Brain
from tests.sip.processes import Gateway
from tests.sip.scenario import Scenario
from tests.sip.telephone import Telephone, bye_during_reinvite, digest, late_invite, rtp_digit, rtp_echo, stream

_STEP_S = 8.0
_POLL_S = 0.03


class StepFailed(Exception):
    """A step did not come out as the table says."""


@dataclass
class Stage:
    """What the steps of one scenario share."""

    scenario: Scenario
    host: str
    port: int
    log: Path
    """sipp's messages."""
    brain: Brain
    gateway: Gateway | None
    call_id: str = ""
    """Tandem's, of a call that was placed."""
    watching: asyncio.Task[list[int]] | None = None
    background: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def stub(self) -> Any:
        assert self.gateway is not None
        return self.gateway.stub()

    def sip_call_id(self) -> str:
        """The Call-ID of the first message."""
        for message in trace.read(self.log):
            found = re.search(r"^(?:Call-ID|i)\s*:\s*(\S+)", message.text, re.M | re.I)
            if found:
                return found[1]
        return ""

    def media(self) -> tuple[str, int]:
        """Where the gateway wants its RTP: its last SDP."""
        for message in reversed(trace.read(self.log)):
            found = re.search(r"^c=IN IP[46] (\S+).*?^m=audio (\d+)", message.text, re.M | re.S)
            if message.received and found:
                return found[1], int(found[2])
        raise StepFailed("the gateway sent no SDP")

    async def until(self, what: str, true: Callable[[], Any], within_s: float = _STEP_S) -> Any:
        """The first truthy value. Raises StepFailed with `what`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not (value := true()):
                    await asyncio.sleep(_POLL_S)
                return value
        raise StepFailed(f"not seen within {within_s:.0f} s: {what}")

    async def live_call(self) -> str:
        """Tandem's id of the call that sipp is in."""
        if self.call_id:
            return self.call_id
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STEP_S):
                while True:
                    wanted = self.sip_call_id()
                    for call in (await self.stub.List(pb.ListRequest())).calls:
                        if wanted and call.facts.sip_call_id == wanted:
                            self.call_id = call.facts.call_id
                            return self.call_id
                    await asyncio.sleep(_POLL_S)
        raise StepFailed("CallControl.List does not show the call")


async def play(stage: Stage) -> None:
    """All steps in their order. Raises StepFailed."""
    try:
        for step in stage.scenario.drive:
            ((name, argument),) = step.items()
            try:
                await STEPS[name](stage, argument)
            except grpc.aio.AioRpcError as error:
                raise StepFailed(f"{name}: {error.code().name}: {error.details()}") from error
            except (TimeoutError, AssertionError) as error:
                raise StepFailed(f"{name}: {error or 'timed out'}") from error
    finally:
        for task in stage.background:
            task.cancel()


# The wire


async def sent(stage: Stage, pattern: str) -> None:
    """Waits until sipp has sent such a message."""
    await _went(stage, pattern, False)


async def received(stage: Stage, pattern: str) -> None:
    """Waits until sipp has received such a message."""
    await _went(stage, pattern, True)


async def _went(stage: Stage, pattern: str, by_sipp: bool) -> None:
    def seen() -> bool:
        return any(one.received == by_sipp and re.search(pattern, one.text, re.S) for one in trace.read(stage.log))

    await stage.until(f"{'received' if by_sipp else 'sent'} {pattern!r}", seen)


async def pause(stage: Stage, seconds: float) -> None:
    await asyncio.sleep(seconds)


# CallControl


async def originate(stage: Stage, wanted: dict[str, Any]) -> None:
    """Places a call on this scenario's trunk; `expect` lists what the stream says. `cancel`: after which of them."""
    request = pb.OriginateRequest(
        trunk=stage.scenario.name,
        to=str(wanted.get("to", "+493055501")),
        agent=wanted.get("agent", "front_desk"),
        caller_number=wanted.get("caller_number", ""),
        ring_timeout_s=wanted.get("ring_timeout_s", 0),
    )
    expected = list(wanted["expect"])
    told: list[str] = []
    stream = stage.stub.Originate(request)
    try:
        async with asyncio.timeout(wanted.get("within_s", _STEP_S + wanted.get("ring_timeout_s", 0))):
            async for response in stream:
                kind = response.WhichOneof("progress")
                if kind == "placed":
                    stage.call_id = response.placed.call_id
                    continue
                if kind == "failed":
                    failure = pb.OriginateFailure.Name(response.failed.failure).removeprefix("ORIGINATE_FAILURE_")
                    kind = f"failed {failure} {response.failed.sip_status}"
                if told[-1:] != [kind]:
                    told.append(kind)
                if kind == wanted.get("cancel"):
                    stream.cancel()
                    return
                if kind == "answered" or kind.startswith("failed"):
                    break
    except TimeoutError:
        told.append("(nothing more)")
    if told != expected:
        raise StepFailed(f"Originate said {told}, expected {expected}")


async def refer(stage: Stage, wanted: dict[str, Any]) -> None:
    """Sends REFER; `status` is what the peer says, or several that may be."""
    call_id = await stage.live_call()
    if "progress" in wanted:
        started = asyncio.Event()
        stage.watching = asyncio.create_task(_watch(stage, call_id, started))
        stage.background.append(stage.watching)
        await asyncio.wait_for(started.wait(), _STEP_S)
    response = await stage.stub.Refer(pb.ReferRequest(call_id=call_id, target=wanted["target"]), timeout=_STEP_S)
    if response.sip_status != wanted["status"]:
        raise StepFailed(f"Refer said {response.sip_status} {response.reason_phrase}, expected {wanted['status']}")
    if "progress" in wanted:
        assert stage.watching is not None
        told = await asyncio.wait_for(stage.watching, _STEP_S)
        if told != wanted["progress"]:
            raise StepFailed(f"Watch told {told} of the transfer, expected {wanted['progress']}")


async def _watch(stage: Stage, call_id: str, started: asyncio.Event) -> list[int]:
    """The statuses of the transfer until its last, or the call's end."""
    told: list[int] = []
    async for response in stage.stub.Watch(pb.WatchRequest(call_id=call_id)):
        match response.WhichOneof("event"):
            case "watch_started":
                started.set()
            case "refer_progress":
                told.append(response.refer_progress.sip_status)
                if response.refer_progress.final:
                    return told
            case "ended":
                return told
    return told


async def hang_up(stage: Stage, reason: str) -> None:
    call_id = await stage.live_call()
    await stage.stub.HangUp(pb.HangUpRequest(call_id=call_id, reason=reason), timeout=_STEP_S)


async def live(stage: Stage, count: int) -> None:
    """So many calls of this trunk's address are up (waits for it)."""
    prefix = f"{stage.scenario.name}-"

    async def count_now() -> int:
        calls = (await stage.stub.List(pb.ListRequest())).calls
        return sum(prefix in one.facts.sip_call_id or one.facts.call_id == stage.call_id for one in calls)

    found = -1
    for _ in range(int(_STEP_S / _POLL_S)):
        found = await count_now()
        if found == count:
            return
        await asyncio.sleep(_POLL_S)
    raise StepFailed(f"CallControl.List shows {found} calls, expected {count}")


async def trunk(stage: Stage, state: str) -> None:
    """ListTrunks shows this scenario's trunk in `state` (up, down, unknown; waits for it)."""
    name = ""
    for _ in range(int(_STEP_S / _POLL_S)):
        for one in (await stage.stub.ListTrunks(pb.ListTrunksRequest())).trunks:
            if one.name == stage.scenario.name:
                name = pb.TrunkState.Name(one.state).removeprefix("TRUNK_STATE_").lower()
        if name == state:
            return
        await asyncio.sleep(_POLL_S)
    raise StepFailed(f"ListTrunks says {name or 'nothing'}, expected {state}")


async def messages(stage: Stage, wanted: list[str | int]) -> None:
    """`tandem sip` shows the ladder: methods and statuses in their order, and nobody's password."""
    response = await stage.stub.Messages(pb.MessagesRequest(call_id=stage.sip_call_id()))
    texts = [message.data.decode() for message in response.messages]
    told = [text.split()[1] if text.startswith("SIP/2.0") else text.split()[0] for text in texts]
    if told != [str(one) for one in wanted]:
        raise StepFailed(f"CallControl.Messages shows {told}, expected {wanted}")
    shown = [line for text in texts for line in text.splitlines() if re.search(r'response="[0-9a-f]{8}', line)]
    if shown:
        raise StepFailed(f"CallControl.Messages shows credentials: {shown[0]}")


async def drain(stage: Stage, _: Any) -> None:
    """SIGTERM."""
    assert stage.gateway is not None
    stage.gateway.drain()
    await asyncio.sleep(0.05)


# The brain's side


async def digits(stage: Stage, wanted: str) -> None:
    """The brain was told of these keys."""
    call_id = await stage.until("a message", stage.sip_call_id)
    try:
        await stage.until("", lambda: stage.brain.digits(call_id) == str(wanted))
    except StepFailed:
        raise StepFailed(f"the brain saw digits {stage.brain.digits(call_id)!r}, expected {wanted!r}") from None


async def facts(stage: Stage, wanted: dict[str, Any]) -> None:
    """What the brain was told of the call: `path: text` (e.g. `diversions.0.number: "+49…"`)."""
    call_id = await stage.until("a message", stage.sip_call_id)
    told = await stage.until("the agent's call", lambda: stage.brain.facts(call_id))
    for path, text in wanted.items():
        value: Any = told
        for part in path.split("."):
            try:
                value = value[int(part)] if part.isdecimal() else getattr(value, part)
            except (IndexError, AttributeError):
                raise StepFailed(f"the call's facts have no {path}:\n{told}") from None
        value = value.decode() if isinstance(value, bytes) else str(value)
        if value != str(text):
            raise StepFailed(f"the call's facts say {path} = {value!r}, expected {text!r}")


# RTP, with the port of `m=audio 7000` in the scenario's own SDP


async def press(stage: Stage, how: dict[str, Any]) -> None:
    """A key as telephone-event packets (RFC 4733)."""
    await _went(stage, r"^ACK ", False)
    await rtp_digit((stage.host, 7000), stage.media(), **how)


async def echo(stage: Stage, how: dict[str, Any]) -> None:
    """Audio sent comes back."""
    await _went(stage, r"^ACK ", False)
    await rtp_echo((stage.host, 7000), stage.media(), **how)


# A peer of a few lines, where sipp cannot do it


async def answer_tcp(stage: Stage, wanted: dict[str, Any]) -> None:
    """Listens on TCP at sipp's address; a request `method` must come there, and gets 200."""
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = re.findall(r"^(?:Via|From|To|Call-ID|CSeq):.*$", request, re.M | re.I)
        writer.write(
            (
                "\r\n".join(["SIP/2.0 200 OK", *(one.strip() for one in headers), "Content-Length: 0"]) + "\r\n\r\n"
            ).encode()
        )
        await writer.drain()
        if not came.done():
            came.set_result(request)

    server = await asyncio.start_server(serve, stage.host, wanted["port"])
    try:
        await hang_up(stage, "over")
        try:
            request = await asyncio.wait_for(came, _STEP_S)
        except TimeoutError:
            raise StepFailed(f"no {wanted['method']} came by TCP") from None
        if not request.startswith(wanted["method"]) or "SIP/2.0/TCP" not in request:
            raise StepFailed(f"expected {wanted['method']} with a Via of TCP:\n{request[:300]}")
    finally:
        server.close()


async def with_digest(stage: Stage, how: dict[str, Any]) -> None:
    """INVITE to the echo number with digest credentials that sipp cannot make (SHA-256), or a replayed nonce."""
    await _with_telephone(stage, lambda phone: digest(phone, **how))


async def with_late_invite(stage: Stage, _: Any) -> None:
    """The INVITE again after its 200: sipp would answer each 200 with one more."""
    await _with_telephone(stage, late_invite)


async def with_bye_during_reinvite(stage: Stage, _: Any) -> None:
    """Two requests in one breath: sipp reads between them, and takes what comes for unexpected."""
    await _with_telephone(stage, bye_during_reinvite)


async def _with_telephone(stage: Stage, act: Callable[[Telephone], Awaitable[None]]) -> None:
    assert stage.gateway is not None
    phone = await Telephone.open(stage.host, stage.port, stage.gateway, stage.log)
    try:
        await act(phone)
    finally:
        phone.close()


async def stream_framing(stage: Stage, how: dict[str, Any]) -> None:
    """TCP, byte by byte: what sipp always sends in one piece."""
    assert stage.gateway is not None
    phone = Telephone(stage.host, stage.port, stage.gateway, stage.log)
    try:
        await stream(phone, **how)
    except OSError as error:
        raise StepFailed(f"stream: {error}") from error


STEPS: dict[str, Callable[[Stage, Any], Awaitable[None]]] = {
    "sent": sent,
    "received": received,
    "pause": pause,
    "originate": originate,
    "refer": refer,
    "hang_up": hang_up,
    "live": live,
    "trunk": trunk,
    "messages": messages,
    "drain": drain,
    "digits": digits,
    "facts": facts,
    "press": press,
    "echo": echo,
    "answer_tcp": answer_tcp,
    "digest": with_digest,
    "late_invite": with_late_invite,
    "bye_during_reinvite": with_bye_during_reinvite,
    "stream": stream_framing,
}
