"""The wires between the services, on which a call's trace context can be cut: at one hop, for one caller.

Everything else passes as it is, of that call and of all others.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from services.common.rpc import CALL_TRACEPARENT
from tandem.v1.asr_pb2 import RecognizeRequest, RecognizeResponse
from tandem.v1.brain_pb2 import CallCommand, CallEvent
from tandem.v1.escalation_pb2 import EscalateRequest
from tandem.v1.tts_pb2 import SynthesizeRequest
from tests.integration.telemetry.relay import Metadata, Passage, Relay, as_it_is


class Hop(StrEnum):
    """Each way by which trace context goes from one service to another."""

    CONVERSATION = "gateway to brain: metadata of Converse"
    TAKE_OVER = "gateway to the next brain: metadata of the second Converse"
    LISTENING = "brain to asr: metadata of Recognize"
    TURN = "brain to asr: TurnContext"
    SPEAKING = "brain to tts: metadata of Synthesize"
    PLAYING = "brain to gateway: Play"
    HAND_OVER = "brain to escalation: metadata of Escalate"
    REFERRING = "escalation to gateway: metadata of Refer"


CONTEXT = ("traceparent", "tracestate", CALL_TRACEPARENT)
"""Keys of metadata by which context travels."""


def without_context(metadata: Metadata) -> Metadata:
    return tuple((key, value) for key, value in metadata if key not in CONTEXT)


class Wires:
    """Four relays that stand before brain, asr, tts and escalation, and one before the gateway's CallControl.

    `cut`: the caller's number to the hop at which that call's context is lost.
    """

    def __init__(self, cut: Mapping[str, Hop]) -> None:
        self._cut = cut
        self._hop_of: dict[str, Hop] = {}
        self.utterances: Counter[str] = Counter()
        """Of each call: how often asr has said that the caller begins to speak."""
        self._conversations: dict[str, int] = {}
        self.relays: dict[str, Relay] = {}
        """By the service that they stand before; `gateway` is its CallControl."""
        self.call_ids: dict[str, str] = {}
        """The caller's number to the call's id."""
        self.was_cut: set[Hop] = set()
        """Where there was context, and it was taken away."""

    async def start(self, upstream: Mapping[str, list[str]]) -> None:
        """`upstream`: each service's processes. They may start later: the first call connects."""
        looks = {
            "brain": self._conversation,
            "asr": self._listening,
            "tts": self._speaking,
            "escalation": self._hand_over,
            "gateway": self._referring,
        }
        for service, look in looks.items():
            self.relays[service] = Relay(upstream[service], look)
            await self.relays[service].start()

    async def stop(self) -> None:
        for relay in self.relays.values():
            await relay.stop()

    def _stripped(self, metadata: Metadata, here: bool, hop: Hop) -> Metadata:
        if not here:
            return metadata
        left = without_context(metadata)
        if left != metadata:
            self.was_cut.add(hop)
        return left

    def _conversation(self, method: str, first: bytes, metadata: Metadata) -> Passage:
        facts = CallEvent.FromString(first).started.facts
        hop = self._cut.get(facts.caller_number)
        again = self._conversations.get(facts.call_id, 0)
        self._conversations[facts.call_id] = again + 1
        self.call_ids[facts.caller_number] = facts.call_id
        if hop is not None:
            self._hop_of[facts.call_id] = hop
        lost = hop is Hop.CONVERSATION or (hop is Hop.TAKE_OVER and again > 0)
        passed = self._stripped(metadata, lost, Hop.TAKE_OVER if again else Hop.CONVERSATION)
        return Passage(passed, facts.call_id, down=self._without_play if hop is Hop.PLAYING else as_it_is)

    def _without_play(self, message: bytes) -> bytes:
        command = CallCommand.FromString(message)
        if command.HasField("play") and command.play.traceparent:
            self.was_cut.add(Hop.PLAYING)
            command.play.traceparent = ""
        return command.SerializeToString()

    def _listening(self, method: str, first: bytes, metadata: Metadata) -> Passage:
        call_id = RecognizeRequest.FromString(first).start.call_id
        hop = self._hop_of.get(call_id)
        up = self._without_turn if hop is Hop.TURN else as_it_is

        def down(message: bytes) -> bytes:
            self.utterances[call_id] += RecognizeResponse.FromString(message).HasField("speech_started")
            return message

        return Passage(self._stripped(metadata, hop is Hop.LISTENING, Hop.LISTENING), call_id, up, down)

    def _without_turn(self, message: bytes) -> bytes:
        request = RecognizeRequest.FromString(message)
        if request.HasField("turn_context") and request.turn_context.traceparent:
            self.was_cut.add(Hop.TURN)
            request.turn_context.traceparent = ""
        return request.SerializeToString()

    def _speaking(self, method: str, first: bytes, metadata: Metadata) -> Passage:
        call_id = SynthesizeRequest.FromString(first).start.call_id
        hop = self._hop_of.get(call_id)
        return Passage(self._stripped(metadata, hop is Hop.SPEAKING, Hop.SPEAKING), call_id)

    def _hand_over(self, method: str, first: bytes, metadata: Metadata) -> Passage:
        call_id = EscalateRequest.FromString(first).start.facts.call_id
        hop = self._hop_of.get(call_id)
        up = self._by_our_control if hop is Hop.REFERRING else as_it_is
        return Passage(self._stripped(metadata, hop is Hop.HAND_OVER, Hop.HAND_OVER), call_id, up)

    def _by_our_control(self, message: bytes) -> bytes:
        """Escalation finds the gateway by the call's facts."""
        request = EscalateRequest.FromString(message)
        if request.HasField("start"):
            request.start.facts.control_address = self.relays["gateway"].address
        return request.SerializeToString()

    def _referring(self, method: str, first: bytes, metadata: Metadata) -> Passage:
        return Passage(self._stripped(metadata, True, Hop.REFERRING), "")
