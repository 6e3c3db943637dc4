"""CallControl: what others may ask of a call's signalling."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc
from opentelemetry.trace import Span

from services.common.rpc import abort, caller_context
from services.common.telemetry.log import bind_call
from services.gateway.blind_transfer import refer_span, refuse
from services.gateway.bridge import BridgeRefused
from services.gateway.capture.log import MAX_CALL_BYTES, Captured
from services.gateway.live_call import LiveCall
from services.gateway.mixer import MixerFull
from services.gateway.sip.call import CallStateError
from services.gateway.sip.uri import format_host_port
from services.gateway.switchboard import Switchboard
from services.gateway.whispered_sound import WhisperedSound, WhisperInvalid
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlServicer

SERVICE_NAME = "tandem.v1.CallControl"

_AI_OF_A_REQUEST = (
    call_pb2.BRIDGED_AI_UNSPECIFIED,
    call_pb2.BRIDGED_AI_LISTENS,
    call_pb2.BRIDGED_AI_SPEAKS,
    call_pb2.BRIDGED_AI_AWAY,
)
# Of messages, in an answer that may have 4 MiB: those of one call always fit.
_MOST_BYTES = MAX_CALL_BYTES * 3 // 2


class CallControl(CallControlServicer):
    def __init__(self, board: Switchboard, trunks: Callable[[], list[pb.Trunk]]) -> None:
        """`trunks` gives the state of each."""
        self._board = board
        self._trunks = trunks

    async def Refer(self, request: pb.ReferRequest, context: Any) -> pb.ReferResponse:
        live = await self._call(request.call_id, context)
        if not request.target.lower().startswith(("sip:", "sips:", "tel:")):
            await _bad_target(request.target, context)
        span = refer_span(live, request.target, caller_context(context))
        status, phrase = await self._refer(live, request.target, span, context)
        return pb.ReferResponse(sip_status=status, reason_phrase=phrase)

    async def HangUp(self, request: pb.HangUpRequest, context: Any) -> pb.HangUpResponse:
        self._board.hang_up(await self._call(request.call_id, context), request.reason or "hung up by control")
        return pb.HangUpResponse()

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:
        calls = self._board.calls.values()
        return pb.ListResponse(calls=[self._listed(one) for one in calls])

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        live = await self._call(request.call_id, context)
        events: asyncio.Queue[pb.WatchResponse] = asyncio.Queue()
        live.watchers.add(events)
        try:
            yield pb.WatchResponse(call_time_us=live.call_time(), watch_started=pb.WatchStarted())
            while True:
                event = await events.get()
                yield event
                if event.WhichOneof("event") == "ended":
                    return
        finally:
            live.watchers.discard(events)

    async def Originate(self, request: pb.OriginateRequest, context: Any) -> AsyncIterator[pb.OriginateResponse]:
        trunk = self._board.signalling.trunks.named(request.trunk)
        if trunk is None:
            known = ", ".join(one.name for one in self._board.signalling.trunks)
            why = f"no trunk {request.trunk!r} in the gateway's settings, only {known}"
            await abort(context, grpc.StatusCode.NOT_FOUND, why, call_pb2.ERROR_REASON_BAD_REQUEST)
        if bool(request.agent) == request.hold_for_bridge:
            why = "agent is empty and hold_for_bridge is not set: who is to speak?"
            if request.agent:
                why = f"agent is {request.agent} and hold_for_bridge is set: who answers hears either of the two"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, why, call_pb2.ERROR_REASON_AGENT_INVALID)
        assert trunk is not None
        progress: asyncio.Queue[pb.OriginateResponse] = asyncio.Queue()
        cancel = self._board.outgoing.place(request, trunk, caller_context(context), progress.put_nowait)
        try:
            while True:
                one = await progress.get()
                yield one
                if one.WhichOneof("progress") in ("answered", "failed"):
                    return
        finally:
            cancel()

    async def Bridge(self, request: pb.BridgeRequest, context: Any) -> pb.BridgeResponse:
        live = await self._call(request.call_id, context)
        other = self._board.calls.get(request.other_call_id)
        if request.ai not in _AI_OF_A_REQUEST:
            why = f"ai is {request.ai}: LISTENS, SPEAKS or AWAY; Whisper makes it coach"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, why, call_pb2.ERROR_REASON_BAD_REQUEST)
        if other is None:
            why = f"no call {request.other_call_id!r} lives where {request.call_id} does: is it over, or elsewhere?"
            await _refused(why, context)
        assert other is not None
        try:
            together = self._board.bridges.bridge(live, other, request.ai)
        except (BridgeRefused, MixerFull) as error:
            await _refused(str(error), context)
        return pb.BridgeResponse(call_ids=together)

    async def Unbridge(self, request: pb.UnbridgeRequest, context: Any) -> pb.UnbridgeResponse:
        live = await self._call(request.call_id, context)
        try:
            self._board.bridges.unbridge(live, request.reason or "parted by control")
        except BridgeRefused as error:
            await _refused(str(error), context)
        return pb.UnbridgeResponse()

    async def Hold(self, request: pb.HoldRequest, context: Any) -> pb.HoldResponse:
        live = await self._call(request.call_id, context)
        try:
            self._board.bridges.hold(live, request.on_hold)
        except (BridgeRefused, MixerFull) as error:
            await _refused(str(error), context)
        return pb.HoldResponse()

    async def Whisper(self, request: pb.WhisperRequest, context: Any) -> pb.WhisperResponse:
        live = await self._call(request.call_id, context)
        bridges, asked = self._board.bridges, request.WhichOneof("whisper")
        sound: WhisperedSound | None = None
        try:
            if asked == "sound":
                sound = await _sound(request.sound)
        except WhisperInvalid as error:
            why = f"sound: {error}"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, why, call_pb2.ERROR_REASON_BAD_REQUEST)
        if asked is None or (asked == "stop" and not request.stop):
            why = "nothing to whisper: set sound, ai or stop"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, why, call_pb2.ERROR_REASON_BAD_REQUEST)
        if sound is not None:
            live = await self._call(request.call_id, context)  # it may have ended meanwhile
        try:
            if asked == "ai":
                bridges.coach(live, request.ai)
            else:
                bridges.whisper(live, sound)
        except (BridgeRefused, MixerFull) as error:
            await _refused(str(error), context)
        return pb.WhisperResponse(duration_ms=0 if sound is None else sound.duration_ms)

    async def ListTrunks(self, request: pb.ListTrunksRequest, context: Any) -> pb.ListTrunksResponse:
        return pb.ListTrunksResponse(trunks=self._trunks())

    async def Messages(self, request: pb.MessagesRequest, context: Any) -> pb.MessagesResponse:
        log = self._board.signalling.log
        wanted = request.call_id if request.call_id not in ("", "last") else log.last() or ""
        # A call that moved has several dialogs. The latest ones first, as far as they fit into an answer.
        messages: list[Captured] = []
        for sip_call_id in reversed(self._board.sip_call_ids.get(wanted, (wanted,))):
            found = log.messages(sip_call_id)
            if sum(len(one.data) for one in (*messages, *found)) > _MOST_BYTES:
                break
            messages += found
        messages.sort(key=lambda one: one.unix_us)
        if not messages:
            why = f"no SIP message of {wanted!r} is kept here (any more)" if wanted else "no call was heard of yet"
            await abort(context, grpc.StatusCode.NOT_FOUND, why, call_pb2.ERROR_REASON_CALL_UNKNOWN)
        return pb.MessagesResponse(
            messages=[
                pb.SipMessage(
                    unix_us=one.unix_us,
                    sent=one.sent,
                    transport=one.flow.transport.value,
                    local=format_host_port(*one.local),
                    remote=format_host_port(*one.flow.address),
                    data=one.data,
                )
                for one in messages
            ]
        )

    def _listed(self, live: LiveCall) -> pb.LiveCall:
        listed = pb.LiveCall(facts=live.facts, call_time_us=live.call_time())
        conference = self._board.bridges.conference(live)
        if conference is not None:
            listed.bridged_with.extend(conference.others(live.facts.call_id))
            listed.on_hold = conference.members[live.facts.call_id].on_hold
        return listed

    async def _refer(self, live: LiveCall, target: str, span: Span, context: Any) -> tuple[int, str]:
        try:
            answered = self._board.transfers.refer(live, target, span)
        except CallStateError as error:
            refuse(span, str(error))
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error), call_pb2.ERROR_REASON_REFER_REFUSED)
            raise AssertionError("abort returns never") from error
        except ValueError:
            refuse(span, "no target that can be called")
            await _bad_target(target, context)
        # The transaction answers by itself, with 408 after 32 s (RFC 3261 timer F).
        return await answered

    async def _call(self, call_id: str, context: Any) -> LiveCall:
        live = self._board.calls.get(call_id)
        if live is None:
            await abort(
                context,
                grpc.StatusCode.NOT_FOUND,
                f"no call {call_id!r} lives on this gateway",
                call_pb2.ERROR_REASON_CALL_UNKNOWN,
            )
            raise AssertionError("abort returns never")
        bind_call(call_id, live.traceparent)
        return live


async def _sound(given: pb.WhisperSound) -> WhisperedSound:
    """Raises WhisperInvalid."""
    if given.HasField("wav"):
        # Not here: what it takes to read and resample a minute would hold up the sound of all calls.
        return await asyncio.to_thread(WhisperedSound.from_wav, given.wav)
    return WhisperedSound(given.pcm, given.sample_rate_hz)


async def _refused(why: str, context: Any) -> NoReturn:
    await abort(context, grpc.StatusCode.FAILED_PRECONDITION, why, call_pb2.ERROR_REASON_BRIDGE_REFUSED)
    raise AssertionError("abort returns never")


async def _bad_target(target: str, context: Any) -> NoReturn:
    await abort(
        context,
        grpc.StatusCode.INVALID_ARGUMENT,
        f"target {target!r} is no sip:, sips: or tel: URI",
        call_pb2.ERROR_REASON_BAD_REQUEST,
    )
    raise AssertionError("abort returns never")
