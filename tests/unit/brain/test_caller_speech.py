"""Whatever the order in which things happen, what no part admits is only what asr and gateway keep for themselves."""

from hypothesis import given
from hypothesis import strategies as st

from services.brain.caller_speech import CallerSpeech
from services.brain.latency import TurnMarks
from services.brain.turn_events import Respond
from tandem.v1.asr_pb2 import FinalTranscript

MS = 1000
STEP = st.integers(0, 3_000 * MS)


@given(
    steps=st.lists(STEP, min_size=9, max_size=9),
    transcripts=st.lists(st.booleans(), min_size=1, max_size=4),
    deaf=st.one_of(st.none(), STEP),
    asr_keeps=st.integers(0, 5 * MS),
)
def test_parts_add_up(steps: list[int], transcripts: list[bool], deaf: int | None, asr_keeps: int) -> None:
    """Several utterances in a turn; any of them may never get its transcript, also the last one."""
    speech, at = CallerSpeech(), 1_000 * MS
    end = at
    if deaf is not None:
        speech.hearing_since(at + deaf)
    for number, understood in enumerate(transcripts):
        end, stop = at + 100 * MS, at + 300 * MS
        speech.stopped(number, stop)
        at = stop + asr_keeps + steps[0]
        if understood:
            final = FinalTranscript(utterance=number, requested_call_time_us=stop + asr_keeps, sent_call_time_us=at)
            at += steps[1]
            speech.understood(final, at)
    marks = TurnMarks()
    decided = at + steps[2]
    speech.mark(marks, Respond("a", "a", 0, end), decided)
    sent = decided + steps[3]
    marks.text_sent_us, marks.tool_us = sent, min(steps[3], steps[4])
    marks.answering_us = steps[3] - marks.tool_us
    marks.synthesis_us, marks.audio_received_us = steps[5], sent + steps[5] + steps[6]
    marks.play_sent_us = marks.audio_received_us + steps[7]
    marks.play_ready_us, marks.playout_us = marks.play_sent_us + 1 * MS, steps[8]
    marks.heard_us = marks.play_ready_us + marks.playout_us
    latency = marks.latency()
    assert latency is not None
    assert min(latency.parts_ms.values()) >= 0, "nothing takes less than no time"
    assert abs(latency.unexplained_ms - (asr_keeps / MS if transcripts[-1] else 0)) < 0.001
    total = sum(latency.parts_ms.values()) + latency.unexplained_ms
    assert abs(total - latency.ear_latency_ms) < 0.001


def test_keys_have_no_latency_though_the_caller_coughed_before() -> None:
    speech, marks = CallerSpeech(), TurnMarks()
    speech.stopped(1, 5)
    speech.mark(marks, Respond("1", "1", 0, 9, keyed=True), 9)
    assert (marks.decided_us, marks.speech_end_us) == (9, 0)
