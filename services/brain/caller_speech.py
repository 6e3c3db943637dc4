"""What asr told of the caller's speech, as far as a turn's latency is made of it. Pure; call times in microseconds."""

from dataclasses import dataclass, field

from services.brain.latency import TurnMarks
from services.brain.turn_events import Respond
from tandem.v1.asr_pb2 import FinalTranscript


@dataclass(slots=True)
class CallerSpeech:
    """Since the last turn was decided: by utterance, when asr decided that it was over and what it understood."""

    _stops: dict[int, int] = field(default_factory=dict)
    _finals: dict[int, tuple[FinalTranscript, int]] = field(default_factory=dict)
    _heard_since_us: int = 0

    def stopped(self, utterance: int, decided_us: int) -> None:
        self._stops[utterance] = decided_us

    def understood(self, final: FinalTranscript, received_us: int) -> None:
        self._finals[final.utterance] = final, received_us

    def hearing_since(self, now_us: int) -> None:
        """A recogniser listens from now on; what was said before is heard again by replay."""
        self._heard_since_us = now_us

    def clear(self) -> None:
        self._stops.clear()
        self._finals.clear()

    def mark(self, marks: TurnMarks, turn: Respond, now_us: int) -> None:
        """The turn is decided, maybe for the time being. Keys have no speech, and no latency."""
        marks.decided_us = now_us
        if turn.keyed or not self._stops:
            return
        utterance = max(self._stops, key=self._stops.__getitem__)
        marks.speech_end_us = turn.stopped_us
        marks.stop_decided_us = self._stops[utterance]
        marks.deaf_us = min(max(self._heard_since_us - turn.stopped_us, 0), marks.stop_decided_us - turn.stopped_us)
        if utterance not in self._finals:
            # No word of it came in time: until the turn was decided without it, asr was waited for.
            marks.asr_us = now_us - marks.stop_decided_us
            marks.final_sent_us = marks.final_received_us = now_us
            return
        final, marks.final_received_us = self._finals[utterance]
        marks.asr_us = final.sent_call_time_us - final.requested_call_time_us
        marks.final_sent_us = final.sent_call_time_us
