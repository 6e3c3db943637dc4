"""A call that an agent answers: the caller's frames to the bus, the agent's to RTP, events and commands between."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.common.frameclient import FrameClient
from services.common.media.frame import AudioFrame
from services.common.telemetry.log import bind_call, logger
from services.gateway.apology import apology
from services.gateway.call_bus import CallBus
from services.gateway.call_observer import UNOBSERVED, CallObserver
from services.gateway.caller_stream import CallerStream, Heard
from services.gateway.dialogue import Dialogue
from services.gateway.dtmf import Digit, DtmfSender
from services.gateway.line_filter import DEFAULT_LINE, LineFilter, LineOptions
from services.gateway.playout import Playout, PlayoutEvent, PlayoutStarted
from services.gateway.playout_reports import PlayoutReports
from services.gateway.recorded_call import RecordedCall
from services.gateway.recordings import CONSENT_ID
from services.gateway.recovery import Recovery
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.spoken_stream import Spoken
from tandem.v1 import brain_pb2 as pb
from tandem.v1.call_pb2 import BRIDGED_AI_COACHES, BRIDGED_AI_SPEAKS, CallFacts

if TYPE_CHECKING:
    from tandem.v1.brain_pb2_grpc import DialogueAsyncStub


# Utterances of the gateway's own: the consent prompt, the apology. The brain is not told of them.
_OURS = CONSENT_ID


class Leg(Protocol):
    """A call's place in a bridge."""

    def heard(self, frame: AudioFrame) -> None:
        """What this call's party said."""

    def frame(self) -> bytes:
        """What this call's party hears in this slot."""


class AgentCall:
    """Voice of such a call, and its dialogue. `hang_up` ends the call with a reason for people.

    It holds when nobody helps: with no bus or no brain the caller hears the apology and the call is ended.
    """

    def __init__(
        self,
        facts: CallFacts,
        traceparent: str,
        clock: Callable[[], int],
        audio: FrameClient,
        control: Client,
        brain: "DialogueAsyncStub",
        hang_up: Callable[[str], None],
        recorded: RecordedCall | None = None,
        first: Sequence[AudioFrame] = (),
        line: LineOptions = DEFAULT_LINE,
        observer: CallObserver = UNOBSERVED,
    ) -> None:
        """`first` is what the caller hears before the agent says anything: that the call is recorded."""
        self.facts = facts
        rate_hz = facts.audio.sample_rate_hz
        self.stream = CallerStream(rate_hz)
        self.playout = Playout(rate_hz)
        self.line = LineFilter(rate_hz, line)
        self._clock = clock
        self._hang_up = hang_up
        self._keys = DtmfSender()
        self._keys_can_go = False
        self._leg: Leg | None = None
        self._heeded = True
        self._bridged: pb.BridgeChanged | None = None
        self._recorded = recorded
        self._spoken: Spoken = None
        self._unsent_events: list[PlayoutEvent] = []
        self._hang_up_when_idle: str | None = None
        self._hang_up_when_alone: str | None = None
        self._over = False
        self._held = False
        self._alone = False  # no brain is left that could take anything back
        self._well = True
        self.bus = CallBus(facts.call_id, audio, control, self._agent_frame)
        self._traceparent = traceparent
        self._observer = observer
        self._spoke = False
        self._reports = PlayoutReports(facts, traceparent)
        self._recovery = Recovery(facts, traceparent, observer)
        self.dialogue = Dialogue(brain, facts, traceparent, clock, self._command, self._brain_lost, self._recovery)
        self._say(first, "consent")

    async def run(self) -> None:
        """The dialogue, until the call is over."""
        bind_call(self.facts.call_id, self._traceparent)
        why = ""
        try:
            await self.bus.open()
            well = await self.dialogue.run()
        except NatsError as error:
            logger().error("bus_lost", call_id=self.facts.call_id, why=str(error))
            well, why = False, f"bus lost: {error}"
        except Exception as error:
            # Whatever is wrong with us, the caller is to hear it and not to be left in silence.
            logger().exception("dialogue_failed", call_id=self.facts.call_id)
            well, why = False, f"internal error: {type(error).__name__}"
        finally:
            await self.bus.close()
        if self._over:
            self.playout.forget(1 << 32)
            return
        self._alone, self._well = True, well
        self.dialogue.abandon()
        if not well:
            now_us = self._clock()
            if why:
                self._recovery.lost(why, now_us, now_us)
            self._recovery.fell_back(now_us)
        if self._leg is None:
            self._end_alone(well)

    def _end_alone(self, well: bool) -> None:
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
        self._reports.close(now_us)
        if self._recorded is not None:
            self._recorded.end(reason)
        self.dialogue.close(pb.CallEvent(call_time_us=now_us, hung_up=pb.HungUp(by_caller=by_caller, reason=reason)))

    def held(self, on_hold: bool) -> None:
        """A re-INVITE put the call on hold or took it back."""
        now_us = self._clock()
        self._held = on_hold
        self.stream.hold(on_hold, now_us)
        self.dialogue.report(pb.CallEvent(call_time_us=now_us, hold_changed=pb.HoldChanged(on_hold=on_hold)))
        if on_hold and self._alone and self._leg is None:
            # What is left to say would wait for the caller, who may never come back.
            self._hang_up(self._hang_up_when_idle or "no brain")

    # Voice

    def negotiated(self, media: Negotiated) -> None:
        event = media.telephone_event
        self._keys_can_go = event is not None
        if event is None:
            # They would go out when it comes back, to whoever does not wait for them any more.
            self._keys.clear()
        else:
            self._keys.clock_hz = event.clock_rate
        self.stream.negotiated(media.formats)

    def heard(self, packet: RtpPacket, now_us: int) -> bool:
        self._pass_on(self.stream.packet(packet, now_us), now_us)
        return self.stream.last_late is not packet

    def pressed(self, key: Digit) -> None:
        """A key that came by signalling (SIP INFO)."""
        now_us = self._clock()
        if self.line.first(key, "info", now_us):
            self._key(key, now_us)

    def slot(self, now_us: int) -> None:
        if self._recorded is not None:
            # What was said in the slot that is over now.
            self._recorded.slot(self._spoken, now_us)
            self._spoken = None
        heard = self.stream.tick(now_us)
        if heard:
            self._pass_on(heard, now_us)

    def speak(self, now_us: int) -> Spoken:
        spoken = self._speak(now_us)
        self._spoken = spoken
        self.line.played(spoken if isinstance(spoken, bytes) else None, now_us)
        return spoken

    def _speak(self, now_us: int) -> Spoken:
        if self._keys.busy and self._keys_can_go:
            return self._keys.tick()
        tones = self.line.sender
        if tones is not None and tones.busy:
            return tones.tick()
        return self.next_speech(now_us) if self._leg is None else self._leg.frame()

    def next_speech(self, now_us: int) -> bytes | None:
        """What the agent itself says in this slot, as PCM."""
        samples, events = self.playout.tick(now_us)
        if events:
            if samples is None or self._leg is not None:
                # Starved: nothing is sent that these events would wait for. In a bridge others may hear it while the
                # caller is sent nothing.
                self._report(events, now_us)
            else:
                self._unsent_events += events
        return samples

    def join(self, leg: Leg | None, heeded: bool = True) -> None:
        """From now on the caller hears a bridge and is heard in it; None: only the agent again.

        Not `heeded`: the agent hears silence meanwhile.
        """
        before, self._leg, self._heeded = self._leg, leg, heeded
        if leg is not None:
            if before is None:
                # Who joins the call with others wants it to go on: whatever was to be its end waits.
                self._hang_up_when_alone, self._hang_up_when_idle = self._hang_up_when_idle, None
        elif self._over:
            return
        elif self._alone:
            self._end_alone(self._well)
        elif self._hang_up_when_alone is not None:
            # The brain has said goodbye and speaks no more.
            self._hang_up(self._hang_up_when_alone)

    def bridge_changed(self, change: pb.BridgeChanged) -> None:
        """News for the brain; another one that takes over is told too."""
        self._bridged = change if change.HasField("joined") else None
        self.dialogue.report(pb.CallEvent(call_time_us=self._clock(), bridge_changed=change))

    def sent(self) -> None:
        if self._unsent_events:
            events, self._unsent_events = self._unsent_events, []
            self._report(events, self._clock())

    # Inside

    def _pass_on(self, heard: list[Heard], now_us: int) -> None:
        for one in heard:
            if isinstance(one, Digit):
                if self.line.first(one, "event", now_us):
                    self._key(one, now_us)
            else:
                self._frame(one, now_us)

    def _frame(self, frame: AudioFrame, now_us: int) -> None:
        # People are to hear the line as it is, the recogniser what the caller says.
        if self._recorded is not None or self._leg is not None:
            onward = self.stream.for_people(frame)
            if self._recorded is not None:
                self._recorded.heard(onward, now_us)
            if self._leg is not None:
                self._leg.heard(onward)
        clean, digits = self.line.frame(frame, now_us)
        for digit in digits:
            self._key(digit, now_us)
        # Silence, for the frames on the bus have no gaps.
        self.bus.publish(clean if self._heeded else clean._replace(samples=bytes(len(clean.samples))))

    def _key(self, digit: Digit, now_us: int) -> None:
        dtmf = pb.Dtmf(digit=digit.digit, duration_ms=digit.duration_ms)
        self.dialogue.report(pb.CallEvent(call_time_us=now_us, dtmf=dtmf))

    def _agent_frame(self, frame: AudioFrame) -> None:
        self.playout.frame(frame, self._clock())

    def _command(self, command: pb.CallCommand) -> None:
        now_us = self._clock()
        match command.WhichOneof("command"):
            case "play":
                self._reports.released(command.play.utterance_id, command.play.traceparent)
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
            case "pause_recording":
                if self._recorded is not None:
                    self._recorded.pause(command.pause_recording.paused)
            case "hang_up":
                reason = command.hang_up.reason or "hung up by the agent"
                if self._leg is not None and not self._takes_part:
                    # The bridge came while the goodbye was said.
                    self._hang_up_when_alone = reason
                elif command.hang_up.after_playout and not self.playout.idle:
                    self._hang_up_when_idle = reason
                else:
                    self._hang_up(reason)
            case other:
                logger().warning("command_unknown", call_id=self.facts.call_id, command=other)

    @property
    def _takes_part(self) -> bool:
        """The agent is heard in the bridge."""
        return self._bridged is not None and self._bridged.joined.ai in (BRIDGED_AI_SPEAKS, BRIDGED_AI_COACHES)

    def _send_keys(self, digits: str) -> None:
        sender = self._keys if self._keys_can_go else self.line.sender
        if sender is None:
            logger().warning("dtmf_not_negotiated", call_id=self.facts.call_id)
            return
        try:
            sender.queue(digits)
        except ValueError as error:
            logger().warning("dtmf_invalid", call_id=self.facts.call_id, why=str(error))

    def _report(self, events: list[PlayoutEvent], now_us: int) -> None:
        for event in events:
            report = self._reports.report(event, now_us)
            if event.utterance_id < _OURS:
                if not self._spoke and isinstance(event, PlayoutStarted):
                    self._spoke = True
                    self._observer.first_audio(now_us)
                self.dialogue.report(report)
        if self._hang_up_when_idle is not None and self.playout.idle:
            reason, self._hang_up_when_idle = self._hang_up_when_idle, None
            # Not from within the tick: hanging up closes the socket that the tick is sending on.
            asyncio.get_running_loop().call_soon(self._hang_up, reason)

    def _brain_lost(self) -> None:
        """Another brain counts its utterances anew, and knows nothing of those that it has not said."""
        now_us = self._clock()
        self._hang_up_when_alone = None
        if self._hang_up_when_idle is None:
            self._reports.close(now_us, "brain lost", _OURS)
            self.playout.forget(_OURS)
        if self._held:
            self.dialogue.report(pb.CallEvent(call_time_us=now_us, hold_changed=pb.HoldChanged(on_hold=True)))
        if self._bridged is not None:
            self.dialogue.report(pb.CallEvent(call_time_us=now_us, bridge_changed=self._bridged))

    def _apologise(self) -> None:
        unheard = self.playout.idle or self.playout.paused or self._held
        if self._hang_up_when_idle is not None and not unheard:
            return  # the goodbye is under way
        if self._held or self._hang_up_when_idle is not None:
            self._hang_up(self._hang_up_when_idle or "no brain")
            return
        self.playout.forget(_OURS)
        self._say(apology(self.playout.sample_rate_hz), "apology", self._recovery.traceparent)
        self._hang_up_when_idle = "no brain"

    def _say(self, frames: Sequence[AudioFrame], prompt: str, traceparent: str = "") -> None:
        """An utterance of our own, behind what was released before."""
        if not frames:
            return
        now_us = self._clock()
        for frame in frames:
            self.playout.frame(frame, now_us)
        self._reports.released(frames[0].utterance_id, traceparent, prompt)
        self.playout.play(frames[0].utterance_id, now_us)
