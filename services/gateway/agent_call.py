"""A call that an agent answers: the caller's frames to the bus, the agent's to RTP, events and commands between."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.common.media.frame import AudioFrame
from services.common.telemetry.log import logger
from services.gateway.apology import UTTERANCE_ID as APOLOGY
from services.gateway.apology import apology
from services.gateway.call_bus import CallBus
from services.gateway.caller_stream import CallerStream, Heard
from services.gateway.dialogue import Dialogue
from services.gateway.dtmf import Digit, DtmfSender
from services.gateway.g711 import CODECS, PCMU, SAMPLE_RATE_HZ
from services.gateway.media import Spoken
from services.gateway.playout import End, Playout, PlayoutEvent, PlayoutFinished, PlayoutProgress, PlayoutStarted
from services.gateway.playout_spans import PlayoutSpans
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from tandem.v1 import brain_pb2 as pb
from tandem.v1.call_pb2 import CallFacts

if TYPE_CHECKING:
    from tandem.v1.brain_pb2_grpc import DialogueAsyncStub

_ENDS = {
    End.COMPLETED: pb.PLAYOUT_END_COMPLETED,
    End.STOPPED: pb.PLAYOUT_END_STOPPED,
    End.STARVED: pb.PLAYOUT_END_STARVED,
}


class AgentCall:
    """Voice of such a call, and its dialogue. `hang_up` ends the call with a reason for people.

    It holds when nobody helps: with no bus or no brain the caller hears the apology and the call is ended.
    """

    def __init__(
        self,
        facts: CallFacts,
        traceparent: str,
        clock: Callable[[], int],
        audio: Client,
        control: Client,
        brain: "DialogueAsyncStub",
        hang_up: Callable[[str], None],
    ) -> None:
        self.facts = facts
        self.stream = CallerStream({})
        self.playout = Playout(SAMPLE_RATE_HZ)
        self._clock = clock
        self._hang_up = hang_up
        self._codec = PCMU
        self._payload_type = 0
        self._event_payload_type: int | None = None
        self._keys = DtmfSender()
        self._unsent_events: list[PlayoutEvent] = []
        self._hang_up_when_idle: str | None = None
        self._over = False
        self._held = False
        self._alone = False  # no brain is left that could take anything back
        self.bus = CallBus(facts.call_id, audio, control, self._agent_frame)
        self._spans = PlayoutSpans(facts)
        self.dialogue = Dialogue(brain, facts, traceparent, clock, self._command, self._brain_lost)

    async def run(self) -> None:
        """The dialogue, until the call is over."""
        try:
            await self.bus.open()
            well = await self.dialogue.run()
        except NatsError as error:
            logger().error("bus_lost", call_id=self.facts.call_id, why=str(error))
            well = False
        except Exception:
            # Whatever is wrong with us, the caller is to hear it and not to be left in silence.
            logger().exception("dialogue_failed", call_id=self.facts.call_id)
            well = False
        finally:
            await self.bus.close()
        if self._over:
            return
        self._alone = True
        if not well:
            self._apologise()
        elif self._hang_up_when_idle is None or self.playout.paused or self._held:
            # Nobody is left to say more, to resume, or to wait for the caller.
            self._hang_up(self._hang_up_when_idle or "conversation over")

    def ended(self, by_caller: bool, reason: str) -> None:
        """The SIP dialog is over."""
        if self._over:
            return
        self._over = True
        now_us = self._clock()
        self._spans.close(now_us)
        self.dialogue.close(pb.CallEvent(call_time_us=now_us, hung_up=pb.HungUp(by_caller=by_caller, reason=reason)))

    def held(self, on_hold: bool) -> None:
        """A re-INVITE put the call on hold or took it back."""
        now_us = self._clock()
        self._held = on_hold
        self.stream.hold(on_hold, now_us)
        self.dialogue.report(pb.CallEvent(call_time_us=now_us, hold_changed=pb.HoldChanged(on_hold=on_hold)))
        if on_hold and self._alone:
            # What is left to say would wait for the caller, who may never come back.
            self._hang_up(self._hang_up_when_idle or "no brain")

    # Voice

    def negotiated(self, media: Negotiated) -> None:
        self._codec, self._payload_type = CODECS[media.codec.encoding], media.codec.payload_type
        event = media.telephone_event
        self._event_payload_type = None if event is None else event.payload_type
        if event is not None:
            self._keys.clock_hz = event.clock_rate
        self.stream.codecs = {one.payload_type: CODECS[one.encoding] for one in media.formats if one.encoding in CODECS}
        self.stream.event_clocks_hz = {one.payload_type: one.clock_rate for one in media.formats if one.is_event}

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        self._pass_on(self.stream.packet(packet, now_us), now_us)

    def pressed(self, key: Digit) -> None:
        """A key that came by signalling (SIP INFO)."""
        self._pass_on([key], self._clock())

    def slot(self, now_us: int) -> None:
        self._pass_on(self.stream.tick(now_us), now_us)

    def speak(self, now_us: int) -> Spoken | None:
        if self._keys.busy and self._event_payload_type is not None:
            key = self._keys.tick()
            return None if key is None else Spoken(self._event_payload_type, key.payload, key.continues, key.marker)
        samples, events = self.playout.tick(now_us)
        if samples is None:
            # Starved: nothing is sent that these events would wait for.
            self._report(events, now_us)
            return None
        self._unsent_events = events
        return Spoken(self._payload_type, self._codec.encode(samples))

    def sent(self) -> None:
        if self._unsent_events:
            events, self._unsent_events = self._unsent_events, []
            self._report(events, self._clock())

    # Inside

    def _pass_on(self, heard: list[Heard], now_us: int) -> None:
        for one in heard:
            if isinstance(one, Digit):
                dtmf = pb.Dtmf(digit=one.digit, duration_ms=one.duration_ms)
                self.dialogue.report(pb.CallEvent(call_time_us=now_us, dtmf=dtmf))
            else:
                self.bus.publish(one)

    def _agent_frame(self, frame: AudioFrame) -> None:
        self.playout.frame(frame, self._clock())

    def _command(self, command: pb.CallCommand) -> None:
        now_us = self._clock()
        match command.WhichOneof("command"):
            case "play":
                self._spans.released(command.play.utterance_id, command.play.traceparent)
                self._report(self.playout.play(command.play.utterance_id, now_us), now_us)
            case "pause":
                self._report(self.playout.pause(command.pause.utterance_id), now_us)
            case "resume":
                resume = command.resume
                from_sample = resume.from_sample if resume.HasField("from_sample") else None
                self.playout.resume(resume.utterance_id, from_sample)
            case "stop":
                self._report(self.playout.stop(command.stop.utterance_id), now_us)
            case "send_dtmf":
                self._send_keys(command.send_dtmf.digits)
            case "hang_up":
                reason = command.hang_up.reason or "hung up by the agent"
                if command.hang_up.after_playout and not self.playout.idle:
                    self._hang_up_when_idle = reason
                else:
                    self._hang_up(reason)
            case other:
                logger().warning("command_unknown", call_id=self.facts.call_id, command=other)

    def _send_keys(self, digits: str) -> None:
        if self._event_payload_type is None:
            logger().warning("dtmf_not_negotiated", call_id=self.facts.call_id)
            return
        try:
            self._keys.queue(digits)
        except ValueError as error:
            logger().warning("dtmf_invalid", call_id=self.facts.call_id, why=str(error))

    def _report(self, events: list[PlayoutEvent], now_us: int) -> None:
        for event in events:
            self.dialogue.report(self._event(event, now_us))
        if self._hang_up_when_idle is not None and self.playout.idle:
            reason, self._hang_up_when_idle = self._hang_up_when_idle, None
            # Not from within the tick: hanging up closes the socket that the tick is sending on.
            asyncio.get_running_loop().call_soon(self._hang_up, reason)

    def _event(self, event: PlayoutEvent, now_us: int) -> pb.CallEvent:
        match event:
            case PlayoutStarted(utterance_id, ready_us):
                wait_us = max(now_us - ready_us, 0)
                self._spans.started(utterance_id, now_us, wait_us)
                started = pb.PlayoutStarted(utterance_id=utterance_id, wait_us=wait_us, ready_call_time_us=ready_us)
                return pb.CallEvent(call_time_us=now_us, playout_started=started)
            case PlayoutProgress(utterance_id, samples, paused):
                progress = pb.PlayoutProgress(utterance_id=utterance_id, samples_played=samples, paused=paused)
                return pb.CallEvent(call_time_us=now_us, playout_progress=progress)
            case PlayoutFinished(utterance_id, samples, end):
                self._spans.finished(utterance_id, now_us, samples * 1000 / SAMPLE_RATE_HZ, end.value)
                finished = pb.PlayoutFinished(utterance_id=utterance_id, samples_played=samples, end=_ENDS[end])
                return pb.CallEvent(call_time_us=now_us, playout_finished=finished)

    def _brain_lost(self) -> None:
        """Another brain counts its utterances anew, and knows nothing of those that it has not said."""
        now_us = self._clock()
        if self._hang_up_when_idle is None:
            self._spans.close(now_us, "brain lost")
            self.playout.forget()
        if self._held:
            self.dialogue.report(pb.CallEvent(call_time_us=now_us, hold_changed=pb.HoldChanged(on_hold=True)))

    def _apologise(self) -> None:
        unheard = self.playout.idle or self.playout.paused or self._held
        if self._hang_up_when_idle is not None and not unheard:
            return  # the goodbye is under way
        if self._held or self._hang_up_when_idle is not None:
            self._hang_up(self._hang_up_when_idle or "no brain")
            return
        now_us = self._clock()
        self.playout.forget()
        for frame in apology():
            self.playout.frame(frame, now_us)
        self.playout.play(APOLOGY, now_us)
        self._hang_up_when_idle = "no brain"
