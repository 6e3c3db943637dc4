"""What became of each utterance: told to the brain, and traced."""

from services.gateway.playout import End, PlayoutEvent, PlayoutFinished, PlayoutProgress, PlayoutStarted
from services.gateway.playout_spans import PlayoutSpans
from tandem.v1 import brain_pb2 as pb
from tandem.v1.call_pb2 import CallFacts

_ENDS = {
    End.COMPLETED: pb.PLAYOUT_END_COMPLETED,
    End.STOPPED: pb.PLAYOUT_END_STOPPED,
    End.STARVED: pb.PLAYOUT_END_STARVED,
}


_FAILURES = {End.STARVED: "the rest of its frames never came"}


class PlayoutReports:
    def __init__(self, facts: CallFacts, traceparent: str = "") -> None:
        """`traceparent`: the call's."""
        self._samples_a_ms = facts.audio.sample_rate_hz / 1000
        self._spans = PlayoutSpans(facts, traceparent)

    def released(self, utterance_id: int, traceparent: str, prompt: str = "") -> None:
        """A Play command came, in this trace; or the gateway says this `prompt` of its own."""
        self._spans.released(utterance_id, traceparent, prompt)

    def report(self, event: PlayoutEvent, now_us: int) -> pb.CallEvent:
        """The event as the brain is told it."""
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
                self._spans.finished(
                    utterance_id, now_us, samples / self._samples_a_ms, end.value, _FAILURES.get(end, "")
                )
                finished = pb.PlayoutFinished(utterance_id=utterance_id, samples_played=samples, end=_ENDS[end])
                return pb.CallEvent(call_time_us=now_us, playout_finished=finished)

    def close(self, now_us: int, why: str = "call over", below: int = 1 << 32) -> None:
        """Nothing more comes of what was begun, of utterances with lower ids than `below`."""
        self._spans.close(now_us, why, below)
