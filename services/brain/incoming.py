"""What gateway and asr tell the conversation, as events of the turn machine."""

from typing import TYPE_CHECKING

from services.brain.company import bridge_event
from services.brain.turn_events import (
    Closing,
    Digit,
    EndLikely,
    HearingLost,
    HoldChanged,
    Partial,
    Played,
    ReplyBegan,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from services.brain.turn_profile import Situation
from services.brain.turn_state import State
from tandem.v1.asr_pb2 import RecognizeResponse, TurnContext
from tandem.v1.brain_pb2 import CallEvent

if TYPE_CHECKING:
    from services.brain.conversation import Conversation


class Incoming:
    """Of one call."""

    def __init__(self, conversation: "Conversation") -> None:
        self._call = conversation

    def of_gateway(self, event: CallEvent) -> None:
        call = self._call
        at = event.call_time_us
        match event.WhichOneof("event"):
            case "playout_started":
                call.log.playout_started(event.playout_started, at)
            case "playout_progress":
                call.voice.heard(event.playout_progress.utterance_id, event.playout_progress.samples_played)
            case "playout_finished":
                done = event.playout_finished
                call.voice.heard(done.utterance_id, done.samples_played)
                call.log.playout_finished(done, at)
                call.patience.agent_fell_silent(at)
                call.feed(Played(done.utterance_id))
            case "dtmf":
                wanted = call.machine.situation is Situation.COLLECTING_DIGITS
                call.patience.impatience.key_pressed(event.dtmf.digit, wanted, call.now())
                call.feed(Digit(event.dtmf.digit))
            case "hold_changed":
                call.feed(HoldChanged(event.hold_changed.on_hold))
            case "bridge_changed":
                call.feed(bridge_event(event.bridge_changed))
            case "hung_up":
                call.hung_up(event.hung_up)

    def no_hearing(self) -> None:
        """asr is gone; another one is asked."""
        self._call.log.hearing_lost(self._call.now(), self._call.ears.broke)
        self._call.feed(HearingLost())

    def hearing(self) -> None:
        """An asr has the call."""
        self._call.log.hearing_since(self._call.now())
        self._call.opening.listening()

    def no_asr(self) -> None:
        """None has room for the call: a person can hear the caller, and an apology is better than a deaf agent."""
        call = self._call
        call.opening.failed("no recogniser")
        call.feed(ReplyBegan())
        call.stop_speaking()
        turn = call.begin_unasked("no recogniser")
        call.log.failed(turn, "asr full", gave_up=True)
        reply = call.start_reply(turn)
        if call.agent.escalation is not None:
            reply.hand_over("Speech recognition is overloaded: the agent cannot hear the caller.")
        else:
            call.feed(Closing())
            reply.say(call.agent.trouble)

    def of_asr(self, response: RecognizeResponse) -> None:
        call, now = self._call, self._call.now()
        match response.WhichOneof("response"):
            case "speech_started":
                started = response.speech_started
                profile = call.machine.situation
                # First: an answer that was begun too early gives its turn back, and this speech belongs to it.
                call.feed(SpeechStarted(started.utterance, started.call_time_us))
                index, traceparent = call.log.speech_began(started.call_time_us)
                if call.machine.state is State.DOUBTING:
                    call.log.over_agent(started.call_time_us, profile)
                call.ears.turn_context(TurnContext(turn_index=index, traceparent=traceparent))
            case "speech_stopped":
                stopped = response.speech_stopped
                call.log.speech_stopped(stopped.utterance, stopped.call_time_us + stopped.decided_after_us)
                call.feed(SpeechStopped(stopped.utterance, stopped.call_time_us))
            case "final":
                call.log.transcript(response.final, now)
                if call.agent.language == "auto" and response.final.language:
                    call.machine.language = response.final.language
                call.feed(Transcript(response.final.utterance, response.final.text, response.final.confidence))
            case "partial":
                call.feed(Partial(response.partial.utterance, response.partial.text, response.partial.confidence))
            case "turn_end":
                end = response.turn_end
                call.feed(EndLikely(end.utterance, end.call_time_us, end.probability))
