"""Every turn is concluded once, whatever order things end in."""

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.context import Context

from services.brain.turn_events import Respond
from services.brain.turnlog import TurnLog
from services.brain.utterance import Utterance
from tandem.v1.asr_pb2 import FinalTranscript
from tandem.v1.brain_pb2 import PlayoutFinished, PlayoutStarted
from tandem.v1.call_pb2 import CallFacts, JournalTurn
from tandem.v1.tts_pb2 import FirstAudio


def utterance(ident: int) -> Any:
    closed = SimpleNamespace(set=lambda: None)
    heard = SimpleNamespace(text=lambda: "")
    return SimpleNamespace(id=ident, closed=closed, heard=heard, cancel=lambda: None)


def respond(text: str, amends: bool = False) -> Respond:
    return Respond(text, text, 1000, 2000, amends)


def test_a_turn_whose_stop_is_told_late_is_not_lost() -> None:
    """Released and stopped before its first sample; the gateway says so when the next turn is already in hand."""
    done: list[JournalTurn] = []
    log = TurnLog(CallFacts(), Context(), False, done.append)
    first = log.begin(respond("one"), 1)
    log.speaks(first, utterance(1))
    log.reply_done(first, interrupted=True)
    second = log.begin(respond("two"), 2)
    log.playout_finished(PlayoutFinished(utterance_id=1), 3)
    log.reply_done(second, interrupted=True)
    third = log.begin(respond("two three", amends=True), 4)
    log.reply_done(third)
    log.finish_all()
    assert [turn.caller_text for turn in done] == ["one", "two three"]
    assert [turn.index for turn in done] == [0, 1]


def test_a_brain_that_takes_over_counts_on_behind_turns_that_were_not_journalled() -> None:
    log = TurnLog(CallFacts(), Context(), False, lambda _: None)
    log.resume_behind([JournalTurn(index=0), JournalTurn(index=2)])
    assert log.begin(None, 1).entry.index == 3


def test_what_is_still_being_spoken_at_the_end_is_cancelled() -> None:
    cancelled: list[int] = []
    log = TurnLog(CallFacts(), Context(), False, lambda _: None)
    speaking: Utterance = utterance(1)
    speaking.cancel = lambda: cancelled.append(1)  # type: ignore[method-assign]
    log.speaks(log.begin(None, 1), speaking)
    log.finish_all()
    assert cancelled == [1]


@pytest.mark.parametrize(("text_sent_us", "first_token_ms"), [(400_000, 150.0), (700_000, 100.0)])
def test_what_is_begun_early_and_waits_is_endpointing(text_sent_us: int, first_token_ms: float) -> None:
    """Begun at 250 ms, sure at 600 ms. Words made before that cost what they cost; a tool had to wait for it."""
    done: list[JournalTurn] = []
    log = TurnLog(CallFacts(), Context(), False, done.append)
    log.speech_stopped(1, 100_000)
    log.transcript(FinalTranscript(), 250_000)
    turn = log.begin(Respond("Hours?", "Hours?", 0, 90_000), 250_000, speculative=True)
    log.speaks(turn, utterance(1))
    if text_sent_us < 600_000:
        log.text_sent(turn, 1, text_sent_us)
    log.confirmed(turn, 600_000)
    if text_sent_us >= 600_000:
        log.text_sent(turn, 1, text_sent_us)
    log.audio_ready(turn, 1, FirstAudio(), max(text_sent_us, 600_000))
    turn.play_sent_us[1] = 710_000
    log.playout_started(PlayoutStarted(utterance_id=1, ready_call_time_us=710_000), 710_000)
    parts = turn.entry.latency.parts_ms
    assert parts["first_token"] == first_token_ms
    assert sum(parts.values()) + turn.entry.latency.unexplained_ms == turn.entry.latency.ear_latency_ms == 620.0
    assert done == []
